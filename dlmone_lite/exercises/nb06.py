"""Checks of notebook 06: when and why does it break?"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Any

from dlmone_lite.evaluation.degeneration import Signs, variety
from dlmone_lite.exercises.compare import Wrong, ask, checks, judge_each, truth

SAMPLES = [["a"] * 8, ["a", "b", "c", "d"] * 2, ["a"] * 6 + ["b", "c"], ["a b", "b a", "a b", "c"]]


def _wrong_variety(texts: list[str]) -> dict[str, float]:
    said, words, right = len(set(texts)), [word for text in texts for word in text.split()], variety(texts)
    entropy = math.log(right)
    return {
        "That counts different sentences: one that was said once weighs as much as one said six times.": said,
        "That is the entropy itself; take exp of it, to read it as a number of sentences.": entropy,
        "That is 2 ** entropy of a natural logarithm: use exp, or log2 in both places.": 2**entropy,
        "You count words. What varies or not are whole sentences.": variety(words),
        "The sign is turned: the entropy is minus the sum of p log p.": 1 / right,
    }


@checks("06.1")
def _check_variety(answer: Any) -> None:
    def differs(texts: list[str], wanted: float, got: float) -> str:
        return f"For {dict(Counter(texts))} it should be {wanted:.3f}, yours is {got:.3f}."

    judge_each(answer, [(texts,) for texts in SAMPLES], variety, _wrong_variety, differs)


HEALTHY = Signs(0.0, 0.0, 0.0, 0.41, 6.8, 4.8, margin=0.79, discriminator=0.69)
CASES = (  # signs, whether the detector should fire, what is wrong with one that does not
    ({}, False, "It fires on the healthy student, whose signs are `usual` itself."),
    ({"modes": 4.5, "variety": 6.2}, False, "It fires at a loss of a few per cent, which is chance."),
    ({"modes": 1.0, "variety": 1.0}, True, "It is silent where one sentence a source is left."),
    ({"modes": 2.4, "variety": 2.9}, True, "It is silent where half of the sentences are gone."),
    (
        {"modes": 2.0, "variety": 9.0},
        True,
        "It counts slips as variety: many sentences were said once, each wrong in its own way. Which sign "
        "counts only what was said more than once?",
    ),
    (
        {"modes": 4.9, "variety": 4.9},
        False,
        "It fires on a student that got better: fewer slips, so less variety, and as many modes as before.",
    ),
)


@checks("06.2")
def _check_detector(answer: Any) -> None:
    def fires(seen: Signs, usual: Signs) -> bool:
        return truth(ask(answer, seen, usual))

    for changes, wanted, feedback in CASES:
        if fires(replace(HEALTHY, **changes), HEALTHY) is not wanted:
            raise Wrong(feedback)
    other = Signs(0.0, 0.0, 0.0, 0.4, 2.2, 2.0, margin=0.8)
    if fires(other, other) or not fires(replace(other, variety=1.0, modes=1.0), other):
        raise Wrong("Another task has two right sentences a source: compare with `usual`, not with a number.")
