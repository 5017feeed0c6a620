"""divergences: the rows of the comparison, each method trained for two updates."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlmone_lite.beyond.catalogue import plan, sweep
from dlmone_lite.lab import divergences
from dlmone_lite.lab.experiment import Spec
from dlmone_lite.schedule import Schedule

PLAN = plan("divergences")


def changes_of(spec: Spec) -> dict[str, object]:
    (stage,) = spec.stages
    return {name: value for name, value in stage.items() if name not in ("method", "steps", "rho")}


def test_every_objective_is_there_with_both_kinds_of_noise_and_three_seeds() -> None:
    assert len({spec.key for spec in PLAN}) == len(PLAN) and {spec.seed for spec in PLAN} == {0, 1, 2}
    arms = {(spec.arm, spec.stages[0]["rho"]) for spec in PLAN if spec.group == "score distillation"}
    assert len(arms) == 2 * len(divergences.OBJECTIVES)
    for name in divergences.OBJECTIVES:
        pair = [spec for spec in PLAN if spec.arm.startswith(f"{name}, ") and spec.seed == 0]
        (one, two), steps = map(changes_of, pair), {spec.stages[0]["steps"] for spec in pair}
        assert one == two and len(steps) == 1, "they differ in their noise alone"


def test_each_lesson_changes_one_thing() -> None:
    start = {**divergences.OBJECTIVES["reverse KL"], "rho": 1.0, "method": "distill"}
    for spec in (spec for spec in PLAN if spec.group == "lessons" and spec.seed == 0):
        now = dict(spec.stages[0])
        new = {name: now[name] for name in now if now[name] != start.get(name)}
        assert new in divergences.LESSONS.values() and set(start) <= set(now), "nothing else changes or goes"
        start = now


@pytest.mark.parametrize("calls", [1, 2, 3, 8])
def test_a_teachers_calls_are_well_placed(calls: int) -> None:
    times = divergences.well_placed(Schedule(), calls)
    assert len(times) == calls + 1 and (times[0], times[-1]) == (2000, 0)
    assert all(t > s for t, s in zip(times, times[1:], strict=False))


@pytest.mark.parametrize(
    "arm", ["teacher in", "undistilled, shared", "warm", "progressive", "SiD + adversary, SiDA's"]
)
def test_a_row_becomes_a_record(arm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(divergences, "SOURCES", 2)
    monkeypatch.setattr(divergences, "SAMPLES", 4)
    spec = next(spec for spec in PLAN if spec.arm.startswith(arm))
    (stage,) = spec.stages
    small = {"steps": 2, "batch_size": 8, "precision": "float32"} | (
        {"calls": 2} if arm == "progressive" else {}
    )
    small |= {"sources": 2, "samples": 2} if arm == "warm" else {}
    trained = stage["method"] not in ("none", "teacher")
    short = Spec(
        spec.group, spec.arm, ({**stage, **small} if trained else stage,), world=spec.world, start=spec.start
    )
    record = sweep("divergences").make(tmp_path, short)
    assert [row["nfe"] for row in record["final"]] == ([1, 2, 4, 8] if arm == "teacher in" else [1, 2])
    assert record["key"] == spec.key and record["diverged"] is None and (record["seconds"] > 0) == trained
    assert {"validity", "right_excess", "coverage"} <= set(record["final"][0])
