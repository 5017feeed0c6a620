"""The exact answer: posterior mean, score and density of noised distributions that we know completely.

Points {y_k} with probabilities p_k, noised to x_t = alpha y + sigma eps, are a Gaussian mixture:
w_k(x_t) = softmax_k(log p_k - ||x_t - alpha y_k||^2 / (2 sigma^2)),  E[x0 | x_t] = sum_k w_k y_k.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from dlmone_lite.schedule import Schedule
from dlmone_lite.text import Batch, Codec
from dlmone_lite.tweedie import x0_to_score

Support = Callable[[str], Mapping[str, float]]  # a source -> its exact {target: probability}


class GaussianMixture:
    """sum_k p_k N(y_k, std^2 I): means (K, D), log_p (K,). `std = 0` is a finite set of points."""

    def __init__(self, means: Tensor, log_p: Tensor, std: float = 0.0):
        self.means, self.std = means, std
        self.log_p = log_p - log_p.logsumexp(0)

    def _logits(self, x_t: Tensor, alpha: Tensor | float, sigma: Tensor | float) -> tuple[Tensor, Tensor]:
        """log p_k + log N(x_t; alpha y_k, v I), no constant (B, K), and v = sigma^2 + alpha^2 std^2."""
        alpha, sigma = torch.as_tensor(alpha, dtype=x_t.dtype), torch.as_tensor(sigma, dtype=x_t.dtype)
        alpha, sigma = alpha.reshape(-1, 1).to(x_t.device), sigma.reshape(-1, 1).to(x_t.device)  # (B or 1, 1)
        variance = sigma**2 + (alpha * self.std) ** 2
        squared = x_t.square().sum(-1, keepdim=True) + alpha**2 * self.means.square().sum(-1)
        squared = squared - 2 * alpha * x_t @ self.means.T  # (B, K)
        return self.log_p - squared / (2 * variance), variance

    def log_prob(self, x_t: Tensor, alpha: Tensor | float, sigma: Tensor | float) -> Tensor:
        """log p_t(x_t) (B,) of the noised distribution."""
        logits, variance = self._logits(x_t, alpha, sigma)
        return logits.logsumexp(-1) - x_t.shape[-1] / 2 * (2 * math.pi * variance[:, 0]).log()

    def weights(self, x_t: Tensor, alpha: Tensor | float, sigma: Tensor | float) -> Tensor:
        """Posterior probability of each component (B, K)."""
        return self._logits(x_t, alpha, sigma)[0].softmax(-1)

    def mean(self, x_t: Tensor, alpha: Tensor | float, sigma: Tensor | float) -> Tensor:
        """E[x0 | x_t] (B, D); with std > 0 each component adds alpha std^2 / v (x_t - alpha y_k)."""
        logits, variance = self._logits(x_t, alpha, sigma)
        mean = logits.softmax(-1) @ self.means
        alpha = torch.as_tensor(alpha, dtype=x_t.dtype, device=x_t.device).reshape(-1, 1)
        return mean + alpha * self.std**2 / variance * (x_t - alpha * mean)

    def score(self, x_t: Tensor, alpha: Tensor | float, sigma: Tensor | float) -> Tensor:
        """grad log p_t(x_t) (B, D), by Tweedie's formula."""
        alpha = torch.as_tensor(alpha, dtype=x_t.dtype, device=x_t.device).reshape(-1, 1)
        sigma = torch.as_tensor(sigma, dtype=x_t.dtype, device=x_t.device).reshape(-1, 1)
        return x0_to_score(x_t, self.mean(x_t, alpha, sigma), alpha, sigma)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """n clean points (n, D)."""
        k = torch.multinomial(self.log_p.exp(), n, replacement=True, generator=generator)
        noise = torch.randn((n, self.means.shape[1]), generator=generator, dtype=self.means.dtype)
        return self.means[k] + self.std * noise


class ExactDenoiser:
    """The perfect teacher of a world: `denoiser(x_t, t, batch) -> E[x0 | x_t, source]`, no training.

    `support` is a world's (`World.support`). `sigma_0` is the standard deviation of noise that the embeddings
    themselves carry (DiffuSeq's x0 = Emb + sigma_0 noise).
    """

    def __init__(
        self, support: Support, codec: Codec, embedding: Tensor, schedule: Schedule, sigma_0: float = 0.0
    ):
        self.support, self.codec, self.schedule, self.sigma_0 = support, codec, schedule, sigma_0
        self.embedding = embedding.detach()
        self._mixtures: dict[str, GaussianMixture] = {}

    def mixture(self, source: str) -> GaussianMixture:
        """The distribution of the flattened target block (L_t * D) of one source."""
        if source not in self._mixtures:
            exact = self.support(source)
            ids = self.codec.encode([source] * len(exact), list(exact)).ids[:, self.codec.source_length :]
            points = self.embedding[ids.to(self.embedding.device)].flatten(1)
            log_p = torch.tensor(list(exact.values()), dtype=points.dtype, device=points.device).log()
            self._mixtures[source] = GaussianMixture(points, log_p, self.sigma_0)
        return self._mixtures[source]

    def __call__(self, x_t: Tensor, t: Tensor, batch: Batch) -> Tensor:
        """x_t (B, L, D) -> x0_hat (B, L, D); source positions come back unchanged."""
        x0_hat, cut = x_t.clone(), self.codec.source_length
        alpha, sigma = self.schedule.like(t.expand(len(x_t)), x_t[:, 0])  # (B, 1)
        rows: dict[str, list[int]] = {}
        for row, source in enumerate(self.codec.sources(batch)):
            rows.setdefault(source, []).append(row)
        for source, index in rows.items():
            flat = x_t[index, cut:].flatten(1)
            mean = self.mixture(source).mean(flat, alpha[index], sigma[index])
            x0_hat[index, cut:] = mean.reshape(len(index), -1, x_t.shape[-1])
        return x0_hat
