"""Measurements in the plane, against autograd, closed forms and clouds made by hand."""

from __future__ import annotations

import pytest
import torch
from tiny import normal, rng

from dlmone_lite.exact import GaussianMixture
from dlmone_lite.lab import plane_measure as measure
from dlmone_lite.lab.plane import Exact, ToyConfig, ToyRun, cloud, five_modes
from dlmone_lite.schedule import Schedule

SCHEDULE, DATA = Schedule(), five_modes(torch.float64)


def student(seed: int) -> torch.Tensor:
    return 0.8 * normal(9, 2, seed=seed, dtype=torch.float64) - 0.3


@pytest.mark.parametrize("t", [100, 500, 1490])
@pytest.mark.parametrize("seed", [0, 1])
def test_gradients_against_autograd_through_an_exact_psi(t: int, seed: int) -> None:
    alpha, sigma = (level.item() for level in SCHEDULE(t, torch.float64))
    x = student(seed).requires_grad_()
    got = measure.gradients(x, DATA, alpha, sigma)
    axis = torch.linspace(-6, 6, 97, dtype=torch.float64)  # another grid than the library's
    noise = torch.cartesian_prod(axis, axis)
    weight = (-noise.square().sum(1) / 2).softmax(0)
    x_g = x[:, None].expand(-1, len(noise), -1)
    x_t = (alpha * x_g + sigma * noise).flatten(0, 1)
    gap = DATA.mean(x_t, alpha, sigma) - cloud(x).mean(x_t, alpha, sigma)  # psi moves with the points
    divergence = (weight * gap.square().sum(1).view(len(x), -1)).sum(1).mean()
    (true,) = torch.autograd.grad(divergence, x)
    assert got.divergence == pytest.approx(divergence.item(), rel=1e-5)
    assert torch.allclose(got.true, true, rtol=1e-4, atol=1e-6)
    # Both losses forget that psi moves, L1 twice as much: 2 (L2 - L1 / 2) has the true gradient.
    assert torch.allclose(2 * got.l2 - got.l1, true, rtol=1e-4, atol=1e-6)
    # mu = 1 is half the gradient with the places held fixed, and it is not 0.
    assert torch.allclose(2 * (got.l2 - got.l1), got.frozen, rtol=1e-4, atol=1e-6)
    assert got.frozen.norm() > 0.01


def test_no_gradient_where_the_student_is_the_data() -> None:
    points = student(2)
    got = measure.gradients(points, cloud(points), 0.7, 0.7)
    assert got.divergence < 1e-20 and all(g.abs().max() < 1e-9 for g in got[1:])


@pytest.mark.parametrize("t", [500, 1490])
def test_expected_loss_at_mu_1_is_zero_with_exact_psi(t: int) -> None:
    points, n = student(3), 9 * 4000
    alpha, sigma = SCHEDULE(t, torch.float64)
    x_g = points.repeat(4000, 1)
    x_t = alpha * x_g + sigma * normal(n, 2, seed=4, dtype=torch.float64)
    d = DATA.mean(x_t, alpha, sigma) - cloud(points).mean(x_t, alpha, sigma)
    f_phi = DATA.mean(x_t, alpha, sigma)
    difference = (d * (f_phi - x_g)).sum(1) - (d * d).sum(1)
    assert difference.mean().abs() < 4 * difference.std() / n**0.5
    exact = measure.gradients(points, DATA, float(alpha), float(sigma)).divergence
    assert float((d * d).sum(1).mean()) == pytest.approx(exact, rel=0.05)


def test_a_gaussian_student_finds_a_gaussian() -> None:
    one = GaussianMixture(torch.tensor([[0.5, -0.2]]), torch.zeros(1), 0.7)

    def rule(x_g: torch.Tensor, f_phi: torch.Tensor, f_psi: torch.Tensor) -> torch.Tensor:
        return ((f_psi - f_phi).detach() * x_g).mean(-1)

    m, s = measure.fit_gaussian(one, rule, 1000, seeds=2, steps=200)
    assert torch.allclose(m, one.means.expand(2, 2), atol=0.12)
    assert torch.allclose(s, torch.full((2,), 0.7), atol=0.1)


def test_occupation_and_quality_of_clouds_made_by_hand() -> None:
    data = five_modes()
    at_modes = data.means.repeat_interleave(torch.tensor([35, 10, 25, 10, 20]), 0)
    assert measure.quality(at_modes, data) == {
        "validity": 1.0,
        "tv": pytest.approx(0, abs=1e-6),
        "covered": 5,
    }
    collapsed = data.means[:1].expand(100, 2)
    assert measure.quality(collapsed, data) == {"validity": 1.0, "tv": pytest.approx(0.65), "covered": 1}
    nowhere = torch.full((100, 2), 9.0)
    assert measure.quality(nowhere, data) == {"validity": 0.0, "tv": pytest.approx(1.0), "covered": 0}
    half = torch.cat([at_modes, nowhere])
    assert measure.occupation(half, data)[-1] == 0.5
    assert measure.quality(half, data)["tv"] == pytest.approx(0.5)


class Stale:
    """psi that knows the cloud of another time exactly."""

    def __init__(self, points: torch.Tensor):
        self.exact = Exact(cloud(points), SCHEDULE)

    def __call__(self, x_t: torch.Tensor, t: torch.Tensor, batch: object = None) -> torch.Tensor:
        return self.exact(x_t, t)


def test_lag_and_age_of_a_psi_that_is_late_by_design() -> None:
    run = ToyRun(ToyConfig(exact=True))
    past = [run.points]
    for _ in range(6):
        run.advance()
        past.append(run.points)
    lags = []
    for late in (0, 2, 5):
        del run.psi
        run.psi = Stale(past[-1 - late])
        assert measure.behind(run, past) == late
        divergence, lag = measure.divergence_and_lag(run)
        lags.append(lag)
    assert lags[0] == 0 and 0 < lags[1] < lags[2]
    run.psi = run.phi  # as at the start of a real distillation: the error is the whole signal
    assert measure.divergence_and_lag(run)[1] == pytest.approx(1)
    assert divergence > 0


def test_accuracy_of_the_best_judge() -> None:
    data = five_modes()
    same = Exact(data, SCHEDULE, data)
    assert measure.accuracy(same, data.sample(256, rng(0)), data, 500) == pytest.approx(0.5, abs=0.03)
    far = data.sample(256, rng(1)) + 20
    assert measure.accuracy(Exact(cloud(far), SCHEDULE, data), far, data, 100) == 1.0
    near = data.sample(256, rng(2)) + torch.tensor([0.8, 0.0])
    judge = Exact(cloud(near), SCHEDULE, data)
    shares = [measure.accuracy(judge, near, data, t) for t in (30, 500, 1900)]
    assert shares[0] > shares[1] > shares[2] > 0.45
