"""The denoiser: a small transformer over clean source embeddings and noisy target embeddings."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlmone_lite.errors import InputError
from dlmone_lite.schedule import Schedule
from dlmone_lite.text import Batch, Codec
from dlmone_lite.training.large_vocabulary import nearest_row
from dlmone_lite.training.ranges import check, check_memory


@dataclass(frozen=True)
class ModelConfig:
    """Shape of a denoiser. vocab_size and the lengths come from the codec, the rest from a preset."""

    vocab_size: int = 0
    length: int = 32  # L, positions of source and target together
    source_length: int = 16  # of these, the source's
    embed_dim: int = 32  # D, the space in which noise is added
    width: int = 128  # W, the residual stream
    depth: int = 6
    heads: int = 4
    expand: int = 4  # feed-forward width / W
    dropout: float = 0.0
    rope: float = 100.0  # base of rotary positions, which restart at the target block; 0: no rotary positions
    output: str = "linear"  # x0_hat by a linear layer, or "softmax": the expected embedding over words (CDCD)
    evidence: bool = True  # softmax only: add each word's Gaussian log-likelihood to its logit
    discriminator: str = "head"  # real-or-fake logits: a linear "head", or the channel "mean" (SiDA)
    schedule: str = "sqrt"
    T: int = 2000
    network: str = "prenorm"  # `Denoiser` below, or "bert": DiffuSeq's network, `variants/bert.py`

    def __post_init__(self):
        known = {"network": ("prenorm", "bert"), "output": ("linear", "softmax")}
        check(self, **known, discriminator=("head", "mean"))
        if self.width % self.heads:
            raise InputError(f"width {self.width} is no multiple of heads {self.heads}; choose one that is")
        weights = (4 + 2 * self.expand) * self.depth * self.width**2 + self.vocab_size * self.embed_dim
        check_memory(4 * weights, "a network of this shape", "choose a smaller width or depth")


BERT_BASE = {"width": 768, "depth": 12, "heads": 12, "dropout": 0.1, "rope": 0.0, "network": "bert"}
PRESETS = {
    "classroom": ModelConfig(),
    "lite": ModelConfig(length=64, source_length=32, embed_dim=64, width=256, depth=5),
    "paper": ModelConfig(length=128, source_length=64, embed_dim=128, discriminator="mean", **BERT_BASE),
}


def preset(name: str, **changes: int | float | str | bool) -> ModelConfig:
    """A named shape with some fields changed."""
    if name not in PRESETS:
        raise InputError(f"unknown preset {name!r}; known: {', '.join(PRESETS)}")
    return replace(PRESETS[name], **changes)


def attend(q: Tensor, k: Tensor, v: Tensor, dropout: float) -> Tensor:
    """Full attention over q, k, v (B, heads, L, W / heads)."""
    if q.device.type == "cpu" and q.dtype.itemsize == 2:  # torch's fused kernel is slower at these lengths
        weights = ((q * q.shape[-1] ** -0.5) @ k.mT).softmax(-1)
        return F.dropout(weights, dropout) @ v
    return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)


def sized(config: ModelConfig, codec: Codec) -> ModelConfig:
    """`config` with the sizes of the codec."""
    return replace(
        config, vocab_size=len(codec.vocabulary), length=codec.length, source_length=codec.source_length
    )


class Block(nn.Module):
    """Pre-norm transformer block: full self-attention, then a GELU feed-forward layer."""

    def __init__(self, width: int, heads: int, expand: int, dropout: float):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, expand * width), nn.Linear(expand * width, width)

    def forward(self, h: Tensor, turns: Tensor | None = None) -> Tensor:
        """h (B, L, W), turns (2, L, W / heads) from `rotation` -> (B, L, W)."""
        B, L, W = h.shape
        qkv = self.qkv(self.norm1(h)).view(B, L, 3, self.heads, W // self.heads)
        qkv = qkv.permute(2, 0, 3, 1, 4).contiguous()  # a CPU is faster in this order
        qk, v = qkv.split((2, 1))
        q, k = qk if turns is None else rotate(qk, turns)  # (B, heads, L, W / heads) each
        drop = self.dropout if self.training else 0.0
        mixed = attend(q, k, v.squeeze(0), drop).transpose(1, 2).reshape(B, L, W)
        h = h + F.dropout(self.proj(mixed), drop)
        return h + F.dropout(self.down(F.gelu(self.up(self.norm2(h)))), drop)


def rotation(angles: Tensor) -> Tensor:
    """The factors of `rotate` for angles (L, F): cosines and signed sines (2, L, 2 F)."""
    cos, sin = angles.cos(), angles.sin()
    return torch.stack([torch.cat([cos, cos], -1), torch.cat([-sin, sin], -1)])


def rotate(x: Tensor, turns: Tensor) -> Tensor:
    """Rotary position encoding (Su et al. 2021) of x (..., L, 2 F): rotate each pair of entries i and i + F
    by its angle; turns (2, L, 2 F) come from `rotation`."""
    cos, sin = turns.to(x.dtype)
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin)


def time_features(level: Tensor, width: int) -> Tensor:
    """Sines and cosines (B, width) of log(sigma / alpha) (B,), at frequencies from 1/4 to 16."""
    frequencies = torch.exp(torch.linspace(math.log(0.25), math.log(16), width // 2, device=level.device))
    angle = level[:, None] * frequencies
    return torch.cat([angle.sin(), angle.cos()], -1)


class Denoiser(nn.Module):
    """`denoiser(x_t, t, batch) -> x0_hat`, an estimate of E[x0 | x_t, source], all (B, L, D).

    Embeddings are learned and lie on the sphere of radius sqrt(D), so that each coordinate has about unit
    variance. Source positions of x_t hold clean embeddings; the output there carries no loss.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config, self.schedule = config, Schedule(config.schedule, config.T)
        D, W = config.embed_dim, config.width
        self.words = nn.Parameter(torch.randn(config.vocab_size, D))
        self.position = nn.Parameter(torch.randn(config.length, W))
        self.up = nn.Linear(D, W)
        self.time = nn.Sequential(nn.Linear(64, W), nn.SiLU(), nn.Linear(W, W))
        sizes = W, config.heads, config.expand, config.dropout
        self.blocks = nn.ModuleList(Block(*sizes) for _ in range(config.depth))
        self.norm, self.down = nn.LayerNorm(W), nn.Linear(W, D)

        # Rotary positions restart at the target block, so that target position i is the same everywhere.
        angles = None
        if config.rope:
            place = torch.arange(config.length)
            place = torch.where(place < config.source_length, place, place - config.source_length)
            angles = place[:, None] * config.rope ** -torch.linspace(0, 1, W // config.heads // 2)
        self.register_buffer("angles", angles, persistent=False)

        # Residual branches start small, so that depth does not change the scale.
        for block in self.blocks:
            for layer in (block.proj, block.down):
                nn.init.normal_(layer.weight, std=0.5 / math.sqrt(2 * config.depth * layer.in_features))
                nn.init.zeros_(layer.bias)
        self.add_discriminator_head()

    def add_discriminator_head(self) -> None:
        """For the discriminator "head": one linear layer that starts at zero, which is undecided."""
        if self.config.discriminator == "head":
            self.verdict = nn.Linear(self.config.width, 1)
            nn.init.zeros_(self.verdict.weight)
            nn.init.zeros_(self.verdict.bias)

    def embedding(self) -> Tensor:
        """All word embeddings (V, D), of norm sqrt(D)."""
        return self.normalise(self.words)

    def normalise(self, words: Tensor) -> Tensor:
        """Raw embeddings (..., D) -> their points on the sphere of radius sqrt(D)."""
        return F.normalize(words, dim=-1) * math.sqrt(self.config.embed_dim)

    def embed(self, ids: Tensor) -> Tensor:
        """ids (B, L) -> (B, L, D)."""
        return self.normalise(self.words[ids])

    def round(self, x: Tensor) -> Tensor:
        """x (..., D) -> ids (...) of the nearest embeddings, by the largest product as norms are equal."""
        return nearest_row(x, self.embedding(), equal_norms=True)

    def rounding_head(self) -> tuple[Tensor, Tensor | None]:
        """Weight (V, D) and bias of the rounding head: the embeddings and None."""
        return self.embedding(), None

    def rounding_logits(self, x: Tensor) -> Tensor:
        """x (..., D) -> (..., V): the word logits of the rounding loss."""
        table, bias = self.rounding_head()
        return x @ table.T if bias is None else x @ table.T + bias

    def clamp(self, x: Tensor) -> Tensor:
        """x (..., D) -> the nearest embedding of each position (DiffuSeq's clamping trick)."""
        return self.embedding()[self.round(x)]

    def hidden(self, x_t: Tensor, t: Tensor) -> Tensor:
        """The residual stream after the last block (B, L, W), before its normalisation."""
        level = self.schedule.ratio(t).clamp(min=1e-3).log().to(x_t.dtype)
        h = self.up(x_t) + self.position[: x_t.shape[1]] + self.time(time_features(level, 64))[:, None]
        turns = None if self.angles is None else rotation(self.angles)
        for block in self.blocks:
            h = block(h, turns)
        return h

    def logits(self, x_t: Tensor, t: Tensor, h: Tensor) -> Tensor:
        """Word logits (B, L, V) from the residual stream.

        With `evidence`, log p(word | all) = log p(word | the other positions) + log N(x_t; alpha e, sigma^2),
        an exact factorisation. The second term is known, so the network only learns the first.
        """
        with torch.autocast(h.device.type, enabled=False):  # large logits need full precision
            features = self.down(self.norm(h.to(x_t.dtype)))
            if self.config.evidence:
                alpha, sigma = self.schedule.like(t, x_t)
                features = features + alpha / sigma.clamp(min=0.05) ** 2 * x_t
            return features @ self.embedding().T

    def forward(self, x_t: Tensor, t: Tensor, batch: Batch) -> Tensor:
        """x_t (B, L, D), t (B,) in 0..T -> x0_hat (B, L, D)."""
        return self.x0_from_hidden(x_t, t, self.hidden(x_t, t))

    def x0_from_hidden(self, x_t: Tensor, t: Tensor, h: Tensor) -> Tensor:
        """x0_hat (B, L, D) from the residual stream h (B, L, W)."""
        if self.config.output == "linear":
            return self.down(self.norm(h)).to(x_t.dtype)
        with torch.autocast(h.device.type, enabled=False):
            return self.logits(x_t, t, h).softmax(-1) @ self.embedding()

    def denoise_and_discriminate(self, x_t: Tensor, t: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """(x0_hat (B, L, D), real-or-fake logits (B, L)) in one pass: psi is its own discriminator (SiDA)."""
        h = self.hidden(x_t, t)
        return self.x0_from_hidden(x_t, t, h), self.discriminator_logits(h)

    def discriminate(self, x_t: Tensor, t: Tensor) -> Tensor:
        """The real-or-fake logits alone (B, L)."""
        return self.discriminator_logits(self.hidden(x_t, t))

    def discriminator_logits(self, h: Tensor) -> Tensor:
        """Real-or-fake logits (B, L) from the residual stream h (B, L, W).

        SiDA takes the channel mean before normalisation, because after it the mean is constant. At the width
        of the worlds the mean learns next to nothing, so the default is a linear head of W + 1 parameters.
        """
        if self.config.discriminator == "mean":
            return h.float().mean(-1)
        return self.verdict(F.layer_norm(h, h.shape[-1:])).squeeze(-1).float()
