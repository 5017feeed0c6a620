"""Exercises of notebook 06: when and why does it break?"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from dlmone_lite.evaluation.degeneration import Signs, variety
from dlmone_lite.exercises import Exercise, Wrong, ask, question

# ---- 06.1

SAMPLES = [["a"] * 8, ["a", "b", "c", "d"] * 2, ["a"] * 6 + ["b", "c"], ["a b", "b a", "a b", "c"]]


def _number(value: Any) -> float:
    if not isinstance(value, int | float):
        raise Wrong(f"Return one number; that is a {type(value).__name__}.")
    return float(value)


def _check_variety(answer: Any) -> None:
    got = [_number(ask(answer, list(texts))) for texts in SAMPLES]
    right = [variety(texts) for texts in SAMPLES]
    mistakes = {
        "That counts different sentences: one that was said once weighs as much as one said six times.": [
            len(set(texts)) for texts in SAMPLES
        ],
        "That is the entropy itself; take exp of it, to read it as a number of sentences.": [
            math.log(value) for value in right
        ],
        "That is 2 ** entropy of a natural logarithm: use exp, or log2 in both places.": [
            2 ** math.log(value) for value in right
        ],
        "You count words. What is varied or not are whole sentences.": [
            variety([word for text in texts for word in text.split()]) for texts in SAMPLES
        ],
        "The sign is turned: the entropy is minus the sum of p log p.": [1 / value for value in right],
    }
    for feedback, values in mistakes.items():
        if all(math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9) for a, b in zip(got, values)):
            raise Wrong(feedback)
    for texts, mine, theirs in zip(SAMPLES, got, right):
        if not math.isclose(mine, theirs, rel_tol=1e-6):
            counts = dict(Counter(texts))
            raise Wrong(f"For {counts} it should be {theirs:.3f}, yours is {mine:.3f}.")


VARIETY = """
import math
from collections import Counter


def effective_number(texts):
    shares = [count / len(texts) for count in Counter(texts).values()]
    return math.exp(-sum(share * math.log(share) for share in shares))
"""

# ---- 06.2

HEALTHY = Signs(0.0, 0.0, 0.0, 0.41, 6.8, 4.8, margin=0.79, discriminator=0.69)
CASES = (  # signs, whether the detector should fire, what is wrong with one that does not
    ({}, False, "It fires on the healthy student that tells what is usual."),
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


def _check_detector(answer: Any) -> None:
    for changes, wanted, feedback in CASES:
        seen = Signs(**{**HEALTHY.__dict__, **changes})
        got = ask(answer, seen, HEALTHY)
        if not isinstance(got, bool):
            raise Wrong(f"Return True or False; that is a {type(got).__name__}.")
        if got is not wanted:
            raise Wrong(feedback)
    other = Signs(0.0, 0.0, 0.0, 0.4, 2.2, 2.0, margin=0.8)
    if ask(answer, other, other) or not ask(answer, Signs(0.0, 0.0, 0.0, 0.4, 1.0, 1.0, margin=0.8), other):
        raise Wrong("Another task has two right sentences a source: compare with `usual`, not with a number.")


DETECTOR = """
def collapsed(seen, usual):
    return seen.modes < 0.8 * usual.modes
"""

EXERCISES = (
    question(
        "06.a",
        "Two students, the same validity, BLEU a little higher for the second. Which is better? (a) the "
        "second, (b) it cannot be said, (c) the first, for BLEU punishes variety.",
        "b",
        {
            "a": "Both scores look at one sentence at a time. What do a hundred of one source look like?",
            "c": "BLEU does not punish variety, it just does not see it. Neither score does.",
        },
        (
            "What would validity and BLEU be of a student that knows one right sentence a source?",
            "Both can be perfect then. So what else must be known?",
        ),
        "Right: neither score sees a distribution. Ask for coverage, TV, or self-BLEU.",
    ),
    Exercise(
        "06.1",
        "Write effective_number(texts): exp of the entropy of how often each sentence was said.",
        _check_variety,
        "effective_number",
        VARIETY,
        (
            "Counter(texts).values() are the counts; divide by len(texts).",
            "entropy = -sum(p * log p) over the different sentences; return math.exp of it.",
        ),
        "Right: 1 for one sentence, n for n equally frequent ones.",
    ),
    question(
        "06.b",
        "At little noise x_t lies next to one sentence. What does the score there say about how often this "
        "sentence is written? (a) everything, (b) hardly anything, (c) whether it is the most frequent one.",
        "b",
        {
            "a": "A score is the gradient of log p. What happens to a constant factor under a gradient?",
            "c": "Where one posterior weight is 1, E[x0 | x_t] is that sentence, whatever its probability.",
        },
        (
            "Write down the posterior weights w_k at small sigma.",
            "They are 0 and 1 for almost any probabilities p_k, as long as these are not 0.",
        ),
        "Right: that is why distillation at little noise cannot see which sentences are missing.",
    ),
    Exercise(
        "06.2",
        "Write collapsed(seen, usual) -> bool from two `Signs`: has this student lost its sentences?",
        _check_detector,
        "collapsed",
        DETECTOR,
        (
            "Two signs count sentences: `variety` counts all, `modes` only what was said more than once.",
            "Fire below a share of the usual number, 0.8 say: a student is never exactly like itself.",
        ),
        "Right: it fires on a collapse, and neither on slips nor on a student that makes fewer of them.",
    ),
    question(
        "06.c",
        "Patient A has lost its sentences. You switch the adversarial terms on and go on. What brings a lost "
        "sentence back? (a) the SiD term alone, (b) real data, which psi's discriminator still sees, (c) a "
        "smaller learning rate.",
        "b",
        {
            "a": "SiD compares scores where the student's own samples are. Where are none of them?",
            "c": "That keeps what there is. Nothing in it knows of a sentence that is never written.",
        },
        (
            "Who of the three, teacher's score, psi's score, discriminator, is ever shown a real sentence?",
            "The first two are asked at the student's samples only.",
        ),
        "Right: the discriminator compares with real pairs, and its gradient pulls towards them.",
    ),
)
