"""The best row of a table for each of many vectors, as rounding needs it, with any number of words."""

from __future__ import annotations

import torch
from torch import Tensor

AT_ONCE = 2**21  # products, on a CPU
BLOCK = 64  # columns whose largest product is found first


def at_once(x: Tensor, words: int) -> int:
    """For how many positions to make products with so many words at a time: what a CPU's caches hold, or half
    a gigabyte of a GPU's memory."""
    return max(1, (AT_ONCE if x.device.type == "cpu" else 64 * AT_ONCE) // words)


def best_row(x: Tensor, table: Tensor, bias: Tensor | None = None) -> Tensor:
    """The row of the table (V, D) with the largest product, plus bias (V,), with x (..., D) -> (...).

    In parts: of 64 x 40 positions and 4096 words the products fill 42 MB, which doubles a CPU's time. In the
    table's precision, for near rows differ in the last digits.
    """
    flat, words = x.reshape(-1, x.shape[-1]).to(table.dtype), len(table)
    if more := -words % BLOCK:  # the last row again and again, to fill the last block
        table = torch.cat([table, table[-1:].expand(more, -1)])
        bias = None if bias is None else torch.cat([bias, bias[-1:].expand(more)])
    with torch.autocast(x.device.type, enabled=False):
        parts = flat.split(max(256, at_once(x, words)))
        parts = (p @ table.T if bias is None else torch.addmm(bias, p, table.T) for p in parts)
        rows = torch.cat([largest(part) for part in parts])
    return rows.clamp(max=words - 1).view(x.shape[:-1])


def largest(scores: Tensor) -> Tensor:
    """argmax over the last dimension of (N, V), V a multiple of BLOCK -> (N,).

    In two steps, because a CPU finds the largest of many numbers much faster than where it stands.
    """
    blocks = scores.unflatten(-1, (-1, BLOCK))
    best = blocks.amax(-1).argmax(-1, keepdim=True)  # (N, 1)
    inside = blocks.take_along_dim(best[..., None], 1).argmax(-1)
    return (best * BLOCK + inside).squeeze(-1)
