"""Checks of notebook 09: does it carry over to real text?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from statistics import fmean, pstdev
from typing import Any

from dlmone_lite.exercises.compare import Wrong, ask, checks, judge, number, pair

ROOM = 4  # pieces of a side, [SEP] included
KEYS = ("kept", "repeated", "empty", "long source", "long target")
Pair = tuple[str, str]
ROWS: tuple[Pair, ...] = (
    ("a b c", "x y"),
    ("a b c d", "x"),  # fills its room, and [SEP] needs one
    ("a b", "x y z w"),
    ("a b c d e", "x y z w v"),  # both are too long: one row all the same
    *[("a b c", "x y"), ("a b c", "y x")],  # the pair again; the source again, with another target
    ("", "x"),
    ("a b c d", "x"),  # what was not kept is not repeated
    *[("b", "y")] * 2,
)


def size(text: str) -> int:
    """Pieces of a text of the exercise: its words."""
    return len(text.split())


def count_rows(spare: int = 1, known: Callable[[Pair], Any] = tuple, refused: bool = False) -> dict[str, int]:
    """What becomes of each of `ROWS`, counted where it fails first; the arguments plant mistakes."""
    counts, seen = dict.fromkeys(KEYS, 0), set()
    for row in ROWS:
        sizes = [size(text) for text in row]
        if known(row) in seen:
            what = "repeated"
        elif not all(sizes):
            what = "empty"
        else:
            long = [n + spare > ROOM for n in sizes]
            what = "long source" if long[0] else "long target" if long[1] else "kept"
        counts[what] += 1
        if what == "kept" or refused:
            seen.add(known(row))
    return counts


WRONG_COUNTS: dict[str, dict[str, Any]] = {
    "A side that fills its room exactly does not fit: [SEP] stands after it.": {"spare": 0},
    "A source may have several targets: only the same pair is repeated.": {"known": lambda row: row[0]},
    "Repeated is a pair that was kept before; one that was refused fails once more.": {"refused": True},
}


@checks("09.1")
def _check_filter(answer: Any) -> None:
    got, right = ask(answer, [*ROWS], size, ROOM), count_rows()
    if not isinstance(got, dict) or set(got) != set(KEYS):
        raise Wrong(f"Return a dictionary with the keys {', '.join(KEYS)}.")
    total = sum(got.values())
    if total != len(ROWS):
        rule = "a row that fails twice counts once" if total > len(ROWS) else "count those you drop as well"
        raise Wrong(f"{len(ROWS)} rows came in, {total} are counted: {rule}.")
    for feedback, mistake in WRONG_COUNTS.items():
        if got == count_rows(**mistake):
            raise Wrong(feedback)
    for name in KEYS:
        if got[name] != right[name]:
            raise Wrong(f"Of {len(ROWS)} rows {right[name]} should be {name!r}, yours has {got[name]}.")


SOURCES = ["How old is it?", "Is it OK?", "Why, though?"]
OUTPUTS = [
    ["how old is it ?", "how old is it ?", "what is its age ?", "how old is it ? really ?"],
    ["is it good ?", "is it fine ?", "is it ok ?", "is it okay ?"],
    ["what for ?", "what for ?", "why ?", "how so ?"],
]


def spell(text: str) -> str:
    """As word pieces spell a text: lower case, spaces around what is no letter."""
    return " ".join("".join(c if c.isalnum() or c == " " else f" {c} " for c in text.lower()).split())


def _rates(same: Callable[[str, str], bool]) -> list[float]:
    return [fmean(same(text, source) for text in own) for own, source in zip(OUTPUTS, SOURCES)]


@checks("09.2")
def _check_copies(answer: Any) -> None:
    got = number(ask(answer, OUTPUTS, SOURCES, spell))
    rates = _rates(lambda text, source: text == spell(source))
    right, inside = fmean(rates), fmean(_rates(lambda text, source: spell(source) in text))
    once = fmean((spell(source) in own) / len({*own}) for own, source in zip(OUTPUTS, SOURCES))
    mistakes = (
        (0.0, "No output equals a source letter by letter: pieces spell them. Spell the source, too."),
        (fmean(map(bool, rates)), "You ask if any output is a copy; return the share of all outputs."),
        (inside, "An output that contains the source, or begins with it, says more than the source does."),
        (once, "Equal outputs are several outputs: count each of them."),
        (12 * right, "That is the number of copies; divide by the number of outputs."),
        (1 - right, "That is the share of the outputs that are no copies."),
    )
    judge(got, right, mistakes, f"Here it should be {right:.3f}, yours is {got:.3f}.")


STUDENT, TEACHER = [0.05, 0.30, 0.10, 0.20, 0.02, 0.15], [0.10, 0.25, 0.10, 0.30, 0.04, 0.20]
DRAWS = [Random(seed).choices(range(6), k=6) for seed in range(200)]


def middle(values: Sequence[float], share: float = 0.95) -> tuple[float, float]:
    """The ends of the middle `share` of the values."""
    ordered, out = sorted(values), int((1 - share) / 2 * len(values) + 1e-9)
    return ordered[out], ordered[-1 - out]


@checks("09.3")
def _check_interval(answer: Any) -> None:
    got = pair(ask(answer, STUDENT, TEACHER, DRAWS), "Return two numbers, (low, high).")
    both = [sum(STUDENT[i] for i in drawn) / sum(TEACHER[i] for i in drawn) for drawn in DRAWS]
    (low, high), ordered = middle(both), sorted(both)
    # a quantile may also lie between two of the ratios, as numpy's and torch's do
    if ordered[4] - 1e-6 <= got[0] <= low + 1e-6 and high - 1e-6 <= got[1] <= ordered[-5] + 1e-6:
        return
    each, mean, spread = [a / b for a, b in zip(STUDENT, TEACHER)], fmean(both), pstdev(both)
    singly = [fmean(each[i] for i in drawn) for drawn in DRAWS]
    alone = [fmean(STUDENT[i] for i in drawn) / fmean(TEACHER) for drawn in DRAWS]
    mistakes = (
        (middle(singly), "A mean of ratios lets a hopeless source count as much as any: divide the means."),
        (middle(alone), "Both networks wrote for the same sources: draw them for the teacher, too."),
        (middle([1 / r for r in both]), "That is teacher over student; divide student by teacher."),
        (middle(both, 1.0), "Those are the smallest and the largest; leave 2.5 percent out on each side."),
        (middle(both, 0.9), "Leave out 2.5 percent on each side, which is five of 200, not five percent."),
        ((high, low), "The order is (low, high)."),
        ((mean - spread, mean + spread), "That is one standard deviation; take the middle 95 percent."),
    )
    otherwise = f"Here it should be ({low:.3f}, {high:.3f}), yours is ({got[0]:.3f}, {got[1]:.3f})."
    judge(got, (low, high), mistakes, otherwise)
