"""memory: what a pass keeps is counted once, grows with the rows, and leaves the weights out."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from torch import nn

from dlmone_lite import distill
from dlmone_lite.checkpoints.checkpoint import network
from dlmone_lite.distill import DistillConfig, DistillRun
from dlmone_lite.evaluation.memory import Memory, distillation_memory, kept_for_backward
from dlmone_lite.evaluation.speed import RandomText
from dlmone_lite.model import preset
from dlmone_lite.training.seeds import generator_at

CPU = torch.device("cpu")
SHAPE = preset("lite", vocab_size=60, length=24, source_length=12, embed_dim=16, width=32, depth=2)
CONFIG = DistillConfig(batch_size=8, precision="float32")


def test_what_two_layers_keep_by_hand() -> None:
    layers = nn.Sequential(nn.Linear(3, 5, bias=False), nn.ReLU(), nn.Linear(5, 2, bias=False))
    x = torch.randn(7, 3)
    with kept_for_backward(layers) as kept:
        loss = layers(x).square().sum()
    # the input, the ReLU's output (kept by it and by the second layer, once), the output for its square
    assert kept() == 4 * 7 * (3 + 5 + 2)
    with torch.no_grad(), kept_for_backward(layers) as none:
        layers(x)
    assert loss.requires_grad and none() == 0


def test_a_distillation_by_hand() -> None:
    few, many = (distillation_memory(SHAPE, CONFIG, CPU, rows) for rows in (2, 8))
    assert many.activations == pytest.approx(few.activations, rel=0.05)  # in proportion to the rows
    deep = distillation_memory(replace(SHAPE, depth=4), CONFIG, CPU)
    assert 1.5 * few.activations < deep.activations < 2.2 * few.activations
    assert few.gradients * 4 == few.optimisers and few.networks > few.optimisers
    without = distillation_memory(SHAPE, replace(CONFIG, b_g=0.0, b_d=0.0), CPU)
    assert without.activations < few.activations


def test_theta_keeps_nothing_for_psis_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    run = DistillRun(network(SHAPE), RandomText(SHAPE, 8), CONFIG)
    draw = run.draw(generator_at(0, 1))

    def kept() -> int:
        with kept_for_backward(run.phi, run.theta, run.psi) as count:
            loss, _ = run.theta_part(draw)
            assert loss.requires_grad
            return count()

    less = kept()
    assert all(p.requires_grad == (name != "words") for name, p in run.psi.named_parameters())
    monkeypatch.setattr(distill, "frozen", lambda network: nullcontext())
    assert less < 0.95 * kept()


def test_the_weights_copies_in_half_precision_do_not_count_as_rows() -> None:
    """Of psi and phi (and of theta, whose call the loss holds) each matrix stands there once more, in two
    bytes a number: the same for two rows and for eight."""
    few, many = (distillation_memory(SHAPE, replace(CONFIG, precision="bfloat16"), CPU, n) for n in (2, 8))
    assert few.copies == pytest.approx(many.copies, rel=0.05)
    assert many.activations == pytest.approx(few.activations, rel=0.05)
    one = few.networks / 4 / 4  # numbers of one network
    assert 2 * one < few.copies < 2 * 3 * one
    assert distillation_memory(SHAPE, CONFIG, CPU, 8).copies < few.copies / 5


def test_rows_that_fit_fit() -> None:
    memory = Memory(100, 50, 20, 8.0)
    assert memory.total(3) == 194 and memory.rows(194) == 3 and memory.rows(201) == 3 and memory.rows(50) == 0
    assert Memory(100, 50, 20, 8.0, 6.0).rows(200) == 3 and Memory(100, 50, 20, 8.0, 6.0).total(3) == 200
