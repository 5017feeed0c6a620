"""Notebook 01: sampling the truth with the exact denoiser."""

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
