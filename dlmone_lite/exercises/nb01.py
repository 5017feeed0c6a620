"""Exercises of notebook 01: how does a denoiser know the score?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dlmone_lite.exact import GaussianMixture
from dlmone_lite.exercises import Exercise, Wrong, ask, question
from dlmone_lite.tweedie import posterior, x0_to_eps, x0_to_score


def _close(got: Any, wanted: Tensor) -> bool:
    """Whether `got` is near enough to `wanted`, in any shape with as many entries."""
    got = torch.as_tensor(got, dtype=wanted.dtype).detach()
    same_size = got.numel() == wanted.numel()
    return same_size and torch.allclose(got.reshape(wanted.shape), wanted, atol=1e-6, rtol=1e-5)


def _normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _check_tweedie(answer: Any) -> None:
    x_t, x0_hat, alpha, sigma = _normal(5, 3, seed=0), _normal(5, 3, seed=1), 0.8, 0.5
    got, right = ask(answer, x_t, x0_hat, alpha, sigma), x0_to_score(x_t, x0_hat, alpha, sigma)
    if _close(got, right):
        return
    if _close(got, -right):
        raise Wrong("The sign is turned: the score points uphill, from x_t towards alpha x0_hat.")
    if _close(got, (x0_hat - x_t) / sigma**2):
        raise Wrong("alpha is missing: the noisy point is scattered around alpha x0_hat, not around x0_hat.")
    if _close(got, right * sigma):
        raise Wrong(
            "Divide by sigma squared, the variance: with sigma alone you have minus the noise estimate "
            "eps_hat."
        )
    if _close(got, x0_to_eps(x_t, x0_hat, alpha, sigma)):
        raise Wrong("That is the noise estimate eps_hat. The score is -eps_hat / sigma.")
    raise Wrong(
        "Not the gradient of log N(x_t; alpha x0, sigma^2 I) with x0_hat in the place of x0. Differentiate "
        "it."
    )


def _check_weights(answer: Any) -> None:
    points, log_p = _normal(4, 6, seed=2), torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64).log()
    x_t, alpha, sigma, sigma_0 = _normal(6, seed=3), 0.7, 0.9, 0.5
    got = ask(answer, x_t, points, log_p, alpha, sigma, sigma_0)

    def weights(std: float, log_p: Tensor = log_p, points: Tensor = points, sigma: float = sigma) -> Tensor:
        return GaussianMixture(points, log_p, std).weights(x_t[None], alpha, sigma)[0]

    if _close(got, weights(sigma_0)):
        return
    distance = (x_t - alpha * points).square().sum(-1)
    if _close(got, weights(0.0)):
        raise Wrong(
            "sigma_0 plays no part yet. Around alpha y_k, x_t has two independent noises: add their "
            "variances."
        )
    if _close(got, weights(sigma_0 / alpha)):
        raise Wrong(
            "The noise sigma_0 sits on the clean embedding, and that is multiplied by alpha. Its variance "
            "too?"
        )
    if _close(got, weights(sigma_0, log_p=torch.zeros(4, dtype=torch.float64))):
        raise Wrong("The prior is missing: add log_p before the softmax.")
    variance = sigma**2 + (alpha * sigma_0) ** 2
    if _close(got, (log_p - distance / variance).softmax(-1)):
        raise Wrong("A factor 1/2 is missing: the exponent of a Gaussian is -distance^2 / (2 variance).")
    if _close(got, (log_p - distance.sqrt() / (2 * variance)).softmax(-1)):
        raise Wrong("Square the distance.")
    if not _close(torch.as_tensor(got).sum(), torch.tensor(1.0)):
        raise Wrong("These do not sum to 1 over the sentences: take a softmax over k.")
    raise Wrong(
        "The weights sum to 1 but are not Bayes' rule: log_p_k + log N(x_t; alpha y_k, variance), then "
        "softmax."
    )


def _check_step(answer: Any) -> None:
    x_t, x0_hat, noise = _normal(5, 3, seed=4), _normal(5, 3, seed=5), _normal(5, 3, seed=6)
    (a_t, s_t), (a_s, s_s) = (0.6, 0.8), (0.8, 0.6)
    got = ask(answer, x_t, x0_hat, a_t, s_t, a_s, s_s, noise)
    mean, std = posterior(x_t, x0_hat, a_t, s_t, a_s, s_s)
    if _close(got, mean + std * noise):
        if not _close(ask(answer, x_t, x0_hat, a_t, s_t, 1.0, 0.0, noise), x0_hat):
            raise Wrong("At s = 0 (alpha 1, sigma 0) the step must end exactly in x0_hat; yours does not.")
        return
    if _close(got, mean):
        raise Wrong(
            "That is the mean of q(x_s | x_t, x0_hat) alone: add its standard deviation times the noise."
        )
    if _close(got, mean + std**2 * noise):
        raise Wrong(
            "The noise is multiplied by a standard deviation, not by a variance: take the square root."
        )
    if _close(got, a_s * x0_hat + s_s * noise):
        raise Wrong(
            "That forgets x_t: it noises x0_hat afresh. q(x_s | x_t, x0_hat) stays near the x_t it came from."
        )
    beta = s_t**2 - (a_t / a_s * s_s) ** 2
    if _close(got, mean + beta**0.5 * noise):
        raise Wrong(
            "The mean is right. The noise has the variance of q(x_t | x_s), DiffuSeq's choice; here, use "
            "q's own."
        )
    raise Wrong(
        "Write beta = sigma_t^2 - (alpha_t/alpha_s)^2 sigma_s^2 first; it stands in the mean and in the "
        "variance."
    )


_STEP = """
def my_step(x_t, x0_hat, alpha_t, sigma_t, alpha_s, sigma_s, noise):
    ratio = alpha_t / alpha_s
    beta = sigma_t**2 - ratio**2 * sigma_s**2              # variance of q(x_t | x_s)
    mean = (ratio * sigma_s**2 * x_t + alpha_s * beta * x0_hat) / sigma_t**2
    return mean + (beta * sigma_s**2 / sigma_t**2) ** 0.5 * noise
"""

_WEIGHTS = """
def my_weights(x_t, points, log_p, alpha, sigma, sigma_0):
    variance = sigma**2 + alpha**2 * sigma_0**2            # two independent noises around alpha y_k
    distance = (x_t - alpha * points).square().sum(-1)
    return (log_p - distance / (2 * variance)).softmax(-1)
"""

EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "01.1",
        "Write Tweedie's formula: the score from x_t, x0_hat, alpha and sigma.",
        _check_tweedie,
        "my_score",
        "def my_score(x_t, x0_hat, alpha, sigma):\n    return (alpha * x0_hat - x_t) / sigma**2",
        (
            "For one known x0, x_t is Gaussian around alpha x0 with variance sigma^2. What is the "
            "gradient of its log?",
            "The gradient is (alpha x0 - x_t) / sigma^2. It is linear in x0, so averaging over x0 just "
            "puts x0_hat there.",
        ),
        "Right: the score points from x_t to alpha x0_hat, in units of the variance.",
    ),
    Exercise(
        "01.2",
        "Write the posterior weights of a finite set of sentences whose embeddings carry noise sigma_0 of "
        "their own.",
        _check_weights,
        "my_weights",
        _WEIGHTS,
        (
            "x_t = alpha (y_k + sigma_0 n) + sigma eps. Which Gaussian is that around alpha y_k?",
            "Its variance is sigma^2 + alpha^2 sigma_0^2; the rest is the softmax you have seen.",
        ),
        "Right: and without alpha^2 sigma_0^2 a DiffuSeq teacher would be measured against a wrong floor.",
    ),
    Exercise(
        "01.3",
        "Write one ancestral step: draw x_s from q(x_s | x_t, x0_hat) with the given standard normal noise.",
        _check_step,
        "my_step",
        _STEP,
        (
            "q(x_s | x_t, x0) is proportional to q(x_t | x_s) q(x_s | x0): two Gaussians in x_s. Add "
            "their precisions.",
            "With r = alpha_t/alpha_s and beta = sigma_t^2 - r^2 sigma_s^2: mean (r sigma_s^2 x_t + "
            "alpha_s beta x0_hat) "
            "/ sigma_t^2, variance beta sigma_s^2 / sigma_t^2.",
        ),
        "Right: this is one line of every sampler in the kit.",
    ),
    question(
        "01.a",
        "Two networks are trained on the same data, one to return E[x0 | x_t], one the score. What does "
        "the second "
        "know more? (a) the direction to the nearest sentence (b) nothing (c) the density p(x_t)",
        "b",
        {
            "a": "No: neither points to the nearest sentence, both to the average of all that could be "
            "behind x_t.",
            "c": "No: the score is a gradient; the density's constant is gone in both.",
        },
        (
            "Solve Tweedie's formula for x0_hat.",
            "alpha, sigma and x_t are known: each follows from the other.",
        ),
        "Right: score = (alpha x0_hat - x_t) / sigma^2, and back. Same information, other units.",
    ),
    question(
        "01.b",
        "E over x_t of ||s_p - s_q||^2 is 0 at a noise level. Then (a) p = q (b) only their means agree "
        "(c) p and q have the same modes, with any probabilities",
        "a",
        {
            "b": "No: the score is a gradient at every point, far more than a mean.",
            "c": "No: in exact arithmetic even modes far apart share a thin valley, and there the scores "
            "would differ. "
            "(With too little noise that difference is tiny, as the figure shows: hence many noise levels.)",
        },
        (
            "What does grad log p = grad log q everywhere say about log p - log q?",
            "It is constant; both integrate to 1.",
        ),
        "Right: equal gradients everywhere leave a constant, and both sum to 1. Noise makes 'everywhere' "
        "true.",
    ),
    question(
        "01.c",
        "Why does the diffusion run on embeddings, not on words? (a) Words are too many (b) a score needs "
        "a space with "
        "gradients (c) embeddings are more precise",
        "b",
        {
            "a": "No: discrete diffusion handles as many words; what it lacks is a gradient in x_t.",
            "c": "No: an embedding says which word it is, not more.",
        },
        ("Which derivative defines the score?", "Can you add a little Gaussian noise to the word 'paris'?"),
        "Right: and the price is the way back, from a point in space to words (notebook 02).",
    ),
)
