"""Evaluation of a checkpoint: scores against a world's truth, and the field's scores."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Any

import torch

from dlmone_lite.checkpoints.checkpoint import Checkpoint
from dlmone_lite.corpora.world import World
from dlmone_lite.errors import InputError
from dlmone_lite.evaluation import degeneration, metrics
from dlmone_lite.generation import generate, generate_batch


def held_out_sources(world: World, count: int, split: str = "test", seed: int = 0) -> list[str]:
    """`count` random sources of a split, the same for the same seed; InputError if the split has fewer."""
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
    with_signs: bool = False,
) -> dict[str, Any]:
    """World metrics of a checkpoint on held-out sources (`metrics.world_metrics`), with NFE and seconds.

    `with_signs` adds "signs": the signs of degeneration that outputs and embeddings show.
    """
    chosen, start = held_out_sources(world, sources, split), time.perf_counter()
    texts = generate(checkpoint, chosen, steps=steps, samples=samples, seed=seed)
    seconds = time.perf_counter() - start

    result = metrics.world_metrics(texts, [world.support(source) for source in chosen])
    result = {"nfe": steps, "sources": sources, "samples": samples, **result, "seconds": seconds}
    if with_signs:  # the margin needs embeddings, so one more sample of each source is drawn
        batch = checkpoint.codec.encode(chosen).to(checkpoint.model.words.device)
        rng = torch.Generator().manual_seed(seed)
        x = generate_batch(checkpoint, batch, steps=steps, generator=rng).float()
        margin = degeneration.margin(x[batch.target], checkpoint.model.embedding())
        found = degeneration.signs(texts, chosen, margin=margin)
        result["signs"] = {**found.as_dict(), "error": dict(found.error)}
    return result


def field_scores(texts: Sequence[Sequence[str]], references: Sequence[str]) -> dict[str, float | None]:
    """The field's scores of several hypotheses a source: texts[i] belong to references[i].

    self_bleu and div_4 compare hypotheses of one source; they are None if each source has only one.
    """
    flat = [text for own in texts for text in own]
    targets = [reference for own, reference in zip(texts, references, strict=True) for _ in own]
    several = len(texts[0]) > 1
    return {
        "bleu": metrics.bleu(flat, targets),
        "rouge_l": metrics.rouge_l(flat, targets),
        "dist_1": metrics.distinct_1(flat),
        "self_bleu": metrics.self_bleu(texts) if several else None,
        "div_4": metrics.div_4(texts) if several else None,
    }
