"""The shipped checkpoints by name; every file's hash is verified before it is read."""

from __future__ import annotations

import json
from pathlib import Path

from dlmone_lite import checkpoint as ckpt
from dlmone_lite.checkpoint import Checkpoint
from dlmone_lite.errors import InputError, nearest

DATA = Path(__file__).resolve().parent.parent / "data"
FOLDER = DATA / "checkpoints"
HASHES = FOLDER / "hashes.json"  # {file name: SHA-256}
SUFFIX = ".safetensors"


def hashes() -> dict[str, str]:
    """{file name: SHA-256} of the shipped checkpoints."""
    return json.loads(HASHES.read_text()) if HASHES.is_file() else {}


def names() -> list[str]:
    """Shipped checkpoints: `<world>-teacher`, `<world>-student-stage1`, `<world>-student`."""
    return sorted(name.removesuffix(SUFFIX) for name in hashes())


def path_of(name: str) -> Path:
    """The file of a shipped checkpoint, whose hash is right; else an InputError."""
    known = hashes()
    if name + SUFFIX not in known:
        shipped = ", ".join(names()) or "none"
        raise InputError(
            f"there is no checkpoint {name!r}{nearest(name, names())}; shipped: {shipped}, or give a file"
        )
    path = FOLDER / (name + SUFFIX)
    if not path.is_file():
        raise InputError(f"{path} is missing; restore it with: git checkout -- {path}")
    if ckpt.digest(path) != known[path.name]:
        raise InputError(f"{path} was changed (wrong SHA-256); restore it with: git checkout -- {path}")
    return path


def load(name_or_file: str | Path, device: str = "cpu", world: str | None = None) -> Checkpoint:
    """A shipped checkpoint by name, or any checkpoint file; with `world`, one of another world is refused."""
    path = Path(name_or_file) if str(name_or_file).endswith(SUFFIX) else path_of(str(name_or_file))
    loaded = ckpt.load(path, device)
    if world is not None and loaded.world != world:
        raise InputError(f"{name_or_file} is of the world {loaded.world!r}, not {world!r}; choose another")
    return loaded


def register(path: str | Path) -> None:
    """Record the hash of a newly made checkpoint in the folder of shipped ones."""
    known = {**hashes(), Path(path).name: ckpt.digest(path)}
    HASHES.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n")
