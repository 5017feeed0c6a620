"""Exercises of notebook 04: what does SiD's gradient do?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dlmone_lite.exact import GaussianMixture
from dlmone_lite.exercises import Exercise, Wrong, ask, question


def _normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _close(got: Any, wanted: Tensor) -> bool:
    """Whether `got` has the shape and, nearly, the numbers of `wanted`."""
    got = torch.as_tensor(got).detach().to(wanted.dtype)
    return got.shape == wanted.shape and torch.allclose(got, wanted, atol=1e-6, rtol=1e-5)


def _tensor(got: Any, kind: str) -> Tensor:
    if not isinstance(got, Tensor):
        raise Wrong(f"Return a tensor {kind}, not a {type(got).__name__}.")
    return got


# ---- 04.1


def _wrong_means(x_t: Tensor, points: Tensor, alpha: float, sigma: float, right: Tensor) -> tuple:
    """(what a usual mistake gives, the feedback meant for it), one pair each."""

    def by_weights(logits: Tensor) -> Tensor:
        return logits.softmax(1) @ points

    near = (x_t[:, None] - alpha * points).square().sum(-1)  # (B, N)
    unscaled = (x_t[:, None] - points).square().sum(-1)
    logits = -near / (2 * sigma**2)
    return (
        (
            points[near.argmin(1)],
            "That is the nearest point: a guess, not a mean. Weigh all points by softmax.",
        ),
        (points.mean(0).expand(5, 2), "Every point has the same weight in yours, wherever x_t is."),
        (
            by_weights(-unscaled / (2 * sigma**2)),
            "Noising shrinks: the distance is to alpha times each point.",
        ),
        (by_weights(-near / (2 * sigma)), "The exponent has sigma squared below it: the variance."),
        (by_weights(-near / sigma**2), "A Gaussian's exponent has a 2: distance^2 / (2 sigma^2)."),
        (by_weights(-near), "The noise level is missing: divide the squared distances by 2 sigma^2."),
        (by_weights(-logits), "The sign is turned: far points get the large weights."),
        (by_weights(-near.sqrt() / (2 * sigma**2)), "The distance must be squared."),
        (
            (logits.softmax(0)) @ points,
            "The weights of one x_t must sum to 1: softmax over the points, dim 1.",
        ),
        (alpha * right, "That is alpha times the posterior mean; the mean itself is of the clean points."),
        (
            (alpha * right - x_t) / sigma**2,
            "That is the score. Here the posterior mean is wanted: Tweedie's x0.",
        ),
        (logits.softmax(1), "Those are the weights (B, N); now average the points with them."),
    )


def _check_exact_psi(answer: Any) -> None:
    points, alpha, sigma = _normal(7, 2, seed=0), 0.8, 0.6
    x_t = alpha * points[:5] + sigma * _normal(5, 2, seed=1)
    got = _tensor(ask(answer, x_t, points, alpha, sigma), "(B, 2)")
    right = GaussianMixture(points, torch.zeros(7, dtype=torch.float64)).mean(x_t, alpha, sigma)
    for value, feedback in _wrong_means(x_t, points, alpha, sigma, right):
        if _close(got, value):
            raise Wrong(feedback)
    if got.shape != right.shape:
        raise Wrong(f"The shape should be that of x_t, (B, 2) = (5, 2); yours is {tuple(got.shape)}.")
    if not _close(got, right):
        raise Wrong(
            "Not the posterior mean. Weights: softmax over points of -|x_t - alpha point|^2 / (2 sigma^2)."
        )
    x = points.clone().requires_grad_()
    moved = ask(answer, x_t, x, alpha, sigma)
    if not moved.requires_grad:
        raise Wrong("Right numbers, but the points are detached: we want to differentiate by them.")


EXACT_PSI = """
def my_exact_psi(x_t, points, alpha, sigma):
    squared = (x_t[:, None] - alpha * points).square().sum(-1)  # (B, N)
    weights = (-squared / (2 * sigma**2)).softmax(1)
    return weights @ points
"""

# ---- 04.2


def _check_true_gradient(answer: Any) -> None:
    g1, g2 = _normal(6, 2, seed=2), _normal(6, 2, seed=3)
    got = _tensor(ask(answer, g1, g2), "of the shape of g1")
    missing = "g2 lacks M once, g1 lacks it twice: true = g2 + M = g1 + 2 M."
    mistakes = (
        (g2 - g1, "That is M, the part that both forget: SiD's gradient at mu = 1. Add it to g2."),
        (2 * (g2 - g1), "That is 2 M, the gradient with the places x_t held fixed. They move too: add g1."),
        (g2 - 0.5 * g1, "The direction is right, the length is half: mu = 1/2 gives half of it."),
        (g1, f"g1 holds psi constant, but the student's score moves with theta. {missing}"),
        (g2, f"Closer than g1, but psi is held constant in g2 as well. {missing}"),
        (2 * g1 - g2, f"The two are exchanged. {missing}"),
        (g1 + g2, f"Both lack a part; adding them does not bring it back. {missing}"),
        ((g1 + g2) / 2, f"The mean of the two still lacks a part. {missing}"),
        (g1 - 2 * g2, "The sign is turned: that goes uphill where the true gradient goes down."),
    )
    for value, feedback in mistakes:
        if _close(got, value):
            raise Wrong(feedback)
    if not _close(got, 2 * g2 - g1):
        raise Wrong(f"Not the true gradient. {missing} Get rid of M.")


TRUE_GRADIENT = """
def my_true_gradient(g1, g2):
    M = g2 - g1
    return g2 + M
"""

# ---- 04.3


REGRESSES = "That regresses on the teacher's estimate; the student's own score is missing."


def _check_reverse_kl(answer: Any) -> None:
    x_g = _normal(6, 2, seed=4).requires_grad_()
    f_phi, f_psi = x_g.sin() + _normal(6, 2, seed=5), 0.5 * x_g  # as networks fed with x_t(x_g) would be
    got = _tensor(ask(answer, x_g, f_phi, f_psi), "(B,)")
    if got.shape != (6,):
        raise Wrong(
            f"One number for every row, (B,) = (6,): the mean over channels; yours is {tuple(got.shape)}."
        )
    if not got.requires_grad:
        raise Wrong("No gradient reaches x_g: only the factor f_psi - f_phi is a constant, x_g is not.")
    (mine,) = torch.autograd.grad(got.sum(), x_g, retain_graph=True)
    difference = (f_psi - f_phi).detach()

    def by(loss: Tensor) -> Tensor:
        return torch.autograd.grad(loss.mean(1).sum(), x_g, retain_graph=True)[0]

    mistakes = (
        (-difference / 2, "Uphill: descent on this flees the data. The gradient should be f_psi - f_phi."),
        (difference, "That is a sum over channels; take the mean, as our other losses do."),
        (by((f_psi - f_phi) * x_g), "Gradients also flow through f_psi - f_phi: a constant here. Detach it."),
        (by((f_phi - f_psi).square()), "That is L1. Here the difference stands once, not squared."),
        (by((f_phi - f_psi) * (f_phi - x_g)), "That is L2, SiD's. Here the difference multiplies x_g alone."),
        (by((x_g - f_phi.detach()).square()), REGRESSES),
        (by((x_g - f_phi.detach()).square() / 2), REGRESSES),
        (torch.zeros_like(mine), "The gradient by x_g is zero: x_g itself must stand in the product."),
    )
    for value, feedback in mistakes:
        if _close(mine, value):
            raise Wrong(feedback)
    if not _close(mine, difference / 2):
        raise Wrong(
            "The gradient by x_g should be (f_psi - f_phi) / 2 (two channels), with both held constant."
        )


REVERSE_KL = """
def my_reverse_kl_loss(x_g, f_phi, f_psi):
    return ((f_psi - f_phi).detach() * x_g).mean(-1)
"""

EXERCISES = (
    Exercise(
        "04.1",
        "Write my_exact_psi(x_t, points, alpha, sigma) -> (B, 2): E[x_g | x_t] of a student whose only "
        "outputs are `points` (N, 2), each equally likely.",
        _check_exact_psi,
        "my_exact_psi",
        EXACT_PSI,
        (
            "How likely is x_t if the point was k? A Gaussian around alpha point_k, of variance sigma^2.",
            "Softmax over the points of -|x_t - alpha point|^2 / (2 sigma^2), then weights @ points.",
        ),
        "Right: an exact score estimator, and autograd goes through it.",
    ),
    question(
        "04.a",
        "psi is exact and mu = 1, so the expected loss is 0 wherever the student stands. Then (a) training "
        "is over, (b) theta still gets a gradient, (c) theta gets only noise.",
        "b",
        {
            "a": "A loss that is 0 for every theta says nothing about theta. What does the optimiser see?",
            "c": "The noise of a single batch averages out, something remains. What was held constant?",
        },
        (
            "The optimiser differentiates with psi's weights held constant.",
            "psi = f* moves with theta; leave that out of the derivative of a constant, and it is not 0.",
        ),
        "Right: the loss is no yardstick; its gradient works because psi's dependence on theta is dropped.",
    ),
    Exercise(
        "04.2",
        "Write my_true_gradient(g1, g2): the gradient of the Fisher divergence from those of L1 and L2, both "
        "taken with psi held constant.",
        _check_true_gradient,
        "my_true_gradient",
        TRUE_GRADIENT,
        (
            "L1 contains f_psi squared and loses 2 M, L2 contains it once and loses M; both start from D.",
            "true = g2 + M and true = g1 + 2 M: subtract twice the first from the second.",
        ),
        "Right: 2 g2 - g1, that is, L2 - mu L1 with mu = 1/2, times 2.",
    ),
    question(
        "04.b",
        "theta takes large steps, psi few. psi still describes an older cloud. What does theta follow then? "
        "(a) the right gradient, only shorter, (b) nothing, for psi is constant anyway, (c) a difference of "
        "scores that the present cloud does not have.",
        "c",
        {
            "a": "Look at the fake arrows: do they differ from the exact ones in length only?",
            "b": "Constant weights are not constant values: every term has the factor f_phi - f_psi.",
        },
        (
            "Where do the fake arrows point to, and where is the cloud now?",
            "The signal is f_phi - f_psi; with an old psi it is the signal of the old place.",
        ),
        "Right: with a late psi theta corrects what is no longer so, and overshoots.",
    ),
    Exercise(
        "04.3",
        "Write my_reverse_kl_loss(x_g, f_phi, f_psi) -> (B,): a mean over channels whose gradient by x_g is "
        "f_psi - f_phi, with both networks' outputs as constants.",
        _check_reverse_kl,
        "my_reverse_kl_loss",
        REVERSE_KL,
        (
            "Which product has the derivative c by x, if c is a constant?",
            "((f_psi - f_phi).detach() * x_g), then the mean over the last axis.",
        ),
        "Right: the loss's value means nothing, its gradient everything.",
    ),
)
