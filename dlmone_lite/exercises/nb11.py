"""Checks of notebook 11: neighbours, teachers, transfer."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from dlmone_lite.exercises.compare import ask, checks, judge, judge_each, normal, tensor

SUPPORT = {"new york": 0.5, "san diego": 0.3, "san jose": 0.2}
ASKED = ("new york", "san diego", "new diego", "york san")


def _factors(sentence: str) -> list[float]:
    words = sentence.split()
    return [sum(p for text, p in SUPPORT.items() if text.split()[i] == word) for i, word in enumerate(words)]


def _wrong_product(support: dict[str, float], sentence: str) -> dict[str, float]:
    factors, words = _factors(sentence), sentence.split()
    anywhere = [sum(p for text, p in SUPPORT.items() if word in text.split()) for word in words]
    counts = [sum(text.split()[i] == word for text in SUPPORT) / len(SUPPORT) for i, word in enumerate(words)]
    return {
        "That is the truth's probability. A factorised model has no list of sentences.": SUPPORT.get(
            sentence, 0.0
        ),
        "You add the factors; independent words multiply.": sum(factors),
        "A word counts at any position; each position has a distribution of its own.": math.prod(anywhere),
        "Each sentence counts the same; weigh it by its probability.": math.prod(counts),
        "That is the smallest factor; multiply all.": min(factors),
    }


@checks("11.1")
def _check_product(answer: Any) -> None:
    def differs(support: dict[str, float], sentence: str, wanted: float, got: float) -> str:
        return f"For {sentence!r} it should be {wanted:.3f}, yours is {got:.3f}."

    cases = [(SUPPORT, sentence) for sentence in ASKED]
    judge_each(answer, cases, lambda _, sentence: math.prod(_factors(sentence)), _wrong_product, differs)


LIMITS = ((0.28, 7), (0.9, 1), (0.5, 1), (0.02, 3), (0.4, 2))


@checks("11.2")
def _check_most(answer: Any) -> None:
    def right(q: float, d: int) -> float:
        return min(4**-d / q, 1 - q)

    def mistakes(q: float, d: int) -> dict[str, float]:
        return {
            "All probabilities together are at most 1: the other sentence has no more than 1 - q.": 4**-d / q,
            "The limit is on the product of the two: divide by q.": min(4**-d, 1 - q),
            "That ignores d, or has 4**d: the more positions differ, the less is left.": 1 - q,
            "Two words of a position have q_i(a) q_i(b) <= 1/4, not 1/2.": min(2**-d / q, 1 - q),
        }

    def differs(q: float, d: int, wanted: float, got: float) -> str:
        return f"For q = {q}, d = {d} it should be {wanted:.4g}, yours is {got:.4g}."

    judge_each(answer, LIMITS, right, mistakes, differs)


@checks("11.3")
def _check_estimate(answer: Any) -> None:
    x0, before = normal(3, 2, seed=1), normal(3, 2, seed=2)
    ratios = (0.5, 1.0, 2.0)

    def each(function: Any) -> list[Tensor]:
        return [function(ratio) for ratio in ratios]

    got = each(lambda ratio: tensor(ask(answer, x0, before, ratio), "like x0"))
    slope = x0 - before
    mistakes = (
        (each(lambda r: x0 - slope / (2 * r)), "The line goes on the other way: add x0 - before."),
        (each(lambda r: x0 + slope * r / 2), "The ratio is turned: a long last step means a gentle slope."),
        (each(lambda r: x0 + slope / r), "That goes on for the whole step; half of it is meant."),
        (each(lambda r: before + slope / (2 * r)), "Begin at x0, the newer estimate."),
        (each(lambda r: x0 + slope / 2), "The two steps need not be equally long: use ratio."),
        (each(lambda r: x0), "That is DDIM's estimate; the call before has no say in it."),
    )
    judge(got, each(lambda r: x0 + slope / (2 * r)), mistakes, "It should be x0 + (x0 - before) / (2 ratio).")
