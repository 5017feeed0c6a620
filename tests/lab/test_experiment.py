"""experiment: teachers of the pocket world, and what a run leaves behind; in a few updates."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import same_weights

from dlmone_lite.corpora.pocket import lab_data, lab_world
from dlmone_lite.errors import InputError
from dlmone_lite.lab import experiment
from dlmone_lite.lab.experiment import (
    History,
    Spec,
    evaluate,
    run_experiment,
    start_networks,
    start_stage,
    train_stage,
    train_teacher,
    warm_student,
)
from dlmone_lite.model import ModelConfig
from dlmone_lite.variants.recipes import RECIPES, Recipe


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two updates a teacher, four a distillation, a very small network, few samples."""
    monkeypatch.setattr(experiment, "SHAPE", ModelConfig(embed_dim=8, width=16, depth=1, heads=2))
    monkeypatch.setattr(experiment, "TEACHERS", dict.fromkeys(experiment.TEACHERS, 2))
    monkeypatch.setattr(experiment, "BASE", replace(experiment.BASE, steps=4, batch_size=4, psi_warmup=1))
    monkeypatch.setattr(
        experiment, "WARM", replace(experiment.WARM, steps=2, batch_size=4, samples=2, sources=8)
    )
    pocket = Recipe(replace(RECIPES["pocket"].first, steps=2, batch_size=4, psi_warmup=1))
    monkeypatch.setitem(RECIPES, "pocket", pocket)
    monkeypatch.setattr(experiment, "SAMPLES", 4)


def test_a_teacher_is_trained_once(tmp_path: Path) -> None:
    first = train_teacher("trained", 8, tmp_path)
    (path,) = tmp_path.iterdir()
    stamp = path.stat().st_mtime_ns
    again = train_teacher("trained", 8, tmp_path)
    assert same_weights(first.model, again.model) and path.stat().st_mtime_ns == stamp
    assert again.provenance["steps"] == 2 and again.role == "teacher"


def test_a_run_starts_warm_or_as_the_teacher(tmp_path: Path) -> None:
    teacher, student = start_networks(Spec("try", "x", start="teacher"), tmp_path)
    assert same_weights(teacher.model, student.model)
    teacher, warm = start_networks(Spec("try", "x"), tmp_path)
    assert (warm.role, warm.sampling) == ("student", {"t_init": 1490}) and warm.provenance["steps"] == 2
    assert not same_weights(teacher.model, warm.model)
    assert same_weights(warm.model, warm_student("trained", 8, tmp_path).model)
    _, distilled = start_networks(Spec("try", "x", start="student"), tmp_path)
    assert distilled.sampling == {"t_init": 1490, "rho": 1.0} and distilled.provenance["steps"] == 2
    run = start_stage(Spec("try", "x"), teacher, warm, None, 1)
    assert same_weights(run.theta, warm.model) and same_weights(run.psi, teacher.model)
    for wrong in (Spec("try", "x", start="cold"), Spec("try", "x", teacher="none")):
        with pytest.raises(InputError, match="known: "):
            start_networks(wrong, tmp_path)


def test_a_record_tells_everything(tmp_path: Path) -> None:
    stages = ({"mu": 0.5}, {"steps": 2, "b_g": 0.0})
    record, run = run_experiment(Spec("try", "two stages", stages, seed=3), tmp_path)
    assert json.loads(json.dumps(record, allow_nan=False))["key"] == "try/two stages/3"
    looks = [(e["stage"], e["step"]) for e in record["evaluations"]]
    assert looks == [(1, 0), (1, 1), (1, 2), (1, 3), (1, 4), (2, 5), (2, 6)]
    assert [e["nfe"] for e in record["final"]] == [1, 2, 4, 8]
    scores = {"validity", "tv", "tv_excess", "coverage", "bleu", "rouge_l", "dist_1", "self_bleu", "div_4"}
    for seen in record["evaluations"] + record["final"]:
        assert scores <= set(seen) and len(seen["sentences"]) == experiment.SHOWN
        assert {"repetition", "empty", "copy", "grip", "variety", "modes", "margin"} <= set(seen["signs"])
    assert set(record["evaluations"][-1]["losses"]) >= {"dsm", "discriminator"}
    assert record["diverged"] is None and run.config.b_g == 0.0 and run.config.mu == experiment.BASE.mu


def test_a_shipped_world_is_a_laboratory_too(tmp_path: Path) -> None:
    spec = Spec("try", "x", ({"steps": 1, "psi_warmup": 0},), world="paraphrase")
    record, run = run_experiment(spec, tmp_path)
    teacher, student = start_networks(spec, tmp_path)
    assert same_weights(run.phi, teacher.model) and student.role == "student" and not list(tmp_path.iterdir())
    first, sources = record["evaluations"][0], lab_world("paraphrase").split_sources("test")
    assert first["validity"] > 0.9 and set(first["sentences"]) <= set(sources)


def test_the_same_spec_makes_the_same_record(tmp_path: Path) -> None:
    first, second = (run_experiment(Spec("try", "again"), tmp_path)[0] for _ in range(2))
    assert {k: v for k, v in first.items() if k != "seconds"} == {
        k: v for k, v in second.items() if k != "seconds"
    }


def test_settings_change_halfway(tmp_path: Path) -> None:
    stage = {"steps": 6, "psi_warmup": 1, "lr_shape": "constant", "warmup": 0, "halfway": {"lr": 1e-3}}
    teacher, student = start_networks(Spec("try", "x"), tmp_path)
    run = start_stage(Spec("try", "x", (stage,)), teacher, student, None, 1)
    rates, lr = [], run.lr
    run.lr = lambda: rates.append(lr()) or rates[-1]
    train_stage(run, History(teacher.codec), halfway=stage["halfway"])
    assert rates == [3e-3] * 3 + [1e-3] * 3 and run.config.lr_psi == 3e-3


def test_stages_restart_psi_unless_told_otherwise(tmp_path: Path) -> None:
    teacher = train_teacher("trained", 8, tmp_path)
    one = start_stage(Spec("try", "x"), teacher, teacher, None, 1)
    list(one)
    for restart in (True, False):
        two = start_stage(Spec("try", "x", ({}, {"restart": restart})), teacher, teacher, one, 2)
        assert same_weights(two.psi, teacher.model if restart else one.psi)
        assert same_weights(two.theta, one.theta)


def test_the_exact_teacher_gives_the_target_scores(tmp_path: Path) -> None:
    teacher = train_teacher("exact", 8, tmp_path)
    run = start_stage(Spec("try", "x", teacher="exact"), teacher, teacher, None, 1)
    data = lab_data(teacher.codec)
    batch = data.batch[torch.arange(6)]
    clean = teacher.model.embed(batch.ids)
    almost = run.phi(clean, torch.full((6,), 1), batch)  # at hardly any noise the truth is seen
    assert torch.allclose(almost, clean, atol=1e-3) and not torch.allclose(
        run.psi(clean, torch.full((6,), 1), batch), clean, atol=1e-3
    )


def test_a_diverged_run_still_leaves_its_record(tmp_path: Path) -> None:
    record, _ = run_experiment(Spec("try", "nan", ({"lr": 1000.0, "b_g": 1e6},)), tmp_path)
    assert "at step" in record["diverged"] and record["final"]


def test_sentences_are_those_of_the_sources(tmp_path: Path) -> None:
    seen = evaluate(train_teacher("trained", 8, tmp_path), 2)
    assert set(seen["sentences"]) <= set(lab_world().split_sources("test"))
    assert all(0 < sum(counts.values()) <= experiment.SAMPLES for counts in seen["sentences"].values())


def test_what_is_shipped_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment, "TEACHERS", {"trained": 1500})
    teacher, student = start_networks(Spec("try", "x"), tmp_path)
    assert list(tmp_path.iterdir()) == [] and teacher.provenance["metrics"]["validity"] > 0.95
    assert student.provenance["metrics"]["nfe"] == 1
