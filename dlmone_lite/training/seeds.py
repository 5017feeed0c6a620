"""Random numbers of a run: each a function of seed and update alone, so that a resumed run draws the same."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def generator_at(seed: int, step: int, device: str = "cpu") -> torch.Generator:
    """The random numbers of one update: a function of (seed, step) alone, so a resumed run draws the same."""
    return torch.Generator(device).manual_seed((seed * 1_000_003 + step) % (2**63))


def randn(shape: Sequence[int], generator: torch.Generator, device: torch.device) -> Tensor:
    """Normal numbers on `device`: a CPU's from `generator`, so that every CPU has the same; a GPU's from one
    of its own, seeded by `generator`, for it would wait long for a CPU to draw as many."""
    return torch.randn(*shape, generator=on_device(generator, device), device=device)


def on_device(generator: torch.Generator, device: torch.device) -> torch.Generator:
    """`generator` on a CPU; on a GPU one of its own, seeded by it. (GPUs of one kind draw the same.)"""
    if device.type == "cpu":
        return generator
    return torch.Generator(device).manual_seed(int(torch.randint(2**62, (), generator=generator)))


def seed_weights(seed: int) -> None:
    """Seed torch's own generator for a network's first weights, apart from every seed that draws noise.

    With one and the same seed, the first noise would be the very numbers of the first embeddings. (Of a seed,
    torch's CPU generator uses the lowest 32 bits.)
    """
    torch.manual_seed(generator_at(seed, 3_000_000_019).initial_seed())
