"""Samples in groups of one source, late and low steps: against exact posteriors and plain torch."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny import make_codec, make_model, make_pairs, make_world, normal, rng

from dlmone_lite.distill import DistillConfig, DistillRun, psi_loss, theta_loss
from dlmone_lite.errors import InputError
from dlmone_lite.exact import GaussianMixture
from dlmone_lite.schedule import Schedule
from dlmone_lite.training.seeds import generator_at
from dlmone_lite.training.targets import group_mean

CUT = 6


@pytest.fixture
def codec(tmp_path):
    return make_codec(make_world(tmp_path))


@pytest.fixture
def pairs(codec, tmp_path):
    return make_pairs(make_world(tmp_path), codec)


def make_run(codec, pairs, **changes):
    config = DistillConfig(
        steps=6, batch_size=12, warmup=0, psi_warmup=0, lr_shape="constant", precision="float32"
    )
    return DistillRun(make_model(codec), pairs, replace(config, **changes))


def test_the_group_mean_is_the_exact_posterior_mean_of_each_group() -> None:
    schedule, group = Schedule("sqrt", 2000), 4
    x_g, noise = normal(8, 9, 3, seed=0), normal(8, 9, 3, seed=1)
    t = torch.tensor([3, 300, 900, 1500, 1893, 1950, 1990, 2000])
    target = torch.zeros(8, 9, dtype=torch.bool)
    target[:4, 4:], target[4:, 2:7] = True, True  # the mask may differ between sources
    x_t = schedule.diffuse(x_g, t, noise)
    mean = group_mean(schedule, x_g, x_t, t, target, group)
    for row in range(8):
        first = row // group * group
        points = torch.stack([x_g[i][target[row]].flatten() for i in range(first, first + group)])
        mixture = GaussianMixture(points.double(), torch.zeros(group, dtype=torch.float64))
        alpha, sigma = schedule(int(t[row]), torch.float64)
        exact = mixture.mean(x_t[row][target[row]].flatten()[None].double(), alpha, sigma)[0]
        assert torch.allclose(mean[row][target[row]].flatten().double(), exact, atol=1e-4)
    assert torch.allclose(mean[0], x_g[0], atol=1e-4), "hardly any noise: the sample itself"

    moved = torch.where(target[..., None], x_t, x_t + 5)
    assert torch.equal(mean, group_mean(schedule, x_g, moved, t, target, group)), "sources tell nothing"


def test_the_group_mean_has_the_samples_minimiser_and_less_variance() -> None:
    """Samples N(0, 1), one position: both goals have mean alpha x_t, the posterior mean; at high noise the
    group's varies far less."""
    schedule, n, group, t = Schedule("sqrt", 2000), 120_000, 6, 1950
    x_g, noise = normal(n, 1, 1, seed=2), normal(n, 1, 1, seed=3)
    steps = torch.full((n,), t)
    x_t = schedule.diffuse(x_g, steps, noise)
    goal = group_mean(schedule, x_g, x_t, steps, torch.ones(n, 1, dtype=torch.bool), group)
    alpha = float(schedule(t)[0])
    for each in (x_g, goal):
        slope = float((each * x_t).mean() / x_t.square().mean())
        assert slope == pytest.approx(alpha, abs=0.01)
    assert float(goal.var()) < 0.25 * float(x_g.var())


def test_a_group_shares_its_source_and_every_pair_is_drawn_as_often(pairs) -> None:
    n = 7200
    index = pairs.draw(n, rng(1), 4)
    sources = pairs.group[index].view(-1, 4)
    assert torch.equal(sources, sources[:, :1].expand_as(sources))
    counts = torch.bincount(index, minlength=len(pairs)).double()
    # Four draws of a source are not independent: the bound is wider than that of single draws.
    assert float((counts - n / 36).abs().max()) < 6 * (4 * n / 36) ** 0.5
    rows = index.view(-1, 4)
    assert float((rows[:, 0] == rows[:, 1]).double().mean()) < 0.15, "its targets are drawn one by one"


@pytest.mark.parametrize("micro_batch", [3, 6])
def test_parts_of_whole_groups_add_up(codec, pairs, micro_batch) -> None:
    settings = {"group": 3, "late_share": 0.4, "late_weight": 2.0, "keep": 0.4, "rho": 0.5}
    a = make_run(codec, pairs, **settings).advance()
    b = make_run(codec, pairs, **settings, micro_batch=micro_batch).advance()
    assert a.losses == pytest.approx(b.losses, rel=1e-4)
    assert a.grad_norms == pytest.approx(b.grad_norms, rel=1e-3)


@pytest.mark.parametrize("sizes", [{"batch_size": 10}, {"micro_batch": 4}])
def test_a_group_is_never_cut(sizes) -> None:
    with pytest.raises(InputError, match="multiples of group = 3"):
        DistillConfig(**{"batch_size": 12, "group": 3, **sizes})


def test_psi_learns_the_group_mean(codec, pairs) -> None:
    run = make_run(codec, pairs, group=4, b_d=0.7)
    draw = run.draw(generator_at(0, 1))
    x_g = run.generate(draw).detach()
    for b_d in (0.0, 0.7):
        found = psi_loss(run.psi, x_g, draw, replace(run.config, b_d=b_d))["dsm"]
        schedule, target = run.phi.schedule, draw.batch.target
        x_t = torch.where(target[..., None], schedule.diffuse(x_g, draw.t, draw.noise), draw.clean)
        goal = group_mean(schedule, x_g, x_t, draw.t, target, 4)
        by_hand = (run.psi(x_t, draw.t, draw.batch) - goal).square()[:, CUT:].mean((1, 2))
        assert torch.allclose(found, by_hand, rtol=1e-4)
        assert not torch.allclose(goal[:, CUT:], x_g[:, CUT:], atol=1e-2)


@pytest.mark.parametrize("divergence", ["sid", "reverse_kl"])
def test_late_rows_weigh_more_in_theta_alone(codec, pairs, divergence) -> None:
    run = make_run(codec, pairs, divergence=divergence, late_share=0.5, late_weight=3.0)
    for weights in run.psi.parameters():
        weights.data.add_(0.02 * normal(*weights.shape, seed=4))
    draw = run.draw(generator_at(0, 1))
    late = draw.t >= run.config.late_from
    assert 0 < int(late.sum()) < len(late)
    x_g, plain = run.generate(draw), replace(run.config, late_weight=1.0)
    ours, theirs = (theta_loss(run.phi, run.psi, x_g, draw, c) for c in (run.config, plain))
    for name in (divergence, "generator"):
        assert torch.allclose(ours[name][late], 3 * theirs[name][late])
        assert torch.equal(ours[name][~late], theirs[name][~late])
    same = [psi_loss(run.psi, x_g, draw, c)["dsm"] for c in (run.config, plain)]
    assert torch.equal(*same)


def test_theta_keeps_the_teachers_prediction_at_lower_steps(codec, pairs) -> None:
    run = make_run(codec, pairs, keep=0.5)
    with torch.no_grad():
        for seed, network in ((5, run.theta), (6, run.psi)):
            for weights in network.blocks.parameters():
                weights.add_(0.02 * normal(*weights.shape, seed=seed))
    draw = run.draw(generator_at(0, 1))
    chosen = draw.low > 0
    assert 0 < int(chosen.sum()) < 12 and int(draw.low.max()) < 0.75 * 1490
    x_g = run.generate(draw).detach()
    found = run.keep_loss(x_g, draw)
    assert torch.equal(found == 0, ~chosen)
    for row in chosen.nonzero()[:, 0]:
        alpha, sigma = run.phi.schedule(int(draw.low[row]))
        x_t = draw.clean[row].clone()
        x_t[CUT:] = (alpha * x_g[row] + sigma * draw.noise[row])[CUT:]
        t, batch = draw.low[row : row + 1], draw.batch[row : row + 1]
        gap = (run.theta(x_t[None], t, batch) - run.phi(x_t[None], t, batch))[0, CUT:].square().mean()
        assert torch.allclose(found[row], gap / 0.5, rtol=1e-4)
    loss, terms = run.theta_part(draw)
    assert torch.allclose(terms["keep"], found.mean(), rtol=1e-4)
    others = sum(run.config.theta_weights[name] * term for name, term in terms.items() if name != "keep")
    assert torch.allclose(loss, others + terms["keep"])
