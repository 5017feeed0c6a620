"""Exercises and quick questions: `check("01.1", answer)`, `hint("01.1")`, `solution("01.1")`.

Those of notebook NN are the tuple `EXERCISES` of the module `dlmone_lite.exercises.nbNN`. What is solved is
remembered, see `progress`.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from dlmone_lite.errors import InputError, nearest
from dlmone_lite.exercises.progress import remember


class NotAttempted(Exception):
    """There is no answer yet: None, ..., or a function that gives either or raises NotImplementedError."""


class Wrong(Exception):
    """The answer is wrong; the message is the feedback meant for this very mistake."""


@dataclass(frozen=True)
class Exercise:
    """One task. `check(answer)` returns when the answer is right and raises `Wrong(feedback)` when it is not.

    `solution` is Python source that leaves the right answer in the variable `variable`.
    """

    name: str  # "01.1", or "01.a" for a quick question
    task: str
    check: Callable[[Any], None]
    variable: str
    solution: str
    hints: tuple[str, str]
    praise: str = "Right."


def question(
    name: str, task: str, right: str, feedback: Mapping[str, str], hints: tuple[str, str], praise: str
) -> Exercise:
    """A quick question answered by a letter; `feedback` has a line for every wrong letter."""

    def check_letter(answer: Any) -> None:
        letter = str(answer).strip().lower()
        if letter != right:
            letters = ", ".join(sorted({right, *feedback}))
            raise Wrong(feedback.get(letter, f"{answer!r} is not one of the choices {letters}."))

    return Exercise(name, task, check_letter, "answer", f"answer = {right!r}", hints, praise)


def ask(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a learner's function returns; a stub is `NotAttempted`, an exception of its own is `Wrong`."""
    if not callable(function):
        raise Wrong(f"Pass the function itself, its name without brackets; not a {type(function).__name__}.")
    try:
        value = function(*arguments)
    except NotImplementedError as error:
        raise NotAttempted from error
    except Exception as error:
        raise Wrong(f"Your function raised {type(error).__name__}: {error}") from error
    if value is None or value is ...:
        raise NotAttempted
    return value


# ---- finding them


def _module(name: str) -> ModuleType | None:
    path = f"{__name__}.nb{name.split('.')[0]}"
    return importlib.import_module(path) if importlib.util.find_spec(path) else None


def get(name: str) -> Exercise:
    """The exercise called `name`; InputError if there is none."""
    module = _module(name)
    known = {exercise.name: exercise for exercise in module.EXERCISES} if module else {}
    if name not in known:
        raise InputError(
            f"there is no exercise {name!r}{nearest(name, known)}; "
            f"known here: {', '.join(known) or 'none, names look like 01.1'}"
        )
    return known[name]


# ---- what a learner calls


def check(name: str, answer: Any) -> None:
    """Print whether `answer` is right, and if not, what is likely wrong with it."""
    exercise = get(name)
    try:
        if answer is None or answer is ...:
            raise NotAttempted
        exercise.check(answer)
    except NotAttempted:
        print(f"{name}: not attempted yet. {exercise.task}")
    except Wrong as feedback:
        print(f"{name}: not yet. {feedback}")
    except Exception as error:  # an answer of a kind the check cannot even compare
        print(f"{name}: not yet. The check cannot use this answer ({type(error).__name__}: {error}).")
    else:
        print(f"{name}: {exercise.praise}")
        remember(name)


@dataclass
class _Shown:
    """How many hints of each exercise were shown in this session."""

    counts: dict[str, int] = field(default_factory=dict)


_SHOWN = _Shown()


def hint(name: str) -> None:
    """Print the first hint; called again, the second."""
    hints = get(name).hints
    which = min(_SHOWN.counts.get(name, 0), len(hints) - 1)
    _SHOWN.counts[name] = which + 1
    more = "" if which == len(hints) - 1 else f'\n(one more: hint("{name}") again)'
    print(f"Hint {which + 1} of {len(hints)}: {hints[which]}{more}")


def solution(name: str) -> None:
    """Print a solution."""
    print(get(name).solution.strip())


def reveal(guess: float | str | None, truth: float | str, within: float = 0.0) -> None:
    """Set a learner's guess beside the truth: `within` is how far off a number may be to count as right."""
    shown = truth if isinstance(truth, str) else f"{truth:.0f}" if abs(truth) >= 100 else f"{truth:.2g}"
    if guess is None or guess is ...:
        print(f"No guess yet. It is {shown}.")
        return
    if isinstance(truth, str):
        right = str(guess).strip().lower() == truth.lower()
    else:
        right = abs(float(guess) - truth) <= within
    print(f"You guessed {guess}; it is {shown}: {'well judged' if right else 'not what most of us expect'}.")
