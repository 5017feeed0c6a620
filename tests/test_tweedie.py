"""tweedie: conversions undo each other, the score is a gradient, the posterior is Bayes' rule on a grid."""

from __future__ import annotations

import math

import pytest
import torch
from tiny import normal

from dlmone_lite import tweedie
from dlmone_lite.schedule import SCHEDULES, Schedule

LEVELS = [1, 40, 700, 1490, 1976, 2000]


def points(seed):
    return normal(4, 3, seed=seed, dtype=torch.float64)


@pytest.mark.parametrize("t", LEVELS)
def test_conversions_are_inverses(t):
    alpha, sigma = Schedule()(t, torch.float64)
    x_t, x0 = points(1), points(2)
    eps = tweedie.x0_to_eps(x_t, x0, alpha, sigma)
    score = tweedie.x0_to_score(x_t, x0, alpha, sigma)
    scale = 1 / float(alpha)  # going back divides rounding errors by alpha
    assert (tweedie.eps_to_x0(x_t, eps, alpha, sigma) - x0).abs().max() < 1e-14 * (1 + 10 * scale)
    assert (tweedie.score_to_x0(x_t, score, alpha, sigma) - x0).abs().max() < 1e-14 * (1 + 10 * scale)
    assert (tweedie.score_to_eps(score, sigma) - eps).abs().max() < 1e-12
    assert (tweedie.eps_to_score(eps, sigma) / score - 1).abs().max() < 1e-12


def test_conversions_invert_at_every_level_to_twelve_digits():
    schedule, x_t, x0 = Schedule(), points(1), points(2)
    for t in range(1, 1977, 79):
        alpha, sigma = schedule(t, torch.float64)
        eps = tweedie.x0_to_eps(x_t, x0, alpha, sigma)
        assert (tweedie.eps_to_x0(x_t, eps, alpha, sigma) - x0).abs().max() < 1e-12
        score = tweedie.x0_to_score(x_t, x0, alpha, sigma)
        assert (tweedie.score_to_x0(x_t, score, alpha, sigma) - x0).abs().max() < 1e-12


def test_noise_and_score_by_their_meaning():
    alpha, sigma = Schedule()(1200, torch.float64)
    x0, noise = points(3), points(4)
    x_t = (alpha * x0 + sigma * noise).requires_grad_()
    assert torch.allclose(tweedie.x0_to_eps(x_t, x0, alpha, sigma), noise, atol=1e-12)
    log_p = torch.distributions.Normal(alpha * x0, sigma).log_prob(x_t).sum()
    (gradient,) = torch.autograd.grad(log_p, x_t)
    assert torch.allclose(tweedie.x0_to_score(x_t, x0, alpha, sigma), gradient, atol=1e-10)
    assert torch.allclose(tweedie.eps_to_score(noise, sigma), gradient, atol=1e-10)


@pytest.mark.parametrize("t, s", [(2000, 1900), (1490, 745), (700, 699), (300, 1), (40, 20)])
def test_posterior_is_bayes_rule_on_a_grid(t, s):
    schedule = Schedule()
    (alpha_t, sigma_t), (alpha_s, sigma_s) = ([float(v) for v in schedule(k, torch.float64)] for k in (t, s))
    x_t, x0 = 0.7, -0.4
    grid = torch.linspace(-8, 8, 400_001, dtype=torch.float64)
    step = alpha_t / alpha_s  # q(x_t | x_s) = N(step x_s, sigma_t^2 - step^2 sigma_s^2)
    log_p = -((grid - alpha_s * x0) ** 2) / (2 * sigma_s**2)
    log_p -= (x_t - step * grid) ** 2 / (2 * (sigma_t**2 - step**2 * sigma_s**2))
    p = log_p.softmax(0)
    mean = float((p * grid).sum())
    std = math.sqrt(float((p * (grid - mean) ** 2).sum()))
    for number in (float, lambda v: torch.tensor(v, dtype=torch.float64)):
        levels = [number(v) for v in (alpha_t, sigma_t, alpha_s, sigma_s)]
        found = tweedie.posterior(torch.tensor(x_t, dtype=torch.float64), torch.tensor(x0), *levels)
        assert float(found[0]) == pytest.approx(mean, abs=1e-7)
        assert float(found[1]) == pytest.approx(std, rel=1e-6)


@pytest.mark.parametrize("name", SCHEDULES)
def test_posterior_is_ddpms_at_neighbouring_steps(name):
    schedule, x_t, x0 = Schedule(name), points(5), points(6)
    for t in (2, 500, 1490, 1999):
        abar_t, abar_s = (float(schedule(k, torch.float64)[0]) ** 2 for k in (t, t - 1))
        beta = 1 - abar_t / abar_s  # DDPM, eqs. 6-7
        expected = math.sqrt(abar_s) * beta / (1 - abar_t) * x0
        expected = expected + math.sqrt(1 - beta) * (1 - abar_s) / (1 - abar_t) * x_t
        mean, std = tweedie.posterior(x_t, x0, *schedule(t, torch.float64), *schedule(t - 1, torch.float64))
        assert torch.allclose(mean, expected, atol=1e-10)
        assert float(std) == pytest.approx(math.sqrt(beta * (1 - abar_s) / (1 - abar_t)), rel=1e-6)


def test_posterior_leads_to_the_right_marginal():
    # If x_t ~ N(alpha_t x0, sigma_t^2), then q(x_s | x_t, x0) draws from N(alpha_s x0, sigma_s^2).
    schedule, x0 = Schedule(), torch.tensor(1.3, dtype=torch.float64)
    for t, s in [(2000, 1500), (1490, 3), (900, 899)]:
        at_t, at_s = schedule(t, torch.float64), schedule(s, torch.float64)
        mean_0, std = tweedie.posterior(torch.zeros_like(x0), x0, *at_t, *at_s)
        mean_1, _ = tweedie.posterior(torch.ones_like(x0), x0, *at_t, *at_s)
        slope = mean_1 - mean_0
        assert float(mean_0 + slope * at_t[0] * x0) == pytest.approx(float(at_s[0] * x0), rel=1e-12)
        assert float((slope * at_t[1]) ** 2 + std**2) == pytest.approx(float(at_s[1]) ** 2, rel=1e-12)


@pytest.mark.parametrize("t", LEVELS)
def test_the_step_to_zero_returns_x0(t):
    schedule, x_t, x0 = Schedule(), points(7), points(8)
    mean, std = tweedie.posterior(x_t, x0, *schedule(t, torch.float64), *schedule(0, torch.float64))
    assert (mean - x0).abs().max() <= 1e-15 * x0.abs().max() * 2  # (v x0) / v: at most the last bit differs
    assert float(std) == 0.0


def test_posterior_per_row():
    schedule, x_t, x0 = Schedule(), points(9), points(10)
    t, s = torch.tensor([2000, 1490, 700, 2]), torch.tensor([1490, 1489, 10, 1])
    mean, std = tweedie.posterior(x_t, x0, *schedule.like(t, x_t), *schedule.like(s, x_t))
    for row in range(4):
        at = *schedule(int(t[row]), torch.float64), *schedule(int(s[row]), torch.float64)
        one = tweedie.posterior(x_t[row], x0[row], *at)
        assert torch.allclose(mean[row], one[0], atol=1e-14) and torch.allclose(std[row], one[1], atol=1e-14)
