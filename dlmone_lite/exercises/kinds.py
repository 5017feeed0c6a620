"""What an exercise and a quick question are, how an answer can fail, and where exercises are looked up.

Of notebook NN, `nbNN.md` holds the texts and solutions, and `nbNN.py` the checks of the exercises.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib import resources
from typing import Any

from dlmone_lite.errors import InputError, nearest
from dlmone_lite.exercises.compare import CHECKS, Check, Wrong

# One exercise in nbNN.md: "## 01.1 `variable`", or "## 01.a b" for a question and its right letter; the task;
# items "- key: text", where the key is aim, time, hint, right or a wrong letter; the solution.
HEAD = re.compile(r"^## (\S+) (\S+)$", re.MULTILINE)
ITEM = re.compile(r"^- (\w+): ", re.MULTILINE)


@dataclass(frozen=True)
class Exercise:
    """One task. `check(answer)` returns when the answer is right and raises `Wrong(feedback)` when it is not.

    `solution` is Python source that leaves the right answer in the variable `variable`.
    """

    name: str  # "01.1", or "01.a" for a quick question
    task: str
    check: Check
    variable: str
    solution: str
    hints: tuple[str, ...]
    praise: str
    aim: str = ""  # what one learns; questions have neither aim nor time
    time: str = ""  # "10 minutes, core"; the levels are warm-up, core, stretch

    @property
    def minutes(self) -> int:
        """How long it takes; a question takes one minute."""
        return int(self.time.split()[0]) if self.time else 1


def check_letter(right: str, feedback: Mapping[str, str], answer: Any) -> None:
    """Check the answer to a question, "b" or "(b)"; `feedback` has a line for every wrong letter."""
    letter = str(answer).strip(" ()[].:\t\n").lower()
    if letter != right:
        letters = ", ".join(sorted({right, *feedback}))
        raise Wrong(feedback.get(letter, f"{answer!r} is not one of the choices {letters}."))


def _exercise(name: str, key: str, body: str) -> Exercise:
    """The exercise of one section: `key` is its variable, or the right letter of a question."""
    prose, _, code = body.partition("```python\n")
    task, *items = (" ".join(text.split()) for text in ITEM.split(prose))
    texts = list(zip(items[::2], items[1::2], strict=True))
    hints = tuple(text for what, text in texts if what == "hint")
    praise = f"Right: {dict(texts)['right']}"

    if key.startswith("`"):
        solution, (aim, time) = code.partition("```")[0], (dict(texts)["aim"], dict(texts)["time"])
        return Exercise(name, task, CHECKS[name], key.strip("`"), solution, hints, praise, aim, time)
    feedback = {letter: text for letter, text in texts if letter not in ("hint", "right")}
    check = partial(check_letter, key, feedback)
    return Exercise(name, task, check, "answer", f"answer = {key!r}", hints, praise)


def numbers() -> list[str]:
    """The numbers of the notebooks that have exercises, in order."""
    names = (file.name for file in resources.files(__package__).iterdir())
    return sorted(name[2:-3] for name in names if re.fullmatch(r"nb\d\d\.md", name))


@cache
def of_notebook(number: str) -> dict[str, Exercise]:
    """The exercises of one notebook by name, in order; a notebook without exercises has none."""
    if number not in numbers():
        return {}
    importlib.import_module(f"{__package__}.nb{number}")  # fills `CHECKS`
    text = resources.files(__package__).joinpath(f"nb{number}.md").read_text(encoding="utf-8")
    _, *parts = HEAD.split(text)
    sections = zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    return {name: _exercise(name, key, body) for name, key, body in sections}


def get(name: str) -> Exercise:
    """The exercise called `name`; InputError if there is none."""
    exercises = of_notebook(name.split(".")[0])
    if name not in exercises:
        raise InputError(
            f"there is no exercise {name!r}{nearest(name, exercises)}; "
            f"known here: {', '.join(exercises) or 'none, names look like 01.1'}"
        )
    return exercises[name]
