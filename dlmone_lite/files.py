"""Files, read and written in one place: the repository's root, atomic writes, JSON, tables, tensors, records."""

from __future__ import annotations

import contextlib
import csv
import gzip
import hashlib
import io
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlmone_lite.errors import InputError, nearest

if TYPE_CHECKING:
    from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent  # of the repository: the one place that knows
DATA = ROOT / "data"
RUNS = DATA / "runs"


def rounded(value: Any, digits: int = 4) -> Any:
    """A record with its measurements at four significant digits, which is more than they are worth."""
    if isinstance(value, float):
        return float(f"{value:.{digits}g}")
    if isinstance(value, dict):
        return {key: rounded(item, digits) for key, item in value.items()}
    return [rounded(item, digits) for item in value] if isinstance(value, list | tuple) else value


def read_records(path: Path) -> list[dict[str, Any]]:
    """The finished runs of a sweep, of a .gz as well; a line that a kill cut off is left out."""
    records = []
    if path.is_file():
        data = path.read_bytes()
        text = gzip.decompress(data) if path.suffix == ".gz" else data
        for line in text.decode("utf-8").splitlines():
            try:
                records.append(json.loads(line))
            except json.JSONDecodeError:
                continue
    return records


def pack(records: Iterable[dict[str, Any]], path: Path) -> None:
    """Write records as JSON lines, compressed; the same records are the same bytes."""
    lines = "".join(json.dumps(record) + "\n" for record in records)
    path.write_bytes(gzip.compress(lines.encode(), mtime=0))


def shipped(name: str) -> Path:
    """Where the records of a sweep lie in the kit."""
    return RUNS / f"sweep-{name}.jsonl.gz"


def recorded(name: str) -> list[dict[str, Any]]:
    """The shipped records of a sweep."""
    path = shipped(name)
    if not path.is_file():
        raise InputError(f"{path} is missing; restore it with: git checkout -- {path}")
    return read_records(path)


def _canonical(data: bytes) -> bytes:
    """The same safetensors file with a sorted header: the writer's order is random, hashes would differ."""
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:start]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[start:]


def write_tensors(path: str | Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file completely or not at all: the old file stays until the new one is on disk."""
    from safetensors.torch import save

    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")  # on the same disk: it takes its place
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        data = _canonical(save({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, metadata))
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:  # whatever happened, the Stop button of a notebook included, leave no half file behind
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{path} could not be written ({error.strerror or error}); what was there before is intact: "
            "free some space or choose another folder"
        ) from error


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(tensors, metadata) of a safetensors file; a missing, truncated or foreign file is an InputError."""
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise InputError(f"there is no file {path}; check the path")
    try:
        with safe_open(str(path), framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is damaged or no safetensors file ({error}); make it again") from error


def digest(path: str | Path) -> str:
    """SHA-256 of a file, as hexadecimal text."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def check_output(path: str | Path | None) -> None:
    """Make the folder of an output file; say at once, not after an hour, that it cannot be written."""
    if path is None:
        return
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"the folder {path.parent} cannot be made ({error.strerror}); choose another"
        ) from error
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file in it")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"the folder {path.parent} is not writable; choose another")


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON whole or not at all; numbers that JSON lacks (nan) become null."""
    path = Path(path)
    text = json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f"{path} could not be written ({error.strerror}); choose another place") from error
    print(f"written: {path}")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_jsonl(path: str | Path, need: Sequence[str] = ("src",)) -> list[dict[str, Any]]:
    """The rows of a JSON-lines file; each needs non-empty text under all names in `need`, or InputError."""
    rows = []
    for where, row in read_rows(Path(path), None):
        for column in need:
            text_field(row, column, where)
        rows.append(row)
    return rows


def write_jsonl(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON lines whole or not at all: into a temporary file beside `path`, then renamed over it."""
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file in it")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        os.replace(temporary, path)
    except OSError as e:
        raise InputError(f"{path}: cannot be written ({e.strerror})") from e
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def text_field(row: Mapping[str, Any], column: str, where: str) -> str:
    if column not in row:
        hint = nearest(column, row) + ", only " + (", ".join(row) or "none")
        raise InputError(f"{where}: no column {column!r}{hint}; rename one, or name them with columns=")
    value = row[column]
    if not isinstance(value, str):
        raise InputError(f"{where}: {column!r} is {type(value).__name__}, not text; put a string there")
    if not value.strip():
        raise InputError(f"{where}: {column!r} is empty; fill it or delete the line")
    if value.encode(errors="ignore").decode() != value:
        raise InputError(f"{where}: {column!r} holds half a surrogate pair; write the whole character")
    return value


def read_rows(path: Path, delimiter: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """('file:line', row) of a table, or of JSON lines (no delimiter); at least one row, or InputError."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = e.object[: e.start].count(b"\n") + 1
        raise InputError(f"{path}:{line}: not UTF-8 text; save the file as UTF-8") from e
    except OSError as e:
        raise InputError(f"{path}: cannot be read ({e.strerror}); check the path") from e
    line = None
    for line, row in _json_rows(path, text) if delimiter is None else _csv_rows(path, text, delimiter):
        yield f"{path}:{line}", row
    if line is None:
        raise InputError(f"{path}: empty file; it needs at least one row")


def _json_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):  # splitlines() would also cut at U+2028
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = json.loads(line, object_pairs_hook=partial(_unique, where))
        except json.JSONDecodeError as e:
            raise InputError(f"{where}: broken JSON ({e.msg}, column {e.colno}); one object per line") from e
        if not isinstance(row, dict):
            raise InputError(f'{where}: not a JSON object; write {{"src": ..., "trg": ...}}')
        yield number, row


def _csv_rows(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = list(_unique(f"{path}:1", [(name, None) for name in next(reader, [])]))
        start = reader.line_num + 1  # a row may span lines: it starts where the last one ended
        for fields in reader:
            if len(fields) not in (0, len(header)):
                raise InputError(
                    f"{path}:{start}: {len(fields)} fields for {len(header)} columns; quote them"
                )
            if fields:
                yield start, dict(zip(header, fields))
            start = reader.line_num + 1
    except csv.Error as e:
        raise InputError(f"{path}:{reader.line_num}: broken table ({e})") from e


def _unique(where: str, items: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """The items as a dict; plain `dict` would drop all but the last of a name that stands twice."""
    row = dict(items)
    if len(row) < len(items):
        names = [name for name, _ in items]
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{where}: column {twice!r} stands there twice; keep one")
    return row
