"""The rounding loss: how surely each noisy embedding is read as its own word, of however many words."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dlmone_lite.nearest import at_once


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
