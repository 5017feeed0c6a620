"""records: rounding, and a file whose last line a kill cut off."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlmone_lite import files
from dlmone_lite.errors import InputError
from dlmone_lite.files import pack, read_records, recorded, rounded


def test_measurements_have_four_digits() -> None:
    assert rounded({"a": [1 / 3, 12345.678, 7, "x", None]}) == {"a": [0.3333, 12350.0, 7, "x", None]}


def test_a_line_that_a_kill_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_text('{"key": 1}\n{"key": 2, "cu', encoding="utf-8")
    assert read_records(path) == [{"key": 1}] and read_records(tmp_path / "none") == []


def test_packed_records_come_back_and_are_the_same_bytes(tmp_path: Path) -> None:
    runs = [{"key": "a", "score": 0.5}, {"key": "ü"}]
    a, b = tmp_path / "a.jsonl.gz", tmp_path / "b.jsonl.gz"
    pack(runs, a)
    pack(runs, b)
    assert read_records(a) == runs and a.read_bytes() == b.read_bytes()


def test_a_missing_record_says_how_to_restore_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "RUNS", tmp_path)
    with pytest.raises(InputError, match="sweep-none.jsonl.gz is missing; restore it with: git checkout"):
        recorded("none")


@pytest.mark.parametrize("name", ["coefficients", "stages", "clinic"])
def test_shipped_records_are_runs_of_their_sweep(name: str) -> None:
    from dlmone_lite.lab.sweeps import plan

    found = recorded(name)
    keys = [record["key"] for record in found]
    assert found and len(keys) == len(set(keys)) and set(keys) <= {spec.key for spec in plan(name)}
