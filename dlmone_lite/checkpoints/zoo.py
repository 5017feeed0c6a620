"""The shipped checkpoints by name; each file's hash is verified before it is read."""

from __future__ import annotations

import json
import os
from pathlib import Path

from dlmone_lite.checkpoints import checkpoint as ckpt
from dlmone_lite.checkpoints.checkpoint import Checkpoint
from dlmone_lite.corpora.world import World
from dlmone_lite.errors import InputError, nearest
from dlmone_lite.files import DATA, ROOT, digest

FOLDER = DATA / "checkpoints"
HASHES = FOLDER / "hashes.json"  # {file name: SHA-256}
LAB = DATA / "lab"  # the networks of the lab, with hashes of their own
SUFFIX = ".safetensors"


def hashes(path: Path | None = None) -> dict[str, str]:
    """{file name: SHA-256} of the shipped checkpoints, or of the table at `path`."""
    path = path or HASHES
    try:
        return {str(name): str(value) for name, value in json.loads(path.read_text()).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        remedy = f"restore it with: git checkout -- {path}"
        raise InputError(f"{path} cannot be read ({error}); {remedy}") from error


def lab_names() -> list[str]:
    """The network files of the lab."""
    return [name for name in hashes(LAB / "hashes.json") if name.endswith(SUFFIX)]


def names() -> list[str]:
    """Shipped checkpoints: `<world>-teacher`, `<world>-student`, and variants, as `<world>-student-warm`."""
    return sorted(name.removesuffix(SUFFIX) for name in hashes())


def path_of(name: str) -> Path:
    """The file of a shipped checkpoint; InputError if it is unknown, missing or changed."""
    expected = hashes()
    if name + SUFFIX not in expected:
        shipped, like = ", ".join(names()) or "none", nearest(name, names())
        raise InputError(f"there is no checkpoint {name!r}{like}; shipped: {shipped}, or give a file")
    path = FOLDER / (name + SUFFIX)
    if not path.is_file():
        raise InputError(f"{path} is missing; restore it with: git checkout -- {path}")
    if digest(path) != expected[path.name]:
        raise InputError(f"{path} was changed (wrong SHA-256); restore it with: git checkout -- {path}")
    return path


def load(name_or_file: str | Path, device: str = "cpu", world: str | None = None) -> Checkpoint:
    """A shipped checkpoint by name, or any file; InputError if `world` is given and is not its world."""
    path = Path(name_or_file) if str(name_or_file).endswith(SUFFIX) else path_of(str(name_or_file))
    loaded = ckpt.load(path, device)
    if world is not None and loaded.world != world:
        raise InputError(f"{name_or_file} is of the world {loaded.world!r}, not {world!r}; choose another")
    return loaded


def world(name: str | None = None) -> World:
    """A shipped world or a .grammar file, its path from here or the repository; by default the world that the
    environment variable DLMONE_WORLD names, or else paraphrase."""
    name = name or os.environ.get("DLMONE_WORLD") or "paraphrase"
    from_repository = name.endswith(".grammar") and not Path(name).is_file()
    return World.load(ROOT / name if from_repository else name)


def course(name: str | None = None, device: str = "cpu") -> tuple[World, Checkpoint, Checkpoint]:
    """`world(name)`, its teacher and its student, shipped or your own `runs/<world>-<role>.safetensors`; an
    InputError names a missing file and the command that makes it."""
    chosen, grammar, networks = world(name), name or os.environ.get("DLMONE_WORLD"), []
    for role in ("teacher", "student"):
        network = f"{chosen.name}-{role}"
        file = f"runs/{network}{SUFFIX}"
        if network not in names() and not (ROOT / file).is_file():
            command = f"train --world {grammar} --out {file}"
            if role == "student":
                teacher = f"runs/{chosen.name}-teacher{SUFFIX}"
                command = f"distill --world {grammar} --teacher {teacher} --out {file}"
            raise InputError(f"{file} is not there yet; make it with: python -m dlmone_lite {command}")
        networks.append(load(network if network in names() else ROOT / file, device, chosen.name))
    return chosen, *networks
