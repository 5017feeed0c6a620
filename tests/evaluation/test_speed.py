"""speed: products counted as a plain sum says, baselines of the same size, times that are times."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from dlmone_lite.checkpoints.checkpoint import network
from dlmone_lite.evaluation.speed import (
    BASELINES,
    Plain,
    RandomText,
    matmul_peak,
    peak_memory,
    product_flops,
    training_speed,
    writing_seconds,
)
from dlmone_lite.model import preset
from dlmone_lite.teacher import RECIPES

CPU = torch.device("cpu")
SHAPE = preset("lite", vocab_size=500, length=24, source_length=12, embed_dim=16, width=32, depth=2)
RECIPE = replace(RECIPES["lite"], batch_size=8, precision="float32")


def by_hand(shape, rows: int) -> float:
    """Multiply-adds of a batch's forward pass, times two for operations, times three with the backward pass.

    A CPU rounds each word of the targets once.
    """
    L, W, D = shape.length, shape.width, shape.embed_dim
    block = L * (4 + 2 * shape.expand) * W * W + 2 * L * L * W
    words = len(RandomText(shape).batch.ids[:rows, shape.source_length :].unique())
    return 3 * 2.0 * (rows * (shape.depth * block + 2 * L * D * W) + words * shape.vocab_size * D)


@pytest.mark.parametrize("library", [None, *BASELINES])
def test_products_are_those_of_a_sum_by_hand(library: str | None) -> None:
    model = Plain(SHAPE, library) if library else network(SHAPE)
    counted = product_flops(model.train(), RandomText(SHAPE), replace(RECIPE, target="sample"))
    time_layers = 8 * 6.0 * (64 + SHAPE.width) * SHAPE.width
    assert counted == pytest.approx(by_hand(SHAPE, 8) + time_layers, rel=1e-6)


def test_the_logits_are_counted_though_they_are_made_in_parts() -> None:
    many, recipe = replace(SHAPE, vocab_size=2**18), replace(RECIPE, target="sample", batch_size=2)
    counted = product_flops(network(many).train(), RandomText(many), recipe)
    assert counted == pytest.approx(by_hand(many, 2), rel=1e-3)


@pytest.mark.parametrize("library", BASELINES)
def test_a_baseline_has_as_many_weights(library: str) -> None:
    ours = sum(p.numel() for p in network(SHAPE).blocks.parameters())
    layers = Plain(SHAPE, library).encoder
    theirs = sum(p.numel() for name, p in layers.named_parameters() if "embeddings" not in name)
    assert theirs == ours


def test_training_and_writing_are_timed() -> None:
    speeds = [training_speed(SHAPE, RECIPE, CPU, 1, library) for library in (None, *BASELINES)]
    assert [speed.name for speed in speeds] == ["dlmone_lite", *BASELINES]
    assert all(0 < speed.share(matmul_peak("float32", CPU, 1)) < 1 for speed in speeds)
    assert speeds[0].tokens == pytest.approx(8 * 24 / speeds[0].seconds)
    one, many = (writing_seconds(SHAPE, CPU, 4, nfe, "teacher", "float32", 3) for nfe in (1, 40))
    assert many > 5 * one and writing_seconds(SHAPE, CPU, 4, 1, "student", "float32", 1) > 0
    assert peak_memory(CPU) > 2**20


def test_only_ours_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[object] = []
    monkeypatch.setattr("dlmone_lite.teacher.compile_blocks", compiled.extend)
    recipe = replace(RECIPE, compile=True)
    names = [training_speed(SHAPE, recipe, CPU, 1, library).name for library in (None, *BASELINES)]
    assert names == ["dlmone_lite, compiled", *BASELINES] and len(compiled) == 1


def test_a_batch_may_have_more_rows_than_the_random_text() -> None:
    model, data = network(SHAPE), RandomText(SHAPE, rows=6)
    one, two = (product_flops(model, data, replace(RECIPE, batch_size=rows)) for rows in (8, 16))
    assert 0 < one < two
    assert writing_seconds(SHAPE, CPU, 1030, 1, "student", "float32", 1) > 0
