"""Checkpoints: a safetensors file of weights, with config, vocabulary and provenance as its metadata."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from dlmone_lite.corpora.word_pieces import WordPieces
from dlmone_lite.errors import InputError
from dlmone_lite.files import read_tensors, write_tensors
from dlmone_lite.model import Denoiser, ModelConfig
from dlmone_lite.text import Codec, Vocabulary
from dlmone_lite.variants.bert import BertDenoiser
from dlmone_lite.variants.diffuseq_codec import LAYOUTS

FORMAT = "dlmone_lite 1"
VOCABULARIES = {"words": Vocabulary, "pieces": WordPieces}
VOCABULARIES["accented pieces"] = partial(WordPieces, accents=True)


@dataclass
class Checkpoint:
    """A network with everything that its use needs."""

    model: Denoiser
    codec: Codec
    world: str
    role: str  # "teacher" or "student"
    # Of the sampler: a student's t_init and rho, a sharpened teacher's clamp 0.
    sampling: dict[str, float] = field(default_factory=dict)
    provenance: dict = field(default_factory=dict)  # command, seed, steps, device, versions, hash, metrics


def save(path: str | Path, checkpoint: Checkpoint, half: bool = False) -> None:
    """Write a checkpoint atomically; `half` stores float16, which `load` reads as float32."""
    codec = checkpoint.codec
    metadata = {
        "format": FORMAT,
        "world": checkpoint.world,
        "role": checkpoint.role,
        "config": json.dumps(asdict(checkpoint.model.config)),
        "codec": json.dumps({"source_length": codec.source_length, "target_length": codec.target_length}),
        "layout": next(name for name, kind in LAYOUTS.items() if type(codec) is kind),
        "vocabulary": json.dumps(codec.vocabulary.words),
        "vocabulary_kind": codec.vocabulary.kind,
        "sampling": json.dumps(checkpoint.sampling),
        "provenance": json.dumps(checkpoint.provenance),
    }
    weights = checkpoint.model.state_dict()
    write_tensors(path, {k: v.half() for k, v in weights.items()} if half else weights, metadata)


def load(path: str | Path, device: str = "cpu") -> Checkpoint:
    """Read a checkpoint, frozen and in evaluation mode, on `device`; InputError if it is damaged."""
    tensors, metadata = read_tensors(path)
    if metadata.get("format") != FORMAT:
        raise InputError(f"{path} is no checkpoint of this library (format {FORMAT!r}); name another file")
    try:
        model = network(ModelConfig(**json.loads(metadata["config"])))
        model.load_state_dict(tensors)
        kind = VOCABULARIES[metadata.get("vocabulary_kind", "words")]
        vocabulary = kind(json.loads(metadata["vocabulary"]))
        codec = LAYOUTS[metadata.get("layout", "aligned")](vocabulary, **json.loads(metadata["codec"]))
        sampling, provenance = json.loads(metadata["sampling"]), json.loads(metadata["provenance"])
        world, role = metadata["world"], metadata["role"]
        sound = role in ("teacher", "student") and isinstance(provenance, dict)
        sound = sound and sampling.keys() <= {"t_init", "rho", "clamp"}
        if role == "student":
            sound = sound and sampling["t_init"] in range(1, model.config.T + 1)
            sound = sound and type(sampling["t_init"]) is int and 0 <= sampling.get("rho", 0) <= 1
        if not sound or (len(vocabulary), codec.length) != (model.config.vocab_size, model.config.length):
            raise ValueError("its parts do not fit each other")
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, RecursionError) as error:
        raise InputError(f"{path} is incomplete or of another version ({error}); train it again") from error
    model = model.to(device).eval().requires_grad_(False)
    return Checkpoint(model, codec, world, role, sampling, provenance)


def network(config: ModelConfig) -> Denoiser:
    """A new, untrained network of this configuration."""
    return {"prenorm": Denoiser, "bert": BertDenoiser}[config.network](config)
