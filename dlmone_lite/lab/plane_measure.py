"""Measurements in the plane, which are exact because every density is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from dlmone_lite.exact import GaussianMixture
from dlmone_lite.lab.plane import Estimator, Exact, ToyRun, cloud
from dlmone_lite.schedule import Schedule


class Gradients(NamedTuple):
    """Quantities at one noise level, by quadrature.

    The divergence is E ||f_phi - f*||^2, summed over channels. Gradients (N, 2) are by the student's points.
    """

    divergence: float
    l1: Tensor  # of L1, psi = f* held constant as a function
    l2: Tensor  # of L2, likewise
    true: Tensor  # of the divergence, with the dependence of f* on the points
    frozen: Tensor  # of the divergence, the places x_t held fixed: only f* moves


def gradients(
    points: Tensor, data: GaussianMixture, alpha: float, sigma: float, h: float = 0.25
) -> Gradients:
    """The gradients of each loss for a student of equally likely `points` (N, 2), with an exact psi.

    The expectation over the noise is a sum over a grid of spacing `h`, which is accurate for a Gaussian.
    """
    axis = torch.arange(-5.0, 5.0 + h / 2, h, dtype=points.dtype)
    noise = torch.cartesian_prod(axis, axis)  # (G, 2)
    weight = (-noise.square().sum(1) / 2).softmax(0)
    x = points.detach().requires_grad_()
    x_g = x[:, None].expand(-1, len(noise), -1).flatten(0, 1)  # (N G, 2)
    x_t = alpha * x_g + sigma * noise.repeat(len(x), 1)

    def mean(values: Tensor) -> Tensor:
        return (weight.repeat(len(x)) * values.sum(1)).sum() / len(x)

    def grad(value: Tensor) -> Tensor:
        return torch.autograd.grad(value, x, retain_graph=True)[0]

    f_phi, f_psi = data.mean(x_t, alpha, sigma), cloud(x.detach()).mean(x_t, alpha, sigma)
    d = f_phi - f_psi
    there = x_t.detach()
    moves = cloud(x).mean(there, alpha, sigma)  # f* as a function of the points
    divergence = mean(d.detach().square())
    frozen = grad(mean((f_phi.detach() - moves).square()))
    l1, l2 = grad(mean(d * d)), grad(mean(d * (f_phi - x_g)))
    return Gradients(float(divergence), l1, l2, l1 + frozen, frozen)


Rule = Callable[[Tensor, Tensor, Tensor], Tensor]  # (x_g, f_phi, f_psi) (S, n, 2) -> loss (S, n)


def fit_gaussian(
    data: GaussianMixture, rule: Rule, t_max: int, seeds: int, steps: int = 300
) -> tuple[Tensor, Tensor]:
    """Train a student that is one round Gaussian, m + s z, with `rule` at t = 20..t_max and an exact psi.

    Returns (m (S, 2), s (S,)), one row per seed. The loss is divided by mean |x_g - f_phi|, as in SiD.
    """
    schedule, generator = Schedule(), torch.Generator().manual_seed(0)
    n = 192  # samples of each seed
    m = torch.tensor([-0.3, 0.0]).repeat(seeds, 1).requires_grad_()
    log_s = torch.full((seeds, 1, 1), 0.3).log().requires_grad_()
    adam = torch.optim.Adam([m, log_s], lr=0.03, betas=(0.5, 0.99))
    for _ in range(steps):
        z, noise = torch.randn(2, seeds, n, 2, generator=generator)
        t = torch.randint(20, t_max + 1, (seeds, n), generator=generator)
        alpha, sigma = (level[..., None] for level in schedule(t))
        x_g = m[:, None] + log_s.exp() * z
        x_t = alpha * x_g + sigma * noise
        flat = (x_t.flatten(0, 1), alpha.flatten(), sigma.flatten())
        f_phi = data.mean(*flat).view_as(x_t)
        s2, centre = (2 * log_s.detach()).exp(), m.detach()[:, None]  # psi is not a function of theta
        f_psi = centre + alpha * s2 / (alpha**2 * s2 + sigma**2) * (x_t - alpha * centre)
        w = (x_g - f_phi).detach().abs().mean(-1).clamp(min=1e-5)
        loss = (rule(x_g, f_phi, f_psi) / w).mean(1).sum()  # each seed has its own parameters
        adam.zero_grad()
        loss.backward()
        adam.step()
    return m.detach(), log_s.detach().exp().flatten()


# ---- of a run


def occupation(points: Tensor, data: GaussianMixture) -> Tensor:
    """Shares (K + 1,) of the points (N, 2): within 3 standard deviations of each centre, then the others."""
    distance = torch.cdist(points, data.means)
    nearest = distance.argmin(1)
    nearest[distance.min(1).values > 3 * data.std] = len(data.means)
    return torch.bincount(nearest, minlength=len(data.means) + 1) / len(points)


def quality(points: Tensor, data: GaussianMixture) -> dict[str, float]:
    """validity: share of the points on a mode; tv: total variation of the modes' shares to the truth;
    covered: number of modes with more than a third of their share."""
    share, p = occupation(points, data), data.log_p.exp()
    tv = 0.5 * float((share[:-1] - p).abs().sum() + share[-1])
    covered = int((share[:-1] > p / 3).sum())
    return {"validity": 1 - float(share[-1]), "tv": tv, "covered": covered}


def divergence_and_lag(run: ToyRun, seed: int = 0, repeats: int = 4) -> tuple[float, float]:
    """The signal E ||f_phi - f*||^2 over the student's noised samples, f* its exact denoiser, and psi's lag.

    The lag is E ||f_psi - f*||^2 over the same samples, divided by the signal.
    """
    generator, c = torch.Generator().manual_seed(seed), run.config
    points, exact, parts = run.points, run.exact_psi(), torch.zeros(2)
    levels = torch.linspace(c.t_min, c.t_max, len(points)).long()
    with torch.no_grad():
        for _ in range(repeats):
            t = levels[torch.randperm(len(points), generator=generator)]
            x_t = run.schedule.diffuse(points[:, None], t, run.noise(generator)[1])
            truth = exact(x_t, t)
            gaps = (run.phi(x_t, t) - truth, run.psi(x_t, t) - truth)
            parts += torch.stack([gap.square().sum((1, 2)).mean() for gap in gaps]) / repeats
    return float(parts[0]), float(parts[1] / parts[0])


def behind(run: ToyRun, past: Sequence[Tensor], seed: int = 0) -> int:
    """The age, in updates, of the past student whose exact denoiser is nearest to psi.

    `past` are the student's points (N, 2) after each update, the present ones last.
    """
    generator, c = torch.Generator().manual_seed(seed), run.config
    t = torch.linspace(c.t_min, c.t_max, len(run.z)).long()[torch.randperm(len(run.z), generator=generator)]
    x_t = run.schedule.diffuse(past[-1][:, None], t, run.noise(generator)[1])
    with torch.no_grad():
        believed = run.psi(x_t, t)
        gaps = [(believed - Exact(cloud(p), run.schedule)(x_t, t)).square().mean() for p in past]
    return len(past) - 1 - int(torch.stack(gaps).argmin())


def accuracy(judge: Exact | Estimator, points: Tensor, data: GaussianMixture, t: int, seed: int = 0) -> float:
    """Accuracy of a discriminator on 8 noised copies of the student's points (N, 2) and as many real ones."""
    generator, n = torch.Generator().manual_seed(seed), 8 * len(points)
    both = torch.cat([data.sample(n, generator), points.repeat(8, 1)])
    x_t = judge.schedule.diffuse(both, t, torch.randn(2 * n, 2, generator=generator))[:, None]
    with torch.no_grad():
        real = judge.discriminate(x_t, torch.full((2 * n,), t))[:, 0] > 0
    return float((real == (torch.arange(2 * n) < n)).float().mean())
