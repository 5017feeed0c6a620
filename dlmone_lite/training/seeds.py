"""Random numbers of a run, which depend on seed and update alone: a resumed run draws the same."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def generator_at(seed: int, step: int, device: str = "cpu") -> torch.Generator:
    """The generator of update `step` in a run with this seed."""
    return torch.Generator(device).manual_seed((seed * 1_000_003 + step) % (2**63))


def randn(shape: Sequence[int], generator: torch.Generator, device: torch.device) -> Tensor:
    """Standard normal numbers of that shape, drawn on `device` (see `on_device`)."""
    return torch.randn(*shape, generator=on_device(generator, device), device=device)


def on_device(generator: torch.Generator, device: torch.device) -> torch.Generator:
    """`generator` itself on a CPU; on a GPU, which would wait long for a CPU's draws, one there seeded by it.
    All CPUs draw the same numbers, and so do GPUs of one kind."""
    if device.type == "cpu":
        return generator
    return torch.Generator(device).manual_seed(int(torch.randint(2**62, (), generator=generator)))


def seed_weights(seed: int) -> None:
    """Seed torch's global generator for a network's initial weights, apart from every seed that draws noise:
    else the first noise would be the first embeddings. The offset lies in the lowest 32 bits, because torch's
    CPU generator uses no others."""
    torch.manual_seed(generator_at(seed, 3_000_000_019).initial_seed())
