"""published: every figure of ours comes from a record, beside what was published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pets
import pytest

from dlmone_lite.evaluation.published import (
    PUBLISHED,
    REAL,
    SCORES,
    TASKS,
    measured,
    ratio,
    seeds,
    table,
    zero_shot,
)
from dlmone_lite.maintain import results


def scored(name: str, nfe: int, bleu: float, self_bleu: float = 0.3, copies: float = 0.1) -> dict[str, Any]:
    scores = dict.fromkeys(SCORES, 0.5) | {
        "bleu": bleu,
        "self_bleu": self_bleu,
        "copies": copies,
        "bertscore": None,
    }
    spread = {"bleu_by_source": [bleu - 0.01, bleu + 0.01], "self_bleu_by_source": [self_bleu] * 2}
    if name == "student":  # has written for more sources
        spread = {key: [*values, 0.9] for key, values in spread.items()}
    return {"name": name, "nfe": nfe, **scores, **spread}


def write(folder: Path, name: str, world: str, sources: int, *rows: dict[str, Any], **more: Any) -> None:
    record = {"checkpoint": f"runs/{name}.safetensors", "world": world, "text_scores": rows, **more}
    record["settings"] = {"sources": sources, "samples": 3}
    path = folder / f"{name}{'-on-' + world if 'trained_on' in more else ''}.json"
    path.write_text(json.dumps(record), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    teacher = [scored("teacher", 2000, 0.2, 0.25), scored("teacher", 10, 0.1)]
    write(tmp_path, "qqp-teacher", "qqp", 64, scored("copy", 0, 0.31), *teacher)
    write(tmp_path, "qqp-student", "qqp", 256, scored("copy", 0, 0.32), scored("student", 1, 0.19))
    elsewhere = scored("copy", 0, 0.05), scored("student", 1, 0.02)
    write(tmp_path, "qqp-student", "quasar_t", 128, *elsewhere, trained_on="qqp")
    return tmp_path


def test_ours_stand_below_what_was_published(folder: Path) -> None:
    cells = table(measured(folder))
    assert [row[:3] for row in cells if row[0] == "QQP"] == [
        ["QQP", "DiffuSeq (arXiv 2210.08933)", "2000"],
        ["QQP", "DLM-One (arXiv 2506.00290)", "1"],
        ["QQP", "copy of the source", ""],
        ["QQP", "qqp-student", "1"],
        ["QQP", "qqp-teacher", "2000"],
        ["QQP", "qqp-teacher", "10"],
    ]
    student = next(row for row in cells if row[1] == "qqp-student")
    assert student[3:8] == ["0.190", "0.500", "0.500", "0.500", ""]
    assert student[-2:] == ["256 x 3", "qqp-student.json"]
    copy = next(row for row in cells if row[1].startswith("copy") and row[0] == "QQP")
    assert copy[3] == "0.320" and copy[-2] == "256"
    assert all(len(row) == len(cells[0]) for row in cells)
    short = table(measured(folder), ("bleu", "copies"))
    assert short[0][3:] == ["BLEU", "copies", "samples", "from"] and [row[:4] for row in short[1:]] == [
        row[:4] for row in cells[1:]
    ]


def test_student_over_teacher(folder: Path) -> None:
    found = ratio(measured(folder), "qqp", "qqp-student", "qqp-teacher")
    assert found.pop("low") == pytest.approx(0.18 / 0.19) and found.pop("high") == pytest.approx(0.20 / 0.21)
    assert found == {
        "bleu": pytest.approx(0.95), "self_bleu": pytest.approx(0.05), "copies": 0.0, "nfe": 2000, "sources": 2
    }  # fmt: skip
    assert ratio(measured(folder), "quasar_t", "qqp-student", "qqp-teacher") is None


def test_the_teacher_is_taken_at_its_best(folder: Path) -> None:
    write(folder, "qqp-teacher", "qqp", 64, scored("teacher", 2000, 0.2, 0.25), scored("teacher", 10, 0.21))
    assert ratio(measured(folder), "qqp", "qqp-student", "qqp-teacher")["nfe"] == 10


def test_training_seeds_are_found_by_name(folder: Path) -> None:
    for name in ("student-sharp", "student-seed10", "student-seed2"):
        write(folder, f"qqp-{name}", "qqp", 256, scored("student", 1, 0.14))
    rows = measured(folder)
    assert seeds(rows, "qqp-student") == ["qqp-student", "qqp-student-seed2", "qqp-student-seed10"]
    assert seeds(rows, "qqp-nobody") == []


def test_the_table_of_ratios_has_further_seeds(folder: Path) -> None:
    write(folder, "qqp-student-sharp", "qqp", 256, scored("student", 1, 0.1904, 0.249))
    write(folder, "qqp-student-seed1", "qqp", 256, scored("student", 1, 0.24, copies=0.04))
    rows = measured(folder)
    names = {row[1] for row in results.real(rows)}
    assert "qqp-student" in names and "qqp-student-seed1" not in names
    kept = {row[1]: row for row in list(results.kept(rows))[1:]}
    assert kept["`qqp-student`"] == [
        "QQP", "`qqp-student`", "2000", "2", "0.95", "0.95 to 0.95", "+0.05", "+0.00"
    ]  # fmt: skip
    assert kept["`qqp-student-sharp`"][6] == "+0.00", "not -0.00"
    assert kept["`qqp-student-seed1`"][4:8] == ["1.20", "1.19 to 1.21", "+0.05", "-0.06"]


def test_zero_shot_is_told_apart(folder: Path) -> None:
    assert zero_shot(measured(folder)) == {"qqp": {"qqp": 0.19, "quasar_t": 0.02}}
    assert [row for row in table(measured(folder)) if row[0] == "Quasar-T" and row[1] == "qqp-student"] == []


def test_the_command_prints_both(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = pets.run(capsys, "scores", "--records", folder)
    assert "| QQP | qqp-teacher | 2000 | 0.200 |" in out and "| trained on qqp | 0.190 | 0.020 |" in out
    empty = folder / "empty"
    empty.mkdir()
    assert "holds no record" in pets.fail(capsys, "scores", "--records", empty)
    (empty / "x.json").write_text("[1]")
    assert "x.json is no record" in pets.fail(capsys, "scores", "--records", empty)


def test_published_and_shipped_rows() -> None:
    assert {row["task"] for row in PUBLISHED} == set(TASKS) and len(PUBLISHED) == 6
    assert {row["task"] for row in measured(REAL)} <= set(TASKS)
