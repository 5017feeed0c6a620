"""Text in, text out: generation from a checkpoint, and its measurement against a world's truth."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from dlmone_lite import degeneration, metrics, sample
from dlmone_lite.checkpoint import Checkpoint
from dlmone_lite.errors import InputError
from dlmone_lite.precision import autocast, precise, reuse_memory
from dlmone_lite.text import Batch
from dlmone_lite.worlds import World


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
    """Clean target embeddings x (B, L, D) sampled for the sources of a batch, without gradients: a teacher's
    ancestral sampler, or the student's own; `steps` is the number of network evaluations (NFE)."""
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
    """`samples` target sentences for every source. progress is called with (rows done, rows in all).

    precision is that of matrix products: "float32", "bfloat16", "float16", or "auto", what is fast here.
    Every chunk of rows draws from its own generator, so texts depend on seed, batch_size and precision
    alone, and on whether a GPU draws, which would wait long for a CPU to draw as many.
    """
    if samples < 1:
        raise InputError(f"samples must be at least 1, got {samples}")
    if steps < 1:
        raise InputError(f"steps must be at least 1, got {steps}")
    reuse_memory()
    device = checkpoint.model.words.device
    precision = precise(precision, device, checkpoint.model.config.width)
    batch = checkpoint.codec.encode(sources).repeat(samples)
    texts: list[str] = []
    for start in range(0, len(batch), batch_size):
        rows = batch[start : start + batch_size].to(device)
        rng = torch.Generator(device).manual_seed(seed * 1_000_003 + start)
        with autocast(device, precision):
            x = generate_batch(checkpoint, rows, steps=steps, generator=rng, clamp=clamp).float()
        ids = rows.ids.clone()
        ids[rows.target] = checkpoint.model.round(x[rows.target])  # the source's are known
        texts += checkpoint.codec.decode(ids.cpu())
        if progress:
            progress(len(texts), len(batch))
    return [texts[i * samples : (i + 1) * samples] for i in range(len(sources))]


def held_out_sources(world: World, count: int, split: str = "test", seed: int = 0) -> list[str]:
    """`count` sources of a split, the same ones for the same seed."""
    sources = sorted(world.split_sources(split))
    if not 1 <= count <= len(sources):
        raise InputError(f"{world.name} has {len(sources)} {split} sources, asked for {count}")
    return random.Random(seed).sample(sources, count)


def measure(
    checkpoint: Checkpoint,
    world: World,
    *,
    steps: int,
    sources: int = 64,
    samples: int = 256,
    split: str = "test",
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    with_signs: bool = False,
) -> dict[str, Any]:
    """World metrics of a checkpoint on held-out sources (`metrics.world_metrics`), with NFE and seconds.

    `with_signs` adds "signs", those of degeneration that outputs and embeddings show.
    """
    chosen = held_out_sources(world, sources, split)
    began = time.perf_counter()
    texts = generate(checkpoint, chosen, steps=steps, samples=samples, seed=seed, progress=progress)
    seconds = time.perf_counter() - began
    result = metrics.world_metrics(texts, [world.support(source) for source in chosen])
    result = {"nfe": steps, "sources": sources, "samples": samples, **result, "seconds": seconds}
    if with_signs:
        batch = checkpoint.codec.encode(chosen).to(checkpoint.model.words.device)
        rng = torch.Generator().manual_seed(seed)
        x = generate_batch(checkpoint, batch, steps=steps, generator=rng).float()
        between = degeneration.margin(x[batch.target], checkpoint.model.embedding())
        result["signs"] = degeneration.signs(texts, chosen, margin=between).known()
    return result


def field_scores(texts: Sequence[Sequence[str]], references: Sequence[str]) -> dict[str, float | None]:
    """The field's scores of a few hypotheses a source; the last two need at least two."""
    flat = [hypothesis for hypotheses in texts for hypothesis in hypotheses]
    targets = [target for target, hypotheses in zip(references, texts, strict=True) for _ in hypotheses]
    several = len(texts[0]) > 1
    return {
        "bleu": metrics.bleu(flat, targets),
        "rouge_l": metrics.rouge_l(flat, targets),
        "dist_1": metrics.distinct_1(flat),
        "self_bleu": metrics.self_bleu(texts) if several else None,
        "div_4": metrics.div_4(texts) if several else None,
    }
