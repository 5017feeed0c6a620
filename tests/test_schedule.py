"""schedule: DiffuSeq's own loop over betas, published values, and what every schedule obeys."""

from __future__ import annotations

import math

import pytest
import torch
from tiny import normal

from dlmone_lite.errors import InputError
from dlmone_lite.schedule import SCHEDULES, Schedule

ALL = [(name, T) for name in SCHEDULES for T in (10, 2000)]


def cumulative(betas):
    """Products of 1 - beta, one after the other, in plain Python."""
    product, out = 1.0, []
    for beta in betas:
        product *= 1 - beta
        out.append(product)
    return out


def betas_for(abar, T):
    """`betas_for_alpha_bar` of DiffuSeq and of Nichol & Dhariwal."""
    return [min(1 - abar((i + 1) / T) / abar(i / T), 0.999) for i in range(T)]


def abar_of(schedule):
    alpha, _ = schedule(torch.arange(1, schedule.T + 1), torch.float64)
    return (alpha**2).tolist()


@pytest.mark.parametrize("T", [50, 2000])
def test_sqrt_is_diffuseqs_loop(T):
    expected = cumulative(betas_for(lambda s: 1 - math.sqrt(s + 1e-4), T))
    assert abar_of(Schedule("sqrt", T)) == pytest.approx(expected, rel=1e-9)


def test_sqrt_closed_form_before_the_clip():
    abar = abar_of(Schedule("sqrt", 2000))
    for i in range(1999):  # DiffuSeq's index i is step i + 1
        assert abar[i] == pytest.approx((1 - math.sqrt((i + 1) / 2000 + 1e-4)) / 0.99, rel=1e-9)
    # At the last step that form is below zero; the clipped beta leaves a thousandth of what was there.
    assert 1 - math.sqrt(1 + 1e-4) < 0
    assert abar[1999] == pytest.approx(abar[1998] * 1e-3, rel=1e-9)


def test_cosine_is_its_closed_form_before_the_clip():
    def closed(s):
        return math.cos((s + 0.008) / 1.008 * math.pi / 2) ** 2

    assert abar_of(Schedule("cosine", 1000)) == pytest.approx(cumulative(betas_for(closed, 1000)), rel=1e-9)
    assert abar_of(Schedule("cosine", 1000))[498] == pytest.approx(closed(0.499) / closed(0), rel=1e-9)


def test_linear_is_ddpms():
    betas = [1e-4 + (0.02 - 1e-4) * i / 999 for i in range(1000)]
    abar = abar_of(Schedule("linear", 1000))
    assert abar == pytest.approx(cumulative(betas), rel=1e-9)
    assert abar[-1] == pytest.approx(4.0358e-5, rel=1e-3)  # the end value of DDPM's schedule


@pytest.mark.parametrize("name, T", ALL)
def test_every_schedule_is_variance_preserving_and_monotone(name, T):
    schedule = Schedule(name, T)
    alpha, sigma = schedule(torch.arange(T + 1), torch.float64)
    assert (alpha**2 + sigma**2 - 1).abs().max() < 1e-15
    assert alpha[0] == 1 and sigma[0] == 0
    assert (alpha.diff() < 0).all() and (sigma.diff() > 0).all()
    assert (schedule.ratio(torch.arange(T + 1)).diff() > 0).all()
    assert alpha[-1] < 0.05  # almost nothing of x0 is left at T


def test_named_levels_of_the_papers():
    schedule = Schedule()
    assert schedule.name == "sqrt" and schedule.T == 2000
    assert float(schedule(1)[1]) == pytest.approx(0.121, abs=5e-5)  # sigma_0 of DiffuSeq
    assert float(schedule.ratio(1490)) == pytest.approx(2.50, abs=0.005)  # t_init: SiD's 2.5
    assert float(schedule(1490)[1]) == pytest.approx(0.928, abs=5e-4)
    assert float(schedule.ratio(1976)) == pytest.approx(12.84, abs=0.01)  # DLM-One's t_max: 12.8
    assert float(schedule.ratio(1977)) == pytest.approx(13.1, abs=0.05)  # what DiffuSeq's code calls 1976


@pytest.mark.parametrize("name", SCHEDULES)
def test_at_ratio_inverts_ratio(name):
    schedule = Schedule(name)
    for t in [1, 2, 3, *range(5, 2000, 61), 1490, 1976, 1999, 2000]:
        assert schedule.at_ratio(float(schedule.ratio(t))) == t
    # Between two steps the nearer one in log is chosen.
    low, high = (float(schedule.ratio(t)) for t in (700, 701))
    assert schedule.at_ratio(low**0.6 * high**0.4) == 700
    assert schedule.at_ratio(low**0.4 * high**0.6) == 701
    # One noise level has another t in another schedule.
    assert schedule.at_ratio(1e-9) == 1 and schedule.at_ratio(1e9) == 2000


@pytest.mark.parametrize("shape", [(3, 4, 5), (3, 2), (3,)])
def test_diffuse_broadcasts_row_by_row(shape):
    schedule, t = Schedule(), torch.tensor([1, 900, 2000])
    x0, noise = normal(*shape, seed=1, dtype=torch.float64), normal(*shape, seed=2, dtype=torch.float64)
    x_t = schedule.diffuse(x0, t, noise)
    assert x_t.shape == shape and x_t.dtype == torch.float64
    for row, step in enumerate(t.tolist()):
        abar = cumulative(betas_for(lambda s: 1 - math.sqrt(s + 1e-4), 2000))[step - 1]
        expected = math.sqrt(abar) * x0[row] + math.sqrt(1 - abar) * noise[row]
        assert torch.allclose(x_t[row], expected, rtol=1e-9, atol=1e-9)
        assert torch.equal(schedule.diffuse(x0, step, noise)[row], x_t[row])  # an integer t is every row's
    assert torch.equal(schedule.diffuse(x0, 0, noise), x0)


def test_dtype_and_shape_follow_the_input():
    schedule, t = Schedule(), torch.tensor([[3, 5], [7, 11]])
    alpha, sigma = schedule(t)
    assert alpha.shape == sigma.shape == (2, 2) and alpha.dtype == torch.float32
    assert alpha[1, 0] == schedule(7)[0] and sigma[0, 1] == schedule(5)[1]
    wide, _ = schedule.like(torch.tensor([3, 5]), torch.zeros(2, 4, 6, dtype=torch.float64))
    assert wide.shape == (2, 1, 1) and wide.dtype == torch.float64
    assert schedule.like(3, torch.zeros(2, 4))[0].shape == ()


@pytest.mark.parametrize("t", [-1, 2001, torch.tensor([5, 2001]), torch.tensor([-1, 5])])
def test_a_step_outside_the_schedule_is_refused(t):
    schedule, x = Schedule(), torch.zeros(2, 3)
    for use in (schedule, schedule.ratio, lambda t: schedule.like(t, x), lambda t: schedule.diffuse(x, t, x)):
        with pytest.raises(InputError, match=r"0\.\.2000"):
            use(t)


def test_bad_arguments_are_refused():
    with pytest.raises(InputError, match="sqrt, cosine, linear"):
        Schedule("square")
    with pytest.raises(InputError, match="at least 2"):
        Schedule(T=1)
    for ratio in (0, -1.0, math.nan):
        with pytest.raises(InputError, match="sigma/alpha"):
            Schedule().at_ratio(ratio)


def test_a_schedule_that_was_looked_at_without_gradients_still_trains() -> None:
    schedule, x = Schedule("sqrt", 20), torch.ones(2, 3, requires_grad=True)
    with torch.inference_mode():
        schedule.like(torch.tensor([1, 5]), torch.ones(2, 3))
    alpha, sigma = schedule.like(torch.tensor([1, 5]), x)
    (gradient,) = torch.autograd.grad((alpha * x + sigma * x).sum(), x)
    assert torch.equal(gradient, (alpha + sigma).expand_as(x))
