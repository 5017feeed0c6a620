"""Checks of notebook 01: how does a denoiser know the score?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dlmone_lite.exact import GaussianMixture
from dlmone_lite.exercises.compare import Wrong, ask, checks, close, in_shape, judge, normal
from dlmone_lite.tweedie import posterior, x0_to_eps, x0_to_score


@checks("01.1")
def _check_tweedie(answer: Any) -> None:
    x_t, x0_hat, alpha, sigma = normal(5, 3, seed=0), normal(5, 3, seed=1), 0.8, 0.5
    right = x0_to_score(x_t, x0_hat, alpha, sigma)
    unscaled, noise = (x0_hat - x_t) / sigma**2, x0_to_eps(x_t, x0_hat, alpha, sigma)
    mistakes = (
        (-right, "The sign is turned: the score points uphill, from x_t towards alpha x0_hat."),
        (unscaled, "alpha is missing: x_t is scattered around alpha x0_hat, not around x0_hat."),
        (
            right * sigma,
            "Divide by sigma squared, the variance; divided by sigma alone it is -eps_hat, minus the noise "
            "estimate.",
        ),
        (noise, "That is the noise estimate eps_hat. The score is -eps_hat / sigma."),
    )
    otherwise = "Not the gradient of log N(x_t; alpha x0, sigma^2 I) by x_t at x0 = x0_hat. Differentiate it."
    judge(in_shape(ask(answer, x_t, x0_hat, alpha, sigma), right.shape), right, mistakes, otherwise)


@checks("01.2")
def _check_weights(answer: Any) -> None:
    points, log_p = normal(4, 6, seed=2), torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64).log()
    x_t, alpha, sigma, sigma_0 = normal(6, seed=3), 0.7, 0.9, 0.5
    got = in_shape(ask(answer, x_t, points, log_p, alpha, sigma, sigma_0), log_p.shape)

    def weights(std: float, log_p: Tensor = log_p) -> Tensor:
        return GaussianMixture(points, log_p, std).weights(x_t[None], alpha, sigma)[0]

    distance, variance = (x_t - alpha * points).square().sum(-1), sigma**2 + (alpha * sigma_0) ** 2
    clean, twice = weights(0.0), (log_p - distance / variance).softmax(-1)
    mistakes = (
        (clean, "sigma_0 plays no part yet. x_t has two independent noises around alpha y_k: add variances."),
        (
            weights(sigma_0 / alpha),
            "The noise sigma_0 sits on the clean embedding, which is multiplied by alpha. And its variance?",
        ),
        (weights(sigma_0, torch.zeros_like(log_p)), "The prior is missing: add log_p before the softmax."),
        (twice, "A factor 1/2 is missing: the exponent of a Gaussian is -distance^2 / (2 variance)."),
        ((log_p - distance.sqrt() / (2 * variance)).softmax(-1), "Square the distance."),
    )
    otherwise = (
        "The weights sum to 1 but are not Bayes' rule: softmax of log_p_k + log N(x_t; alpha y_k, variance)."
    )
    if not close(got.sum(), 1.0):
        otherwise = "These do not sum to 1 over the sentences: take a softmax over k."
    judge(got, weights(sigma_0), mistakes, otherwise)


@checks("01.3")
def _check_step(answer: Any) -> None:
    x_t, x0_hat, noise = normal(5, 3, seed=4), normal(5, 3, seed=5), normal(5, 3, seed=6)
    (a_t, s_t), (a_s, s_s) = (0.6, 0.8), (0.8, 0.6)
    mean, std = posterior(x_t, x0_hat, a_t, s_t, a_s, s_s)
    beta = s_t**2 - (a_t / a_s * s_s) ** 2
    wide, afresh = mean + std**2 * noise, a_s * x0_hat + s_s * noise
    mistakes = (
        (mean, "That is the mean of q(x_s | x_t, x0_hat) alone: add its standard deviation times the noise."),
        (wide, "The noise is multiplied by a standard deviation, not by a variance: take the square root."),
        (afresh, "That forgets x_t: it noises x0_hat afresh. q(x_s | x_t, x0_hat) stays near x_t."),
        (
            mean + beta**0.5 * noise,
            "The mean is right. The noise has the variance of q(x_t | x_s), DiffuSeq's choice; use that of "
            "q(x_s | x_t, x0_hat).",
        ),
    )
    got = in_shape(ask(answer, x_t, x0_hat, a_t, s_t, a_s, s_s, noise), x_t.shape)
    otherwise = "Write beta = sigma_t^2 - (alpha_t/alpha_s)^2 sigma_s^2 first; mean and variance contain it."
    judge(got, mean + std * noise, mistakes, otherwise)

    # the last step of a walk, to alpha 1 and sigma 0
    reason = "Right for sigma_s > 0. At s = 0 sigma_s is 0: multiply out until nothing is divided by sigma_s."
    try:
        last = in_shape(ask(answer, x_t, x0_hat, a_t, s_t, 1.0, 0.0, noise), x_t.shape)
    except Wrong as error:
        raise Wrong(reason) if isinstance(error.__cause__, ZeroDivisionError) else error from None
    if last.isnan().any():
        raise Wrong(reason)
    if not close(last, x0_hat):
        raise Wrong("At s = 0 (alpha 1, sigma 0) the step must end exactly in x0_hat; yours does not.")
