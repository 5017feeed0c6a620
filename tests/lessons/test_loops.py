"""The plain loops are the library's: the same updates from the same noise."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from tiny import make_codec, make_model, make_pairs, make_world

from dlmone_lite.distill import DistillConfig, DistillRun
from dlmone_lite.lab import plane
from dlmone_lite.lab.plane import ToyConfig, ToyRun
from dlmone_lite.lessons import loops
from dlmone_lite.sample import anchor, share_noise
from dlmone_lite.teacher import TeacherConfig, teacher_loss
from dlmone_lite.training.seeds import generator_at

BETAS = (0.0, 0.99)


def flat(net: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def test_the_loop_on_sentences_makes_the_librarys_updates(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    codec = make_codec(world)
    teacher, data = make_model(codec, output="linear", discriminator="head"), make_pairs(world, codec)
    config = DistillConfig(
        steps=4, batch_size=8, divergence="reverse_kl", b_d=0.0, b_g=0.0, rho=1.0, lr=1e-3, lr_psi=2e-3,
        clip=0.0, warmup=0, psi_warmup=0, lr_shape="constant", precision="float32", seed=5,
    )  # fmt: skip
    library = DistillRun(teacher, data, config)
    losses = [step.losses["dsm"] for step in library]

    mine = DistillRun(teacher, data, config)  # its draws and copies alone
    adams = {
        name: torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=lr, betas=BETAS)
        for name, net, lr in (("theta", mine.theta, 1e-3), ("psi", mine.psi, 2e-3))
    }

    def draws():
        for step in range(1, 5):
            rng = generator_at(config.seed, step)
            yield mine.draw(rng), mine.draw(rng)

    def write(theta, draw):
        return mine.generate(draw)

    ran = list(loops.distil(mine.phi, mine.theta, mine.psi, adams, draws(), write))
    assert ran == pytest.approx(losses, rel=1e-4)
    for name in ("theta", "psi"):
        assert torch.allclose(flat(getattr(mine, name)), flat(getattr(library, name)), atol=2e-5)
    assert not torch.allclose(flat(mine.theta), flat(teacher), atol=1e-4)


def test_the_pocket_draws_noise_that_words_share_and_writes_as_the_sampler(tmp_path: Path) -> None:
    from dlmone_lite.checkpoints.checkpoint import Checkpoint
    from dlmone_lite.generation import generate_batch

    world = make_world(tmp_path)
    codec = make_codec(world)
    teacher = Checkpoint(make_model(codec, output="linear", discriminator="head"), codec, "tiny", "teacher")
    pocket = loops.Pocket(teacher, make_pairs(world, codec), seed=1)
    one, two = next(pocket.draws(1))
    assert torch.allclose(one.z, one.z[:, :1].expand_as(one.z)) and not torch.equal(one.z, two.z)
    batch, rng = one.batch, torch.Generator().manual_seed(3)
    x = generate_batch(pocket.student, batch, steps=1, generator=rng)
    z = torch.randn(x.shape, generator=torch.Generator().manual_seed(3))
    draw = copy.copy(one)
    draw.z = share_noise(z, 1.0)
    assert torch.allclose(anchor(pocket.write(pocket.theta, draw), one.clean, batch), x, atol=1e-5)


def test_a_teachers_update_descends_the_librarys_loss(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    codec = make_codec(world)
    data, model = make_pairs(world, codec), make_model(codec, output="linear")
    rng = torch.Generator().manual_seed(0)
    batch, references, share = data.rows(data.draw(6, rng))
    t = torch.randint(2, 2000, (6,), generator=rng)
    noise = torch.randn(6, codec.length, 16, generator=rng)
    config = TeacherConfig(target="sample")
    with torch.no_grad():
        wanted = teacher_loss(model, batch, references, share, t, noise, config)["denoising"].mean()
    words = model.words.detach().clone()
    adam = torch.optim.SGD(model.parameters(), lr=0.1)
    assert loops.teacher_step(model, adam, batch, t, noise[..., :8]) == pytest.approx(float(wanted), rel=1e-5)
    assert torch.equal(model.words, words), "the goal does not move"
    assert loops.teacher_step(model, adam, batch, t, noise[..., :8]) < float(wanted)


def test_the_steps_in_the_plane_are_those_of_the_toy_run() -> None:
    run = ToyRun(ToyConfig(batch_size=32, clip=0.0, seed=1, mu=0.7))
    torch.nn.init.normal_(run.psi.head.weight, std=0.3)
    theta, psi = copy.deepcopy(run.theta), copy.deepcopy(run.psi)
    t, eps = run.noise(generator_at(0, 1))
    run.step_theta(generator_at(0, 1))
    adam = torch.optim.Adam(theta.parameters(), lr=5e-3, betas=(0.5, 0.999))
    phi = plane.Exact(run.data, run.schedule)
    loops.theta_step(theta, adam, phi, psi, run.z, t, eps, 0.7)
    assert torch.allclose(flat(theta), flat(run.theta), atol=1e-5)

    rng = generator_at(0, 2)
    run.data.sample(32, rng)  # the toy run draws real points first
    t, eps = run.noise(rng)
    x_g = run.theta(run.z)
    run.step_psi(generator_at(0, 2))
    adam = torch.optim.Adam(psi.parameters(), lr=5e-3, betas=(0.5, 0.999))
    loops.psi_step(psi, adam, x_g, t, eps)
    body = torch.cat([p.detach().flatten() for n, p in psi.named_parameters() if "verdict" not in n])
    theirs = torch.cat([p.detach().flatten() for n, p in run.psi.named_parameters() if "verdict" not in n])
    assert torch.allclose(body, theirs, atol=1e-5)


def test_a_cloud_finds_most_modes_in_a_moment() -> None:
    from dlmone_lite.lab.plane_measure import quality

    run = loops.Plane(seed=0)
    for update in range(200):
        z, t, eps = run.noise()
        loops.psi_step(run.psi, run.adams["psi"], run.theta(z), t, eps)
        if update >= 30:
            loops.theta_step(run.theta, run.adams["theta"], run.phi, run.psi, z, t, eps, 1.0)
    assert quality(run.points, run.data)["covered"] >= 3
    before = flat(run.theta), flat(run.psi)
    run.judge(loops.adversarial_terms, b=0.5)
    assert not torch.equal(flat(run.theta), before[0]) and not torch.equal(flat(run.psi), before[1])
