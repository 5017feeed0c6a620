"""DiffuSeq's own network: a BERT encoder from scratch between two small projections, with free embeddings.

Follows the published code of DiffuSeq (arXiv 2210.08933) and BERT (arXiv 1810.04805); the encoder equals
`transformers`' BertModel weight for weight.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlmone_lite.model import Denoiser, ModelConfig, attend
from dlmone_lite.schedule import Schedule
from dlmone_lite.training.large_vocabulary import nearest_row

EPS = 1e-12  # of BERT's layer normalisations
POSITIONS = 512  # BERT's number of positions, also for shorter rows


class BertBlock(nn.Module):
    """A post-norm layer of BERT: attention and a GELU perceptron, each sum normalised after it is formed."""

    def __init__(self, width: int, heads: int, expand: int, dropout: float):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norm1, self.norm2 = nn.LayerNorm(width, EPS), nn.LayerNorm(width, EPS)
        self.up, self.down = nn.Linear(width, expand * width), nn.Linear(expand * width, width)

    def last_sum(self, h: Tensor) -> Tensor:
        """h (B, L, W) -> the last residual sum (B, L, W), before `norm2`."""
        B, L, W = h.shape
        qkv = self.qkv(h).view(B, L, 3, self.heads, W // self.heads)
        drop = self.dropout if self.training else 0.0
        mixed = attend(*qkv.permute(2, 0, 3, 1, 4), drop).transpose(1, 2).reshape(B, L, W)
        h = self.norm1(h + F.dropout(self.proj(mixed), drop))
        return h + F.dropout(self.down(F.gelu(self.up(h))), drop)

    def forward(self, h: Tensor) -> Tensor:
        """h (B, L, W) -> (B, L, W)."""
        return self.norm2(self.last_sum(h))


class BertDenoiser(Denoiser):
    """DiffuSeq's network with the interface of `Denoiser`; `network="bert"` of `ModelConfig`.

    Embeddings are not normalised, so the nearest one is found by distance. The network receives t * 1000 / T.
    `hidden` is the last layer's output before its normalisation, because SiDA's real-or-fake logit is a mean
    over channels, which the normalisation would make constant. That DLM-One does so is a reconstruction.
    """

    def __init__(self, config: ModelConfig):
        nn.Module.__init__(self)
        self.config, self.schedule = config, Schedule(config.schedule, config.T)
        D, W = config.embed_dim, config.width
        self.words = nn.Parameter(torch.randn(config.vocab_size, D))
        self.word_bias = nn.Parameter(torch.zeros(config.vocab_size))  # of the rounding head
        # All first weights are torch's own, as in the published code.
        self.position = nn.Parameter(torch.randn(max(POSITIONS, config.length), W))
        self.up = nn.Sequential(nn.Linear(D, W), nn.Tanh(), nn.Linear(W, W))
        self.time = nn.Sequential(nn.Linear(D, 4 * D), nn.SiLU(), nn.Linear(4 * D, W))
        self.norm = nn.LayerNorm(W, EPS)
        sizes = W, config.heads, config.expand, config.dropout
        self.blocks = nn.ModuleList(BertBlock(*sizes) for _ in range(config.depth))
        self.down = nn.Sequential(nn.Linear(W, W), nn.Tanh(), nn.Linear(W, D))
        self.add_discriminator_head()

    def normalise(self, words: Tensor) -> Tensor:
        """Embeddings (..., D), unchanged."""
        return words

    def round(self, x: Tensor) -> Tensor:
        """x (..., D) -> ids (...) of the nearest embeddings."""
        return nearest_row(x, self.words)

    def hidden(self, x_t: Tensor, t: Tensor) -> Tensor:
        """The last layer's residual sum (B, L, W), before its normalisation."""
        time = self.time(sinusoids(t * (1000.0 / self.config.T), self.config.embed_dim))
        h = self.up(x_t) + self.position[: x_t.shape[1]] + time[:, None]
        h = F.dropout(self.norm(h), self.config.dropout, self.training)
        for block in self.blocks[:-1]:
            h = block(h)
        return self.blocks[-1].last_sum(h)

    def logits(self, x_t: Tensor, t: Tensor, h: Tensor) -> Tensor:
        """Word logits (B, L, V) of the estimate, by the rounding head."""
        return self.rounding_logits(self.x0_from_hidden(x_t, t, h))

    def rounding_head(self) -> tuple[Tensor, Tensor | None]:
        """The rounding head's weights, the embeddings (V, D), and its bias (V,)."""
        return self.words, self.word_bias

    def x0_from_hidden(self, x_t: Tensor, t: Tensor, h: Tensor) -> Tensor:
        """x0_hat (B, L, D) from `hidden`."""
        return self.down(self.blocks[-1].norm2(h)).to(x_t.dtype)


def sinusoids(t: Tensor, width: int) -> Tensor:
    """Cosines and sines (B, width) of t (B,), at frequencies from 1 down to 1/10000 (DDPM's code)."""
    half = width // 2
    frequencies = torch.exp(-math.log(10_000) * torch.arange(half, device=t.device) / half)
    angle = t.float()[:, None] * frequencies
    return torch.cat([angle.cos(), angle.sin()], -1)
