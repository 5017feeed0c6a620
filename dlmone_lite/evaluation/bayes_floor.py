"""A teacher's loss against the exact Bayes loss of its world, and the exact denoiser in a teacher's place."""

from __future__ import annotations

import random
from typing import Any

import torch
from torch import Tensor

from dlmone_lite.checkpoints.checkpoint import Checkpoint
from dlmone_lite.corpora.world import World
from dlmone_lite.errors import InputError
from dlmone_lite.exact import ExactDenoiser
from dlmone_lite.model import Denoiser
from dlmone_lite.sample import anchor
from dlmone_lite.text import Batch

LEAST = 0.05  # a Bayes loss below this share of the embeddings' variance is too small to divide by


class ExactModel:
    """A world's exact denoiser with the interface of `Denoiser`; it uses the network's embeddings only."""

    def __init__(self, checkpoint: Checkpoint, world: World, sigma_0: float = 0.0):
        model: Denoiser = checkpoint.model
        self.words, self.config, self.schedule = model.words, model.config, model.schedule
        self.embedding, self.embed = model.embedding, model.embed
        self.round, self.clamp = model.round, model.clamp
        support, codec, table = world.support, checkpoint.codec, model.embedding()
        self.exact = ExactDenoiser(support, codec, table, model.schedule, sigma_0)

    def __call__(self, x_t: Tensor, t: Tensor, batch: Batch) -> Tensor:
        """E[x0 | x_t, source] (B, L, D)."""
        return self.exact(x_t, t, batch)


def perfect(checkpoint: Checkpoint, world: World) -> Checkpoint:
    """The checkpoint, as a teacher, with the world's exact denoiser in the place of its network."""
    return Checkpoint(ExactModel(checkpoint, world), checkpoint.codec, world.name, "teacher")


def draw(checkpoint: Checkpoint, world: World, rows: int, split: str, seed: int) -> Batch:
    """A batch of `rows` pairs: random sources of the split, each with a target from its exact conditional."""
    generator = random.Random(f"{world.name} {split} {seed}")
    held_out = world.split_sources(split)
    if not held_out:
        raise InputError(f"world {world.name} has no {split} source; choose another split")
    sources = [generator.choice(held_out) for _ in range(rows)]
    return checkpoint.codec.encode(sources, [world.sample(source, generator) for source in sources])


@torch.inference_mode()
def losses_at(
    checkpoint: Checkpoint, exact: ExactModel, batch: Batch, t: Tensor, rng: torch.Generator
) -> dict[str, Tensor]:
    """Mean squared errors (B,) over the elements of the target block, at the noise levels t (B,).

    "bayes" is ||x0 - E[x0|x_t,c]||^2, "teacher" ||x0 - x0_hat||^2 and "excess" ||x0_hat - E[x0|x_t,c]||^2.
    The excess has the expectation of "teacher" - "bayes" and far less variance.
    """
    model, device = checkpoint.model, checkpoint.model.words.device
    batch, t = batch.to(device), t.to(device)
    clean = model.embed(batch.ids)
    noise, noise_0 = (torch.randn(clean.shape, generator=rng).to(device) for _ in range(2))
    x0 = clean + exact.exact.sigma_0 * noise_0
    x_t = anchor(model.schedule.diffuse(x0, t, noise), clean, batch)

    mean, x0_hat = exact(x_t, t, batch), model(x_t, t, batch)
    cut = checkpoint.codec.source_length

    def loss(a: Tensor, b: Tensor) -> Tensor:
        return (a - b)[:, cut:].square().mean((1, 2)).double().cpu()

    return {"bayes": loss(x0, mean), "teacher": loss(x0, x0_hat), "excess": loss(x0_hat, mean)}


def loss_by_decile(
    checkpoint: Checkpoint,
    world: World,
    draws: int = 256,
    seed: int = 0,
    split: str = "test",
    sigma_0: float = 0.0,
) -> dict[str, Any]:
    """A teacher's loss against the exact Bayes loss in each tenth of t = 1..T, `draws` noisy targets in each.

    "deciles" lists t_from, t_to, the means bayes, teacher and excess with their standard errors `<key>_se`,
    and ratio = excess / bayes. The ratio is None if bayes is at most 5% of "embedding_variance", the mean
    variance of a coordinate over the words. sigma_0 is the standard deviation of the noise on the embeddings
    in the teacher's training. Raises InputError for fewer than 2 draws.
    """
    if draws < 2:
        raise InputError(f"a mean with its error needs at least 2 draws, not {draws}")
    T = checkpoint.model.schedule.T
    variance = float(checkpoint.model.embedding().var(0, unbiased=False).mean())
    exact, rows = ExactModel(checkpoint, world, sigma_0), []

    for decile in range(10):
        rng = torch.Generator().manual_seed(seed * 1_000_003 + decile)
        first, last = decile * T // 10 + 1, (decile + 1) * T // 10
        t = torch.randint(first, last + 1, (draws,), generator=rng)
        batch = draw(checkpoint, world, draws, split, seed * 10 + decile)
        losses = losses_at(checkpoint, exact, batch, t, rng)

        row = {"t_from": first, "t_to": last}
        for name, values in losses.items():
            row[name], row[f"{name}_se"] = float(values.mean()), float(values.std() / draws**0.5)
        row["ratio"] = row["excess"] / row["bayes"] if row["bayes"] > LEAST * variance else None
        rows.append(row)

    settings = {"world": world.name, "split": split, "draws": draws, "seed": seed, "sigma_0": sigma_0}
    return {**settings, "embedding_variance": variance, "deciles": rows}
