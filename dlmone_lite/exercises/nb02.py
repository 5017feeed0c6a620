"""Exercises of notebook 02: how does text become continuous and back?"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dlmone_lite.exercises import Exercise, Wrong, ask, question


def _close(got: Any, wanted: Tensor) -> bool:
    """Whether `got` is near enough to `wanted`, in any shape with as many entries."""
    got = torch.as_tensor(got, dtype=torch.float64).detach()
    same_size = got.numel() == wanted.numel()
    return same_size and torch.allclose(got.reshape(wanted.shape), wanted.double(), atol=1e-6, rtol=1e-4)


def _check_round(answer: Any) -> None:
    g = torch.Generator().manual_seed(0)
    table = F.normalize(torch.randn(12, 4, generator=g), dim=-1) * torch.linspace(0.5, 3.0, 12)[:, None]
    x = 1.2 * torch.randn(40, 4, generator=g)
    got, distance = ask(answer, x, table), torch.cdist(x, table)
    if _close(got, distance.argmin(-1)):
        return
    if _close(got, (x @ table.T).argmax(-1)):
        raise Wrong(
            "The largest product finds the nearest embedding only if all embeddings are equally long. Here "
            "they are not: a long one wins too often."
        )
    if _close(got, F.cosine_similarity(x[:, None], table, dim=-1).argmax(-1)):
        raise Wrong("That is the embedding with the nearest direction. Distance also counts the length.")
    if _close(got, distance.argmax(-1)):
        raise Wrong("That is the farthest embedding: take the smallest distance.")
    if _close(got, table[distance.argmin(-1)]):
        raise Wrong("These are the embeddings themselves (that is the clamp). Return their ids.")
    if _close(got, distance.argmin(0)):
        raise Wrong("That is the nearest x for every word. Take the minimum over the words, the last axis.")
    if _close(got, distance.min(-1).values):
        raise Wrong("That is how far the nearest embedding is. Which one is it? (argmin)")
    raise Wrong("Not the ids of the nearest embeddings: one distance for every x and word, then a minimum.")


def _q(z: Tensor) -> Tensor:
    """Q(z) = P(N(0, 1) > z)."""
    return torch.special.ndtr(-z)


def _check_pair(answer: Any) -> None:
    d, alpha, sigma = torch.tensor([0.5, 1.0, 2.0, 4.0], dtype=torch.float64), 0.6, 0.8
    got, z = ask(answer, d, alpha, sigma), d * alpha / (2 * sigma)
    if _close(got, _q(z)):
        return
    if _close(got, _q(d / (2 * sigma))):
        raise Wrong("alpha is missing: in x_t the two embeddings are only alpha d apart.")
    if _close(got, _q(2 * z)):
        raise Wrong("The border lies in the middle between the two: noise must carry x_t half the distance.")
    if _close(got, 1 - _q(z)):
        raise Wrong("That is the chance of reading the right word; the error is the rest.")
    if _close(got, 2 * _q(z)):
        raise Wrong("Twice too large: only noise in one direction, towards the other word, does harm.")
    if _close(got, 0.5 * torch.erfc(z)):
        raise Wrong("erfc wants its argument divided by sqrt(2): Q(z) = erfc(z / sqrt(2)) / 2.")
    if _close(got, _q(d * alpha / (2 * sigma**2))):
        raise Wrong(
            "Along the line between the two words the noise has standard deviation sigma, not sigma^2."
        )
    if _close(got, z):
        raise Wrong("That is how many standard deviations away the border is. How likely is more than that?")
    raise Wrong("Look along the line from one word to the other: a Gaussian, and a border at half the way.")


def _marginals(ids: Tensor, p: Tensor) -> Tensor:
    """For every sentence k and position i the probability of its word there (K, L)."""
    return ((ids[:, None] == ids[None]) * p[None, :, None]).sum(1)


def _check_share(answer: Any) -> None:
    ids = torch.tensor([[3, 4, 5, 6], [3, 7, 8, 6], [9, 4, 8, 2]])
    p = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    got, at = ask(answer, ids, p), _marginals(ids, p)  # (K, L)
    right = at.prod(1).sum()
    if _close(got, right):
        return
    if _close(got, at.prod(1)):
        raise Wrong("One number for every sentence is right so far: any of them will do, so add them up.")
    if _close(got, (p * at.prod(1)).sum()):
        raise Wrong(
            "Nobody draws a sentence first: the products are probabilities already, do not weight them."
        )
    if _close(got, (p**2).sum()):
        raise Wrong("That is the chance that two whole sentences agree. Here every position draws alone.")
    if _close(got, at.max(0).values.prod()):
        raise Wrong("That is the likeliest word everywhere, one single result. Add over all right sentences.")
    flat = _marginals(ids, torch.full_like(p, 1 / 3)).prod(1).sum()
    if _close(got, flat):
        raise Wrong("The sentences are not equally likely: count each word with the p of its sentence.")
    if _close(got, 1 - right):
        raise Wrong("That is the share of wrong results.")
    if _close(got, torch.ones(())):
        raise Wrong("Whole sentences are always right. Position by position, words of different ones mix.")
    raise Wrong(
        "For each sentence: the product over positions of the probability of its word there. Then add."
    )


_SHARE = """
def my_share_right(ids, p):
    same = ids[:, None] == ids[None]                    # (K, K, L): has sentence j the word of sentence k?
    marginal = (same * p[None, :, None]).sum(1)         # (K, L): probability of that word at that position
    return marginal.prod(1).sum()
"""

EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "02.1",
        "Write rounding for embeddings of any length: x (N, D), table (V, D) -> ids (N,).",
        _check_round,
        "my_round",
        "def my_round(x, table):\n    return torch.cdist(x, table).argmin(-1)",
        (
            "||x - e||^2 = ||x||^2 - 2 x.e + ||e||^2. Which of the three terms may you drop, and when?",
            "Never ||e||^2, if lengths differ. torch.cdist(x, table) gives all distances (N, V).",
        ),
        "Right: and with embeddings of equal length the largest product does the same, faster.",
    ),
    Exercise(
        "02.2",
        "Write the chance that x_t = alpha e + sigma eps lies nearer to alpha e', where d = ||e - e'||.",
        _check_pair,
        "my_pair_error",
        "def my_pair_error(d, alpha, sigma):\n    return torch.special.ndtr(-d * alpha / (2 * sigma))",
        (
            "Only the noise along the line from e to e' matters, and along any line it is N(0, sigma^2).",
            "The border is alpha d / 2 away. torch.special.ndtr(z) is P(N(0, 1) < z).",
        ),
        "Right: Q(alpha d / 2 sigma). Distance and noise only ever meet in this ratio.",
    ),
    Exercise(
        "02.3",
        "Write the share of right sentences when every position draws its word alone: ids (K, L), p (K,) -> "
        "a number.",
        _check_share,
        "my_share_right",
        _SHARE,
        (
            "How likely is it that the draws spell sentence k? A product over positions. Then add over k.",
            "Word i of sentence k has the probability sum of p_j over all j that have it at position i.",
        ),
        "Right: independent positions are right about a word each, and wrong about the sentence.",
    ),
    question(
        "02.a",
        "Why are the [PAD] positions noised and learned like words? (a) to save computing time (b) because "
        "nobody knows the length before the sentence is written (c) because [PAD] has an embedding",
        "b",
        {
            "a": "No: it costs time. Leaving them out would be cheaper.",
            "c": "No: [UNK] has an embedding too, and is no target. Which secret would clean [PAD]s tell?",
        },
        (
            "At generation all target positions start as noise. Who says where the sentence ends?",
            "If [PAD]s stayed clean in training, the network could count them.",
        ),
        "Right: the length is part of what is generated, so [PAD] is a word like any other.",
    ),
    question(
        "02.b",
        "All embeddings are doubled and the schedule stays. The noise sigma/alpha up to which a word is read "
        "right (a) stays (b) doubles (c) becomes four times as large",
        "b",
        {
            "a": "No: the same noise now meets embeddings twice as far apart.",
            "c": "No: squared distances grow fourfold, but so would a squared noise level.",
        },
        (
            "Exercise 02.2: in which combination do d, alpha and sigma appear?",
            "d alpha / sigma stays the same if sigma/alpha grows as much as d.",
        ),
        "Right: only (scale times alpha / sigma) matters, so a scale is a shift of the clock.",
    ),
)
