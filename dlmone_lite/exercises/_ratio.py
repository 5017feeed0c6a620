"""The check of exercise 09.3: an interval for the ratio of two means, by drawing sources anew."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from statistics import fmean, pstdev
from typing import Any

from dlmone_lite.exercises import Wrong, ask

STUDENT, TEACHER = [0.05, 0.30, 0.10, 0.20, 0.02, 0.15], [0.10, 0.25, 0.10, 0.30, 0.04, 0.20]
DRAWS = [Random(seed).choices(range(6), k=6) for seed in range(200)]


def middle(values: Sequence[float], share: float = 0.95) -> tuple[float, float]:
    """The ends of the middle `share` of the values."""
    ordered, out = sorted(values), int((1 - share) / 2 * len(values) + 1e-9)
    return ordered[out], ordered[-1 - out]


def ratios(student: Sequence[float], teacher: Sequence[float], draws: Sequence[Sequence[int]]) -> list[float]:
    """The ratio of both means, once for each list of drawn sources."""
    return [sum(student[i] for i in drawn) / sum(teacher[i] for i in drawn) for drawn in draws]


def _close(a: Sequence[float], b: Sequence[float]) -> bool:
    return all(math.isclose(x, y, rel_tol=1e-6) for x, y in zip(a, b, strict=True))


def check_interval(answer: Any) -> None:
    """Raise `Wrong` unless it gives the interval; each mistake that we know of has its own feedback."""
    got = ask(answer, list(STUDENT), list(TEACHER), [list(drawn) for drawn in DRAWS])
    if not isinstance(got, tuple | list) or len(got) != 2:
        raise Wrong("Return two numbers, (low, high).")
    found = ratios(STUDENT, TEACHER, DRAWS)
    low, high = middle(found)
    each, mean, spread = [a / b for a, b in zip(STUDENT, TEACHER)], fmean(found), pstdev(found)
    singly = [fmean(each[i] for i in drawn) for drawn in DRAWS]
    alone = [fmean(STUDENT[i] for i in drawn) / fmean(TEACHER) for drawn in DRAWS]
    wrong = (
        (middle(singly), "A mean of ratios lets a hopeless source count as much as any: divide the means."),
        (middle(alone), "Both networks wrote for the same sources: draw them for the teacher, too."),
        (middle([1 / r for r in found]), "Those are teacher over student; asked is student over teacher."),
        (middle(found, 1.0), "Those are the smallest and the largest; leave 2.5 percent out on each side."),
        (middle(found, 0.9), "Leave out 2.5 percent on each side, which is five of 200, not five percent."),
        ((high, low), "The order is (low, high)."),
        ((mean - spread, mean + spread), "That is one standard deviation; take the middle 95 percent."),
    )
    if _close(got, (low, high)):
        return
    for ends, feedback in wrong:
        if _close(got, ends):
            raise Wrong(feedback)
    raise Wrong(f"Here it should be ({low:.3f}, {high:.3f}), yours is ({got[0]:.3f}, {got[1]:.3f}).")
