"""psi_lag: psi's lag written out, and its regret."""

from __future__ import annotations

import math

import pytest
import torch
from tiny import make_codec, make_model, make_pairs, make_world, normal, rng

from dlmone_lite.distill import DistillConfig, DistillRun, Draw
from dlmone_lite.evaluation.psi_lag import lag, regret
from dlmone_lite.sample import anchor


def test_lag_written_out(tmp_path) -> None:
    world = make_world(tmp_path)
    codec = make_codec(world)
    config = DistillConfig(precision="float32", t_min=900)
    run = DistillRun(make_model(codec), make_pairs(world, codec), config)
    assert math.isnan(lag(run)), "psi is the teacher: there is no gap to divide by"
    run.psi.load_state_dict(make_model(codec, seed=1).state_dict())
    generator = rng(9_000_011)
    batch = run.data.batch[run.data.draw(16, generator)]
    clean = run.phi.embed(batch.ids)
    z, noise = torch.randn(clean.shape, generator=generator), torch.randn(clean.shape, generator=generator)
    t = torch.randint(900, config.t_max + 1, (16,), generator=generator)
    with torch.no_grad():
        x_g = run.generate(Draw(batch, clean, z, t, noise))
        x_t = anchor(run.phi.schedule.diffuse(x_g, t, noise), clean, batch)
        f_phi, f_psi = (network(x_t, t, batch)[:, 6:] for network in (run.phi, run.psi))
    gap = f_phi - f_psi
    assert lag(run, rows=16) == pytest.approx(
        float((gap * (f_psi - x_g[:, 6:])).sum() / (gap**2).sum()), rel=1e-5
    )


def test_a_psi_that_knows_the_student_has_no_lag(tmp_path) -> None:
    """The student says one thing per row, whatever the noise: then its exact posterior mean is that thing."""
    world = make_world(tmp_path)
    codec = make_codec(world)
    run = DistillRun(make_model(codec), make_pairs(world, codec), DistillConfig(precision="float32"))
    said = normal(1, codec.length, 8, seed=5)
    run.generate = lambda draw: said.expand(len(draw), -1, -1)
    run.psi = lambda x_t, t, batch: said.expand(len(batch), -1, -1)
    assert lag(run) == pytest.approx(0, abs=1e-6)
    run.psi = lambda x_t, t, batch: said.expand(len(batch), -1, -1) + 0.1 * (run.phi(x_t, t, batch) - said)
    assert lag(run) == pytest.approx(1 / 9, rel=1e-3), "a tenth of the way back to the teacher"


def test_a_psi_with_nothing_to_learn_regrets_nothing_and_one_behind_does(tmp_path) -> None:
    world = make_world(tmp_path)
    codec = make_codec(world)
    run = DistillRun(
        make_model(codec), make_pairs(world, codec), DistillConfig(precision="float32", batch_size=16)
    )
    said = normal(1, codec.length, 8, seed=5)
    run.generate = lambda draw: said.expand(len(draw), -1, -1)
    before = [parameter.clone() for parameter in run.psi.parameters()]
    late = regret(run, updates=200, rows=64, lr=1e-2)
    assert late > 0.5, "a psi that knows another distribution has much to learn"
    assert all(torch.equal(old, new) for old, new in zip(before, run.psi.parameters())), (
        "the run is left alone"
    )
    assert regret(run, updates=0, rows=64) == 0
