"""One update of some weights: its loss finite or refused, in one or in parts, its gradient clipped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dlmone_lite.errors import InputError
from dlmone_lite.training import processes

Part = tuple[float, Tensor, dict[str, Tensor]]  # its share of the batch, its loss, the loss's named terms


class Diverged(RuntimeError):
    """A loss became NaN or infinite; the update was not applied."""


@dataclass
class LossScale:
    """What a loss in float16 is multiplied by, lest small gradients vanish: halved when a gradient overflows,
    doubled after `patience` updates in which none did, as by torch.amp.GradScaler."""

    value: float = 2.0**16
    fitted: int = 0  # updates since the last change
    patience: int = 2000

    def note(self, overflow: bool) -> None:
        """What became of an update."""
        self.fitted = 0 if overflow else self.fitted + 1
        if overflow:
            self.value /= 2
        elif self.fitted == self.patience:
            self.value, self.fitted = 2 * self.value, 0


def parts(rows: int, at_once: int) -> Iterator[tuple[float, slice]]:
    """(share, rows) of each part of a batch: `at_once` rows, the last perhaps fewer; all at once if 0."""
    if at_once < 0:
        raise InputError(f"micro_batch must be at least 1, or 0 for the whole batch, not {at_once}")
    size = at_once or rows
    for start in range(0, rows, size):
        stop = min(start + size, rows)
        yield (stop - start) / rows, slice(start, stop)


def optimiser_step(
    optimisers: dict[torch.optim.Optimizer, float],
    loss: Tensor,
    terms: dict[str, Tensor],
    step: int,
    clip: float,
    scale: LossScale | None = None,
) -> tuple[dict[str, float], float]:
    """Back-propagate `loss`, step each optimiser at its learning rate; Diverged if a term is not finite.

    Returns the terms and the gradient's norm before clipping. Only these parameters get gradients.
    """
    return accumulated_step(optimisers, [(1.0, loss, terms)], step, clip, scale)


def accumulated_step(
    optimisers: dict[torch.optim.Optimizer, float],
    batch: Iterable[Part],
    step: int,
    clip: float,
    scale: LossScale | None = None,
) -> tuple[dict[str, float], float]:
    """`optimiser_step` of a batch that comes in parts, each made when the one before is back-propagated and
    forgotten: the gradients of the whole at the memory of a part (gradient accumulation).

    A GPU is waited for once, when terms and norm are read. With a `scale` an update whose gradient overflows
    is left out, its norm told as it is, inf or nan.
    """
    parameters = [p for optimiser in optimisers for group in optimiser.param_groups for p in group["params"]]
    total = _back_propagated(parameters, batch, scale.value if scale else 1.0)
    processes.all_reduce_mean(list(total.values()))
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    processes.all_reduce_mean(gradients)
    norm = nn.utils.get_total_norm(gradients)
    *values, size = read([*total.values(), norm])
    for name, value in zip(total, values, strict=True):
        if not math.isfinite(value):
            _forget(optimisers)
            raise Diverged(
                f"the loss term {name!r} is {value} at step {step}; "
                "lower the learning rate or the coefficient and resume from the last checkpoint"
            )
    overflow = not math.isfinite(size)
    if overflow and (scale is None or scale.value <= 1):
        _forget(optimisers)
        raise Diverged(f"the gradient is {size} at step {step}; lower the learning rate and resume")
    if scale:
        scale.note(overflow)
    if overflow:
        _forget(optimisers)
        return dict(zip(total, values, strict=True)), size
    if size > clip:
        nn.utils.clip_grads_with_norm_(parameters, clip, norm)
    for optimiser, lr in optimisers.items():
        for group in optimiser.param_groups:
            group["lr"] = lr
        optimiser.step()
    _forget(optimisers)
    return dict(zip(total, values, strict=True)), size


def _back_propagated(parameters: list[Tensor], batch: Iterable[Part], factor: float) -> dict[str, Tensor]:
    """The terms of the whole batch, whose gradients come to lie in the parameters; each loss is multiplied by
    `factor` on the way."""
    total: dict[str, Tensor] = {}
    for share, loss, terms in batch:
        for name, term in terms.items():
            total[name] = total.get(name, 0.0) + share * term.detach()
        gradients = torch.autograd.grad(factor * loss, parameters, allow_unused=True)
        del loss, terms
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if gradient is not None:
                part = gradient if share == factor else share / factor * gradient
                parameter.grad = part if parameter.grad is None else parameter.grad + part
    return total


def read(values: Iterable[Tensor]) -> list[float]:
    """Numbers on the CPU: here an update waits for a GPU to have computed them."""
    return torch.stack(list(values)).tolist()


def _forget(optimisers: Iterable[torch.optim.Optimizer]) -> None:
    for optimiser in optimisers:
        optimiser.zero_grad(set_to_none=True)
