"""updates on torch's meta device, which knows shapes but no values: a step that reads one fails here, and on
a GPU would wait for it."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from tiny import make_codec, make_pairs, make_world

from dlmone_lite import distill, sample, teacher
from dlmone_lite.checkpoints.checkpoint import network
from dlmone_lite.corpora.pairs import PairedText
from dlmone_lite.distill import DistillConfig, DistillRun
from dlmone_lite.model import ModelConfig, sized
from dlmone_lite.schedule import Schedule
from dlmone_lite.teacher import TeacherConfig, TeacherRun
from dlmone_lite.training import update

SHAPE = ModelConfig(embed_dim=8, width=16, depth=1, heads=2)


@pytest.fixture
def data(tmp_path, monkeypatch) -> PairedText:
    def randn(shape, generator, device):  # noise has no generator there
        return torch.randn(*shape, device=device)

    monkeypatch.setattr(teacher, "randn", randn)
    monkeypatch.setattr(distill, "randn", randn)
    monkeypatch.setattr(torch, "autocast", lambda *a, **k: nullcontext())  # nor a number format of its own
    monkeypatch.setattr(update, "to_floats", lambda values: [1.0] * len(values))  # the one wait of an update
    for name in ("Adam", "AdamW"):  # fused ones are for devices that compute
        known = getattr(torch.optim, name)
        monkeypatch.setattr(torch.optim, name, lambda *a, known=known, fused, **k: known(*a, **k))
    world = make_world(tmp_path)
    return make_pairs(world, make_codec(world))


def on_meta(data: PairedText, **changes):
    return network(sized(replace(SHAPE, **changes), data.codec)).to("meta")


@pytest.mark.parametrize("shape", [{}, {"network": "bert"}, {"output": "softmax"}], ids=str)
@pytest.mark.parametrize(
    "recipe",
    [{}, {"target": "sample", "sigma_0": 0.1, "optimiser": "adamw"}, {"loss": "ce", "micro_batch": 3}],
    ids=str,
)
def test_a_teachers_update_reads_once(data, shape, recipe) -> None:
    config = TeacherConfig(steps=5, batch_size=8, precision="float32", **recipe)
    run = TeacherRun(on_meta(data, **shape), data, config)
    assert run.advance().losses["denoising"] == 1.0 and run.advance().step == 2


@pytest.mark.parametrize("shape", [{}, {"network": "bert", "discriminator": "mean"}], ids=str)
@pytest.mark.parametrize("recipe", [{}, {"optimiser": "muon", "clamp": 0.1, "commitment": 0.1}], ids=str)
@pytest.mark.parametrize("micro_batch", [0, 3])
def test_an_update_of_a_student_reads_once_for_each_network(data, shape, recipe, micro_batch) -> None:
    plain = {"psi_warmup": 0, "precision": "float32", "micro_batch": micro_batch}
    config = DistillConfig(steps=5, batch_size=8, **plain, **recipe)
    run = DistillRun(on_meta(data, **shape), data, config)
    assert {"dsm", "sid", "generator"} <= set(run.advance().losses) and run.advance().step == 2


def test_samplers_read_nothing(data, monkeypatch) -> None:
    monkeypatch.setattr(sample, "noise_like", lambda x, generator: torch.randn_like(x))
    model, batch = on_meta(data), data.batch.to("meta")
    how = {"steps": 3, "generator": None}
    clean, each = model.embed(batch.ids), (model, model.schedule, batch)
    for x in (
        sample.ancestral(*each, clean, clamp=model.clamp, **how),
        sample.ddim(*each, clean, **how),
        sample.student(*each, clean, t_init=1490, **how),
    ):
        assert x.shape == clean.shape and x.is_meta


def test_a_read_would_be_found(data, monkeypatch) -> None:
    monkeypatch.setattr(update, "to_floats", lambda values: [float(value) for value in values])
    run = TeacherRun(on_meta(data), data, TeacherConfig(steps=1, batch_size=8, precision="float32"))
    with pytest.raises((RuntimeError, NotImplementedError)):
        run.advance()


def test_a_schedules_tables_are_sent_to_a_device_once(monkeypatch) -> None:
    schedule, x = Schedule(), torch.ones(2, 3, device="meta")
    first, t = schedule._tables(x.device, x.dtype), torch.ones(2, dtype=torch.long, device="meta")
    monkeypatch.setattr(schedule, "_alpha", None)  # nothing to send again
    assert schedule._tables(x.device, x.dtype) is first
    assert schedule.like(10, x)[0].shape == () and schedule.like(t, x)[1].shape == (2, 1)
    assert schedule(t)[0].device.type == "meta"
