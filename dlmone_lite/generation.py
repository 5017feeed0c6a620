"""Text in, text out: sentences from a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dlmone_lite import sample
from dlmone_lite.checkpoints.checkpoint import Checkpoint
from dlmone_lite.errors import InputError
from dlmone_lite.text import Batch
from dlmone_lite.training.precision import autocast, resolve_precision, reuse_memory


@torch.no_grad()
def generate_batch(
    checkpoint: Checkpoint,
    batch: Batch,
    *,
    steps: int,
    generator: torch.Generator,
    clamp: bool = False,
    trace: sample.Trace | None = None,
) -> Tensor:
    """Target embeddings x (B, L, D) for the sources of a batch, by the sampler of the checkpoint's role.

    A teacher samples ancestrally, a student by its own sampler; `steps` is the number of network evaluations.
    """
    model = checkpoint.model
    clean = model.embed(batch.ids)
    if checkpoint.role == "student":
        return sample.student(
            model,
            model.schedule,
            batch,
            clean,
            t_init=checkpoint.sampling["t_init"],
            steps=steps,
            generator=generator,
            trace=trace,
        )
    return sample.ancestral(
        model,
        model.schedule,
        batch,
        clean,
        steps=steps,
        generator=generator,
        clamp=model.clamp if clamp else None,
        trace=trace,
    )


@torch.no_grad()
def generate(
    checkpoint: Checkpoint,
    sources: Sequence[str],
    *,
    steps: int = 1,
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
    if samples < 1:
        raise InputError(f"samples must be at least 1, got {samples}")
    if steps < 1:
        raise InputError(f"steps must be at least 1, got {steps}")
    reuse_memory()
    device = checkpoint.model.words.device
    precision = resolve_precision(precision, device, checkpoint.model.config.width)
    batch = checkpoint.codec.encode(sources).repeat(samples)
    texts: list[str] = []
    for start in range(0, len(batch), batch_size):
        rows = batch[start : start + batch_size].to(device)
        rng = torch.Generator(device).manual_seed(seed * 1_000_003 + start)
        with autocast(device, precision):
            x = generate_batch(checkpoint, rows, steps=steps, generator=rng, clamp=clamp).float()
        ids = rows.ids.clone()
        ids[rows.target] = checkpoint.model.round(x[rows.target])  # the source keeps its ids
        texts += checkpoint.codec.decode(ids.cpu())
        if progress:
            progress(len(texts), len(batch))
    return [texts[i * samples : (i + 1) * samples] for i in range(len(sources))]
