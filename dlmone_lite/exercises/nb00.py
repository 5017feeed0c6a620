"""Checks of notebook 00, what one-step generation is and how it is measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from dlmone_lite.evaluation import metrics
from dlmone_lite.exercises.compare import ask, close, judge, number
from dlmone_lite.exercises.kinds import checks

Measure = Callable[[list[str], Mapping[str, float]], float]

# The second case has a wrong sentence, a right one said twice and two right ones never said.
CASES = (
    (["a", "b"], {"a": 0.5, "b": 0.5}),
    (["a", "a", "b", "oops"], {"a": 0.5, "b": 0.25, "c": 0.125, "d": 0.125}),
    (["oops", "ouch", "oops", "c", "c"], {"a": 0.6, "b": 0.3, "c": 0.1}),
)


def _compare(answer: Any, right: Measure, mistakes: tuple[tuple[Measure, str], ...]) -> None:
    """Judge by the results on all cases together; the general feedback names the first case that differs."""

    def results(measure: Measure) -> list[float]:
        return [measure(*case) for case in CASES]

    got, wanted = [number(ask(answer, *case)) for case in CASES], results(right)
    i = next((i for i in range(len(CASES)) if not close(got[i], wanted[i])), 0)
    samples, support = CASES[i]
    judge(
        got,
        wanted,
        [(results(mistake), feedback) for mistake, feedback in mistakes],
        f"For samples {samples} and support {support} it gives {got[i]:.3g}, not {wanted[i]:.3g}.",
    )


@checks("00.1")
def _check_validity(answer: Any) -> None:
    mistakes: tuple[tuple[Measure, str], ...] = (
        (
            lambda s, p: sum(x in p for x in s),
            "That is how many are right; for a share, divide it by the number of samples.",
        ),
        (
            lambda s, p: len(set(s) & set(p)) / len(p),
            "That is coverage, how much of the support was seen; validity asks how many samples are right.",
        ),
        (
            lambda s, p: len(set(s) & set(p)) / len(set(s)),
            "A sentence said twice counts twice: go through the samples, not through set(samples).",
        ),
        (
            lambda s, p: sum(p.get(x, 0.0) for x in s) / len(s),
            "You add up probabilities; every right sample counts as 1, however likely it is.",
        ),
        (lambda s, p: sum(x not in p for x in s) / len(s), "That is the share of the wrong samples."),
    )
    _compare(answer, metrics.validity, mistakes)


def _gaps(samples: list[str], support: Mapping[str, float]) -> dict[str, float]:
    """Frequency minus probability of every sentence that is said or right."""
    said = Counter(samples)
    return {x: said[x] / len(samples) - support.get(x, 0.0) for x in {*samples, *support}}


@checks("00.2")
def _check_tv(answer: Any) -> None:
    mistakes: tuple[tuple[Measure, str], ...] = (
        (
            lambda s, p: sum(map(abs, _gaps(s, p).values())),
            "Twice too large: what is missing in one place is surplus in another, hence the factor 1/2.",
        ),
        (
            lambda s, p: sum(abs(gap) for x, gap in _gaps(s, p).items() if x in p) / 2,
            "You leave out the wrong sentences: they have probability 0 and a frequency, so they count.",
        ),
        (
            lambda s, p: sum(abs(gap) for x, gap in _gaps(s, p).items() if x in s) / 2,
            "You leave out right answers that were never said: go through support, not only the samples.",
        ),
        (
            lambda s, p: sum(gap * gap for gap in _gaps(s, p).values()) / 2,
            "You square the differences; total variation adds their absolute values.",
        ),
        (
            lambda s, p: max(map(abs, _gaps(s, p).values())),
            "That is the largest single difference; total variation adds all of them and halves the sum.",
        ),
        (
            lambda s, p: sum(_gaps(s, p).values()) / 2,
            "The differences cancel: take the absolute value of each before you add them.",
        ),
    )
    _compare(answer, metrics.total_variation, mistakes)
