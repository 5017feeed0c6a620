"""Wrong answers to the exercises of notebook 02, each with a piece of the feedback it must get."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F


def tail(z):
    """P(N(0, 1) > z)."""
    return torch.special.ndtr(-z)


def share(combine):
    """The share of 02.3, from p and the probability (K, L) of each sentence's word, wrongly combined."""

    def wrong(ids, p):
        return combine(p, ((ids[:, None] == ids[None]) * p[None, :, None]).sum(1))

    return wrong


WRONG = {
    "02.1": [
        (lambda x, table: (x @ table.T).argmax(-1), "equally long"),
        (lambda x, table: F.cosine_similarity(x[:, None], table, dim=-1).argmax(-1), "nearest direction"),
        (lambda x, table: torch.cdist(x, table).argmax(-1), "farthest"),
        (lambda x, table: table[torch.cdist(x, table).argmin(-1)], "the clamp"),
        (lambda x, table: torch.cdist(x, table).argmin(0), "last axis"),
        (lambda x, table: torch.cdist(x, table).min(-1).values, "argmin"),
        (lambda x, table: torch.zeros(len(x)), "one distance for every x and word"),
        (lambda x, table: x @ table, "raised RuntimeError"),
        (torch.zeros(3), "the function itself"),
    ],
    "02.2": [
        (lambda d, a, s: tail(d / (2 * s)), "alpha is missing"),
        (lambda d, a, s: tail(d * a / s), "half the distance"),
        (lambda d, a, s: 1 - tail(d * a / (2 * s)), "the error is the rest"),
        (lambda d, a, s: torch.erfc(d * a / (2 * s) / math.sqrt(2)), "Twice too large"),
        (lambda d, a, s: 0.5 * torch.erfc(d * a / (2 * s)), "sqrt(2)"),
        (lambda d, a, s: tail(d * a / (2 * s**2)), "not sigma^2"),
        (lambda d, a, s: d * a / (2 * s), "How likely is more"),
        (lambda d, a, s: torch.exp(-(d**2)), "along the line"),
    ],
    "02.3": [
        (share(lambda p, at: at.prod(1)), "add them up"),
        (share(lambda p, at: (p * at.prod(1)).sum()), "do not weight them"),
        (share(lambda p, at: (p**2).sum()), "two whole sentences agree"),
        (share(lambda p, at: at.max(0).values.prod()), "one single result"),
        (lambda ids, p: (ids[:, None] == ids[None]).double().mean(1).prod(1).sum(), "not equally likely"),
        (share(lambda p, at: 1 - at.prod(1).sum()), "share of wrong"),
        (lambda ids, p: p.sum(), "always right"),
        (lambda ids, p: 0.25, "Then add"),
    ],
    "02.a": [("a", "costs time"), ("c", "[UNK]"), ("d", "not one of the choices")],
    "02.b": [("a", "twice as far"), ("c", "squared noise"), ("z", "not one of the choices")],
}
