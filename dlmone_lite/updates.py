"""One update of some weights: its loss finite or refused, in one or in parts, its gradient clipped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from dlmone_lite import parallel
from dlmone_lite.errors import InputError

Part = tuple[float, Tensor, dict[str, Tensor]]  # its share of the batch, its loss, the loss's named terms


class Diverged(RuntimeError):
    """A loss became NaN or infinite; the update was not applied."""


def parts(rows: int, at_once: int) -> Iterator[tuple[float, slice]]:
    """(share, rows) of each part of a batch: `at_once` rows, the last perhaps fewer; all at once if 0."""
    if at_once < 0:
        raise InputError(f"micro_batch must be at least 1, or 0 for the whole batch, not {at_once}")
    size = at_once or rows
    for start in range(0, rows, size):
        stop = min(start + size, rows)
        yield (stop - start) / rows, slice(start, stop)


def apply_update(
    optimisers: dict[torch.optim.Optimizer, float],
    loss: Tensor,
    terms: dict[str, Tensor],
    step: int,
    clip: float,
) -> tuple[dict[str, float], float]:
    """Back-propagate `loss`, step each optimiser at its learning rate; Diverged if a term is not finite.

    Returns the terms and the gradient's norm before clipping. Only these parameters get gradients.
    """
    return update_in_parts(optimisers, [(1.0, loss, terms)], step, clip)


def update_in_parts(
    optimisers: dict[torch.optim.Optimizer, float], batch: Iterable[Part], step: int, clip: float
) -> tuple[dict[str, float], float]:
    """`apply_update` of a batch that comes in parts, each made when the one before is back-propagated and
    forgotten: the gradients of the whole at the memory of a part (gradient accumulation).

    A GPU is waited for once, when terms and norm are read.
    """
    parameters = [p for optimiser in optimisers for group in optimiser.param_groups for p in group["params"]]
    total: dict[str, Tensor] = {}
    for share, loss, terms in batch:
        for name, term in terms.items():
            total[name] = total.get(name, 0.0) + share * term.detach()
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        del loss, terms
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if gradient is not None:
                part = gradient if share == 1.0 else share * gradient
                parameter.grad = part if parameter.grad is None else parameter.grad + part
    parallel.average(list(total.values()))
    parallel.average([parameter.grad for parameter in parameters if parameter.grad is not None])
    norm = nn.utils.clip_grad_norm_(parameters, clip)
    *values, size = read([*total.values(), norm])
    for name, value in zip(total, values, strict=True):
        if not math.isfinite(value):
            _forget(optimisers)
            raise Diverged(
                f"the loss term {name!r} is {value} at step {step}; "
                "lower the learning rate or the coefficient and resume from the last checkpoint"
            )
    if not math.isfinite(size):
        _forget(optimisers)
        raise Diverged(f"the gradient is {size} at step {step}; lower the learning rate and resume")
    for optimiser, lr in optimisers.items():
        for group in optimiser.param_groups:
            group["lr"] = lr
        optimiser.step()
    _forget(optimisers)
    return dict(zip(total, values, strict=True)), size


def read(values: Iterable[Tensor]) -> list[float]:
    """Numbers on the CPU: here an update waits for a GPU to have computed them."""
    return torch.stack(list(values)).tolist()


def _forget(optimisers: Iterable[torch.optim.Optimizer]) -> None:
    for optimiser in optimisers:
        optimiser.zero_grad(set_to_none=True)
