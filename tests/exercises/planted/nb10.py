"""Wrong answers to the exercises of notebook 10, each with a piece of the feedback meant for it."""

import math

import torch.nn.functional as F


def shares(counts):
    n = sum(counts.values())
    return {text: count / n for text, count in counts.items()}


def parts(counts, p, log=math.log):
    q = shares(counts)
    return -sum(s * log(p[t]) for t, s in q.items()), -sum(s * log(s) for s in q.values())


WRONG = {
    "10.1": [
        (lambda logits: logits.mean(), "sign is turned"),
        (lambda logits: F.softplus(-logits).mean(), "no softplus"),
        (lambda logits: logits.sigmoid().mean(), "leave out the sigmoid"),
        (lambda logits: -logits.sum(), "sum over the samples"),
        (lambda logits: logits.abs().mean(), "it should be"),
        (lambda logits: "text", "Return one number"),
    ],
    "10.a": [("a", "may also be a bad one"), ("b", "through the logit alone")],
    "10.2": [
        (lambda counts, p: parts(counts, p)[::-1], "swapped"),
        (lambda counts, p: parts(counts, p, math.log2), "bits"),
        (lambda counts, p: tuple(-x for x in parts(counts, p)), "minus a log probability"),
        (lambda counts, p: (math.exp(parts(counts, p)[0]), parts(counts, p)[1]), "leave out exp"),
        (
            lambda counts, p: (
                -sum(p[t] * math.log(s) for t, s in shares(counts).items()),
                -sum(x * math.log(x) for x in p.values()),
            ),
            "average over the truth",
        ),
        (
            lambda counts, p: (-sum(math.log(p[t]) for t in counts) / len(counts), parts(counts, p)[1]),
            "weigh it by how often",
        ),
        (lambda counts, p: 1.0, "two numbers"),
    ],
    "10.b": [("b", "two parts of one KL"), ("c", "or beyond it")],
}
