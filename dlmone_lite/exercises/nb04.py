"""Checks of notebook 04: what does SiD's gradient do?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dlmone_lite.exact import GaussianMixture
from dlmone_lite.exercises.compare import Wrong, ask, attempt, checks, judge, normal, pair, tensor
from dlmone_lite.exercises.training import STALE, Nets, judge_training
from dlmone_lite.lab import plane
from dlmone_lite.schedule import Schedule


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
    otherwise = "Not the mean: softmax over points of -|x_t - alpha point|^2 / (2 sigma^2), then mean."
    judge(got, right, mistakes, otherwise)
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
        raise Wrong(f"One number a row, (B,) = (6,): the mean over channels; yours is {tuple(got.shape)}.")
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


# ---- the loop in the plane


def _plane() -> Nets:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        nets: Nets = {
            "theta": plane.Student((-0.5, 0.2), width=8),
            "psi": plane.Estimator(Schedule(), width=12),
        }
        for name in ("head", "verdict"):  # not at zero, where every gradient of the body vanishes
            torch.nn.init.normal_(getattr(nets["psi"], name).weight, std=0.3)
    return nets


def _noise(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    t = torch.randint(100, 1900, (32,), generator=rng)
    return torch.randn(32, 2, generator=rng), t, torch.randn(32, 1, 2, generator=rng)


def _follow(step: Callable[..., Any], nets: Nets) -> None:
    theta, psi = nets["theta"], nets["psi"]
    adam = torch.optim.Adam(psi.parameters(), lr=5e-3)
    for seed in range(3):
        z, t, eps = _noise(seed)
        attempt(step, psi, adam, theta(z), t, eps)
        if any(p.grad is not None for p in theta.parameters()):
            raise Wrong("theta got a gradient: its samples are constants here, so begin with x_g.detach().")


def _psi(noised: bool = True, goal: str = "sample", zero: bool = True, sign: float = 1.0):
    def step(psi: Any, adam: torch.optim.Optimizer, x_g: Tensor, t: Tensor, eps: Tensor) -> None:
        x = x_g.detach()
        x_t = psi.schedule.diffuse(x, t, eps) if noised else x
        loss = (psi(x_t, t) - {"sample": x, "noise": eps, "noisy": x_t}[goal]).square().mean()
        if zero:
            adam.zero_grad()
        (sign * loss).backward()
        adam.step()

    return step


@checks("04.4")
def _check_psi_step(answer: Any) -> None:
    mistakes = {
        "psi sees clean samples: noise them with psi.schedule.diffuse(x_g, t, eps).": _psi(noised=False),
        "The goal is x_g, not the noise.": _psi(goal="noise"),
        "The goal is x_g, clean: x_t is what psi sees.": _psi(goal="noisy"),
        "psi climbs: the sign of the loss is turned.": _psi(sign=-1.0),
        STALE: _psi(zero=False),
    }
    judge_training(
        answer, _plane, _follow, _psi(), "psi", {"theta": "theta has moved; only psi learns here."}, mistakes
    )


def _lead(step: Callable[..., Any], nets: Nets) -> None:
    theta, psi, phi = nets["theta"], nets["psi"], plane.Exact(plane.five_modes(), Schedule())
    adam = torch.optim.Adam(theta.parameters(), lr=5e-3)
    for seed in range(3):
        z, t, eps = _noise(seed)
        attempt(step, theta, adam, phi, psi, z, t, eps, 0.7)


def _sid(d: Tensor, y: Tensor, mu: float) -> Tensor:
    """L2 - mu L1 of d = f_phi - f_psi and y = f_phi - x_g."""
    return d * (y - mu * d)


def _theta(
    loss: Callable[[Tensor, Tensor, float], Tensor] = _sid, w: str = "fixed", cut: str = "", zero: bool = True
):
    def step(theta: Any, adam: Any, phi: Any, psi: Any, z: Tensor, t: Tensor, eps: Tensor, mu: float) -> None:
        x_g = theta(z)
        x_t = psi.schedule.diffuse(x_g, t, eps) if cut != "noise" else x_g
        f_phi, f_psi = phi(x_t, t), psi(x_t, t)
        if cut == "networks":
            f_phi, f_psi = f_phi.detach(), f_psi.detach()
        row = loss(f_phi - f_psi, f_phi - (x_g.detach() if cut == "sample" else x_g), mu).mean(-1)
        scale = (x_g - (f_psi if w == "psi" else f_phi)).abs().mean(-1)
        scale = {"none": 1.0, "open": scale, "one": scale.mean().detach()}.get(w, scale.detach())
        if zero:
            adam.zero_grad()
        (row / scale).mean().backward()
        adam.step()

    return step


@checks("04.5")
def _check_theta_step(answer: Any) -> None:
    mistakes = {
        "theta climbs: the sign of the loss is turned.": _theta(lambda *given: -_sid(*given)),
        "The sign of mu is turned: the loss is L2 - mu L1.": _theta(lambda d, y, mu: d * (y + mu * d)),
        "L2's sign is turned: (f_phi - f_psi) (f_phi - x_g).": _theta(lambda d, y, mu: -d * (y + mu * d)),
        "mu plays no part yet: that is L2 alone.": _theta(lambda d, y, mu: d * y),
        "mu plays no part yet: that is L2 - L1.": _theta(lambda d, y, mu: d * (y - d)),
        "mu stands before L1, not before L2.": _theta(lambda d, y, mu: d * (mu * y - d)),
        "That is -mu L1 alone: L2 is missing.": _theta(lambda d, y, mu: -mu * d * d),
        "L2's second factor is f_phi - x_g, not f_psi - x_g.": _theta(lambda d, y, mu: d * (y - d - mu * d)),
        "L1 and L2 are exchanged: L2 has the sample in it.": _theta(lambda d, y, mu: d * (d - mu * y)),
        "Divide each point's loss by w before the mean.": _theta(w="none"),
        "w gets a gradient: detach it.": _theta(w="open"),
        "One w for all points: it is a mean over channels only, a number for each point.": _theta(w="one"),
        "w is the mean of |x_g - f_phi|, not of |x_g - f_psi|.": _theta(w="psi"),
        "phi and psi see clean samples: psi.schedule.diffuse noises them.": _theta(cut="noise"),
        "f_phi and f_psi are detached: theta's gradient runs through both networks.": _theta(cut="networks"),
        "x_g is detached in L2: it must stand there with its gradient.": _theta(cut="sample"),
        STALE: _theta(zero=False),
    }
    still = {"psi": "psi has moved; only theta learns here."}
    judge_training(answer, _plane, _lead, _theta(), "theta", still, mistakes)


@checks("04.6")
def _check_adversarial_terms(answer: Any) -> None:
    real, fake = normal(20, 1, seed=5) + 1, 2 * normal(20, 1, seed=6) - 0.5
    got = pair(ask(answer, real, fake), "Return two numbers: (psi's loss, theta's loss).")
    real_1, real_0, fake_1, fake_0 = (F.softplus(x).mean() for x in (-real, real, -fake, fake))
    psi = (real_1 + fake_0) / 2
    both = "Labels are turned in both: BCE(x, 1) is softplus(-x)."
    mistakes = (
        ((fake_1, psi), "The two are swapped: psi's comes first."),
        ((2 * psi, fake_1), "psi's is half of the sum."),
        ((psi, fake_0), "theta wants its samples to be called real: BCE(fake, 1)."),
        ((psi, real_1), "theta's is of the generated points: BCE(fake, 1)."),
        (((real_0 + fake_1) / 2, fake_1), "psi's labels are turned: real is 1."),
        (((real_0 + fake_1) / 2, fake_0), both),
        ((real_0 + fake_1, fake_0), f"{both} And psi's is half of the sum."),
        ((psi, -fake_0), "That is minus psi's term: its gradient fades where theta is caught. BCE(fake, 1)."),
        ((real_1 / 2, fake_1), "psi's lacks BCE(fake, 0)."),
    )
    judge(got, (psi, fake_1), mistakes, f"It should be {psi:.3f} and {fake_1:.3f}.")
