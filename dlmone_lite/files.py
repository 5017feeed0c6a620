"""Files, read and written in one place: the root, atomic writes, JSON, tensors, records."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from dlmone_lite.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent  # of the repository: the one place that knows
DATA = ROOT / "data"
RUNS = DATA / "runs"


# ---- bytes


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file to write that takes the place of `path` when the block ends without an error.

    Readers see the old file or the new one, never a part, because the new one is complete and on disk before
    it is renamed. An OSError becomes an InputError.
    """
    path = Path(path)
    temporary = path.with_name(
        f".{path.name}.{os.getpid()}.tmp"
    )  # on the same disk, so that renaming is enough
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:  # no half file stays behind, not even when a notebook's Stop button ends this
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{path} could not be written ({error.strerror or error}); what was there before is intact: "
            "free some space or choose another folder"
        ) from error


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    with replacing(path) as file:
        file.write(data)


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 text file whole or not at all, its line ends as they are."""
    write_bytes(path, text.encode("utf-8"))


def check_output(path: str | Path | None) -> None:
    """Make the folder of an output file; refuse one that cannot be written before any work is done for it."""
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


def digest(path: str | Path) -> str:
    """SHA-256 of a file's content as hexadecimal text; of a .gz file that of the text inside."""
    return hashlib.sha256(read_bytes(path)).hexdigest()


def read_bytes(path: str | Path) -> bytes:
    """The content of a file, or of standard input for `-`; decompressed where the name ends in .gz."""
    data = sys.stdin.buffer.read() if str(path) == "-" else Path(path).read_bytes()
    return gzip.decompress(data) if Path(path).suffix == ".gz" else data


# ---- tensors


def _canonical(data: bytes) -> bytes:
    """The same safetensors file with its header sorted, because the order that `save` writes is random."""
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:start]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[start:]


def write_tensors(path: str | Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file whole or not at all; equal tensors and metadata give equal bytes."""
    from safetensors.torch import save

    data = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, metadata)
    write_bytes(path, _canonical(data))


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


# ---- JSON


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON whole or not at all and say so; numbers that JSON lacks, nan and inf, become null."""
    write_text(path, json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    print(f"written: {path}")


def _plain(value: Any) -> Any:
    """`value` with what JSON lacks replaced."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_jsonl(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON lines whole or not at all."""
    if Path(path).is_dir():
        raise InputError(f"{path} is a folder; name a file in it")
    with replacing(path) as file:
        for row in rows:
            file.write((json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8"))


# ---- records of runs


def rounded(value: Any, digits: int = 4) -> Any:
    """A record with its numbers at four significant digits, which is more than their errors allow."""
    if isinstance(value, float):
        return float(f"{value:.{digits}g}")
    if isinstance(value, dict):
        return {key: rounded(item, digits) for key, item in value.items()}
    return [rounded(item, digits) for item in value] if isinstance(value, list | tuple) else value


KINDS = {
    "world_scores": "evaluation",
    "text_scores": "corpus-evaluation",
    "floor": "floor",
    "batches": "speed",
    "training": "training-speed",
    "made": "making",
}  # a key that only records of this kind have


def record_kind(record: Mapping[str, Any]) -> str:
    """The kind of a record: its `kind`, or what its keys tell, because older records have no `kind`."""
    return record.get("kind") or next((kind for key, kind in KINDS.items() if key in record), "unknown")


def read_records(path: Path) -> list[dict[str, Any]]:
    """The finished runs of a sweep, of a .gz as well; a line that a kill cut off is left out."""
    records = []
    if path.is_file():
        for line in read_bytes(path).decode("utf-8").splitlines():
            try:
                records.append(json.loads(line))
            except json.JSONDecodeError:
                continue
    return records


def pack(records: Iterable[dict[str, Any]], path: Path) -> None:
    """Write records as compressed JSON lines; equal records give equal bytes."""
    lines = "".join(json.dumps(record) + "\n" for record in records)
    write_bytes(path, gzip.compress(lines.encode(), mtime=0))


def shipped(name: str) -> Path:
    """Where the records of a sweep lie in the kit."""
    return RUNS / f"sweep-{name}.jsonl.gz"


def recorded(name: str) -> list[dict[str, Any]]:
    """The shipped records of a sweep."""
    path = shipped(name)
    if not path.is_file():
        raise InputError(f"{path} is missing; restore it with: git checkout -- {path}")
    return read_records(path)
