"""Exercises of notebook 00, what one-step generation is and how it is measured."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from dlmone_lite.evaluation import metrics
from dlmone_lite.exercises import Exercise, Wrong, ask, question

# The second case has a wrong sentence, a right one said twice and two right ones never said.
CASES = (
    (["a", "b"], {"a": 0.5, "b": 0.5}),
    (["a", "a", "b", "oops"], {"a": 0.5, "b": 0.25, "c": 0.125, "d": 0.125}),
    (["oops", "ouch", "oops", "c", "c"], {"a": 0.6, "b": 0.3, "c": 0.1}),
)


def _number(function: Any, samples: list[str], support: Mapping[str, float]) -> float:
    """A learner's result as a number, asked for copies so that nothing can be spoiled."""
    value = ask(function, list(samples), dict(support))
    try:
        return float(value)
    except (TypeError, ValueError):
        raise Wrong(f"Return one number, not a {type(value).__name__}.") from None


def _compare(function: Any, right: Any, mistakes: Mapping[str, Any]) -> None:
    """Raise the feedback of the mistake whose results are the learner's, on all cases; else a general one."""
    got = [_number(function, *case) for case in CASES]
    want = [right(*case) for case in CASES]

    def same(values: list[float]) -> bool:
        return all(math.isclose(a, b, abs_tol=1e-6) for a, b in zip(got, values))

    if same(want):
        return
    for feedback, mistake in mistakes.items():
        if same([mistake(*case) for case in CASES]):
            raise Wrong(feedback)
    i = next(i for i, (a, b) in enumerate(zip(got, want)) if not math.isclose(a, b, abs_tol=1e-6))
    samples, support = CASES[i]
    raise Wrong(f"For samples {samples} and support {support} it gives {got[i]:.3g}, not {want[i]:.3g}.")


def _check_validity(answer: Any) -> None:
    _compare(
        answer,
        metrics.validity,
        {
            "That is how many are right; a share is that number divided by how many samples there are.": lambda s, p: (
                sum(x in p for x in s)
            ),
            "That is how much of the support was seen, coverage; validity asks how many samples are right.": lambda s, p: (
                len(set(s) & set(p)) / len(p)
            ),
            "A sentence said twice counts twice: go through the samples themselves, not through set(samples).": lambda s, p: (
                len(set(s) & set(p)) / len(set(s))
            ),
            "You add up probabilities; every right sample counts the same, 1, however likely it is.": lambda s, p: (
                sum(p.get(x, 0.0) for x in s) / len(s)
            ),
            "That is the share of wrong samples: turn it round.": lambda s, p: (
                sum(x not in p for x in s) / len(s)
            ),
        },
    )


def _gaps(samples: list[str], support: Mapping[str, float]) -> dict[str, float]:
    """Frequency minus probability of every sentence that is said or right."""
    said = Counter(samples)
    return {x: said[x] / len(samples) - support.get(x, 0.0) for x in {*samples, *support}}


def _check_tv(answer: Any) -> None:
    _compare(
        answer,
        metrics.total_variation,
        {
            "Twice too large: the mass that is missing in one place is surplus in another, hence the factor 1/2.": lambda s, p: (
                sum(map(abs, _gaps(s, p).values()))
            ),
            "You leave out the wrong sentences: they have probability 0 and a frequency, and belong in the sum.": lambda s, p: (
                sum(abs(g) for x, g in _gaps(s, p).items() if x in p) / 2
            ),
            "You leave out right answers that were never said: go through support, not only the samples.": lambda s, p: (
                sum(abs(g) for x, g in _gaps(s, p).items() if x in s) / 2
            ),
            "You square the differences; total variation adds their absolute values.": lambda s, p: (
                sum(g * g for g in _gaps(s, p).values()) / 2
            ),
            "That is the largest single difference; total variation adds all of them and halves the sum.": lambda s, p: (
                max(map(abs, _gaps(s, p).values()))
            ),
            "The differences cancel: take the absolute value of each before adding.": lambda s, p: (
                sum(_gaps(s, p).values()) / 2
            ),
        },
    )


EXERCISES = (
    Exercise(
        "00.1",
        "Write my_validity(samples, support): the share of the samples that are right answers.",
        _check_validity,
        "my_validity",
        "def my_validity(samples, support):\n    return sum(s in support for s in samples) / len(samples)",
        (
            "support is a dictionary {right answer: probability}; `s in support` is True for a right one.",
            "sum() counts the True values of a generator; divide by len(samples).",
        ),
        "Right: it looks at correctness only, and would not notice a model that knows a single sentence.",
    ),
    Exercise(
        "00.2",
        "Write my_total_variation(samples, support): half the sum of |frequency - probability|.",
        _check_tv,
        "my_total_variation",
        "from collections import Counter\n\n\n"
        "def my_total_variation(samples, support):\n"
        "    said = Counter(samples)\n"
        "    sentences = set(samples) | set(support)\n"
        "    return sum(abs(said[s] / len(samples) - support.get(s, 0.0)) for s in sentences) / 2",
        (
            "collections.Counter(samples) counts sentences; a wrong one has probability support.get(s, 0.0).",
            "The sum runs over set(samples) | set(support): right or wrong, said or never said.",
        ),
        "Right: 0 if the model says everything as often as it should, 1 if it never says anything right.",
    ),
    question(
        "00.a",
        "Teacher and student start from the same noise and may write different right answers. Is that a "
        "fault? (a) yes, the student should end where the teacher ends (b) no, only the distribution over "
        "all noises should be the same (c) yes, but more training always makes the sentences equal",
        "b",
        {
            "a": "That would be matching trajectories, as consistency models do. SiD holds noised samples of "
            "the student against the teacher's score; which noise led to which sentence is not in the loss.",
            "c": "Nothing in SiD's loss pairs a noise with a sentence, so training does not make them equal.",
        },
        (
            "What does the loss compare: single sentences, or how likely sentences are?",
            "Imagine a student that answers the noise z as the teacher answers -z: are its samples worse?",
        ),
        "Right: SiD matches distributions, not trajectories. So judge by many samples, never by one pair.",
    ),
    question(
        "00.b",
        "A model always writes the single most likely right answer, whose probability is 0.2. What do we "
        "measure? (a) validity 1, total variation 0 (b) validity 0.2, total variation 0.8 (c) validity 1, "
        "total variation 0.8",
        "c",
        {
            "a": "Validity is 1; total variation is 0 only if each right answer comes as often as it should.",
            "b": "Each of its samples is a right answer, so validity is 1, however likely they are.",
        },
        (
            "Validity does not ask which right answer it is.",
            "Its frequency is 1 where the probability is 0.2, 0 where the other 0.8 lie: half of 0.8 + 0.8.",
        ),
        "Right: quality alone hides a model that has lost its variety, so two numbers stand side by side.",
    ),
)
