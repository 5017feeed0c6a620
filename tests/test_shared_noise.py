"""Noise that positions share, and the reverse KL divergence: against closed forms."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pets
import pytest
import torch

from dlmone_lite.__main__ import main
from dlmone_lite.checkpoints.checkpoint import load
from dlmone_lite.corpora.pairs import PairedText
from dlmone_lite.distill import DistillConfig, DistillRun
from dlmone_lite.jobs.task import codec_of
from dlmone_lite.sample import share_noise, student
from dlmone_lite.schedule import Schedule
from dlmone_lite.sid import reverse_kl_loss
from dlmone_lite.training.seeds import generator_at


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.9, 1.0])
def test_shared_noise_has_unit_variance_and_correlation_rho(rho: float) -> None:
    z = torch.randn(60_000, 5, 2, generator=torch.Generator().manual_seed(0))
    shared = share_noise(z, rho)
    covariance = torch.einsum("bld,bmd->lm", shared, shared) / (len(z) * 2)
    assert torch.allclose(covariance, rho + (1 - rho) * torch.eye(5), atol=0.02)
    between = torch.einsum("bl,bm->lm", shared[..., 0], shared[..., 1]) / len(z)
    assert between.abs().max() < 0.02, "the coordinates of an embedding stay independent"
    assert torch.equal(share_noise(z, 0.0), z)
    assert rho < 1 or torch.allclose(shared, shared[:, :1].expand_as(shared))


def test_the_gradient_of_the_reverse_kl_is_that_of_the_closed_form() -> None:
    """Student N(m, v), teacher N(0, v): at every t the KL falls along -m, at the rate of its closed form."""
    schedule, v = Schedule("sqrt", 2000), 0.5
    m = torch.tensor([1.5, -0.7])
    for t in (50, 700, 1500, 1990):
        alpha, sigma = (float(value) for value in schedule(t))
        total = alpha**2 * v + sigma**2
        x_g = (
            m + v**0.5 * torch.randn(4000, 1, 2, generator=torch.Generator().manual_seed(t))
        ).requires_grad_()
        x_t = alpha * x_g + sigma * torch.randn(4000, 1, 2, generator=torch.Generator().manual_seed(t + 1))
        gain = alpha * v / total
        f_phi, f_psi = gain * x_t, m + gain * (x_t - alpha * m)  # posterior means under each prior
        target = torch.ones(4000, 1, dtype=torch.bool)
        gradient = torch.autograd.grad(reverse_kl_loss(x_g, f_phi, f_psi, target).sum(), x_g)[0].mean((0, 1))
        # d KL(N(alpha m, total) || N(0, total)) / dm = alpha^2 m / total, and x0 predictions are scores times
        # sigma^2 / alpha: the loss has the factor sigma^2 / alpha^2 of w(t), and 1/2 from the mean over two.
        expected = 0.5 * (sigma**2 / alpha**2) * alpha**2 * m / total
        assert torch.allclose(gradient, expected, rtol=1e-4)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shared")
    pets.make_lab(folder)
    return folder


def run_of(lab: Path, **changes: float | str) -> DistillRun:
    world = pets.World.load(lab / "pets.grammar")
    sources, targets = zip(*world.pairs("train", 64), strict=True)
    config = DistillConfig(steps=2, batch_size=8, psi_warmup=0, precision="float32", b_d=0.0, b_g=0.0)
    data = PairedText(sources, targets, codec_of(world))
    return DistillRun(load(lab / "teacher.safetensors").model, data, replace(config, **changes))


def test_reverse_kl_moves_theta_by_the_difference_of_the_predictions(lab: Path) -> None:
    """One theta update is replayed in plain torch; no gradient passes through teacher or psi."""
    run = run_of(lab, divergence="reverse_kl", rho=1.0)
    with torch.no_grad():
        for weights in run.psi.parameters():
            weights.add_(0.02 * torch.randn(weights.shape, generator=generator_at(1, 2)))
    draw = run.draw(generator_at(0, 5))
    assert torch.allclose(draw.z, draw.z[:, :1].expand_as(draw.z), atol=1e-6)
    loss, terms = run.theta_part(draw)
    ours = torch.autograd.grad(loss, run.theta.blocks.parameters())
    assert set(terms) == {"reverse_kl"} and torch.equal(loss.detach(), terms["reverse_kl"].detach())

    x_g = run.generate(draw)
    alpha, sigma = (value.view(-1, 1, 1) for value in run.phi.schedule(draw.t))
    target = draw.batch.target[..., None]
    x_t = torch.where(target, alpha * x_g.detach() + sigma * draw.noise, draw.clean)
    with torch.no_grad():
        f_phi, f_psi = run.phi(x_t, draw.t, draw.batch), run.psi(x_t, draw.t, draw.batch)
        size = target.sum((1, 2), keepdim=True) * x_g.shape[-1]
        w = ((x_g - f_phi).abs() * target).sum((1, 2), keepdim=True) / size
    by_hand = (x_g * (f_psi - f_phi) * target / size / w).sum() / len(draw)
    for one, other in zip(ours, torch.autograd.grad(by_hand, run.theta.blocks.parameters()), strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-7)


def test_the_sampler_draws_as_training_did(lab: Path, tmp_path: Path) -> None:
    out = tmp_path / "s.safetensors"
    fast = [*pets.EVALUATION, *pets.FAST, "rho=0.75", "divergence=reverse_kl"]
    assert main(pets.distil_command(lab, out, "--steps", 2, "--eval-every", 2, *fast)) == 0
    made = load(out)
    assert made.sampling == {"t_init": 1491, "rho": 0.75}
    batch = made.codec.encode([pets.SOURCE] * 2000)
    seen = []

    def generate(x_t: torch.Tensor, t: torch.Tensor, batch: object) -> torch.Tensor:
        seen.append(x_t[batch.target].view(2000, -1, x_t.shape[-1]))
        return x_t

    clean = made.model.embed(batch.ids)
    how = {"steps": 2, "generator": generator_at(0, 0), **made.sampling}
    student(generate, made.model.schedule, batch, clean, **how)
    first = seen[0] / seen[0].std()
    pairs = (first[:, 0] * first[:, 1]).mean()
    assert abs(float(pairs) - 0.75) < 0.05 and len(seen) == 2
