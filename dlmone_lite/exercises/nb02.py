"""Checks of notebook 02: how does text become continuous and back?"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dlmone_lite.exercises.compare import ask, checks, in_shape, judge


@checks("02.1")
def _check_round(answer: Any) -> None:
    g = torch.Generator().manual_seed(0)
    table = F.normalize(torch.randn(12, 4, generator=g), dim=-1) * torch.linspace(0.5, 3.0, 12)[:, None]
    x = 1.2 * torch.randn(40, 4, generator=g)
    distance = torch.cdist(x, table)
    ids = distance.argmin(-1)
    direction = F.cosine_similarity(x[:, None], table, dim=-1).argmax(-1)
    column = distance.argmin(0)
    mistakes = (
        (
            (x @ table.T).argmax(-1),
            "The largest product is the nearest embedding only if all embeddings are equally long. Here they "
            "are not, and long ones win too often.",
        ),
        (direction, "That is the embedding with the nearest direction. Distance also counts the length."),
        (distance.argmax(-1), "That is the farthest embedding: take the smallest distance."),
        (table[ids], "These are the embeddings themselves (that is the clamp). Return their ids."),
        (column, "That is the nearest x for every word. Take the minimum over the words, the last axis."),
        (distance.min(-1).values, "That is the distance to the nearest embedding. Which one is it? (argmin)"),
    )
    otherwise = "Not the ids of the nearest embeddings: one distance for every x and word, then the smallest."
    judge(in_shape(ask(answer, x, table), ids.shape), ids, mistakes, otherwise)


def _q(z: Tensor) -> Tensor:
    """Q(z) = P(N(0, 1) > z)."""
    return torch.special.ndtr(-z)


@checks("02.2")
def _check_pair(answer: Any) -> None:
    d, alpha, sigma = torch.tensor([0.5, 1.0, 2.0, 4.0], dtype=torch.float64), 0.6, 0.8
    z = d * alpha / (2 * sigma)
    narrow = _q(d * alpha / (2 * sigma**2))
    mistakes = (
        (_q(d / (2 * sigma)), "alpha is missing: in x_t the two embeddings are only alpha d apart."),
        (_q(2 * z), "The border lies in the middle between the two: noise must carry x_t half the distance."),
        (1 - _q(z), "That is the chance of reading the right word; the error is the rest."),
        (2 * _q(z), "Twice too large: only noise in one direction, towards the other word, does harm."),
        (0.5 * torch.erfc(z), "erfc wants its argument divided by sqrt(2): Q(z) = erfc(z / sqrt(2)) / 2."),
        (narrow, "Along the line between the two words the noise has standard deviation sigma, not sigma^2."),
        (z, "The border is that many standard deviations away. How likely is more than that?"),
    )
    otherwise = "Look along the line from one word to the other: a Gaussian, and a border at half the way."
    judge(in_shape(ask(answer, d, alpha, sigma), z.shape), _q(z), mistakes, otherwise)


def _marginals(ids: Tensor, p: Tensor) -> Tensor:
    """For every sentence k and position i the probability of its word there (K, L)."""
    return ((ids[:, None] == ids[None]) * p[None, :, None]).sum(1)


@checks("02.3")
def _check_share(answer: Any) -> None:
    ids = torch.tensor([[3, 4, 5, 6], [3, 7, 8, 6], [9, 4, 8, 2]])
    p = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    at = _marginals(ids, p)  # (K, L)
    right = at.prod(1).sum()
    drawn, single = (p * at.prod(1)).sum(), at.max(0).values.prod()
    uniform = _marginals(ids, torch.full_like(p, 1 / 3)).prod(1).sum()
    mistakes = (
        (at.prod(1), "The number of every sentence is right; any of them will do, so add them up."),
        (drawn, "Nobody draws a sentence first: the products are probabilities already, do not weight them."),
        ((p**2).sum(), "That is the chance that two whole sentences agree. Here every position draws alone."),
        (single, "That is the likeliest word everywhere, one single result. Add over all right sentences."),
        (uniform, "The sentences are not equally likely: count each word with the p of its sentence."),
        (1 - right, "That is the share of wrong results."),
        (1.0, "Whole sentences are always right. Position by position, words of different sentences mix."),
    )
    otherwise = "For each sentence: the product over positions of the probability of its word. Then add."
    judge(in_shape(ask(answer, ids, p), right.shape), right, mistakes, otherwise)
