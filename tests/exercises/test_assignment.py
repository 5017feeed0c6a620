"""Assignments for nbgrader: with the solutions every check passes, with stubs every check fails."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest

from dlmone_lite.__main__ import main
from dlmone_lite.errors import InputError
from dlmone_lite.exercises.assignment import assignment
from dlmone_lite.exercises.kinds import numbers, of_notebook

STUB = "raise NotImplementedError()"  # what nbgrader puts in place of a solution


def failures(cells: list[dict], stubbed: bool) -> list[str]:
    """The ids of the checks that fail, the code cells being run in their order."""
    names: dict = {}
    failed = []
    for cell in cells:
        grading = cell["metadata"].get("nbgrader", {})
        if cell["cell_type"] == "code":
            try:
                exec(STUB if stubbed and grading.get("solution") else cell["source"], names)
            except Exception:
                failed += [cell["id"]] if grading.get("grade") else []
    return failed


@pytest.mark.parametrize("number", numbers())
def test_solutions_pass_and_stubs_fail(number: str) -> None:
    made = assignment(number)
    nbformat.validate(made)
    checks = [cell["id"] for cell in made["cells"] if cell["id"].startswith("check-")]
    assert len(checks) == len(of_notebook(number))
    assert failures(made["cells"], stubbed=False) == []
    assert failures(made["cells"], stubbed=True) == checks


def test_no_answer_is_graded_as_another() -> None:
    """What a learner leaves out has no value from an earlier exercise."""
    for number in numbers():
        asked = [
            cell["source"].rpartition("(")[2]
            for cell in assignment(number)["cells"]
            if "check-" in cell["id"]
        ]
        assert len(set(asked)) == len(asked)


def test_points_are_minutes_and_checks_are_locked() -> None:
    (check,) = [cell for cell in assignment("04")["cells"] if cell["id"] == "check-04-5"]
    grading = check["metadata"]["nbgrader"]
    assert grading["points"] == 15 and grading["locked"] and grading["grade"] and not grading["solution"]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "made" / "06.ipynb"
    assert main(["assignment", "06", "--out", str(path)]) == 0
    assert json.loads(path.read_text(encoding="utf-8"))["nbformat"] == 4
    assert "points" in capsys.readouterr().out
    assert main(["assignment", "66"]) == 2
    assert "'66' has no exercises" in capsys.readouterr().err
    with pytest.raises(InputError, match="00, 01"):
        assignment("4")
