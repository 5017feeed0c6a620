"""Exercises and quick questions: `check("01.1", answer)`, `hint("01.1")`, `solution("01.1")`.

Those of notebook NN stand in `nbNN`; `kinds` finds them, `compare` holds what their checks share, `ask` shows
questions and predictions to be clicked, and `progress` remembers which are solved.
"""

from __future__ import annotations

import textwrap
from typing import Any

from dlmone_lite.exercises.compare import NotAttempted, Wrong
from dlmone_lite.exercises.kinds import Exercise, get
from dlmone_lite.exercises.progress import remember

__all__ = ["Exercise", "check", "get", "hint", "solution", "use"]


def _say(text: str) -> None:
    """Print text in lines that fit the screen, because a notebook breaks longer ones inside words."""
    for line in text.splitlines():
        print(textwrap.fill(line, 96, break_long_words=False, break_on_hyphens=False))


def check(name: str, answer: Any) -> None:
    """Print whether `answer` is right, and if not, what is likely wrong with it."""
    exercise = get(name)
    try:
        if answer is None or answer is ...:
            raise NotAttempted
        exercise.check(answer)
    except NotAttempted:
        _say(f"{name}: not attempted yet. {exercise.task}")
    except Wrong as feedback:
        _say(f"{name}: not yet. {feedback}")
    except Exception as error:  # an answer of a kind that the check cannot even compare
        _say(f"{name}: not yet. The check cannot use this answer ({type(error).__name__}: {error}).")
    else:
        _say(f"{name}: {exercise.praise}")
        remember(name)


def use(name: str, answer: Any, otherwise: Any) -> Any:
    """The learner's answer if it is right, and otherwise the library's: what later cells go on with."""
    try:
        get(name).check(answer)
    except NotAttempted:
        return otherwise
    except Exception:  # whatever is wrong with it, `check` has said it
        _say(f"Your answer to {name} is not right yet: the library's is used from here on.")
        return otherwise
    _say(f"Your answer to {name} is used from here on.")
    return answer


_SHOWN: dict[str, int] = {}  # hints of each exercise that were shown in this session


def hint(name: str) -> None:
    """Print the first hint; called again, the second."""
    hints = get(name).hints
    which = min(_SHOWN.get(name, 0), len(hints) - 1)
    _SHOWN[name] = which + 1
    more = "" if which == len(hints) - 1 else f'\n(one more: hint("{name}") again)'
    _say(f"Hint {which + 1} of {len(hints)}: {hints[which]}{more}")


def solution(name: str) -> None:
    """Print a solution."""
    print(get(name).solution.strip())
