"""updates: one step by hand, in one and in parts; what is not finite changes nothing."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from dlmone_lite.errors import Diverged, InputError
from dlmone_lite.training.update import LossScale, micro_batches, optimiser_step, weighted_means


def test_a_step_clips_and_steps():
    w, idle = nn.Parameter(torch.tensor([3.0, 4.0])), nn.Parameter(torch.ones(1))
    optimiser = torch.optim.SGD([w, idle], lr=99.0)
    loss = (w**2).sum() / 2  # the gradient is w, of norm 5
    values, norm = optimiser_step({optimiser: 0.1}, [(1.0, loss, {"half": loss})], step=1, clip=2.0)
    assert values == {"half": 12.5} and norm == pytest.approx(5.0)  # before clipping
    assert w.tolist() == pytest.approx([3 - 0.1 * 1.2, 4 - 0.1 * 1.6], rel=1e-5)
    assert idle.item() == 1.0 and w.grad is None  # nothing is left for the next update


def test_a_step_gives_each_optimiser_its_rate_and_clips_them_together():
    a, b = nn.Parameter(torch.tensor([0.0])), nn.Parameter(torch.tensor([0.0]))
    optimisers = {torch.optim.SGD([a], lr=9.0): 0.1, torch.optim.SGD([b], lr=9.0): 0.01}
    loss = 3 * a.sum() + 4 * b.sum()
    _, norm = optimiser_step(optimisers, [(1.0, loss, {"loss": loss})], step=1, clip=1.0)
    assert norm == pytest.approx(5.0)
    assert a.item() == pytest.approx(-0.1 * 3 / 5, rel=1e-5)
    assert b.item() == pytest.approx(-0.01 * 4 / 5, rel=1e-5)


def test_a_batch_in_parts_is_back_propagated_part_by_part():
    x, w = torch.arange(5.0), nn.Parameter(torch.tensor(2.0))
    optimiser, alive = torch.optim.SGD([w], lr=1.0), []

    def part(share, some):
        alive.append(w.grad is not None)  # the part before has been back-propagated when this one is made
        loss = ((w * x[some]) ** 2).mean()
        return share, loss, {"square": loss}

    assert list(micro_batches(5, 2)) == [(0.4, slice(0, 2)), (0.4, slice(2, 4)), (0.2, slice(4, 5))]
    with pytest.raises(InputError, match="micro_batch must be at least 1"):
        list(micro_batches(5, -1))
    assert list(micro_batches(5, 0)) == [(1.0, slice(0, 5))] == list(micro_batches(5, 9))
    values, norm = optimiser_step(
        {optimiser: 0.1}, (part(*each) for each in micro_batches(5, 2)), 1, clip=100.0
    )
    assert alive == [False, True, True]
    assert values == {"square": pytest.approx(24.0)} and norm == pytest.approx(24.0)  # 2 w mean(x^2)
    assert w.item() == pytest.approx(2 - 0.1 * 24) and w.grad is None


def test_a_term_that_is_not_finite_stops_the_run_before_the_update():
    w = nn.Parameter(torch.tensor([1.0]))
    optimiser = torch.optim.SGD([w], lr=1.0)
    for bad in (math.nan, math.inf):
        terms = {"good": w.sum(), "bad one": w.sum() * bad}
        with pytest.raises(Diverged, match=rf"'bad one' is {bad} at step 17; lower the learning rate"):
            optimiser_step({optimiser: 1.0}, [(1.0, terms["good"], terms)], step=17, clip=1.0)
    # Finite loss, infinite gradient: sqrt at 0.
    loss = (w - 1).abs().sqrt().sum()
    with pytest.raises(Diverged, match="gradient is .* at step 3; lower the learning rate"):
        optimiser_step({optimiser: 1.0}, [(1.0, loss, {"root": loss})], step=3, clip=1.0)
    assert w.item() == 1.0


def test_a_scaled_loss_gives_the_same_update_or_none():
    w = nn.Parameter(torch.tensor([3.0, 4.0]))
    optimiser, scale = torch.optim.SGD([w], lr=1.0), LossScale(8.0, patience=2)
    seen = []

    def loss():
        squares = (w**2).sum() / 2
        squares.register_hook(lambda gradient: seen.append(gradient.item()))
        return squares

    for expected in (8.0, 8.0, 16.0):  # doubled after two updates that fitted
        half = loss()
        values, norm = optimiser_step(
            {optimiser: 0.1}, [(1.0, half, {"half": half})], 1, clip=100.0, scale=scale
        )
        assert values == {"half": half.item()} and norm == pytest.approx((2 * half.item()) ** 0.5)
        assert seen.pop() == expected
    assert w.tolist() == pytest.approx([3 * 0.9**3, 4 * 0.9**3])

    before, scale.value = w.clone(), 2.0
    for left in (1.0, None):  # an overflow: left out and halved; not scaled any more: given up
        terms = {"root": w.sum() * 0 + 1}
        steep = (w - w.detach()).abs().sqrt().sum()
        if left is None:
            with pytest.raises(Diverged, match="the gradient is nan at step 9"):
                optimiser_step({optimiser: 0.1}, [(1.0, steep, terms)], 9, 1.0, scale)
        else:
            assert math.isnan(optimiser_step({optimiser: 0.1}, [(1.0, steep, terms)], 9, 1.0, scale)[1])
            assert (scale.value, scale.fitted) == (left, 0)
        assert torch.equal(w, before) and w.grad is None


def test_every_term_needs_its_weight():
    terms = {"a": torch.tensor([1.0, 3.0]), "b": torch.tensor(3.0)}
    loss, means = weighted_means(terms, {"a": 1.0, "b": 0.5, "absent": 7.0})
    assert (loss.item(), {name: mean.item() for name, mean in means.items()}) == (3.5, {"a": 2.0, "b": 3.0})
    with pytest.raises(KeyError):
        weighted_means(terms, {"a": 1.0})
