"""Checks of notebook 04: what does SiD's gradient do?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dlmone_lite.exact import GaussianMixture
from dlmone_lite.exercises.compare import Wrong, ask, checks, judge, normal, tensor


@checks("04.1")
def _check_exact_psi(answer: Any) -> None:
    points, alpha, sigma = normal(7, 2, seed=0), 0.8, 0.6
    x_t = alpha * points[:5] + sigma * normal(5, 2, seed=1)
    got = tensor(ask(answer, x_t, points, alpha, sigma), "(B, 2)")
    right = GaussianMixture(points, torch.zeros(7, dtype=torch.float64)).mean(x_t, alpha, sigma)

    def mean_by(logits: Tensor) -> Tensor:
        return logits.softmax(1) @ points

    near = (x_t[:, None] - alpha * points).square().sum(-1)  # (B, N)
    unscaled = (x_t[:, None] - points).square().sum(-1)
    logits = -near / (2 * sigma**2)
    by_nearest = points[near.argmin(1)]
    full_size = mean_by(-unscaled / (2 * sigma**2))
    mistakes = (
        (by_nearest, "That is the nearest point: a guess, not a mean. Weigh all points by softmax."),
        (points.mean(0).expand(5, 2), "Every point has the same weight in yours, wherever x_t is."),
        (full_size, "Noising shrinks: take the distance to alpha times each point."),
        (mean_by(-near / (2 * sigma)), "The exponent is divided by the variance: sigma squared, not sigma."),
        (mean_by(-near / sigma**2), "A Gaussian's exponent has a 2: distance^2 / (2 sigma^2)."),
        (mean_by(-near), "The noise level is missing: divide the squared distances by 2 sigma^2."),
        (mean_by(-logits), "The sign is turned: far points get the large weights."),
        (mean_by(-near.sqrt() / (2 * sigma**2)), "The distance must be squared."),
        (logits.softmax(0) @ points, "The weights of one x_t must sum to 1: softmax over the points, dim 1."),
        (alpha * right, "That is alpha times the posterior mean; return the mean of the clean points."),
        ((alpha * right - x_t) / sigma**2, "That is the score. Return the posterior mean, Tweedie's x0."),
        (logits.softmax(1), "Those are the weights (B, N); now average the points with them."),
    )
    reason = "Not the posterior mean: softmax over points of -|x_t - alpha point|^2 / (2 sigma^2), then mean."
    if got.shape != right.shape:
        reason = f"The shape should be that of x_t, (B, 2) = (5, 2); yours is {tuple(got.shape)}."
    judge(got, right, mistakes, reason)
    if not tensor(ask(answer, x_t, points.clone().requires_grad_(), alpha, sigma)).requires_grad:
        raise Wrong("Right numbers, but the points are detached: we want to differentiate by them.")


@checks("04.2")
def _check_true_gradient(answer: Any) -> None:
    g1, g2 = normal(6, 2, seed=2), normal(6, 2, seed=3)
    missing = "g2 lacks M once, g1 lacks it twice: true = g2 + M = g1 + 2 M."
    mistakes = (
        (g2 - g1, "That is M, what both leave out: SiD's gradient at mu = 1. Add it to g2."),
        (2 * (g2 - g1), "That is 2 M, the gradient with the places x_t held fixed. They move too: add g1."),
        (g2 - 0.5 * g1, "The direction is right, the length is half: mu = 1/2 gives half of it."),
        (g1, f"g1 holds psi constant, but the student's score moves with theta. {missing}"),
        (g2, f"Closer than g1, but psi is held constant in g2 as well. {missing}"),
        (2 * g1 - g2, f"The two are exchanged. {missing}"),
        (g1 + g2, f"Both lack a part; adding them does not bring it back. {missing}"),
        ((g1 + g2) / 2, f"The mean of the two still lacks a part. {missing}"),
        (g1 - 2 * g2, "The sign is turned: that goes uphill where the true gradient goes down."),
    )
    got = tensor(ask(answer, g1, g2), "of the shape of g1")
    judge(got, 2 * g2 - g1, mistakes, f"Not the true gradient. {missing} Get rid of M.")


@checks("04.3")
def _check_reverse_kl(answer: Any) -> None:
    x_g = normal(6, 2, seed=4).requires_grad_()
    f_phi, f_psi = x_g.sin() + normal(6, 2, seed=5), 0.5 * x_g  # as networks fed with x_t(x_g) would be
    got = tensor(ask(answer, x_g, f_phi, f_psi), "(B,)")
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

    regresses = "That regresses on the teacher's estimate; the student's own score is missing."
    mistakes = (
        (-difference / 2, "Uphill: descent on this flees the data. The gradient should be f_psi - f_phi."),
        (difference, "That is a sum over channels; take the mean, as our other losses do."),
        (by((f_psi - f_phi) * x_g), "Gradients also flow through f_psi - f_phi: a constant here. Detach it."),
        (by((f_phi - f_psi).square()), "That is L1. Here the difference stands once, not squared."),
        (by((f_phi - f_psi) * (f_phi - x_g)), "That is L2, SiD's. Here the difference multiplies x_g alone."),
        (by((x_g - f_phi.detach()).square()), regresses),
        (by((x_g - f_phi.detach()).square() / 2), regresses),
        (torch.zeros_like(mine), "The gradient by x_g is zero: x_g itself must stand in the product."),
    )
    otherwise = "The gradient by x_g should be (f_psi - f_phi) / 2 (two channels), with both held constant."
    judge(mine, difference / 2, mistakes, otherwise)
