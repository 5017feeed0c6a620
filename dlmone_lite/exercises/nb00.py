"""Checks of notebook 00, what one-step generation is and how it is measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from dlmone_lite.evaluation import metrics
from dlmone_lite.exercises.compare import checks, judge_each

# The second case has a wrong sentence, a right one said twice and two right ones never said.
CASES = (
    (["a", "b"], {"a": 0.5, "b": 0.5}),
    (["a", "a", "b", "oops"], {"a": 0.5, "b": 0.25, "c": 0.125, "d": 0.125}),
    (["oops", "ouch", "oops", "c", "c"], {"a": 0.6, "b": 0.3, "c": 0.1}),
)


def _differs(samples: list[str], support: Mapping[str, float], wanted: float, got: float) -> str:
    return f"For samples {samples} and support {support} it gives {got:.3g}, not {wanted:.3g}."


def _wrong_validity(s: list[str], p: Mapping[str, float]) -> dict[str, float]:
    said, count = set(s), sum(x in p for x in s)
    both = len(said & set(p))
    seen, kinds, mass = both / len(p), both / len(said), sum(p.get(x, 0.0) for x in s) / len(s)
    return {
        "That is how many are right; for a share, divide it by the number of samples.": count,
        "That is coverage, how much of the support was seen; validity asks how many samples are right.": seen,
        "A sentence said twice counts twice: go through the samples, not through set(samples).": kinds,
        "You add up probabilities; every right sample counts as 1, however likely it is.": mass,
        "That is the share of the wrong samples.": 1 - count / len(s),
    }


@checks("00.1")
def _check_validity(answer: Any) -> None:
    judge_each(answer, CASES, metrics.validity, _wrong_validity, _differs)


def _wrong_tv(s: list[str], p: Mapping[str, float]) -> dict[str, float]:
    said = Counter(s)
    gaps = {x: said[x] / len(s) - p.get(x, 0.0) for x in {*s, *p}}  # frequency minus probability
    sizes = [abs(gap) for gap in gaps.values()]
    known, spoken = (sum(abs(gaps[x]) for x in some) / 2 for some in (p, said))
    twice, most, net = sum(sizes), max(sizes), sum(gaps.values()) / 2
    squared = sum(size * size for size in sizes) / 2
    return {
        "Twice too large: what is missing in one place is surplus in another, hence the factor 1/2.": twice,
        "You leave out the wrong sentences: they have probability 0 and a frequency, so they count.": known,
        "You leave out right answers that were never said: go through support, not only the samples.": spoken,
        "You square the differences; total variation adds their absolute values.": squared,
        "That is the largest single difference; total variation adds all of them and halves the sum.": most,
        "The differences cancel: take the absolute value of each before you add them.": net,
    }


@checks("00.2")
def _check_tv(answer: Any) -> None:
    judge_each(answer, CASES, metrics.total_variation, _wrong_tv, _differs)
