"""sid: values by hand, the identity behind the loss by Monte Carlo, and its gradient in closed form."""

from __future__ import annotations

import math

import pytest
import torch
from tiny import normal, rng

from dlmone_lite.exact import GaussianMixture
from dlmone_lite.schedule import Schedule
from dlmone_lite.sid import error_weight, over_target, score_estimator_loss, sid_loss

TARGET = torch.tensor([[False, True, True], [False, False, True]])


def random_fields(D=4):
    return [normal(2, 3, D, seed=s, dtype=torch.float64) for s in range(3)]


# ---- values


def test_over_target_by_hand():
    values = torch.tensor([[9.0, 1.0, 3.0], [9.0, 9.0, 5.0]])
    assert over_target(values, TARGET).tolist() == [2.0, 5.0]
    wide = torch.stack([values, values + 2], -1)  # the mean over channels comes first
    assert over_target(wide, TARGET).tolist() == [3.0, 6.0]


def test_sid_loss_by_hand():
    # One row, one target position of two channels: f_phi - f_psi = (1, -2), f_phi - x_g = (3, 1).
    target = torch.tensor([[True]])
    x_g, f_phi, f_psi = (torch.tensor([[v]]) for v in ([0.0, 1.0], [3.0, 2.0], [2.0, 4.0]))
    # L2 = 1 x 3 - 2 x 1 = 1, L1 = 1 + 4 = 5, a mean over two elements.
    for mu, expected in [(0.0, 0.5), (1.0, -2.0), (1.2, -2.5), (0.5, -0.75)]:
        assert float(sid_loss(x_g, f_phi, f_psi, target, mu)) == pytest.approx(expected)
    assert float(error_weight(x_g, f_phi, target)) == 2.0  # (3 + 1) / 2
    assert float(score_estimator_loss(x_g, f_psi, target)) == pytest.approx((4 + 9) / 2)


@pytest.mark.parametrize("mu", [0.0, 0.5, 1.0, 1.2])
def test_sid_loss_is_the_published_form_element_by_element(mu):
    x_g, f_phi, f_psi = random_fields()
    for row in range(2):
        total, count = 0.0, 0
        for position in range(3):
            for d in range(4):
                if TARGET[row, position]:
                    phi, psi, x = (float(v[row, position, d]) for v in (f_phi, f_psi, x_g))
                    total, count = total + (phi - psi) * ((phi - x) - mu * (phi - psi)), count + 1
        assert float(sid_loss(x_g, f_phi, f_psi, TARGET, mu)[row]) == pytest.approx(total / count)


def test_equal_scores_give_zero():
    x_g, f_phi, _ = random_fields()
    for mu in (0.0, 1.0, 1.2):
        assert sid_loss(x_g, f_phi, f_phi.clone(), TARGET, mu).tolist() == [0.0, 0.0]


def test_positions_outside_the_target_do_not_count():
    fields = random_fields()
    moved = [torch.where(TARGET[..., None], v, v + 3) for v in fields]
    for loss in (
        lambda x_g, f_phi, f_psi: sid_loss(x_g, f_phi, f_psi, TARGET, 1.0),
        lambda x_g, f_phi, f_psi: error_weight(x_g, f_phi, TARGET),
        lambda x_g, f_phi, f_psi: score_estimator_loss(x_g, f_psi, TARGET),
    ):
        assert torch.equal(loss(*fields), loss(*moved))
        mixed = [moved[0], fields[1], moved[2]]
        assert torch.equal(loss(*fields), loss(*mixed))


def test_error_weight_is_clipped_and_a_constant():
    x_g, f_phi, _ = (v.requires_grad_() for v in random_fields())
    w = error_weight(x_g, f_phi, TARGET)
    assert not w.requires_grad
    expected = [(x_g - f_phi)[i][TARGET[i]].abs().mean().item() for i in range(2)]
    assert w.tolist() == pytest.approx(expected)
    assert error_weight(x_g, x_g, TARGET).tolist() == pytest.approx([1e-5, 1e-5])
    assert error_weight(x_g, x_g, TARGET, least=0.1).tolist() == pytest.approx([0.1, 0.1])


def test_gradients_pass_through_all_three_arguments_but_psi_learns_from_constants():
    fields = [v.requires_grad_() for v in random_fields()]
    x_g, f_phi, f_psi = fields
    gradients = torch.autograd.grad(sid_loss(*fields, TARGET, 1.2).sum(), fields)
    count = 4 * TARGET.sum(1)[:, None, None]
    mask = TARGET[..., None] / count
    d, e = f_phi - f_psi, f_phi - x_g
    assert torch.allclose(gradients[0], -d * mask)
    assert torch.allclose(gradients[1], (e + d - 2 * 1.2 * d) * mask)
    assert torch.allclose(gradients[2], (-e + 2 * 1.2 * d) * mask)
    loss = score_estimator_loss(x_g, f_psi, TARGET).sum()
    none, some = torch.autograd.grad(loss, (x_g, f_psi), allow_unused=True)
    assert none is None and torch.allclose(some, 2 * (f_psi - x_g) * mask)


# ---- the derivation, in two dimensions where psi can be exact


def two_distributions():
    means = torch.tensor([[-2.0, 0.0], [2.0, 0.5], [0.0, 2.0]], dtype=torch.float64)
    teacher = GaussianMixture(means, torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64).log(), 0.3)
    student = GaussianMixture(means + 0.7, torch.tensor([0.2, 0.2, 0.6], dtype=torch.float64).log(), 0.4)
    return teacher, student


def per_sample(loss, *fields):
    """The library's loss of points (n, 2), each a row of one target position; summed over channels."""
    return 2 * loss(*(v[:, None] for v in fields))


def mean_and_error(values):
    return float(values.mean()), float(values.std()) / math.sqrt(len(values))


@pytest.mark.parametrize("t", [600, 1490])
def test_both_forms_of_the_fisher_divergence_agree_for_exact_psi(t):
    teacher, student = two_distributions()
    n, g = 20_000, rng(3)
    alpha, sigma = Schedule()(t, torch.float64)
    x_g = student.sample(n, g)
    x_t = alpha * x_g + sigma * torch.randn(n, 2, generator=g, dtype=torch.float64)
    f_phi, f_psi = teacher.mean(x_t, alpha, sigma), student.mean(x_t, alpha, sigma)
    target = torch.ones(n, 1, dtype=torch.bool)

    def sid(mu, psi):
        return per_sample(lambda *fields: sid_loss(*fields, target, mu), x_g, f_phi, psi)

    L1, L1_error = mean_and_error(sid(0.0, f_psi) - sid(1.0, f_psi))  # mu L1
    assert L1 > 30 * L1_error  # teacher and student differ
    scores = teacher.score(x_t, alpha, sigma) - student.score(x_t, alpha, sigma)
    fisher, _ = mean_and_error((scores**2).sum(1) * (sigma**2 / alpha) ** 2)
    assert L1 == pytest.approx(fisher, rel=1e-9)  # Tweedie: the same squared difference
    # At mu = 1 the expectation is zero (E[u (E[x0 | x_t] - x0)] = 0); L2 = L1 + (L2 - L1).
    rest, error = mean_and_error(sid(1.0, f_psi))
    assert abs(rest) < 4 * error
    assert float(sid(0.0, f_psi).mean()) == pytest.approx(L1, abs=4 * error)
    # mu = 1.2 leaves -.2 of the divergence.
    assert float(sid(1.2, f_psi).mean()) == pytest.approx(-0.2 * L1, abs=4 * error)
    # With a psi that is not the student's the expectation is not zero.
    rest, error = mean_and_error(sid(1.0, f_psi + 0.3))
    assert abs(rest) > 10 * error


@pytest.mark.parametrize("mu", [0.0, 1.0, 1.2])
def test_gradient_in_closed_form_for_gaussians(mu):
    """Teacher N(0, s^2 I), student x_g = m + s z, psi exact but not a function of m: the gradient by m is
    m (sigma^2 / v)^2 with v = alpha^2 s^2 + sigma^2, for every mu; the true divergence has twice it."""
    n, s, g = 5_000, 0.6, rng(4)
    m = torch.tensor([1.1, -0.4], dtype=torch.float64, requires_grad=True)
    alpha, sigma = Schedule()(1200, torch.float64)
    v = alpha**2 * s**2 + sigma**2
    teacher = GaussianMixture(torch.zeros(1, 2, dtype=torch.float64), torch.zeros(1, dtype=torch.float64), s)
    student = GaussianMixture(m.detach()[None], torch.zeros(1, dtype=torch.float64), s)
    x_g = m + s * torch.randn(n, 2, generator=g, dtype=torch.float64)
    x_t = alpha * x_g + sigma * torch.randn(n, 2, generator=g, dtype=torch.float64)
    f_phi, f_psi = teacher.mean(x_t, alpha, sigma), student.mean(x_t, alpha, sigma)
    target = torch.ones(n, 1, dtype=torch.bool)
    losses = per_sample(lambda *fields: sid_loss(*fields, target, mu), x_g, f_phi, f_psi)
    (gradient,) = torch.autograd.grad(losses.mean(), m)
    expected = m.detach() * (sigma**2 / v) ** 2
    assert torch.allclose(gradient, expected, rtol=1e-9)  # linear networks: the samples cancel
    assert (gradient * m).sum().item() > 0.1  # descent brings the student to the teacher, at mu = 1 too
    # The loss itself, whose expectation is (1 - mu) |m|^2 (sigma^2 / v)^2, says nothing of that at mu = 1.
    value, error = mean_and_error(losses.detach())
    expected = float((1 - mu) * (m.detach() * sigma**2 / v).square().sum())
    assert value == pytest.approx(expected, abs=4 * error)


def test_gradient_is_not_zero_where_the_expected_loss_is():
    teacher, student = two_distributions()
    n, g = 20_000, rng(6)
    alpha, sigma = Schedule()(1490, torch.float64)
    x_g = student.sample(n, g).requires_grad_()
    x_t = alpha * x_g + sigma * torch.randn(n, 2, generator=g, dtype=torch.float64)
    f_phi, f_psi = teacher.mean(x_t, alpha, sigma), student.mean(x_t, alpha, sigma)
    target = torch.ones(n, 1, dtype=torch.bool)
    losses = per_sample(lambda *fields: sid_loss(*fields, target, 1.0), x_g, f_phi, f_psi)
    value, error = mean_and_error(losses.detach())
    assert abs(value) < 4 * error
    (gradient,) = torch.autograd.grad(losses.sum(), x_g)  # its mean: by a common shift of the student
    for d in range(2):
        slope, slope_error = mean_and_error(gradient[:, d])
        assert slope > 10 * slope_error  # the student lies .7 too far in both coordinates
