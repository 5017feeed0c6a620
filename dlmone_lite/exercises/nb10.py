"""Checks of notebook 10: the paper's open questions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from dlmone_lite.exercises.compare import ask, checks, judge, judge_each, normal, pair

LOGITS = (normal(50, seed=1) - 1.0, 2 * normal(7, seed=2) + 0.3)


def _wrong_kl(logits: Tensor) -> dict[str, float]:
    return {
        "The sign is turned: that is the mean of log p_data - log p_student.": float(logits.mean()),
        "That is the generator's cross-entropy, an upper bound of another quantity; no softplus here.": float(
            F.softplus(-logits).mean()
        ),
        "That is a probability, not a logit: leave out the sigmoid.": float(logits.sigmoid().mean()),
        "That is the sum over the samples; an expectation is their mean.": float(-logits.sum()),
    }


@checks("10.1")
def _check_kl_estimate(answer: Any) -> None:
    def differs(logits: Tensor, wanted: float, got: float) -> str:
        mean = float(logits.mean())
        return f"For {len(logits)} logits of mean {mean:.3f} it should be {wanted:.3f}, not {got:.3f}."

    judge_each(answer, [(logits,) for logits in LOGITS], lambda x: -float(x.mean()), _wrong_kl, differs)


COUNTS = ({"a": 6, "b": 3, "c": 1}, {"a": 1, "b": 1}, {"b": 4})
TRUTH = {"a": 0.5, "b": 0.3, "c": 0.2}


def _parts(counts: Mapping[str, int]) -> tuple[float, float]:
    q = {text: count / sum(counts.values()) for text, count in counts.items()}
    cross = -sum(share * math.log(TRUTH[text]) for text, share in q.items())
    return cross, -sum(share * math.log(share) for share in q.values())


@checks("10.2")
def _check_kl_parts(answer: Any) -> None:
    asked = "Return two numbers: (cross-entropy, entropy)."
    got = [pair(ask(answer, counts, TRUTH), asked) for counts in COUNTS]
    wanted = [_parts(counts) for counts in COUNTS]
    bits = [(a / math.log(2), b / math.log(2)) for a, b in wanted]
    of_truth = -sum(p * math.log(p) for p in TRUTH.values())
    backward = []
    for counts in COUNTS:
        q = {text: count / sum(counts.values()) for text, count in counts.items()}
        backward.append((-sum(TRUTH[text] * math.log(q[text]) for text in q), of_truth))
    unweighted = [
        (-sum(math.log(TRUTH[text]) for text in counts) / len(counts), _parts(counts)[1]) for counts in COUNTS
    ]
    mistakes = (
        ([(b, a) for a, b in wanted], "The two are swapped: the cross-entropy comes first."),
        (bits, "These are bits: nats take the natural logarithm."),
        ([(-a, -b) for a, b in wanted], "Both are negative: a surprise is minus a log probability."),
        ([(math.exp(a), b) for a, b in wanted], "The first is the perplexity; leave out exp."),
        (backward, "You average over the truth. The student is q here: KL(q || p) averages over q."),
        (unweighted, "Each different sentence counts once; weigh it by how often it was written."),
    )
    judge(got, wanted, mistakes, f"For {COUNTS[0]} it should be {wanted[0][0]:.3f} and {wanted[0][1]:.3f}.")
