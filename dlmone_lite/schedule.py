"""Noise schedules: a step t in, (alpha, sigma) out, and x_t = alpha x0 + sigma noise."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dlmone_lite.errors import InputError


def _abar_sqrt(T: int) -> Tensor:
    """DiffuSeq's square-root schedule: betas from 1 - sqrt(s + 1e-4), clipped (`gaussian_diffusion.py`)."""
    s = torch.arange(T + 1, dtype=torch.float64) / T
    closed = 1 - (s + 1e-4).sqrt()
    return torch.cumprod(1 - (1 - closed[1:] / closed[:-1]).clamp(max=0.999), 0)


def _abar_cosine(T: int) -> Tensor:
    """Nichol & Dhariwal 2021, eq. 17, betas clipped at .999."""
    s = torch.arange(T + 1, dtype=torch.float64) / T
    closed = torch.cos((s + 0.008) / 1.008 * math.pi / 2) ** 2
    return torch.cumprod(1 - (1 - closed[1:] / closed[:-1]).clamp(max=0.999), 0)


def _abar_linear(T: int) -> Tensor:
    """Ho et al. 2020: betas linear from 1e-4 to .02 at T = 1000, rescaled to other T and clipped at .999."""
    return torch.cumprod(1 - torch.linspace(0.1 / T, 20 / T, T, dtype=torch.float64).clamp(max=0.999), 0)


SCHEDULES = {"sqrt": _abar_sqrt, "cosine": _abar_cosine, "linear": _abar_linear}


class Schedule:
    """A variance-preserving schedule with steps t = 0 (clean) to T; index i in DiffuSeq's code is t = i + 1.

    `schedule(t)` is the whole contract: alpha_t^2 + sigma_t^2 = 1, and sigma_t/alpha_t increases in t.
    """

    def __init__(self, name: str = "sqrt", T: int = 2000):
        if name not in SCHEDULES:
            raise InputError(f"unknown schedule {name!r}; known: {', '.join(SCHEDULES)}")
        if T < 2:
            raise InputError(f"a schedule needs at least 2 steps, got T = {T}")
        self.name, self.T = name, T
        abar = torch.cat([torch.ones(1, dtype=torch.float64), SCHEDULES[name](T)])
        self._alpha, self._sigma = abar.sqrt(), (1 - abar).sqrt()
        self._on_device: dict[tuple[torch.device, torch.dtype], tuple[Tensor, Tensor]] = {}

    def __call__(self, t: Tensor | int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """(alpha_t, sigma_t), each with the shape of t, on t's device."""
        self._check(t)
        alpha, sigma = self._tables(t.device if isinstance(t, Tensor) else torch.device("cpu"), dtype)
        return alpha[t], sigma[t]

    def _check(self, t: Tensor | int) -> None:
        """Refuse t outside 0..T, because a negative index would silently count from T.

        A tensor on a GPU is not checked, because the GPU would have to be waited for.
        """
        if not isinstance(t, Tensor):
            low = high = t
        elif t.device.type != "cpu" or not t.numel():
            return
        else:
            low, high = (int(end) for end in t.aminmax())
        if low < 0 or high > self.T:
            raise InputError(f"t must lie in 0..{self.T}, got {low}..{high}")

    def _tables(self, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """alpha and sigma of all steps, copied to each device once."""
        if (device, dtype) not in self._on_device:
            with torch.inference_mode(False):  # training cannot use tensors made in inference mode
                self._on_device[device, dtype] = self._alpha.to(device, dtype), self._sigma.to(device, dtype)
        return self._on_device[device, dtype]

    def like(self, t: Tensor | int, x: Tensor) -> tuple[Tensor, Tensor]:
        """(alpha_t, sigma_t) shaped to broadcast over x (B, ...), in x's dtype and on its device."""
        self._check(t)
        alpha, sigma = self._tables(x.device, x.dtype)
        if isinstance(t, Tensor):
            t = t.to(x.device)
            shape = t.shape + (1,) * (x.ndim - 1 if t.ndim else 0)
            return alpha[t].reshape(shape), sigma[t].reshape(shape)
        return alpha[t], sigma[t]

    def ratio(self, t: Tensor | int) -> Tensor:
        """The noise level sigma_t / alpha_t, which can be compared between schedules."""
        alpha, sigma = self(t, torch.float64)
        return sigma / alpha

    def at_ratio(self, ratio: float) -> int:
        """The step whose sigma/alpha is nearest to `ratio` (in log)."""
        if not ratio > 0:
            raise InputError(f"a noise level sigma/alpha is a positive number, got {ratio}")
        levels = (self._sigma[1:] / self._alpha[1:]).log()
        return int((levels - math.log(ratio)).abs().argmin()) + 1

    def diffuse(self, x0: Tensor, t: Tensor | int, noise: Tensor) -> Tensor:
        """x_t = alpha_t x0 + sigma_t noise; x0, noise (B, ...), t (B,) or an integer."""
        alpha, sigma = self.like(t, x0)
        return alpha * x0 + sigma * noise
