"""Optimisers: Adam for all weights, or Muon for the blocks' matrices beside Adam for the rest.

Muon (Jordan et al. 2024) steps along the orthogonal matrix nearest to the momentum. `torch.optim.Muon` came
with torch 2.9; this one also runs on 2.6, and updates matrices of one shape together.
"""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor, nn

A, B, C = 3.4445, -4.7750, 2.0315


def orthogonalise(matrices: Tensor, dtype: torch.dtype = torch.float32, iterations: int = 5) -> Tensor:
    """The nearest semi-orthogonal matrices (N, a, b), roughly: quintic Newton-Schulz iterations in `dtype`.

    With the coefficients of Jordan et al. 2024, singular values end between about .7 and 1.2, which suffices.
    Wide matrices take two iterations at once, in half precision three, but not five: rounding errors add up.
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
    """`count` iterations x <- p x with p = A I + B g + C g^2 and g = x x^T.

    All these matrices are polynomials of the first g and commute, so the next g is g p p. Only the first g
    and the last product are as wide as x.
    """
    gram = x @ x.mT
    p = torch.baddbmm(gram, gram, gram, beta=B, alpha=C)  # still without A I
    if count == 1:
        return torch.baddbmm(x, p, x, beta=A)

    identity = A * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    product = last = p + identity
    for _ in range(count - 1):
        gram = gram @ (last @ last)
        p = torch.baddbmm(gram, gram, gram, beta=B, alpha=C)
        product, last = torch.baddbmm(product, p, product, beta=A), p + identity
    return product @ x


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum, for matrices of hidden layers only."""

    def __init__(
        self, params: list[Tensor], lr: float = 0.02, momentum: float = 0.95, weight_decay: float = 0.01
    ):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.dtype = torch.float32  # of the iteration; bfloat16 where products are faster in it

    @torch.no_grad()
    def step(self) -> None:
        """One update of every matrix that has a gradient."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    by_shape[p.shape].append(p)
                    if "momentum" not in self.state[p]:
                        self.state[p]["momentum"] = torch.zeros_like(p)

            for shape, params in by_shape.items():
                gradients = [p.grad for p in params]
                buffers = [self.state[p]["momentum"] for p in params]
                torch._foreach_lerp_(buffers, gradients, 1 - group["momentum"])
                ahead = torch.stack(torch._foreach_lerp(gradients, buffers, group["momentum"]))  # Nesterov

                updates = orthogonalise(ahead, self.dtype).to(ahead.dtype)
                lr = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
                torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(params, list(updates), alpha=-lr)


def build_optimisers(
    network: nn.Module,
    *,
    muon: bool,
    betas: tuple[float, float],
    momentum: float = 0.95,
    weight_decay: float = 0.0,
) -> tuple[torch.optim.Optimizer, Muon | None]:
    """(AdamW, Muon or None) for the trainable weights of a network; learning rates are set at each update.
    With `muon`, the matrices of `network.blocks` are Muon's. AdamW without `weight_decay` is Adam."""
    matrices = [p for p in network.blocks.parameters() if p.ndim == 2] if muon else []
    taken = {id(p) for p in matrices}
    rest = [p for p in network.parameters() if p.requires_grad and id(p) not in taken]

    adam = torch.optim.AdamW(rest, betas=betas, weight_decay=weight_decay, fused=True)
    return adam, Muon(matrices, momentum=momentum, weight_decay=weight_decay) if muon else None
