"""Tweedie's formula as named pairs of conversions, and the Gaussian posterior q(x_s | x_t, x0).

With x_t = alpha x0 + sigma eps, the posterior mean x0_hat = E[x0 | x_t], the expected noise eps_hat and the
score grad log p(x_t) hold the same information: score = (alpha x0_hat - x_t) / sigma^2 = -eps_hat / sigma.
alpha and sigma are floats or tensors that broadcast over x_t.
"""

from __future__ import annotations

from torch import Tensor

Level = Tensor | float


def x0_to_score(x_t: Tensor, x0: Tensor, alpha: Level, sigma: Level) -> Tensor:
    """Tweedie: the score at x_t from the posterior mean."""
    return (alpha * x0 - x_t) / sigma**2


def score_to_x0(x_t: Tensor, score: Tensor, alpha: Level, sigma: Level) -> Tensor:
    """Tweedie inverted: the posterior mean from the score."""
    return (x_t + sigma**2 * score) / alpha


def x0_to_eps(x_t: Tensor, x0: Tensor, alpha: Level, sigma: Level) -> Tensor:
    """The noise that takes x0 to x_t."""
    return (x_t - alpha * x0) / sigma


def eps_to_x0(x_t: Tensor, eps: Tensor, alpha: Level, sigma: Level) -> Tensor:
    """The clean point that the noise eps takes to x_t."""
    return (x_t - sigma * eps) / alpha


def eps_to_score(eps: Tensor, sigma: Level) -> Tensor:
    """score = -eps / sigma."""
    return -eps / sigma


def score_to_eps(score: Tensor, sigma: Level) -> Tensor:
    """eps = -sigma score."""
    return -sigma * score


def posterior(
    x_t: Tensor, x0: Tensor, alpha_t: Level, sigma_t: Level, alpha_s: Level, sigma_s: Level
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of q(x_s | x_t, x0) for s < t (DDPM, eqs. 6-7, for any two levels)."""
    a = alpha_t / alpha_s
    beta = sigma_t**2 - a**2 * sigma_s**2  # variance of q(x_t | x_s)
    mean = (a * sigma_s**2 * x_t + alpha_s * beta * x0) / sigma_t**2
    if isinstance(beta, Tensor):
        return mean, (beta.clamp(min=0) * sigma_s**2 / sigma_t**2).sqrt()
    return mean, (beta * sigma_s**2 / sigma_t**2) ** 0.5
