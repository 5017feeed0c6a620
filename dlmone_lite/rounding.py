"""The rounding loss: how surely each noisy embedding is read as its own word, of however many words."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def rounding_loss(x: Tensor, table: Tensor, bias: Tensor | None, ids: Tensor) -> Tensor:
    """Cross-entropy of x table^T + bias against `ids`, x (B, L, D), table (V, D), bias (V,) or None, ids
    (B, L) -> (B,), means over L. What a model scores words by is its `head()`."""
    return surprise(x.flatten(0, 1), table, bias, ids.flatten()).view(ids.shape).mean(-1)


def clean_rounding_loss(table: Tensor, bias: Tensor | None, ids: Tensor) -> Tensor:
    """`rounding_loss` of the embeddings table[ids] themselves, each word's computed once.

    A GPU would have to be waited for to know how many words there are.
    """
    words, places = ids.unique(return_inverse=True)
    return surprise(F.embedding(words, table), table, bias, words)[places].mean(-1)


def surprise(x: Tensor, table: Tensor, bias: Tensor | None, ids: Tensor) -> Tensor:
    """-log softmax(x table^T + bias) of each row's own word, x (N, D), table (V, D), bias (V,) or None,
    ids (N,) -> (N,)."""
    if len(x) <= at_once(x, len(table)):
        scores = x @ table.T if bias is None else x @ table.T + bias
        return F.cross_entropy(scores, ids, reduction="none")
    device = x.device.type
    mixed = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if mixed else x.dtype
    with torch.autocast(device, enabled=False):
        return Surprise.apply(x, table, bias, ids, dtype)


class Surprise(torch.autograd.Function):
    """`surprise` of many rows and words, with the products in `dtype`.

    The logits of 64 x 32 positions and 8192 words would fill 64 MB several times over; so they are made in
    parts, and of each part only the logits' gradient is kept, in `dtype`: the softmax less one at the own
    word, which is minus the sum of all others, precise however near to one the own share is. Autograd's own
    way goes over them several times more. (A share below what `dtype` can hold counts as the smallest: a loss
    is at most 87, in float16 16.6.)
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, table: Tensor, bias: Tensor | None, ids: Tensor, dtype: torch.dtype
    ) -> Tensor:
        words, wrong = table.to(dtype), x.new_empty(len(x), len(table), dtype=dtype)
        rows = at_once(x, len(table))
        held = torch.finfo(dtype)
        least = max(held.tiny * held.eps, torch.finfo(torch.float32).tiny)
        losses = []
        for part, own, out in zip(x.to(dtype).split(rows), ids.split(rows), wrong.split(rows), strict=True):
            scores = part @ words.T if bias is None else torch.addmm(bias.to(dtype), part, words.T)
            torch.softmax(scores, -1, out=out)
            places = torch.arange(len(out), device=out.device)
            share = out[places, own].to(x.dtype)
            out[places, own] = 0
            others = out.sum(-1)
            out[places, own] = -others
            surely = torch.log1p(-others.to(x.dtype))
            losses.append(-torch.where(share < 0.5, share.clamp(min=least).log(), surely))
        ctx.save_for_backward(x, words, wrong)
        ctx.bias = bias is not None
        return torch.cat(losses)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, words, wrong = ctx.saved_tensors
        share = grad[:, None]
        d_x = share * (wrong @ words)
        d_table = (wrong.T @ (share * x).to(words.dtype)).to(x.dtype)
        d_bias = (wrong.T @ share.to(words.dtype)).squeeze(1).to(x.dtype) if ctx.bias else None
        return d_x, d_table, d_bias, None, None


AT_ONCE = 2**21  # products, on a CPU


BLOCK = 16  # rows of the table, evenly apart, whose largest product is found first


MANY = 256  # positions, from which it pays to look for [PAD] first


def at_once(x: Tensor, words: int) -> int:
    """For how many positions to make products with so many words at a time: what a CPU's caches hold, or half
    a gigabyte of a GPU's memory."""
    return max(1, (AT_ONCE if x.device.type == "cpu" else 64 * AT_ONCE) // words)


def nearest_row(x: Tensor, table: Tensor, equal_norms: bool = False) -> Tensor:
    """The row of the table (V, D) nearest to each x (..., D) -> (...); with `equal_norms` of all rows, which
    then need not be computed, that of the largest product.

    In the table's precision, for near rows differ in the last digits. On a CPU the positions that are surely
    row 0, the [PAD] that ends every sentence, need no products with all others.
    """
    flat = x.reshape(-1, x.shape[-1]).to(table.dtype)
    with torch.autocast(x.device.type, enabled=False):
        bias = None if equal_norms else -table.square().sum(-1) / 2
        if x.device.type == "cpu" and len(flat) >= MANY:
            left = (~surely_first(flat, table)).nonzero().squeeze(-1)
            rows = torch.zeros(len(flat), dtype=torch.long).index_copy(0, left, best(flat[left], table, bias))
        else:
            rows = best(flat, table, bias)
    return rows.view(x.shape[:-1])


def surely_first(x: Tensor, table: Tensor) -> Tensor:
    """Whether x (N, D) is nearer to row 0 than half of the way from there to the next row -> (N,): then it is
    nearer to it than to any other, by the triangle inequality."""
    way = (table[1:] - table[0]).square().sum(-1).amin()
    return (x - table[0]).square().sum(-1) < 0.249 * way  # a quarter, less what rounding errors may add


def best(x: Tensor, table: Tensor, bias: Tensor | None = None) -> Tensor:
    """The row of the table (V, D) with the largest product, plus bias (V,), with x (N, D) -> (N,).

    In parts: of 64 x 40 positions and 4096 words the products fill 42 MB, more than a CPU's caches. The table
    stands on the left, for a CPU makes a few hundred columns sooner than as many rows.
    """
    words = len(table)
    if more := -words % BLOCK:  # the last row again and again, to fill the last block
        table = torch.cat([table, table[-1:].expand(more, -1)])
        bias = None if bias is None else torch.cat([bias, bias[-1:].expand(more)])
    parts = x.split(max(256, at_once(x, words)))
    parts = (table @ p.T if bias is None else torch.addmm(bias[:, None], table, p.T) for p in parts)
    return torch.cat([largest(part) for part in parts]).clamp(max=words - 1)


def largest(scores: Tensor) -> Tensor:
    """argmax over the first dimension of (V, N), V a multiple of BLOCK -> (N,).

    In two steps, because a CPU finds the largest of many numbers much faster than where it stands.
    """
    blocks = scores.unflatten(0, (BLOCK, -1))
    best = blocks.amax(0).argmax(0)  # (N,), the block
    inside = blocks[:, best, torch.arange(len(best), device=best.device)].argmax(0)
    return inside * blocks.shape[1] + best
