"""Exercises of notebook 03: how is a DiffuSeq teacher trained, and how far from perfect is it?"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from dlmone_lite.corpora.world import World, shared_vocabulary
from dlmone_lite.evaluation.measure import held_out_sources
from dlmone_lite.exact import GaussianMixture
from dlmone_lite.exercises import Exercise, Wrong, ask, question
from dlmone_lite.schedule import Schedule
from dlmone_lite.text import Codec

SHARE, WIDTH = 0.85, 250  # exercise 03.3: this much of the choice, in at most so many steps


def _close(got: Any, wanted: Tensor) -> bool:
    """Whether `got` has the shape of `wanted` and nearly its numbers."""
    got = torch.as_tensor(got, dtype=wanted.dtype).detach()
    return got.shape == wanted.shape and torch.allclose(got, wanted, atol=1e-6, rtol=1e-5)


def _normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# ---- 03.1


def _check_loss(answer: Any) -> None:
    x0, x0_hat = _normal(3, 6, 4, seed=0), _normal(3, 6, 4, seed=1)
    target = torch.tensor([[0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 1], [0, 1, 1, 1, 1, 1]], dtype=torch.bool)
    got = torch.as_tensor(ask(answer, x0, x0_hat, target))
    squared = (x0 - x0_hat).square()
    per_position, count = squared.mean(-1), target.sum(1)
    right = (per_position * target).sum(1) / count
    if _close(got, right):
        return
    if _close(got, per_position.mean(1)):
        raise Wrong("A mean over all positions, the source included, is DiffuSeq's own. Mask the source out.")
    if _close(got, (per_position * target).mean(1)):
        raise Wrong("The source is masked, but you divide by all positions: divide by the target's number.")
    if _close(got, (squared.sum(-1) * target).sum(1) / count):
        raise Wrong("Summed over the D coordinates: take their mean, so that the loss does not grow with D.")
    if _close(got, (per_position * target).sum(1)):
        raise Wrong("That is a sum over the target positions: divide by how many there are in each row.")
    if _close(got, ((x0 - x0_hat).abs().mean(-1) * target).sum(1) / count):
        raise Wrong("Squared, not absolute: that is smallest at a median, and Tweedie needs the mean.")
    if got.ndim == 0:
        raise Wrong("One number for the whole batch: keep one loss per row (B,), each has its own t.")
    raise Wrong("Square the difference, mean over coordinates, then over each row's target positions.")


# ---- 03.2


def _check_stable(answer: Any) -> None:
    x_t, references = _normal(5, 6, seed=2), _normal(4, 6, seed=3)
    counts, alpha, sigma = torch.tensor([6.0, 3.0, 2.0, 1.0], dtype=torch.float64), 0.6, 0.8
    got = ask(answer, x_t, references, counts, alpha, sigma)

    def mean(counts: Tensor, alpha: float, sigma: float) -> Tensor:
        return GaussianMixture(references, counts.log()).mean(x_t, alpha, sigma)

    if _close(got, mean(counts, alpha, sigma)):
        return
    if _close(got, mean(torch.ones_like(counts), alpha, sigma)):
        raise Wrong("The counts play no part yet: a reference seen six times is six times as likely.")
    if _close(got, mean(counts.exp(), alpha, sigma)):
        raise Wrong("Inside a softmax stands a logarithm: log(count), not the count itself.")
    if _close(got, mean(counts, 1.0, sigma)):
        raise Wrong("alpha is missing: x_t is scattered around alpha times a reference.")
    if _close(got, mean(counts, alpha, sigma / math.sqrt(2))):
        raise Wrong("A factor 1/2 is missing: the exponent of a Gaussian is -distance^2 / (2 sigma^2).")
    if _close(got, mean(counts, alpha, math.sqrt(sigma))):
        raise Wrong("Divide by 2 sigma^2, the variance, not by 2 sigma.")
    weights = GaussianMixture(references, counts.log()).weights(x_t, alpha, sigma)
    if _close(got, weights):
        raise Wrong("These are the weights, and right. The target is the weighted mean of the references.")
    if _close(got, references[weights.argmax(-1)]):
        raise Wrong("That picks the likeliest reference. The mean keeps all of them, each with its weight.")
    if _close(got, (counts / counts.sum() @ references).expand(5, 6)):
        raise Wrong("That is the mean before x_t was seen: weigh each reference by how well it explains x_t.")
    raise Wrong("softmax over references of log(count) - ||x_t - alpha y||^2 / (2 sigma^2), then a mean.")


# ---- 03.3


@lru_cache(maxsize=1)
def undecided() -> Tensor:
    """Share (T + 1,) of the choice among a source's right targets that is still open at t, from the exact
    posterior of four held-out sources with random embeddings: its mean entropy over the prior's."""
    world, schedule = World.load("paraphrase"), Schedule()
    vocabulary, generator = shared_vocabulary(), torch.Generator().manual_seed(0)
    codec, D = Codec(vocabulary, world.max_source + 1, world.max_target + 1), 32
    table = torch.randn(len(vocabulary), D, generator=generator)
    table = table / table.norm(dim=1, keepdim=True) * math.sqrt(D)
    levels = torch.arange(0, schedule.T + 1, 25)
    left = torch.zeros(len(levels))
    for source in held_out_sources(world, 4):
        support = world.support(source)
        ids = codec.encode([source] * len(support), list(support)).ids[:, codec.source_length :]
        mixture = GaussianMixture(table[ids].flatten(1), torch.tensor(list(support.values())).log())
        x0 = mixture.sample(200, generator)
        noise = torch.randn(x0.shape, generator=generator)
        prior = torch.special.entr(mixture.log_p.exp()).sum()
        for i, t in enumerate(levels.tolist()[1:], start=1):
            alpha, sigma = schedule(t)
            weights = mixture.weights(alpha * x0 + sigma * noise, alpha, sigma)
            left[i] += torch.special.entr(weights).sum(1).mean() / prior / 4
    t = torch.arange(schedule.T + 1)
    i = (t // 25).clamp(max=len(levels) - 2)
    return torch.lerp(left[i], left[i + 1], (t - levels[i]) / 25)


def _check_range(answer: Any) -> None:
    try:
        low, high = (int(t) for t in answer)
    except (TypeError, ValueError):
        raise Wrong("Answer with two whole numbers, (low, high), between 0 and 2000.") from None
    left = undecided()
    if not 0 <= low < high < len(left):
        raise Wrong(f"({low}, {high}) is no range of t: 0 <= low < high <= {len(left) - 1}.")
    share = float(left[high] - left[low])
    found = f"Between {low} and {high}, {share:.0%} of the choice falls"
    if high - low > WIDTH:
        edge = "low end up" if left[low] < 1 - left[high] + 0.1 else "high end down"
        raise Wrong(f"{found}, but the range is {high - low} wide, not {WIDTH} at most: move the {edge}.")
    if share < SHARE:
        above, below = float(1 - left[high]), float(left[low])
        where = "above" if above > below else "below"
        raise Wrong(f"{found}; {max(above, below):.0%} falls {where} it: move that way.")


_LOSS = """
def my_loss(x0, x0_hat, target):
    per_position = (x0 - x0_hat).square().mean(-1)              # (B, L)
    return (per_position * target).sum(1) / target.sum(1)       # (B,)
"""

_STABLE = """
def my_target(x_t, references, counts, alpha, sigma):
    distance = (x_t[:, None] - alpha * references).square().sum(-1)           # (B, R)
    weights = (counts.log() - distance / (2 * sigma**2)).softmax(-1)
    return weights @ references                                                # (B, N)
"""

EXERCISES: tuple[Exercise, ...] = (
    question(
        "03.a",
        "Training has converged to the perfect denoiser. Its denoising loss at t = 1950 is (a) zero, (b) the "
        "posterior variance of x0 given x_t and the source, (c) the variance of the noise, sigma_t^2.",
        "b",
        {
            "a": "Zero would need one right answer. At this noise x_t leaves several right sentences open.",
            "c": "sigma_t^2 is near 1 whatever the source: noise of x_t is not spread of x0 given x_t.",
        },
        (
            "The best guess under squared error is a mean. What is left around a mean?",
            "E||x0 - f||^2 = E||x0 - m||^2 + E||m - f||^2, and the perfect f is m.",
        ),
        "Right: the floor is the posterior variance, so a loss curve alone cannot say how good a teacher is.",
    ),
    question(
        "03.b",
        "Against the target 'sample', the target 'stable' changes (a) which network is best, "
        "(b) how noisy the gradient is, (c) both.",
        "b",
        {
            "a": "The best network is the posterior mean for both: averaging a target keeps its mean.",
            "c": "Only one changes: the targets have the same mean given x_t, so the same minimiser.",
        },
        (
            "Both targets have the same expectation given (x_t, source).",
            "Law of total variance: Var(sample) = Var(its mean given x_t) + E[variance given x_t].",
        ),
        "Right: same minimiser, and the variance that is given away is the Bayes floor itself.",
    ),
    question(
        "03.c",
        "A sampler strides over t = 2000, 1875, 1750, ... but computes each update as if it went from t to "
        "t - 1. The network is then told that x holds (a) less noise than it does, (b) more noise than it "
        "does, (c) just the noise it does.",
        "a",
        {
            "b": "The update removed one step's worth of noise, but t moved by 125: the noise is still in x.",
            "c": "That would need the update to be told where it ends: q(x_s | x_t, x0_hat) with s = 1875.",
        },
        (
            "How much noise does x hold after an update from 2000 to 1999?",
            "And which level is named to the network at the next step? 1875.",
        ),
        "Right: x keeps nearly all its noise while t says that it goes. A step needs both its ends.",
    ),
    Exercise(
        "03.1",
        "Write the masked denoising loss: x0, x0_hat (B, L, D), target (B, L) -> one loss per row (B,).",
        _check_loss,
        "my_loss",
        _LOSS,
        (
            "Per position first: the mean over D of the squared difference, (B, L).",
            "Multiply by the mask, sum over L, and divide by target.sum(1), not by L.",
        ),
        "Right: the source costs nothing, and rows with short and long targets weigh the same.",
    ),
    Exercise(
        "03.2",
        "Write the stable target: x_t (B, N), references (R, N), their counts (R,), alpha, sigma -> (B, N).",
        _check_stable,
        "my_target",
        _STABLE,
        (
            "It is notebook 01's posterior mean, with counts / counts.sum() as the probabilities.",
            "A softmax does not mind a constant, so log(counts) will do. Then weights @ references.",
        ),
        "Right: for this training set it is the best prediction that any network could make.",
    ),
    Exercise(
        "03.3",
        f"Pick (low, high), at most {WIDTH} steps apart, between which at least {SHARE:.0%} of the choice "
        "among a source's right sentences is made.",
        _check_range,
        "my_range",
        "my_range = (1790, 2000)  # read off the figure: hardly anything is open at 1790, everything at 2000",
        (
            "Look at the steep part of the left curve in the figure above.",
            "At t = 2000 everything is open. Where does the curve come down to a tenth?",
        ),
        "Right: nearly all of the choice falls at the noisy end, so look there when modes are lost.",
    ),
)
