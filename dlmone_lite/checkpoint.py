"""Checkpoints: one safetensors file with weights, and its config, vocabulary and provenance as metadata."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from dlmone_lite.bert import network
from dlmone_lite.errors import InputError
from dlmone_lite.layout import LAYOUTS
from dlmone_lite.model import Denoiser, ModelConfig
from dlmone_lite.text import Codec, Vocabulary, WordPieces

FORMAT = "dlmone_lite 1"


@dataclass
class Checkpoint:
    """A network with all that is needed to use it.

    role is "teacher" or "student"; sampling holds what a sampler must know (a student's t_init, a
    sharpened teacher's clamp 0: it is judged without); provenance says how it was made: command, seed, steps,
    device, versions, data hash, metrics.
    """

    model: Denoiser
    codec: Codec
    world: str
    role: str
    sampling: dict[str, int] = field(default_factory=dict)
    provenance: dict = field(default_factory=dict)


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


def save(path: str | Path, checkpoint: Checkpoint, half: bool = False) -> None:
    """Write a checkpoint atomically; `half` stores float16, half the size, read back as float32."""
    codec = checkpoint.codec
    metadata = {
        "format": FORMAT,
        "world": checkpoint.world,
        "role": checkpoint.role,
        "config": json.dumps(asdict(checkpoint.model.config)),
        "codec": json.dumps({"source_length": codec.source_length, "target_length": codec.target_length}),
        "layout": next(name for name, kind in LAYOUTS.items() if type(codec) is kind),
        "vocabulary": json.dumps(codec.vocabulary.words),
        "vocabulary_kind": "pieces" if isinstance(codec.vocabulary, WordPieces) else "words",
        "sampling": json.dumps(checkpoint.sampling),
        "provenance": json.dumps(checkpoint.provenance),
    }
    weights = checkpoint.model.state_dict()
    write_tensors(path, {k: v.half() for k, v in weights.items()} if half else weights, metadata)


def load(path: str | Path, device: str = "cpu") -> Checkpoint:
    """Read a checkpoint into an evaluation-mode network on `device`."""
    tensors, metadata = read_tensors(path)
    if metadata.get("format") != FORMAT:
        raise InputError(f"{path} is no checkpoint of this library (format {FORMAT!r}); name another file")
    try:
        model = network(ModelConfig(**json.loads(metadata["config"])))
        model.load_state_dict(tensors)
        kind = WordPieces if metadata.get("vocabulary_kind") == "pieces" else Vocabulary
        codec = LAYOUTS[metadata.get("layout", "aligned")](
            kind(json.loads(metadata["vocabulary"])), **json.loads(metadata["codec"])
        )
        sampling, provenance = json.loads(metadata["sampling"]), json.loads(metadata["provenance"])
        world, role = metadata["world"], metadata["role"]
    except (KeyError, TypeError, RuntimeError, json.JSONDecodeError) as error:
        raise InputError(f"{path} is incomplete or of another version ({error}); train it again") from error
    model = model.to(device).eval().requires_grad_(False)
    return Checkpoint(model, codec, world, role, sampling, provenance)


def digest(path: str | Path) -> str:
    """SHA-256 of a file, as hexadecimal text."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def pick_device(name: str | None = None) -> str:
    """`name`, or the GPU if there is one, or the CPU; a device that is not there is an InputError."""
    if name is None or name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        known = ["cpu"] + [f"cuda:{i}" for i in range(torch.cuda.device_count())]
        raise InputError(f"there is no device {name!r} here; available: {', '.join(known)}") from error
    return name
