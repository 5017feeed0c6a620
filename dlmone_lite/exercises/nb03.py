"""Checks of notebook 03: how is a DiffuSeq teacher trained, and how far from perfect is it?"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dlmone_lite.corpora.world import World, shared_vocabulary
from dlmone_lite.evaluation.measure import held_out_sources
from dlmone_lite.exact import ExactDenoiser, GaussianMixture
from dlmone_lite.exercises.compare import Wrong, ask, attempt, checks, judge, normal, number, pair, tensor
from dlmone_lite.exercises.training import STALE, Nets, judge_training
from dlmone_lite.model import Denoiser, ModelConfig
from dlmone_lite.schedule import Schedule
from dlmone_lite.sid import over_target
from dlmone_lite.text import Batch, Codec

SHARE, WIDTH = 0.85, 250  # exercise 03.3: this much of the choice, in at most so many steps


@checks("03.1")
def _check_loss(answer: Any) -> None:
    x0, x0_hat = normal(3, 6, 4, seed=0), normal(3, 6, 4, seed=1)
    target = torch.tensor([[0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 1], [0, 1, 1, 1, 1, 1]], dtype=torch.bool)
    got = tensor(ask(answer, x0, x0_hat, target))
    if got.ndim == 0:
        raise Wrong("One number for the whole batch: keep one loss per row (B,), because each has its own t.")
    squared, count = (x0 - x0_hat).square(), target.sum(1)
    per_position = squared.mean(-1)
    over_all = per_position.mean(1)
    averaged, summed = (per_position * target).mean(1), (per_position * target).sum(1)
    channels = (squared.sum(-1) * target).sum(1) / count
    absolute = ((x0 - x0_hat).abs().mean(-1) * target).sum(1) / count
    mistakes = (
        (over_all, "A mean over all positions, the source included, is DiffuSeq's own. Mask the source out."),
        (averaged, "The source is masked, but you divide by all positions: divide by the target's number."),
        (channels, "Summed over the D coordinates: take their mean, so that the loss does not grow with D."),
        (summed, "That is a sum over the target positions: divide by how many there are in each row."),
        (absolute, "Squared, not absolute: that is smallest at a median, and Tweedie needs the mean."),
    )
    otherwise = "Square the difference, mean over coordinates, then over each row's target positions."
    judge(got, (per_position * target).sum(1) / count, mistakes, otherwise)


@checks("03.2")
def _check_stable(answer: Any) -> None:
    x_t, references = normal(5, 6, seed=2), normal(4, 6, seed=3)
    counts, alpha, sigma = torch.tensor([6.0, 3.0, 2.0, 1.0], dtype=torch.float64), 0.6, 0.8

    def mean(counts: Tensor, alpha: float, sigma: float) -> Tensor:
        return GaussianMixture(references, counts.log()).mean(x_t, alpha, sigma)

    weights = GaussianMixture(references, counts.log()).weights(x_t, alpha, sigma)
    uncounted = mean(torch.ones_like(counts), alpha, sigma)
    near, scale = (x_t[:, None] - alpha * references).square().sum(-1), 2 * sigma**2
    logits, turned, rooted = (counts.log() - value / scale for value in (near, -near, near.sqrt()))
    exponential, twice = mean(counts.exp(), alpha, sigma), mean(counts, alpha, sigma / math.sqrt(2))
    likeliest, prior = references[weights.argmax(-1)], (counts / counts.sum() @ references).expand(5, 6)
    mistakes = (
        (uncounted, "The counts play no part yet: a reference seen six times is six times as likely."),
        (exponential, "A softmax wants the logarithm of a probability: log(count), not the count."),
        (mean(counts, 1.0, sigma), "alpha is missing: x_t is scattered around alpha times a reference."),
        (twice, "A factor 1/2 is missing: the exponent of a Gaussian is -distance^2 / (2 sigma^2)."),
        (mean(counts, alpha, math.sqrt(sigma)), "Divide by 2 sigma^2, the variance, not by 2 sigma."),
        (mean(counts, alpha, math.sqrt(0.5)), "The noise level is missing: divide by 2 sigma^2."),
        (turned.softmax(-1) @ references, "The sign is turned: far references get the large weights."),
        (rooted.softmax(-1) @ references, "The distance must be squared."),
        (logits.softmax(0) @ references, "The weights of one x_t must sum to 1: softmax over references."),
        (logits.exp() @ references, "Normalise: the weights of one x_t must sum to 1. softmax does it."),
        (alpha * weights @ references, "That is alpha times the target: average the clean references."),
        (weights, "These are the weights, and right. The target is the weighted mean of the references."),
        (likeliest, "That picks the likeliest reference. The mean keeps all of them, each with its weight."),
        (prior, "That is the mean before x_t was seen: weigh each reference by how well it explains x_t."),
    )
    otherwise = "softmax over references of log(count) - ||x_t - alpha y||^2 / (2 sigma^2), then a mean."
    got = ask(answer, x_t, references, counts, alpha, sigma)
    judge(got, mean(counts, alpha, sigma), mistakes, otherwise)


@lru_cache(maxsize=1)
def undecided() -> Tensor:
    """Share (T + 1,) of the choice among a source's right targets that is still open at t, from the exact
    posterior of four held-out sources with random embeddings: its mean entropy over the prior's."""
    world, schedule = World.load("paraphrase"), Schedule()
    vocabulary, generator = shared_vocabulary(), torch.Generator().manual_seed(0)
    codec, D = Codec(vocabulary, world.max_source + 1, world.max_target + 1), 32
    table = F.normalize(torch.randn(len(vocabulary), D, generator=generator), dim=1) * math.sqrt(D)
    exact = ExactDenoiser(world.support, codec, table, schedule)
    left = torch.zeros(schedule.T // 25 + 1)  # at every 25th t
    for source in held_out_sources(world, 4):
        mixture = exact.mixture(source)
        x0 = mixture.sample(200, generator)
        noise = torch.randn(x0.shape, generator=generator)
        prior = torch.special.entr(mixture.log_p.exp()).sum()
        for i, t in enumerate(range(25, schedule.T + 1, 25), start=1):
            alpha, sigma = schedule(t)
            weights = mixture.weights(alpha * x0 + sigma * noise, alpha, sigma)
            left[i] += torch.special.entr(weights).sum(1).mean() / prior / 4
    size = schedule.T + 1
    return F.interpolate(left[None, None], size, mode="linear", align_corners=True)[0, 0]


@checks("03.3")
def _check_range(answer: Any) -> None:
    low, high = map(int, pair(answer, "Answer with two whole numbers, (low, high), between 0 and 2000."))
    left = undecided()
    if not 0 <= low < high < len(left):
        raise Wrong(f"({low}, {high}) is no range of t: 0 <= low < high <= {len(left) - 1}.")
    share = float(left[high] - left[low])
    split = f"Between {low} and {high}, {share:.0%} of the choice falls"
    if high - low > WIDTH:
        edge = "low end up" if left[low] < 1 - left[high] + 0.1 else "high end down"
        raise Wrong(f"{split}, but the range is {high - low} wide, not {WIDTH} at most: move the {edge}.")
    if share < SHARE:
        above, below = float(1 - left[high]), float(left[low])
        where = "above" if above > below else "below"
        raise Wrong(f"{split}; {max(above, below):.0%} falls {where} it: move that way.")


def _tiny_teacher() -> Nets:
    shape = ModelConfig(vocab_size=9, length=6, source_length=3, embed_dim=6, width=16, depth=1, heads=2)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return {"model": Denoiser(shape)}


def _teach(step: Callable[..., Any], nets: Nets) -> None:
    model = nets["model"]
    adam = torch.optim.Adam(model.parameters(), lr=5e-3)
    for seed in range(3):
        rng = torch.Generator().manual_seed(seed)
        ids, t = (torch.randint(3, 9, (8, 6), generator=rng), torch.randint(200, 1800, (8,), generator=rng))
        target = torch.arange(6) >= 2 + torch.arange(8)[:, None] % 3  # rows of several lengths
        noise = torch.randn(8, 6, 6, generator=rng)
        loss = attempt(step, model, adam, Batch(ids, target), t, noise)
        if loss is None:
            raise Wrong("Your step returned None: did you forget `return`? The notebook shows the loss.")
        number(loss)


def _teacher(clean: bool = True, mean: str = "rows", zero: bool = True, goal: str = "x0", free: bool = False):
    def step(model: Denoiser, adam: torch.optim.Optimizer, batch: Batch, t: Tensor, noise: Tensor) -> float:
        x0 = model.embed(batch.ids) if free else model.embed(batch.ids).detach()
        noisy, where = model.schedule.diffuse(x0, t, noise), batch.target
        x_t = torch.where(where[..., None], noisy, x0) if clean else noisy
        error = (model(x_t, t, batch) - {"x0": x0, "noise": noise, "x_t": x_t}[goal]).square().mean(-1)
        loss = error[where].mean() if mean == "batch" else over_target(error, where).mean()
        loss = {"all": error.mean(), "short": (error * where).mean()}.get(mean, loss)
        if zero:
            adam.zero_grad()
        (-loss if mean == "climbs" else loss).backward()
        adam.step()
        return loss.item()

    return step


@checks("03.4")
def _check_teacher_step(answer: Any) -> None:
    mistakes = {
        "The source is noised, too: torch.where(target[..., None], noisy, x0) keeps it.": {"clean": False},
        "The loss counts source positions as well: a mean over target positions only.": {"mean": "all"},
        "You divide by all positions: divide by the number of target positions.": {"mean": "short"},
        "Long rows count more in yours: a mean in each row first, then over the rows.": {"mean": "batch"},
        "The model climbs: the sign of the loss is turned.": {"mean": "climbs"},
        STALE: {"zero": False},
        "The goal is x0, the clean embeddings, not the noise.": {"goal": "noise"},
        "The goal is x0, clean: x_t is what the model sees.": {"goal": "x_t"},
    }
    free = "The embeddings get a gradient: detach x0, or they run to one point."
    both = {f"{free} And then: {told}": {**change, "free": True} for told, change in mistakes.items()}
    loops = {told: _teacher(**change) for told, change in {free: {"free": True}, **mistakes, **both}.items()}
    judge_training(answer, _tiny_teacher, _teach, _teacher(), "model", {}, loops)
