"""Posterior means as the goals of a regression: the sample's minimiser with less variance.

Stable Target Field (Xu et al. 2023) for the teacher, whose references are known; the same for the score
estimator, among a student's own samples.
"""

from __future__ import annotations

from torch import Tensor

from dlmone_lite.schedule import Schedule


def stable_weights(x_t: Tensor, points: Tensor, log_share: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Posterior (B, R) of each reference given x_t (B, L_t, D): points (B, R, L_t, D), log_share (B, R)."""
    distance = (x_t[:, None] - alpha[..., None] * points).square().sum((-2, -1))
    return (log_share - distance / (2 * sigma[:, :, 0] ** 2)).softmax(-1)


def posterior_mean(
    x_t: Tensor, points: Tensor, weights: Tensor, alpha: Tensor, spread: Tensor, sigma_0: float
) -> Tensor:
    """E[x0 | x_t] (B, L_t, D) under `stable_weights`; embeddings with noise of their own add its mean."""
    mean = (weights[..., None, None] * points).sum(1)
    return mean + alpha * sigma_0**2 / spread**2 * (x_t - alpha * mean) if sigma_0 else mean


def group_mean(schedule: Schedule, x_g: Tensor, x_t: Tensor, t: Tensor, target: Tensor, group: int) -> Tensor:
    """E[x_g | x_t] (B, L, D) among the `group` samples of each source, which stand together in x_g (B, L, D).

    As psi's goal it has the same minimiser as the sample that was noised, and less variance.
    """
    alpha, sigma = schedule.like(t, x_t)
    samples = x_g.unflatten(0, (-1, group)).repeat_interleave(group, 0)  # (B, group, L, D)
    known = target[..., None].to(x_t)  # no source position tells samples apart
    weights = stable_weights(known * x_t, known[:, None] * samples, x_t.new_zeros(()), alpha, sigma)
    return posterior_mean(x_t, samples, weights, alpha, sigma, 0.0)
