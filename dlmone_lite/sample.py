"""Samplers. A step is given both its ends, t and s < t, and source positions stay clean."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dlmone_lite.errors import InputError
from dlmone_lite.schedule import Schedule
from dlmone_lite.text import Batch
from dlmone_lite.tweedie import posterior, x0_to_eps

DenoiserFn = Callable[[Tensor, Tensor, Batch], Tensor]
Trace = Callable[[int, Tensor, Tensor], None]  # (t, x_t, x0_hat), called at every step


def timesteps(T: int, steps: int, start: int | None = None) -> list[int]:
    """steps + 1 integers from `start` (T) down to 0, evenly spaced."""
    start = T if start is None else start
    if not 1 <= steps <= start:
        raise InputError(f"sampling takes between 1 and {start} steps, got {steps}")
    return [round(start * (1 - i / steps)) for i in range(steps + 1)]


def snr_timesteps(schedule: Schedule, steps: int, first: float = 28.0, last: float = 1.0) -> list[int]:
    """steps + 1 integers: T, then steps - 1 evenly in log(sigma/alpha) from `first` to `last`, then 0.

    DPM-Solver spaces its steps like this (Lu et al. 2022). A few steps evenly in t nearly miss the noisy end,
    where a sentence is chosen.
    """
    if not 3 <= steps <= schedule.T:
        raise InputError(f"steps in log SNR are between 3 and {schedule.T}, got {steps}")
    levels = [first * (last / first) ** (i / (steps - 2)) for i in range(steps - 1)]
    times = [schedule.T, *(schedule.at_ratio(level) for level in levels), 0]
    if any(t <= s for t, s in zip(times, times[1:], strict=False)):
        raise InputError(f"{steps} steps in log SNR do not fit into T = {schedule.T}; take fewer")
    return times


def noise_like(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard normal noise of x's shape; drawn on the generator's device, so that a seed means one thing."""
    if generator is None:
        raise InputError("this sampler draws noise; give it a generator")
    return torch.randn(x.shape, generator=generator, device=generator.device, dtype=x.dtype).to(x.device)


def anchor(x: Tensor, clean: Tensor, batch: Batch) -> Tensor:
    """x on target positions, the clean embeddings on source positions (DiffuSeq's partial noising)."""
    return torch.where(batch.target[..., None], x, clean)


def ancestral_step(
    schedule: Schedule,
    x_t: Tensor,
    x0_hat: Tensor,
    t: int,
    s: int,
    noise: Tensor,
    variance: str = "posterior",
) -> Tensor:
    """One ancestral step from t to s < t (DDPM, alg. 2): x_s ~ q(x_s | x_t, x0_hat), with `noise` as its
    randomness.

    variance "posterior" is that of q; "beta" is the variance of q(x_t | x_s), which DiffuSeq's code uses.
    """
    alpha_t, sigma_t = schedule.like(t, x_t)
    alpha_s, sigma_s = schedule.like(s, x_t)
    mean, std = posterior(x_t, x0_hat, alpha_t, sigma_t, alpha_s, sigma_s)
    if variance == "beta":
        std = (sigma_t**2 - (alpha_t / alpha_s * sigma_s) ** 2).sqrt()
    return mean + std * noise


def ddim_step(
    schedule: Schedule,
    x_t: Tensor,
    x0_hat: Tensor,
    t: int,
    s: int,
    noise: Tensor | None = None,
    eta: float = 0.0,
) -> Tensor:
    """One DDIM step from t to s < t (Song et al. 2021, eq. 12); eta above 0 adds that share of `noise`."""
    alpha_t, sigma_t = schedule.like(t, x_t)
    alpha_s, sigma_s = schedule.like(s, x_t)
    eps = x0_to_eps(x_t, x0_hat, alpha_t, sigma_t)
    std = eta * sigma_s / sigma_t * (1 - (alpha_t / alpha_s) ** 2).sqrt()
    mean = alpha_s * x0_hat + (sigma_s**2 - std**2).clamp(min=0).sqrt() * eps
    return mean if noise is None else mean + std * noise


StepFn = Callable[[Tensor, Tensor, int, int], Tensor]  # (x_t, x0_hat, t, s) -> x_s


def denoise_along(
    denoiser: DenoiserFn,
    step: StepFn,
    x: Tensor,
    times: Sequence[int],
    batch: Batch,
    clean: Tensor,
    clamp: Callable[[Tensor], Tensor] | None = None,
    trace: Trace | None = None,
) -> Tensor:
    """The loop of every sampler: x (B, L, D) at times[0] -> x0_hat at the last time, which is 0.

    Source positions are anchored to `clean` at every step; `clamp` rounds each x0_hat.
    """
    for t, s in zip(times[:-1], times[1:], strict=True):
        x0_hat = denoiser(x, torch.full((len(x),), t, device=x.device), batch)
        if clamp is not None:
            x0_hat = clamp(x0_hat)
        if trace is not None:
            trace(t, x, x0_hat)
        x = anchor(x0_hat if s == 0 else step(x, x0_hat, t, s), clean, batch)
    return x


def ancestral(
    denoiser: DenoiserFn,
    schedule: Schedule,
    batch: Batch,
    clean: Tensor,
    *,
    steps: int | Sequence[int],
    generator: torch.Generator,
    variance: str = "posterior",
    clamp: Callable[[Tensor], Tensor] | None = None,
    trace: Trace | None = None,
) -> Tensor:
    """Ancestral sampling (DDPM, alg. 2) -> x at t = 0 (B, L, D).

    clean (B, L, D) holds the source embeddings. `steps` is a number, evenly in t, or the times themselves,
    from T down to 0. See `ancestral_step` for the variances.
    """
    if variance not in ("posterior", "beta"):
        raise InputError(f"unknown variance {variance!r}; known: posterior, beta")
    times = timesteps(schedule.T, steps) if isinstance(steps, int) else list(steps)

    def step(x_t: Tensor, x0_hat: Tensor, t: int, s: int) -> Tensor:
        return ancestral_step(schedule, x_t, x0_hat, t, s, noise_like(x_t, generator), variance)

    x = anchor(noise_like(clean, generator), clean, batch)
    return denoise_along(denoiser, step, x, times, batch, clean, clamp, trace)


def ddim(
    denoiser: DenoiserFn,
    schedule: Schedule,
    batch: Batch,
    clean: Tensor,
    *,
    steps: int,
    generator: torch.Generator | None = None,
    start: Tensor | None = None,
    eta: float = 0.0,
    clamp: Callable[[Tensor], Tensor] | None = None,
    trace: Trace | None = None,
) -> Tensor:
    """DDIM -> x at t = 0 (B, L, D): eta = 0 is deterministic, eta = 1 equals `ancestral` with its posterior
    variance.

    `start` (B, L, D) is the noise at t = T, instead of a draw from `generator`.
    """

    def step(x_t: Tensor, x0_hat: Tensor, t: int, s: int) -> Tensor:
        return ddim_step(schedule, x_t, x0_hat, t, s, noise_like(x_t, generator) if eta else None, eta)

    x = anchor(noise_like(clean, generator) if start is None else start, clean, batch)
    return denoise_along(denoiser, step, x, timesteps(schedule.T, steps), batch, clean, clamp, trace)


def share_noise(z: Tensor, rho: float) -> Tensor:
    """Noise (B, L, D) with a part that all positions share, made of independent noise z; not in DLM-One.

    Each position keeps variance 1, and two positions have the correlation rho: 0 leaves z, 1 gives all
    positions of a row the same vector. A student whose positions share noise can agree in a single call.
    """
    if not rho:
        return z
    mean = z.mean(1, keepdim=True)  # of variance 1 / L, hence the second factor's L
    return (1 - rho) ** 0.5 * (z - mean) + (1 - rho + z.shape[1] * rho) ** 0.5 * mean


def student(
    generate: DenoiserFn,
    schedule: Schedule,
    batch: Batch,
    clean: Tensor,
    *,
    t_init: int,
    steps: int = 1,
    generator: torch.Generator,
    rho: float = 0.0,
    trace: Trace | None = None,
) -> Tensor:
    """The student's sampler -> x at t = 0 (B, L, D): x0_hat = G(sigma z, t_init) in one step. That the input
    is sigma z is a reconstruction.

    Further steps re-noise x0_hat to t_init (1 - i/steps) and denoise it again (SiD-LSG). rho is the
    correlation of the noise between positions, as in training (`share_noise`).
    """
    if not 1 <= steps <= t_init:
        raise InputError(f"the student takes between 1 and {t_init} steps, got {steps}")

    def step(x_t: Tensor, x0_hat: Tensor, t: int, s: int) -> Tensor:
        return schedule.diffuse(x0_hat, s, share_noise(noise_like(clean, generator), rho))

    sigma = schedule.like(t_init, clean)[1]
    x = anchor(sigma * share_noise(noise_like(clean, generator), rho), clean, batch)
    times = timesteps(schedule.T, steps, t_init)
    return denoise_along(generate, step, x, times, batch, clean, trace=trace)
