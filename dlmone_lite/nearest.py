"""The nearest row of a table for each of many vectors, as rounding needs it, with any number of words."""

from __future__ import annotations

import torch
from torch import Tensor

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
