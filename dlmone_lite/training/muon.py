"""The Muon optimiser for hidden layers' matrices: momentum, then the nearest orthogonal matrix as update.

`torch.optim.Muon` came with torch 2.9; this one also runs on 2.6, and handles matrices of one shape together.
"""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor, nn

A, B, C = 3.4445, -4.7750, 2.0315


def orthogonalise(matrices: Tensor, dtype: torch.dtype = torch.float32, iterations: int = 5) -> Tensor:
    """Nearly the nearest semi-orthogonal matrices (N, a, b), by a quintic Newton-Schulz iteration in `dtype`.

    Coefficients from Jordan et al. 2024 (Muon): singular values end in about .7 to 1.2, which suffices.
    Of wide matrices several iterations are made at once, see `_iterated`: two, or three in half precision,
    whose errors add up: five at once can be far off.
    """
    tall = matrices.shape[1] > matrices.shape[2]
    x = (matrices.mT if tall else matrices).contiguous()
    x = (x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)).to(dtype)  # float16 does not hold small gradients
    wide = x.shape[2] >= 2 * x.shape[1]
    most = (3 if dtype.itemsize == 2 else 2) if wide else 1
    while iterations > 0:
        x = _iterated(x, min(most, iterations))
        iterations -= most
    return x.mT if tall else x


def _iterated(x: Tensor, count: int) -> Tensor:
    """`count` iterations x <- p x with p = A I + B g + C g^2 and g = x x^T: all p g p of the iteration before
    commute with its p, so that only the first g and the last product are as wide as x."""
    gram = x @ x.mT
    p = torch.baddbmm(gram, gram, gram, beta=B, alpha=C)  # less A I
    if count == 1:
        return torch.baddbmm(x, p, x, beta=A)
    one = A * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    whole = last = p + one
    for _ in range(count - 1):
        gram = gram @ (last @ last)
        p = torch.baddbmm(gram, gram, gram, beta=B, alpha=C)
        whole, last = torch.baddbmm(whole, p, whole, beta=A), p + one
    return whole @ x


def split(network: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """The matrices of `network.blocks`, which are Muon's, and what else of the network is learned."""
    matrices = [p for p in network.blocks.parameters() if p.ndim == 2]
    taken = {id(p) for p in matrices}
    return matrices, [p for p in network.parameters() if p.requires_grad and id(p) not in taken]


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum. Embeddings, vectors and read-outs belong to another optimiser."""

    def __init__(
        self, params: list[Tensor], lr: float = 0.02, momentum: float = 0.95, weight_decay: float = 0.01
    ):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.dtype = torch.float32  # of the iteration; bfloat16 where products are faster in it

    @torch.no_grad()
    def step(self) -> None:
        """One update of every matrix that has a gradient."""
        for group in self.param_groups:
            alike: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    alike[p.shape].append(p)
            for shape, params in alike.items():
                gradients = [p.grad for p in params]
                for p in params:
                    if "momentum" not in self.state[p]:
                        self.state[p]["momentum"] = torch.zeros_like(p)
                buffers = [self.state[p]["momentum"] for p in params]
                torch._foreach_lerp_(buffers, gradients, 1 - group["momentum"])
                ahead = torch.stack(torch._foreach_lerp(gradients, buffers, group["momentum"]))  # Nesterov
                updates = orthogonalise(ahead, self.dtype).to(ahead.dtype)
                lr = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
                torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(params, list(updates), alpha=-lr)
