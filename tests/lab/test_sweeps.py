"""sweeps: the plans, and a file of records that survives a kill."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from pathlib import Path

import pets
import pytest

from dlmone_lite.beyond.catalogue import plan
from dlmone_lite.distill import DistillConfig
from dlmone_lite.errors import InputError
from dlmone_lite.files import read_records
from dlmone_lite.lab import patients, sweeps
from dlmone_lite.lab.experiment import BASE, STARTS, Spec
from dlmone_lite.lab.sweeps import execute, keep


@pytest.mark.parametrize("name", list(sweeps.SWEEPS))
def test_every_run_has_a_name_of_its_own_and_known_settings(name: str) -> None:
    specs = plan(name)
    assert max(Counter(spec.key for spec in specs).values()) == 1
    known = set(DistillConfig.__dataclass_fields__) | {"restart", "halfway", "method", "sources"}
    assert all(set(stage) <= known for spec in specs for stage in spec.stages)


def test_the_grids_are_full() -> None:
    cells = Counter(
        (s.stages[0]["b_d"], s.stages[0]["b_g"]) for s in plan("coefficients") if s.group == "b_d x b_g"
    )
    assert len(cells) == 25 and set(cells.values()) == {2}
    assert len(plan("coefficients")) <= 300


def test_stages_of_equal_length_give_theta_as_many_updates() -> None:
    updates = {}
    for spec in plan("stages"):
        stages = [{**vars(BASE), **stage} for stage in spec.stages]
        updates[spec.arm] = sum(stage["steps"] - stage["psi_warmup"] for stage in stages)
    assert set(updates.values()) == {300, 600} and {arm for arm in updates if updates[arm] == 300} == {
        "one stage"
    }


def test_a_band_of_late_t_is_all_that_its_runs_differ_in() -> None:
    bands = [spec.stages[0] for spec in plan("noise") if spec.group == "band" and spec.seed == 0]
    assert len({(stage["late_from"], stage["late_to"]) for stage in bands}) == len(bands) == 5
    same = [{k: v for k, v in stage.items() if not k.startswith("late_")} for stage in bands]
    assert all(stage == same[0] for stage in same) and {stage["late_weight"] for stage in bands} == {1.0}
    assert sorted(stage["late_share"] for stage in bands) == [0.0, 0.3, 0.3, 0.3, 0.3]


def test_every_patient_gets_the_papers_advice() -> None:
    for one in patients.PATIENTS:
        was = {**vars(BASE), **one.changes}
        tried = patients.treatments(one)
        assert tried["as it was"] == {"steps": 200}
        assert tried["b_g raised"]["b_g"] > was["b_g"] and tried["b_g raised"]["b_d"] >= was["b_d"]
        assert tried["a tenth of the rates"]["lr"] == pytest.approx(was["lr"] / 10)
        assert tried["psi restarted"]["restart"] and not set(tried["psi restarted"]) & {"lr", "b_g"}
        assert {**was, **tried["a healthy run's settings"], "steps": 0} == {**vars(BASE), "steps": 0}
        early = patients.prevention(one)
        assert early["b_g raised"]["b_g"] == tried["b_g raised"]["b_g"] and len(early) == 2
        assert {k: v for k, v in early["b_g raised"].items() if k[:2] != "b_"} == {
            k: v for k, v in one.changes.items() if k[:2] != "b_"
        }
    specs = plan("treatments")
    starts = {(spec.start, spec.arm) for spec in specs if spec.start not in STARTS}
    assert len(starts) == len(patients.PATIENTS) * len(tried)
    first = next(spec for spec in specs if spec.arm.startswith(sweeps.EARLY))
    assert first.start == "warm" and first.group == "A"


def test_an_unknown_sweep_is_refused() -> None:
    with pytest.raises(InputError, match="no sweep 'stage'.*stages"):
        plan("stage")


def test_finished_runs_are_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    specs = [Spec("try", arm) for arm in "abc"]
    path = tmp_path / "records.jsonl"
    path.write_text(
        json.dumps({"key": specs[1].key, "old": True}) + '\n{"key": "try/c/0", "cut', encoding="utf-8"
    )
    made: list[str] = []

    class Here:  # a pool without processes
        def __init__(self, jobs: int, initializer: object) -> None:
            assert jobs == 2

        def __enter__(self) -> Here:
            return self

        def __exit__(self, *stop: object) -> None:
            pass

        def imap_unordered(self, function, items):
            for item in items:
                made.append(item.key)
                yield {"key": item.key}

    monkeypatch.setattr(
        sweeps.multiprocessing, "get_context", lambda kind: type("Context", (), {"Pool": Here})
    )
    told: list[tuple[int, int]] = []
    prepared: list[Spec] = []
    records = execute(
        specs, path, tmp_path, 2, lambda record, done, total: told.append((done, total)),
        prepare=lambda spec, folder: prepared.append(spec),
    )  # fmt: skip
    assert len(prepared) == 1  # they begin with the same networks
    assert made == ["try/a/0", "try/c/0"] and told == [(2, 3), (3, 3)]
    assert (
        [r["key"] for r in records]
        == [r["key"] for r in read_records(path)]
        == ["try/b/0", "try/a/0", "try/c/0"]
    )
    assert read_records(path)[0]["old"] is True
    assert execute(specs, path, tmp_path, 2) == read_records(path) and len(made) == 2


def test_the_command_lists_refuses_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.jsonl"
    first = plan("stages")[0]
    path.write_text(json.dumps({"key": first.key}) + "\n", encoding="utf-8")
    lines = pets.run(capsys, "sweep", "stages", "--out", path, "--list").splitlines()
    assert lines[0] == f"done  {first.key}" and len(lines) == len(plan("stages"))
    assert "coefficients, stages" in pets.fail(capsys, "sweep", "states")
    assert "'teacher'" in pets.fail(capsys, "sweep", "coefficients", "--group", "teachers")
    made: list[str] = []

    def execute(specs, path, folder, jobs, told, make, prepare):
        for spec in specs:
            made.append(spec.key)
            final = [{"validity": 0.5, "tv_excess": 0.25, "coverage": 1.0}]
            told({"key": spec.key, "final": final, "seconds": 9}, 2, 36)

    monkeypatch.setattr(sweeps, "execute", execute)
    monkeypatch.chdir(tmp_path)
    out = pets.run(capsys, "sweep", "stages", "--out", path, "--limit", "1")
    assert made == [plan("stages")[1].key] and "0.250" in out and "2/36" in out


def test_the_summary_has_means_over_seeds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, lines = tmp_path / "s.jsonl", []
    for seed, validity in enumerate((0.5, 0.7)):
        end = {"nfe": 1, "validity": validity, "tv_excess": 0.2, "coverage": 1.0}
        spec = {"group": "stages", "arm": "one stage", "seed": seed}
        lines.append(json.dumps({"key": f"{seed}", "spec": spec, "final": [end]}))
    path.write_text("\n".join(lines), encoding="utf-8")
    out = pets.run(capsys, "sweep", "stages", "--out", path, "--summary")
    assert "stages/one stage" in out and "0.600 ±0.141" in out and "1.000 ±0.000" in out
    assert "holds no record with scores" in pets.fail(
        capsys, "sweep", "stages", "--out", tmp_path / "none", "--summary"
    )
    told = pets.run(capsys, "sweep", "clinic", "--summary")
    assert "mode collapse" in told and "false alarms" in told


def test_a_full_disk_loses_no_finished_run(tmp_path: Path) -> None:
    class Full(io.FileIO):
        def write(self, data: bytes) -> int:
            if len(data) < 20:
                raise OSError(28, "No space left on device")
            return super().write(data[:20])

    path = tmp_path / "sweep.jsonl"
    path.write_text('{"key": "old"}\n')
    with pytest.raises(InputError, match="the finished run is in .*append that line") as caught:
        with Full(path, "a") as file:
            keep(file, {"key": "a", "seconds": 1.0})
    assert path.read_text() == '{"key": "old"}\n'  # without a part of the line, so that it can be appended
    kept = Path(re.search(r"finished run is in (\S+):", str(caught.value))[1])
    assert json.loads(kept.read_text()) == {"key": "a", "seconds": 1.0}
    kept.unlink()
