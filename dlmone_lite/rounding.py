"""The rounding loss, which keeps the embeddings of different words apart (DiffuSeq)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from dlmone_lite.training.large_vocabulary import surprise


def rounding_loss(x: Tensor, table: Tensor, bias: Tensor | None, ids: Tensor) -> Tensor:
    """DiffuSeq's rounding loss (B,): the cross-entropy of x table^T + bias against ids, a mean over L.

    x (B, L, D), ids (B, L); table (V, D) and bias (V,) or None are a model's `rounding_head()`.
    """
    return surprise(x.flatten(0, 1), table, bias, ids.flatten()).view(ids.shape).mean(-1)


def clean_rounding_loss(table: Tensor, bias: Tensor | None, ids: Tensor) -> Tensor:
    """`rounding_loss` of the embeddings table[ids] themselves, computed once for each different word.

    For a CPU only, because a GPU would have to be waited for to know how many different words there are.
    """
    words, places = ids.unique(return_inverse=True)
    return surprise(F.embedding(words, table), table, bias, words)[places].mean(-1)
