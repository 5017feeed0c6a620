"""Files, read and written in one place: the root, atomic writes, JSON, tensors, records."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import math
import os
import stat
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from dlmone_lite.errors import Diverged, InputError

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
    it is renamed. A link is followed, and a file keeps its mode. A device or a pipe is never replaced: it is
    written to. An OSError becomes an InputError.
    """
    try:
        if is_stream(path):
            with open(path, "wb") as file:
                yield file
            return
        goal = Path(os.path.realpath(path))
        goal.parent.mkdir(parents=True, exist_ok=True)
        temporary = hidden(goal, f"{os.getpid()}.tmp")  # on the same disk, so that renaming is enough
        try:
            with open(temporary, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if goal.exists():
                os.chmod(temporary, stat.S_IMODE(goal.stat().st_mode))
            os.replace(temporary, goal)
        finally:  # no half file stays behind, not even when a notebook's Stop button ends this
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{path} could not be written ({error.strerror or error}); what was there before is intact: "
            "free some space or choose another folder"
        ) from error


OPEN_FILES = [("dev", name) for name in ("fd", "stdin", "stdout", "stderr")]  # of this process


def is_stream(path: str | Path) -> bool:
    """Whether a path is a device, a pipe, or what a process has open: written to, never replaced."""
    path = Path(path)
    with contextlib.suppress(OSError):
        own = path.parts[1:2] == ("proc",) or path.parts[1:3] in OPEN_FILES
        return own or (path.exists() and not path.is_file() and not path.is_dir())
    return False


def hidden(path: str | Path, what: str) -> Path:
    """A hidden file beside `path` or what it links to; a long name is cut, because names have a limit."""
    goal = Path(os.path.realpath(path))
    name = goal.name
    if len(name) > 50:
        name = f"{name[:40]}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}"
    return goal.with_name(f".{name}.{what}")


def clear_half_files(path: Path) -> None:
    """Remove what killed processes left behind while they wrote `path`; nobody else may be writing it."""
    start = hidden(path, "").name
    for other in hidden(path, "").parent.glob(".*.tmp"):
        if other.name.startswith(start) and other.name.removeprefix(start)[:-4].isdigit():
            other.unlink(missing_ok=True)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    with replacing(path) as file:
        file.write(data)


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Write several files, all or none: each is complete on disk before the first takes its place."""
    for path in contents:
        check_output(path)
    with contextlib.ExitStack() as stack:
        for path, data in contents.items():
            file = stack.enter_context(replacing(path))
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 text file whole or not at all, its line ends as they are."""
    write_bytes(path, text.encode("utf-8", errors="surrogateescape"))  # as a path of the shell may hold


def check_output(path: str | Path | None) -> None:
    """Make the folder of an output and, for a moment, a file in it: before any work, a disk may refuse."""
    if path is None or is_stream(path):
        return
    path = Path(path)
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder; name a file in it")
        trial = hidden(path, f"{os.getpid()}.tmp")
        trial.parent.mkdir(parents=True, exist_ok=True)
        try:
            trial.write_bytes(bytes(4096))
        finally:
            trial.unlink(missing_ok=True)
        if path.exists() and not os.access(path, os.W_OK):
            raise InputError(f"{path} is write-protected; choose another name")
    except OSError as error:
        refused = f"{str(path)[:200]} cannot be made ({error.strerror})"
        raise InputError(f"{refused}; free some space or choose another place") from error


def digest(path: str | Path) -> str:
    """SHA-256 of a file's content as hexadecimal text; of a .gz file that of the text inside."""
    return hashlib.sha256(read_bytes(path)).hexdigest()


def read_bytes(path: str | Path) -> bytes:
    """The content of a file, or of standard input for `-`; decompressed where the name ends in .gz."""
    data = sys.stdin.buffer.read() if str(path) == "-" else Path(path).read_bytes()
    try:
        return gzip.decompress(data) if Path(path).suffix == ".gz" else data
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path} is a damaged .gz file ({error}); make it again") from error


# ---- tensors


DIGEST = "sha256"  # in the metadata: of the rest of the file


def _parts(data: bytes) -> tuple[dict[str, Any], bytes]:
    """(header, the tensors' bytes) of a safetensors file."""
    start = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:start]), data[start:]


def _header(header: Mapping[str, Any]) -> bytes:
    """The header in a fixed order, because the order that `save` writes is random."""
    return json.dumps(header, sort_keys=True, separators=(",", ":")).encode()


def recorded_digest(path: str | Path) -> str:
    """The digest of a shipped file as a `hashes.json` above it has it; "" of a file that is not shipped."""
    path = Path(path).resolve()
    for folder in (path.parent, path.parent.parent):
        if DATA in folder.parents and (folder / "hashes.json").is_file():
            hashes = json.loads((folder / "hashes.json").read_text(encoding="utf-8"))
            return str(hashes.get(path.relative_to(folder).as_posix(), ""))
    return ""


def write_tensors(path: str | Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file whole or not at all; equal tensors and metadata give equal bytes.

    Its metadata hold a digest of all the rest. Diverged if a number is not finite: the old file stays.
    """
    import torch
    from safetensors.torch import save

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise Diverged(f"{name} is no longer finite, so {path} was not written; lower the learning rate")

    header, body = _parts(save(tensors, {**metadata}))
    header.setdefault("__metadata__", {})[DIGEST] = hashlib.sha256(_header(header) + body).hexdigest()
    packed = _header(header)
    packed += b" " * (-len(packed) % 8)
    write_bytes(path, len(packed).to_bytes(8, "little") + packed + body)


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(tensors, metadata) of a safetensors file; a missing, damaged or foreign file is an InputError."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    if not Path(path).is_file():
        raise InputError(f"there is no file {path}; check the path")
    try:
        data = Path(path).read_bytes()
        recorded = recorded_digest(path)
        if recorded and recorded != hashlib.sha256(data).hexdigest():
            raise InputError(f"{path} was changed (wrong SHA-256); restore it with: git checkout -- {path}")
        tensors, (header, body) = load(data), _parts(data)
        metadata = header.get("__metadata__", {})
        expected = metadata.pop(DIGEST, None)
        if expected and hashlib.sha256(_header(header) + body).hexdigest() != expected:
            raise InputError(f"{path} is damaged (wrong {DIGEST} of its content); make it again")
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                raise InputError(f"{path} is of no use: {name} is not finite; make it again")
    except (SafetensorError, OSError, ValueError, TypeError, RuntimeError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is damaged or no safetensors file ({error}); make it again") from error
    return tensors, metadata


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


def append(file: FileIO, line: bytes) -> None:
    """Append a line; where the disk has no room for it, no part of it stays, and the OSError is raised."""
    length = os.fstat(file.fileno()).st_size
    try:
        while line:
            line = line[file.write(line) :]
    except OSError:
        with contextlib.suppress(OSError):  # a pipe cannot be cut
            file.truncate(length)
        raise


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
    """The finished runs of a sweep, of a .gz as well, without a last line that a kill cut off.

    InputError for a file that holds something else, because a sweep would write over it.
    """
    records = []
    lines = read_bytes(path).decode("utf-8", errors="replace").splitlines() if path.is_file() else []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            records.append({**record, "key": record["key"]})
        except (ValueError, KeyError, TypeError) as error:
            if number < len(lines) or not line.startswith("{") or isinstance(error, KeyError):
                raise InputError(f"{path}:{number}: no record of a sweep; choose another file") from error
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
