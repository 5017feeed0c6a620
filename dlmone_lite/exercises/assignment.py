"""The exercises of a notebook as an assignment that nbgrader hands out and grades.

Each has three cells: the task; a place for the answer, where nbgrader puts a stub for the solution; and a
locked check, whose points are the minutes of the exercise. A check says what is wrong, as in the course.
"""

from __future__ import annotations

from typing import Any

from dlmone_lite.errors import InputError
from dlmone_lite.exercises.kinds import Exercise, numbers, of_notebook

SETUP = (
    "import math\n\nimport torch\nimport torch.nn.functional as F\n\nfrom dlmone_lite.exercises import get"
)


def assignment(number: str) -> dict[str, Any]:
    """The notebook, as nbformat's JSON, with the exercises of notebook `number`, "04"; InputError if none."""
    if number not in numbers():
        raise InputError(f"notebook {number!r} has no exercises; those that have: {', '.join(numbers())}")
    exercises = of_notebook(number).values()
    cells = [_markdown("title", f"# Notebook {number}: exercises"), _code("setup", SETUP)]
    for exercise in exercises:
        cells += _cells(exercise)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def _cells(exercise: Exercise) -> list[dict[str, Any]]:
    key, points, variable = exercise.name.replace(".", "-"), exercise.minutes, exercise.variable
    lead, answer = f"**{exercise.name}** · {exercise.time}. You learn to {exercise.aim}.", exercise.solution
    if not exercise.time:  # a question: its own variable, so that no answer is graded as another's
        lead, variable = f"**{exercise.name}**", f"answer_{key.replace('-', '_')}"
        answer = answer.replace(exercise.variable, variable)
    answer = f"### BEGIN SOLUTION\n{answer.strip()}\n### END SOLUTION"
    check = f'get("{exercise.name}").check({variable})'
    return [
        _markdown(f"task-{key}", f"{lead}\n\n{exercise.task}\n\nLeave the answer in `{variable}`."),
        _code(f"answer-{key}", answer, grade=False, locked=False, solution=True),
        _code(f"check-{key}", check, grade=True, locked=True, solution=False, points=points),
    ]


def _markdown(name: str, text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": text}


def _code(name: str, source: str, **grading: bool | int) -> dict[str, Any]:
    marks = {"nbgrader": {**grading, "grade_id": name, "schema_version": 3, "task": False}}
    cell = {"cell_type": "code", "id": name, "metadata": marks if grading else {}, "source": source}
    return {**cell, "execution_count": None, "outputs": []}
