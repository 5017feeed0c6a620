"""Notebook 01: when a sentence is decided, and sampling the truth with the exact denoiser."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from dlmone_lite.evaluation.metrics import total_variation, tv_floor, validity
from dlmone_lite.exact import GaussianMixture
from dlmone_lite.figures import nb01 as figures
from dlmone_lite.figures import style
from dlmone_lite.sample import timesteps
from dlmone_lite.schedule import Schedule
from dlmone_lite.tweedie import posterior

Step = Callable[..., Tensor]  # step(x_t, x0_hat, alpha_t, sigma_t, alpha_s, sigma_s, noise), exercise 01.3


def share_decided(
    mixture: GaussianMixture, alpha: Tensor, sigma: Tensor, n: int, rng: torch.Generator
) -> Tensor:
    """Share (levels,) of n observations that have more than 0.9 of the weight on one point, at the noise
    levels alpha, sigma (levels,). All levels see the same points and the same noise."""
    x0 = mixture.sample(n, rng)
    eps = torch.randn(x0.shape, generator=rng, dtype=x0.dtype)
    x_t = alpha[:, None, None] * x0 + sigma[:, None, None] * eps  # (levels, n, D)
    w = mixture.weights(x_t.flatten(0, 1), alpha.repeat_interleave(n), sigma.repeat_interleave(n))
    return (w.amax(1) > 0.9).double().view(-1, n).mean(1)


def when_half_are_decided(
    mixtures: Sequence[GaussianMixture], clocks: Sequence[str], n: int
) -> dict[str, int]:
    """Draw the share of decided observations, n of each mixture, against t and sigma/alpha -> the step t at
    which it falls under one half, for each schedule."""
    steps = torch.tensor([*range(80, 1880, 80), *range(1880, 2000, 15)])
    decided, levels, half = {}, {}, {}
    for name in clocks:
        clock = Schedule(name)
        seeded = [(mixture, torch.Generator().manual_seed(seed)) for seed, mixture in enumerate(mixtures)]
        shares = [share_decided(each, *clock(steps, torch.float64), n, rng) for each, rng in seeded]
        share = torch.stack(shares).mean(0)
        i = int((share < 0.5).nonzero()[0])  # then interpolate
        part = (share[i - 1] - 0.5) / (share[i - 1] - share[i])
        half[name] = round(float(steps[i - 1] + (steps[i] - steps[i - 1]) * part))
        decided[name], levels[name] = share.tolist(), clock.ratio(steps).tolist()
    at = (f"{t} ({name}, sigma/alpha {float(Schedule(name).ratio(t)):.1f})" for name, t in half.items())
    style.show(
        figures.decision(steps.tolist(), levels, decided),
        "Share of observations with a sentence above 0.9. Against t, the square-root schedule falls last and "
        "linear much earlier; against sigma/alpha the three curves lie on one another.",
        "half undecided from t = " + ", ".join(at),
    )
    return half


def ancestral_step(
    x_t: Tensor,
    x0_hat: Tensor,
    alpha_t: Tensor,
    sigma_t: Tensor,
    alpha_s: Tensor,
    sigma_s: Tensor,
    noise: Tensor,
) -> Tensor:
    """x_s ~ q(x_s | x_t, x0_hat), with `noise` as its randomness."""
    mean, std = posterior(x_t, x0_hat, alpha_t, sigma_t, alpha_s, sigma_s)
    return mean + std * noise


def walk(
    mixture: GaussianMixture, step: Step, noise_of: Callable[[], Tensor], steps: int, schedule: Schedule
) -> Tensor:
    """From pure noise to t = 0 by the exact denoiser of a mixture, in so many steps (N, D)."""
    x = noise_of()
    for t, s in itertools.pairwise(timesteps(schedule.T, steps)):
        at_t, at_s = schedule(t, torch.float64), schedule(s, torch.float64)
        x0_hat = mixture.mean(x, *at_t)
        if s == 0:
            return x0_hat
        x = step(x, x0_hat, *at_t, *at_s, noise_of())
    return x


def against_the_truth(
    mixture: GaussianMixture,
    step: Step,
    support: Mapping[str, float],
    read: Callable[[Tensor], list[str]],
    schedule: Schedule,
    generators: Sequence[torch.Generator],
    n: int,
) -> None:
    """Draw how near the sampled frequencies come to the truth by steps; `read` turns points (N, D) into
    sentences, n for each generator."""
    few_to_many, size = (2, 4, 8, 16, 64), mixture.means.shape[1]

    def fresh() -> Tensor:
        return torch.cat([torch.randn(n, size, generator=generator) for generator in generators])

    tv: list[list[float]] = [[] for _ in generators]
    for count in few_to_many:
        texts = read(walk(mixture, step, fresh, count, schedule))
        for seed, own in enumerate(tv):
            own.append(total_variation(texts[seed * n : (seed + 1) * n], support))
        print(f"{count:2} steps: {validity(texts, support):.0%} of the sentences are right")
    floor = tv_floor(support, n)
    drawn = [texts.count(sentence) / len(texts) for sentence in support]
    average = dict(zip(few_to_many, torch.tensor(tv).mean(0).tolist(), strict=True))
    means = ", ".join(f"{v:.2f} at {k}" for k, v in average.items())
    style.show(
        figures.sampling(list(support), list(support.values()), drawn, few_to_many, tv, floor),
        "Left: frequencies of every paraphrase after 64 steps beside their true probabilities, nearly equal. "
        "Right: total variation falls with the number of steps towards the floor of perfect samples.",
        f"total variation, mean of {len(tv)} seeds: {means}; floor {floor:.2f}",
    )
