"""Exercises of notebook 08: what do more steps, MBR and more seeds buy?"""

from __future__ import annotations

import math
from typing import Any

from dlmone_lite.evaluation.metrics import expected_distinct
from dlmone_lite.exercises import Exercise, Wrong, ask, question

# ---- 08.1

SENTENCES = ["a b c d", "a b c e", "x y z w", "a b f d", "a b c d"]


def _overlap(a: str, b: str) -> float:
    """Words that stand at the same place; not symmetric, for the longer it is, the less a match counts."""
    return sum(x == y for x, y in zip(a.split(), b.split())) / len(a.split())


def _others(i: int, sentences: list[str]) -> list[str]:
    return sentences[:i] + sentences[i + 1 :]


def _summed(i: int, sentences: list[str]) -> float:
    return sum(_overlap(sentences[i], other) for other in _others(i, sentences))


CASES = (
    SENTENCES,
    ["p q", "r s", "p q", "r s", "p t"],
    ["one two three", "one two", "one"],
    ["only"],
    ["u v w x", "k l", "u v w y", "u v z x", "k l", "k l"],
)


def _pick(sentences: list[str], key: Any) -> str:
    return sentences[max(range(len(sentences)), key=key)]


def _check_mbr(answer: Any) -> None:
    got = [ask(answer, list(case), _overlap) for case in CASES]
    if not all(isinstance(text, str) for text in got):
        raise Wrong("Return the sentence itself.")
    right = [_pick(case, lambda i, case=case: _summed(i, case)) for case in CASES]
    wrong = {
        "That returns the one that resembles the others least: least risk is most similarity.": [
            _pick(case, lambda i, case=case: -_summed(i, case)) for case in CASES
        ],
        "That returns the most frequent sentence and never asks for similarity.": [
            _pick(case, lambda i, case=case: case.count(case[i])) for case in CASES
        ],
        "That is the first one: nothing was compared.": [case[0] for case in CASES],
        "You take the largest similarity to any one; asked is the sum over all others.": [
            _pick(case, lambda i, case=case: max([0, *(_overlap(case[i], o) for o in _others(i, case))]))
            for case in CASES
        ],
        "You compare different sentences only: an equal one at another place is one of the others.": [
            _pick(case, lambda i, case=case: sum(_overlap(case[i], o) for o in case if o != case[i]))
            for case in CASES
        ],
    }
    if got == right:
        return
    for feedback, values in wrong.items():
        if got == values:
            raise Wrong(feedback)
    case, mine, theirs = next(row for row in zip(CASES, got, right) if row[1] != row[2])
    raise Wrong(f"Of {case} it should be {theirs!r}, not {mine!r}.")


MBR = """
def my_mbr(sentences, similarity):
    def gain(i):
        return sum(similarity(sentences[i], other) for j, other in enumerate(sentences) if j != i)

    return sentences[max(range(len(sentences)), key=gain)]
"""

# ---- 08.2

SUPPORTS = ({"a": 0.5, "b": 0.3, "c": 0.2}, {"a": 1.0}, {"a": 0.9, "b": 0.1})
COUNTS = (1, 2, 8)


def _check_distinct(answer: Any) -> None:
    pairs = [(support, n) for support in SUPPORTS for n in COUNTS]
    got = [ask(answer, dict(support), n) for support, n in pairs]
    if not all(isinstance(value, int | float) for value in got):
        raise Wrong("Return one number.")
    right = [expected_distinct(support, n) for support, n in pairs]
    wrong = {
        "That is the number of sentences never seen: take each from 1.": [
            sum((1 - p) ** n for p in support.values()) for support, n in pairs
        ],
        "p ** n is the chance of seeing nothing else; asked is 1 - (1 - p) ** n.": [
            sum(1 - p**n for p in support.values()) for support, n in pairs
        ],
        "n p is the expected number of times a sentence occurs; the second time is no new sentence.": [
            sum(n * p for p in support.values()) for support, n in pairs
        ],
        "min(n, number of sentences) would need them to come one after another.": [
            min(n, len(support)) for support, n in pairs
        ],
    }
    for feedback, values in wrong.items():
        if all(math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12) for a, b in zip(got, values)):
            raise Wrong(feedback)
    for (support, n), mine, theirs in zip(pairs, got, right):
        if not math.isclose(mine, theirs, rel_tol=1e-6):
            raise Wrong(f"For {support} and n = {n} it should be {theirs:.3f}, yours is {mine:.3f}.")


DISTINCT = """
def my_expected_distinct(support, n):
    return sum(1 - (1 - p) ** n for p in support.values())
"""

EXERCISES = (
    question(
        "08.a",
        "Why does a teacher with few steps evenly in t miss the truth? (a) its network is worse than the "
        "student's, (b) its steps skip the noise levels at which a sentence is chosen, (c) it needs a clamp.",
        "b",
        {
            "a": "With other steps the same network is far better. What has changed?",
            "c": "A clamp rounds to words, but which sentence it is was decided before.",
        },
        (
            "Where in sigma/alpha is a sentence decided (notebook 02)? How many steps fall there?",
            "At four steps evenly in t: 2000, 1500, 1000, 500. sigma/alpha at 1500 is 2.5.",
        ),
        "Right: between T and 1500 lies all that matters, and one step jumps over it.",
    ),
    Exercise(
        "08.1",
        "Write my_mbr(sentences, similarity): the one with the largest summed similarity(it, other).",
        _check_mbr,
        "my_mbr",
        MBR,
        (
            "For each index i sum similarity(sentences[i], sentences[j]) over all j that are not i.",
            "max(range(len(sentences)), key=...) is the index of the best.",
        ),
        "Right: by index, so that equal sentences support each other.",
    ),
    Exercise(
        "08.2",
        "Write my_expected_distinct(support, n): different sentences expected among n independent samples.",
        _check_distinct,
        "my_expected_distinct",
        DISTINCT,
        (
            "Linearity: add up, over the sentences, the probability that it occurs at least once.",
            "It does not occur at all with probability (1 - p) ** n.",
        ),
        "Right: one sum, exact.",
    ),
    question(
        "08.b",
        "An MBR of 8 and a single sample have the same validity in a table. Which writes more different "
        "right answers if asked a hundred times? (a) MBR, it has seen eight times as many, (b) the single "
        "sample, (c) both alike.",
        "b",
        {
            "a": "It has seen them, and returned one: which kind, each time?",
            "c": "MBR prefers what resembles the rest. What happens to the answer that resembles none?",
        },
        (
            "Think of six answers, five of which share words, and one that does not.",
            "MBR never returns the odd one out, however often it is among the eight.",
        ),
        "Right: a decision is not a sample.",
    ),
)
