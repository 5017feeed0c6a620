"""The sentences that a teacher writes for each source, with their shares, in an order along one direction."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def shares(mean: Tensor, points: Tensor, candidate: Tensor, iterations: int = 2000) -> Tensor:
    """Weights p (S, n) >= 0 of sum 1 for which sum_k p_k points_k is nearest to `mean`.

    Exponentiated gradient descent (Kivinen & Warmuth 1997), at a step that suits points of equal norm. mean
    (S, E), points (S, n, E), for any E; candidate (S, n) is True where a point may have a weight.
    """
    gram = points @ points.mT
    against = (points @ mean[..., None])[..., 0]
    rate = 1 / gram.diagonal(dim1=1, dim2=2).mean(1, keepdim=True)
    p = candidate / candidate.sum(1, keepdim=True)
    for _ in range(iterations):
        slope = (gram @ p[..., None])[..., 0] - against
        p = p * torch.exp(-4 * rate * (slope - (p * slope).sum(1, keepdim=True)))
        p = p / p.sum(1, keepdim=True)
    return p


AT_ONCE = 4096  # sources whose sentences are embedded together


class Pool(nn.Module):
    """The teacher's sentences for each of S sources: up to n different ones, their shares, and an order.

    Counting n samples gives shares too rough to regress on (small ones blur into their neighbours). The
    teacher knows them better: at every t its x0_hat, averaged over x_t, is E[x0 | source], and the shares are
    the weights with which its sentences add up to that mean (`shares`). At t = T the average is over equal
    numbers, but there the teacher is at its weakest; at small t it is counting; early in the path, where
    nothing is decided yet, few samples give a good mean.

    The order is that along one direction r (D,), the axis on which sentences of the same source differ most:
    the first principal axis of their summed embeddings around each source's mean. A standard normal number
    then picks the sentence at its quantile, which is the optimal transport between the two projections.

    A module, so that it is saved and restored with a run. rows (S,) are rows of the data, ids (S, n, L_t).
    """

    def __init__(self, rows: Tensor, samples: int, length: int, embed_dim: int):
        super().__init__()
        self.register_buffer("rows", rows)
        self.register_buffer("ids", torch.zeros(len(rows), samples, length, dtype=torch.long))
        self.register_buffer("share", torch.zeros(len(rows), samples))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))
        self.register_buffer("direction", torch.zeros(embed_dim))

    @property
    def full(self) -> bool:
        """Whether every source has its sentences, in order."""
        return int(self.filled) == len(self.rows)

    def put(self, ids: Tensor, mean: Tensor, embedding: Tensor) -> None:
        """Samples ids (s, n, L_t) of the next s sources, whose E[x0 | source] is mean (s, L_t, D)."""
        same = (ids[:, :, None] == ids[:, None]).all(-1)  # (s, n, n)
        first = same.float().argmax(-1) == torch.arange(ids.shape[1], device=ids.device)
        here = slice(int(self.filled), int(self.filled) + len(ids))
        self.ids[here] = ids
        self.share[here] = shares(mean.flatten(1), embedding[ids].flatten(2), first)
        self.filled += len(ids)

    def sort(self, embedding: Tensor) -> None:
        """Find the direction, and put each source's sentences in order along it; embedding (V, D)."""
        sums = torch.cat([embedding[ids].sum(2) for ids in self.ids.split(AT_ONCE)])  # (S, n, D)
        weight = self.share[..., None]
        centred = ((sums - (weight * sums).sum(1, keepdim=True)) * weight.sqrt()).flatten(0, 1).double()
        axis = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -1]
        self.direction.copy_(axis * axis[axis.abs().argmax()].sign())  # of the two, always the same one
        order = (sums @ self.direction).argsort(dim=1, stable=True)
        self.ids.copy_(self.ids.gather(1, order[..., None].expand_as(self.ids)))
        self.share.copy_(self.share.gather(1, order))

    def pick(self, which: Tensor, score: Tensor) -> Tensor:
        """Sentences (B, L_t) for the sources number `which` (B,) and standard normal scores (B,)."""
        edges = self.share[which].cumsum(1)
        edges = edges / edges[:, -1:]
        place = torch.searchsorted(edges, torch.special.ndtr(score)[:, None]).clamp(max=edges.shape[1] - 1)
        return self.ids[which, place[:, 0]]

    def reread(self, here: slice, mean: Tensor, embedding: Tensor) -> None:
        """New shares of the same sentences, in the same order, for another mean (s, L_t, D)."""
        points, before = embedding[self.ids[here]].flatten(2), self.share[here]
        self.share[here] = shares(mean.flatten(1), points, before > 1e-3)
