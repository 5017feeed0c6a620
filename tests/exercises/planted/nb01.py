"""Wrong answers to the exercises of notebook 01, each with a piece of the feedback it must get."""

from __future__ import annotations

import torch


def plain(combine):
    """Weights (as in 01.2) from log_p, ||x_t - alpha y||^2 and the noises, combined in a wrong way."""

    def wrong(x_t, points, log_p, alpha, sigma, sigma_0):
        return combine(log_p, (x_t - alpha * points).square().sum(-1), sigma, alpha, sigma_0)

    return wrong


def step(mean_only=False, beta_noise=False, variance_noise=False, floor=0.0):
    def wrong(x_t, x0_hat, alpha_t, sigma_t, alpha_s, sigma_s, noise):
        ratio = alpha_t / alpha_s
        beta = sigma_t**2 - ratio**2 * sigma_s**2
        mean = (ratio * sigma_s**2 * x_t + alpha_s * beta * x0_hat) / sigma_t**2
        variance = beta * sigma_s**2 / sigma_t**2
        std = (beta if beta_noise else variance) ** 0.5
        if variance_noise:
            std = variance
        if sigma_s == 0:
            std = floor
        return mean if mean_only else mean + std * noise

    return wrong


WRONG = {
    "01.1": [
        (lambda x, x0, a, s: (x - a * x0) / s**2, "sign"),
        (lambda x, x0, a, s: (x0 - x) / s**2, "alpha is missing"),
        (lambda x, x0, a, s: (a * x0 - x) / s, "sigma squared"),
        (lambda x, x0, a, s: (x - a * x0) / s, "noise estimate"),
        (lambda x, x0, a, s: x0, "Differentiate"),
        (lambda x, x0, a, s: x @ x0, "raised RuntimeError"),
        (torch.zeros(3), "the function itself"),
    ],
    "01.2": [
        (plain(lambda lp, d, s, a, s0: (lp - d / (2 * s**2)).softmax(-1)), "no part yet"),
        (plain(lambda lp, d, s, a, s0: (lp - d / (2 * (s**2 + s0**2))).softmax(-1)), "multiplied by alpha"),
        (plain(lambda lp, d, s, a, s0: (-d / (2 * (s**2 + (a * s0) ** 2))).softmax(-1)), "prior"),
        (plain(lambda lp, d, s, a, s0: (lp - d / (s**2 + (a * s0) ** 2)).softmax(-1)), "1/2"),
        (plain(lambda lp, d, s, a, s0: lp - d / (2 * (s**2 + (a * s0) ** 2))), "softmax over k"),
        (plain(lambda lp, d, s, a, s0: (lp - d.sqrt() / (2 * (s**2 + (a * s0) ** 2))).softmax(-1)), "Square"),
        (plain(lambda lp, d, s, a, s0: lp.exp()), "Bayes"),
    ],
    "01.3": [
        (step(mean_only=True), "mean of q"),
        (step(variance_noise=True), "square root"),
        (step(beta_noise=True), "The mean is right"),
        (lambda x, x0, at, st, as_, ss, n: as_ * x0 + ss * n, "forgets x_t"),
        (step(floor=0.1), "must end exactly in x0_hat"),
        (lambda x, x0, at, st, as_, ss, n: x0, "Write beta"),
    ],
}
