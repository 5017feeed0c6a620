"""Every sweep past the paper: its rows, its quick form, and a record of each kind of row."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dlmone_lite.__main__ import main
from dlmone_lite.beyond import catalogue, trial
from dlmone_lite.beyond.catalogue import PAST_THE_PAPER, plan, quick_plan, sweep
from dlmone_lite.errors import InputError
from dlmone_lite.files import read_records

FEW = {"steps": 2, "batch_size": 8, "psi_warmup": 1}
NO_TRAINING = ("samplers/", "worlds/", "masked/perfect")


@pytest.mark.parametrize("name", list(PAST_THE_PAPER))
def test_every_row_has_a_name_of_its_own_and_three_seeds(name: str) -> None:
    specs = plan(name)
    assert len({spec.key for spec in specs}) == len(specs) and {spec.seed for spec in specs} == {0, 1, 2}
    arms = {(spec.group, spec.arm) for spec in specs}
    assert 3 * len(arms) == len(specs), "every arm has every seed"
    quick = quick_plan(name)
    small = {(spec.group, spec.arm) for spec in specs if spec.world == "pocket"}
    assert {(spec.group, spec.arm) for spec in quick} == small and {spec.seed for spec in quick} == {0}
    assert all(spec.stages[0]["steps"] <= catalogue.QUICK for spec in quick)


def test_unknown_names_and_sweeps_without_a_quick_form_are_refused() -> None:
    with pytest.raises(InputError, match="diversity"):
        sweep("diversty")
    with pytest.raises(InputError, match="no quick form"):
        quick_plan("stages")


ROWS = [
    ("teacher-free", "ratio, both fresh"),
    ("embeddings", "shared, kept apart, adversary"),
    ("several-calls", "trained for 4, data"),
    ("diversity", "reverse KL, shared noise, repulsion"),
    ("anchors", "from scratch, SiD and adversary"),
    ("masked", "trained"),
    ("spaces", "encoder's states"),
    ("spaces", "one-hot vectors"),
    ("teachers", "self-conditioning"),
    ("teachers", "exact"),
    ("samplers", "second order, log"),
    ("transfer", "lessons"),
    ("transfer", "question-student"),
]


@pytest.mark.parametrize(("name", "arm"), ROWS)
def test_a_row_becomes_a_record(name: str, arm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "SAMPLES", 4)
    monkeypatch.setattr(trial, "SOURCES", 6)
    spec = next(spec for spec in plan(name) if spec.arm == arm)
    few = {key: value for key, value in FEW.items() if name != "masked" or key == "steps"}
    spec = replace(spec, stages=({**spec.stages[0], **few},))
    record = PAST_THE_PAPER[name].make(tmp_path, spec)
    again = PAST_THE_PAPER[name].make(tmp_path, spec)
    assert json.loads(json.dumps(record, allow_nan=False))["key"] == spec.key and record["diverged"] is None
    assert record["final"] and all(0 <= row["validity"] <= 1 and row["nfe"] >= 1 for row in record["final"])
    times = {"seconds", "teacher_seconds"}
    assert {k: v for k, v in record.items() if k not in times} == {
        k: v for k, v in again.items() if k not in times
    }


def test_shipped_rows_stand_in_the_order_of_the_plan_and_quick_ones_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = [spec.key for spec in plan("masked")]
    out, packed = tmp_path / "masked.jsonl", tmp_path / "shipped.jsonl.gz"
    out.write_text("".join(json.dumps({"key": key}) + "\n" for key in reversed(keys)), encoding="utf-8")
    monkeypatch.setattr("dlmone_lite.cli.sweep.shipped", lambda name: packed)
    assert main(["sweep", "masked", "--out", str(out), "--ship"]) == 0
    assert [record["key"] for record in read_records(packed)] == keys
    assert main(["sweep", "masked", "--quick", "--out", str(out), "--ship"]) == 2
    assert "quick" in capsys.readouterr().err
