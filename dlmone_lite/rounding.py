"""The rounding loss: how surely each noisy embedding is read as its own word, of however many words."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, cat
from torch.utils.checkpoint import checkpoint

from dlmone_lite.model import Denoiser
from dlmone_lite.nearest import at_once


def rounding_loss(model: Denoiser, x: Tensor, ids: Tensor) -> Tensor:
    """Cross-entropy of `model.scores(x)` against `ids`, x (B, L, D), ids (B, L) -> (B,), means over L.

    With many words the logits are made in parts, and made again for the gradient: of 64 x 32 positions and
    8192 words they would fill 64 MB several times over, which costs more time than their products.
    """
    x, flat = x.flatten(0, 1), ids.flatten()
    rows = at_once(x, model.config.vocab_size)
    if len(x) <= rows:
        return _surprise(model, x, flat).view(ids.shape).mean(-1)
    parts = [
        checkpoint(_surprise, model, *part, use_reentrant=False, preserve_rng_state=False)
        for part in zip(x.split(rows), flat.split(rows), strict=True)
    ]
    return cat(parts).view(ids.shape).mean(-1)


def _surprise(model: Denoiser, x: Tensor, ids: Tensor) -> Tensor:
    """-log softmax of each row's own word, x (N, D), ids (N,) -> (N,)."""
    return F.cross_entropy(model.scores(x), ids, reduction="none")
