"""A teacher's samples for each source, with their shares, ordered along one direction."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def shares(mean: Tensor, points: Tensor, candidate: Tensor, iterations: int = 2000) -> Tensor:
    """Weights p (S, n) >= 0 of sum 1 that bring sum_k p_k points_k nearest to `mean`.

    Exponentiated gradient descent (Kivinen & Warmuth 1997); the step size suits points of equal norm.
    mean (S, E), points (S, n, E), for any E; candidate (S, n) is True where a point may have a weight.
    """
    gram = points @ points.mT
    overlap = (points @ mean[..., None])[..., 0]
    rate = 1 / gram.diagonal(dim1=1, dim2=2).mean(1, keepdim=True)
    p = candidate / candidate.sum(1, keepdim=True)
    for _ in range(iterations):
        slope = (gram @ p[..., None])[..., 0] - overlap
        p = p * torch.exp(-4 * rate * (slope - (p * slope).sum(1, keepdim=True)))
        p = p / p.sum(1, keepdim=True)
    return p


CHUNK = 4096  # sources whose sentences are embedded together


class Pool(nn.Module):
    """The teacher's sentences for each of S sources, rows (S,) of the data: up to n different ones, ids
    (S, n, L_t), their shares and their order. A module, because it is saved with a run.

    Counting n samples gives shares too rough to regress on. The teacher's x0_hat gives better ones: at every
    t its average over x_t is E[x0 | source], and the shares are the weights with which the sentences add up
    to that mean (`shares`). At t = T the teacher is at its weakest, and at small t the average amounts to
    counting; early in the path few samples give a good mean, because no sentence is decided yet.

    The sentences are ordered along one direction r (D,), on which sentences of the same source differ most:
    the first principal axis of their summed embeddings around each source's mean. A standard normal number
    selects the sentence at its quantile: the optimal transport between the two projections.
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
        """Whether every source has its sentences."""
        return int(self.filled) == len(self.rows)

    def append(self, ids: Tensor, mean: Tensor, embedding: Tensor) -> None:
        """Store samples ids (s, n, L_t) of the next s sources, whose E[x0 | source] is mean (s, L_t, D), and
        order all sentences when the pool is full; embedding (V, D)."""
        same = (ids[:, :, None] == ids[:, None]).all(-1)  # (s, n, n)
        first = same.float().argmax(-1) == torch.arange(ids.shape[1], device=ids.device)
        here = slice(int(self.filled), int(self.filled) + len(ids))
        self.ids[here] = ids
        self.share[here] = shares(mean.flatten(1), embedding[ids].flatten(2), first)
        self.filled += len(ids)
        if self.full:
            self.order_sentences(embedding)

    def order_sentences(self, embedding: Tensor) -> None:
        """Compute the direction and sort each source's sentences along it; embedding (V, D)."""
        sums = torch.cat([embedding[ids].sum(2) for ids in self.ids.split(CHUNK)])  # (S, n, D)
        weight = self.share[..., None]
        centred = ((sums - (weight * sums).sum(1, keepdim=True)) * weight.sqrt()).flatten(0, 1).double()
        axis = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -1]
        self.direction.copy_(axis * axis[axis.abs().argmax()].sign())  # fixes the sign
        order = (sums @ self.direction).argsort(dim=1, stable=True)
        self.ids.copy_(self.ids.gather(1, order[..., None].expand_as(self.ids)))
        self.share.copy_(self.share.gather(1, order))

    def sentences_at(self, source: Tensor, score: Tensor) -> Tensor:
        """The sentences (B, L_t) of source numbers (B,) at the quantiles of standard normal scores (B,)."""
        edges = self.share[source].cumsum(1)
        edges = edges / edges[:, -1:]
        rank = torch.searchsorted(edges, torch.special.ndtr(score)[:, None]).clamp(max=edges.shape[1] - 1)
        return self.ids[source, rank[:, 0]]

    def refit_shares(self, here: slice, mean: Tensor, embedding: Tensor) -> None:
        """Fit the shares of the same sentences, in the same order, to another mean (s, L_t, D)."""
        points, before = embedding[self.ids[here]].flatten(2), self.share[here]
        self.share[here] = shares(mean.flatten(1), points, before > 1e-3)
