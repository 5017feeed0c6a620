"""The plane: exact scores against closed forms, the losses against the real ones, runs."""

from __future__ import annotations

import math

import pytest
import torch
from tiny import normal, rng, same_weights

from dlmone_lite import sid
from dlmone_lite.distill import Draw, theta_loss
from dlmone_lite.exact import GaussianMixture
from dlmone_lite.lab import plane
from dlmone_lite.lab.plane import Exact, ToyConfig, ToyRun, cloud, five_modes, rows
from dlmone_lite.schedule import Schedule
from dlmone_lite.sid import discriminator_loss, sid_loss

SCHEDULE = Schedule()
DATA = five_modes(torch.float64)


def student(n: int = 12, seed: int = 0) -> torch.Tensor:
    return 0.8 * normal(n, 2, seed=seed, dtype=torch.float64) - 0.3


# ---- the exact denoiser


def test_the_student_is_a_mixture_of_its_points():
    points, x_t = student(), normal(5, 2, seed=1, dtype=torch.float64)
    alpha, sigma = SCHEDULE(500, torch.float64)
    by_hand = torch.zeros(5, 2, dtype=torch.float64)
    for row in range(5):
        w = [
            math.exp(-float((x_t[row] - alpha * p).square().sum()) / (2 * float(sigma) ** 2)) for p in points
        ]
        by_hand[row] = sum(w_k * p for w_k, p in zip(w, points, strict=True)) / sum(w)
    got = Exact(cloud(points), SCHEDULE)(x_t[:, None], torch.full((5,), 500))
    assert got.shape == (5, 1, 2) and torch.allclose(got[:, 0], by_hand, atol=1e-12)


def test_the_projection_identity_holds_for_the_student_and_fails_for_another():
    points, n = student(), 60_000
    alpha, sigma = SCHEDULE(500, torch.float64)
    x_g = points.repeat(n // len(points), 1)
    x_t = alpha * x_g + sigma * normal(n, 2, seed=2, dtype=torch.float64)
    for mean, zero in ((cloud(points).mean(x_t, alpha, sigma), True), (DATA.mean(x_t, alpha, sigma), False)):
        product = ((x_t**3).sin() + x_t) * (mean - x_g)
        error = product.std() / math.sqrt(product.numel())
        assert bool(product.mean().abs() < 4 * error) is zero


def test_the_best_logit_is_the_log_ratio_and_no_other_has_a_smaller_loss():
    judge, n, t = Exact(cloud(student()), SCHEDULE, DATA), 20_000, 400
    real = DATA.sample(n, rng(3))
    fake = judge.mixture.sample(n, rng(4))
    t_all = torch.full((n,), t)
    both = [SCHEDULE.diffuse(x, t, normal(n, 2, seed=5, dtype=torch.float64))[:, None] for x in (real, fake)]
    logits = [judge.discriminate(x, t_all) for x in both]

    def loss(shift: float, scale: float) -> float:
        changed = [scale * logit + shift for logit in logits]
        return float(discriminator_loss(*changed, torch.ones(n, 1, dtype=torch.bool)).mean())

    best = loss(0.0, 1.0)
    assert best < math.log(2)
    assert all(best < loss(shift, scale) for shift, scale in ((0.3, 1), (-0.3, 1), (0, 0.7), (0, 1.4)))


def test_its_gradient_is_the_difference_of_scores():
    judge = Exact(cloud(student()), SCHEDULE, DATA)
    x_t, t = normal(6, 1, 2, seed=6, dtype=torch.float64).requires_grad_(), torch.full((6,), 500)
    (gradient,) = torch.autograd.grad(judge.discriminate(x_t, t).sum(), x_t)
    level = SCHEDULE.like(t, x_t[:, 0])
    difference = DATA.score(x_t[:, 0], *level) - judge.mixture.score(x_t[:, 0], *level)
    assert torch.allclose(gradient[:, 0], difference, atol=1e-10)


# ---- losses


def test_psi_equal_to_phi_gives_theta_no_gradient_and_loss_zero():
    run = ToyRun(ToyConfig())
    x_g = run.points[:, None].requires_grad_()
    t, noise = run.noise(rng(0))
    draw = Draw(run.batch, x_g, run.z, t, noise)
    terms = theta_loss(run.phi, Exact(run.data, SCHEDULE, run.data), x_g, draw, run.config)
    assert terms["sid"].abs().max() == 0
    assert torch.autograd.grad(terms["sid"].sum(), x_g)[0].abs().max() < 1e-6


def test_reverse_kl_descends_the_kullback_leibler_divergence():
    """Gaussians N(0, s^2 I), N(m, s^2 I), noised: KL = alpha^2 |m|^2 / (2 v), its gradient alpha^2 m / v."""
    m = torch.tensor([1.1, -0.4], dtype=torch.float64, requires_grad=True)
    s, n = 0.6, 4000
    alpha, sigma = SCHEDULE(900, torch.float64)
    phi, psi = (
        GaussianMixture(centre[None], torch.zeros(1, dtype=torch.float64), s)
        for centre in (torch.zeros(2, dtype=torch.float64), m.detach())
    )
    x_g = m + s * normal(n, 2, seed=7, dtype=torch.float64)
    x_t = (alpha * x_g + sigma * normal(n, 2, seed=8, dtype=torch.float64)).detach()
    f_phi, f_psi = (mixture.mean(x_t, alpha, sigma)[:, None] for mixture in (phi, psi))
    loss = sid.reverse_kl_loss(x_g[:, None], f_phi, f_psi, rows(n).target)
    (gradient,) = torch.autograd.grad(2 * loss.mean(), m)  # the loss is a mean over two channels
    v = alpha**2 * s**2 + sigma**2
    scale = alpha**2 / sigma**2  # (alpha / sigma^2) of the scores, times alpha of x_t
    assert torch.allclose(scale * gradient, alpha**2 * m.detach() / v, rtol=1e-9)


def test_a_run_uses_the_losses_of_the_real_distillation():
    run = ToyRun(ToyConfig(mu=1.2))
    t, noise = run.noise(rng(1))
    x_g = run.theta(run.z)
    x_t = SCHEDULE.diffuse(x_g, t, noise)
    f_phi, f_psi = run.phi(x_t, t), run.psi(x_t, t)
    w = (x_g - f_phi).detach().abs().mean((1, 2)).clamp(min=1e-5)
    by_hand = sid_loss(x_g, f_phi, f_psi, run.batch.target, 1.2) / w
    assert torch.allclose(run.theta_terms(x_g, t, noise)["sid"], by_hand)


# ---- runs


def test_the_students_noise_is_nobody_elses():
    for seed in range(3):
        z = ToyRun(ToyConfig(seed=seed)).z
        assert not any(torch.equal(z, torch.randn(256, 2, generator=rng(other))) for other in range(100))


def copies(run: ToyRun) -> tuple[plane.Student, plane.Estimator]:
    theta, psi = plane.Student((0.0, 0.0)), plane.Estimator(SCHEDULE)
    theta.load_state_dict(run.theta.state_dict())
    psi.load_state_dict(run.psi.state_dict())
    return theta, psi


def test_each_step_changes_its_own_network_only():
    run = ToyRun(ToyConfig(b_d=0.5, b_g=0.5))
    theta, psi = copies(run)
    losses, _ = run.step_psi(rng(0))
    assert set(losses) == {"dsm", "discriminator"}
    assert same_weights(theta, run.theta) and not same_weights(psi, run.psi)
    theta, psi = copies(run)
    losses, _ = run.step_theta(rng(0))
    assert set(losses) == {"sid", "generator"}
    assert not same_weights(theta, run.theta) and same_weights(psi, run.psi)


def test_exact_psi_needs_no_learning_and_warm_up_is_psis_alone():
    run = ToyRun(ToyConfig(exact=True))
    assert set(run.advance().losses) == {"sid"}
    run = ToyRun(ToyConfig(psi_warmup=2, psi_steps=3))
    assert [set(run.advance().losses) for _ in range(3)] == [{"dsm"}, {"dsm"}, {"dsm", "sid"}]


def test_the_switch_and_its_adversarial_term():
    run = ToyRun(ToyConfig(divergence="reverse_kl", b_g=0.5))
    assert set(run.advance().losses) == {"dsm", "reverse_kl", "generator"}
    run.config.divergence, run.config.b_g = "sid", 0.0  # as a panel does
    assert set(run.advance().losses) == {"dsm", "sid"}


def test_same_seed_same_numbers_and_resumed_equals_uninterrupted(tmp_path):
    first, second = ToyRun(ToyConfig(seed=3)), ToyRun(ToyConfig(seed=3))
    assert torch.equal(first.points, second.points)
    assert not torch.equal(first.points, ToyRun(ToyConfig(seed=4)).points)
    for _ in range(4):
        first.advance()
    second.advance()
    second.advance()
    second.save(tmp_path / "toy.safetensors")
    resumed = ToyRun(ToyConfig(seed=3))
    resumed.load(tmp_path / "toy.safetensors")
    resumed.advance()
    resumed.advance()
    assert torch.equal(first.points, resumed.points) and same_weights(first.psi, resumed.psi)


@pytest.mark.parametrize("divergence", ["sid", "reverse_kl"])
def test_descent_with_an_exact_psi_arrives(divergence):
    run = ToyRun(ToyConfig(exact=True, divergence=divergence))
    before = (run.points - DATA.means.float().mean(0)).norm(dim=1).mean()
    nearest = torch.cdist(run.points, DATA.means.float()).min(1).values.mean()
    for _ in range(120):
        run.advance()
    assert torch.cdist(run.points, DATA.means.float()).min(1).values.mean() < 0.6 * nearest
    assert run.points.std(0).min() > 2 * 0.4 and before > 1  # a small blob has spread over the plane
