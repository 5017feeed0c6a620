"""Text in, text out: sentences from a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from dlmone_lite import sample
from dlmone_lite.checkpoints.checkpoint import Checkpoint
from dlmone_lite.errors import InputError
from dlmone_lite.text import Batch
from dlmone_lite.training.precision import autocast, resolve_precision, reuse_memory
from dlmone_lite.training.ranges import check_memory

Steps = int | Sequence[int]  # network evaluations, or a teacher's times


@torch.no_grad()
def generate_batch(
    checkpoint: Checkpoint,
    batch: Batch,
    *,
    steps: Steps,
    generator: torch.Generator,
    clamp: bool = False,
    trace: sample.Trace | None = None,
) -> Tensor:
    """Target embeddings x (B, L, D) for the sources of a batch, by the sampler of the checkpoint's role.

    A teacher samples ancestrally, a student by its own sampler; `steps` is the number of network evaluations.
    For a teacher it may also be their times, from T down to 0.
    """
    model = checkpoint.model
    clean, same = model.embed(batch.ids), {"steps": steps, "generator": generator, "trace": trace}
    if checkpoint.role == "student":
        return sample.student(model, model.schedule, batch, clean, **checkpoint.sampling, **same)
    return sample.ancestral(model, model.schedule, batch, clean, clamp=model.clamp if clamp else None, **same)


def generate(
    checkpoint: Checkpoint,
    sources: Sequence[str],
    *,
    steps: Steps = 1,
    samples: int = 1,
    seed: int = 0,
    clamp: bool = False,
    batch_size: int = 512,
    precision: str = "float32",
    progress: Callable[[int, int], None] | None = None,
) -> list[list[str]]:
    """`samples` target sentences for every source. `progress` is called with (rows done, rows in all).

    precision, of matrix products, is "float32", "bfloat16", "float16" or "auto", the fastest here. Every
    chunk of rows has its own generator, so texts depend on seed, batch_size, precision and the kind of device
    alone. Raises InputError for samples or steps below 1 and for sources that do not fit.
    """
    check_memory(
        200.0 * len(sources) * samples, f"{samples} samples of {len(sources)} sources", "ask for fewer"
    )
    how = {"steps": steps, "samples": samples, "seed": seed, "clamp": clamp}
    return list(
        stream(checkpoint, sources, **how, batch_size=batch_size, precision=precision, progress=progress)
    )


def stream(
    checkpoint: Checkpoint,
    sources: Sequence[str],
    *,
    steps: Steps,
    samples: int,
    seed: int,
    clamp: bool,
    batch_size: int,
    precision: str,
    progress: Callable[[int, int], None] | None,
) -> Iterator[list[str]]:
    """What `generate` returns, one source after the other; mistakes are raised at once, before the first."""
    calls = steps if isinstance(steps, int) else len(steps) - 1
    for name, value in {"samples": samples, "steps": calls, "batch_size": batch_size}.items():
        if value < 1:
            raise InputError(f"{name} must be at least 1, got {value}")
    config, batch = checkpoint.model.config, checkpoint.codec.encode(sources)
    rows = min(batch_size, len(batch) * samples)
    needed = 4 * rows * config.length * (10 * config.width + config.vocab_size)
    check_memory(needed, f"a batch of {rows} rows", "choose a smaller batch_size")
    reuse_memory()
    precision = resolve_precision(precision, checkpoint.model.words.device, config.width)

    def chunks() -> Iterator[list[str]]:
        texts: list[str] = []
        for start in range(0, len(batch) * samples, batch_size):
            index = torch.arange(start, min(start + batch_size, len(batch) * samples)) // samples
            seeded = (seed * 1_000_003 + start) % 2**63
            texts += _texts(checkpoint, batch[index], steps, seeded, clamp, precision)
            if progress:
                progress(int(start + len(index)), len(batch) * samples)
            while len(texts) >= samples:
                yield texts[:samples]
                del texts[:samples]

    return chunks()


@torch.no_grad()
def _texts(
    checkpoint: Checkpoint, batch: Batch, steps: Steps, seed: int, clamp: bool, precision: str
) -> list[str]:
    """A target sentence for every row of a batch."""
    device = checkpoint.model.words.device
    rows, rng = batch.to(device), torch.Generator(device).manual_seed(seed)
    with autocast(device, precision):
        x = generate_batch(checkpoint, rows, steps=steps, generator=rng, clamp=clamp).float()
    ids = rows.ids.clone()
    ids[rows.target] = checkpoint.model.round(x[rows.target])  # the source keeps its ids
    return checkpoint.codec.decode(ids.cpu())
