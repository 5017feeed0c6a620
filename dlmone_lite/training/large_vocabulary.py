"""Products with all words of a large vocabulary, in parts: cross-entropy and the nearest row."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

AT_ONCE = 2**21  # products at a time, on a CPU
BLOCK = 16  # rows of the table, evenly apart, whose maximum is taken first
MANY = 256  # positions from which looking for [PAD] first pays


def surprise(x: Tensor, table: Tensor, bias: Tensor | None, ids: Tensor) -> Tensor:
    """-log softmax(x table^T + bias) at the right word of each row: x (N, D), ids (N,) -> (N,)."""
    if len(x) <= at_once(x, len(table)):
        scores = x @ table.T if bias is None else x @ table.T + bias
        return F.cross_entropy(scores, ids, reduction="none")
    device = x.device.type
    mixed = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if mixed else x.dtype
    with torch.autocast(device, enabled=False):
        return Surprise.apply(x, table, bias, ids, dtype)


class Surprise(torch.autograd.Function):
    """`surprise` for many rows and words, in parts, with products in `dtype`.

    The logits of 64 x 32 positions and 8192 words would fill 64 MB several times over. So only their gradient
    is kept, in `dtype`: the softmax, less one at the right word. That entry is minus the sum of the others,
    which is precise even if the right word has nearly all probability. A probability below what `dtype` can
    hold counts as the smallest, so a loss is at most 87, in float16 16.6.
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


def at_once(x: Tensor, words: int) -> int:
    """Number of positions whose products with all words fit a CPU's caches, or half a gigabyte of a GPU."""
    return max(1, (AT_ONCE if x.device.type == "cpu" else 64 * AT_ONCE) // words)


def nearest_row(x: Tensor, table: Tensor, equal_norms: bool = False) -> Tensor:
    """The number of the row of the table (V, D) nearest to each x (..., D) -> (...).

    With `equal_norms` of all rows it is the row of the largest product. Products are in the table's
    precision, because near rows differ in the last digits. A CPU skips what is surely row 0, [PAD].
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
    """Whether x (N, D) lies within half the distance from row 0 to its neighbour, so that by the triangle
    inequality row 0 is the nearest -> (N,)."""
    distance = (table[1:] - table[0]).square().sum(-1).amin()
    return (x - table[0]).square().sum(-1) < 0.249 * distance  # a quarter, less a margin for rounding errors


def best(x: Tensor, table: Tensor, bias: Tensor | None = None) -> Tensor:
    """The row of the table (V, D) whose product with x (N, D), plus bias (V,), is largest -> (N,).

    Computed in parts, because the products of 64 x 40 positions and 4096 words fill 42 MB, more than a CPU's
    caches. The table stands on the left because a CPU computes few columns faster than few rows.
    """
    words = len(table)
    if missing := -words % BLOCK:  # repeat the last row to fill the last block
        table = torch.cat([table, table[-1:].expand(missing, -1)])
        bias = None if bias is None else torch.cat([bias, bias[-1:].expand(missing)])

    rows = []
    for part in x.split(max(256, at_once(x, words))):
        scores = table @ part.T if bias is None else torch.addmm(bias[:, None], table, part.T)
        rows.append(largest(scores))
    return torch.cat(rows).clamp(max=words - 1)


def largest(scores: Tensor) -> Tensor:
    """argmax over the first dimension of (V, N), V a multiple of BLOCK -> (N,); in two steps, because a CPU
    computes a maximum much faster than its position."""
    blocks = scores.unflatten(0, (BLOCK, -1))
    best = blocks.amax(0).argmax(0)  # (N,), the block
    inside = blocks[:, best, torch.arange(len(best), device=best.device)].argmax(0)
    return inside * blocks.shape[1] + best
