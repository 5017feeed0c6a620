"""Checks of notebook 08: what do more steps, MBR and more seeds buy?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from dlmone_lite.evaluation.metrics import expected_distinct
from dlmone_lite.exercises.compare import Wrong, ask, checks, judge_each

CASES = (
    ["a b c d", "a b c e", "x y z w", "a b f d", "a b c d"],
    ["p q", "r s", "p q", "r s", "p t"],
    ["one two three", "one two", "one"],
    ["only"],
    ["u v w x", "k l", "u v w y", "u v z x", "k l", "k l"],
)


def _overlap(a: str, b: str) -> float:
    """Words that stand at the same place; not symmetric, because a match counts less in a longer `a`."""
    return sum(x == y for x, y in zip(a.split(), b.split())) / len(a.split())


def _picks(gain: Callable[[str, list[str]], float]) -> list[str]:
    """The first sentence of each case with the largest gain(it, all others)."""
    picks = []
    for case in CASES:
        gains = [gain(text, case[:i] + case[i + 1 :]) for i, text in enumerate(case)]
        picks.append(case[gains.index(max(gains))])
    return picks


def _summed(text: str, others: list[str]) -> float:
    return sum(_overlap(text, other) for other in others)


@checks("08.1")
def _check_mbr(answer: Any) -> None:
    got = [ask(answer, case, _overlap) for case in CASES]
    if not all(isinstance(text, str) for text in got):
        raise Wrong("Return the sentence itself.")
    right = _picks(_summed)
    least = _picks(lambda text, others: -_summed(text, others))
    frequent = _picks(lambda text, others: others.count(text))
    nearest = _picks(lambda text, others: max((_overlap(text, other) for other in others), default=0.0))
    unlike = _picks(lambda text, others: _summed(text, [other for other in others if other != text]))
    mistakes = (
        (least, "That returns the one that resembles the others least: least risk is most similarity."),
        (frequent, "That returns the most frequent sentence and never asks for similarity."),
        ([case[0] for case in CASES], "That is the first one: nothing was compared."),
        (nearest, "You take the largest similarity to any one; take the sum over all others."),
        (unlike, "You compare different sentences only: an equal one at another place is one of the others."),
    )
    if got == right:
        return
    for picks, feedback in mistakes:
        if got == picks:
            raise Wrong(feedback)
    case, mine, theirs = next(row for row in zip(CASES, got, right) if row[1] != row[2])
    raise Wrong(f"Of {case} it should be {theirs!r}, not {mine!r}.")


SUPPORTS = ({"a": 0.5, "b": 0.3, "c": 0.2}, {"a": 1.0}, {"a": 0.9, "b": 0.1})
QUESTIONS = [(support, n) for support in SUPPORTS for n in (1, 2, 8)]


def _wrong_distinct(support: dict[str, float], n: int) -> dict[str, float]:
    p, most = torch.tensor([*support.values()], dtype=torch.float64), min(n, len(support))
    unseen, other = float(((1 - p) ** n).sum()), float((1 - p**n).sum())
    return {
        "That is the number of sentences never seen: take each chance from 1.": unseen,
        "p ** n is the chance of seeing nothing else; use 1 - (1 - p) ** n.": other,
        "n p is the expected number of times a sentence occurs; the second time is no new sentence.": n,
        "min(n, number of sentences) would need them to come one after another.": most,
    }


@checks("08.2")
def _check_distinct(answer: Any) -> None:
    def differs(support: dict[str, float], n: int, wanted: float, got: float) -> str:
        return f"For {support} and n = {n} it should be {wanted:.3f}, yours is {got:.3f}."

    judge_each(answer, QUESTIONS, expected_distinct, _wrong_distinct, differs)
