"""One optimiser step: accumulate gradients over micro-batches, refuse non-finite losses, clip, step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dlmone_lite.errors import Diverged, InputError
from dlmone_lite.training import processes

MicroBatch = tuple[
    float, Tensor, dict[str, Tensor]
]  # its share of the batch, its loss, the loss's named terms


@dataclass
class LossScale:
    """The factor on a float16 loss, which keeps small gradients above zero (as torch.amp.GradScaler).

    It is halved when a gradient overflows and doubled after `patience` updates without an overflow.
    """

    value: float = 2.0**16
    fitted: int = 0  # updates since the last change
    patience: int = 2000

    def update(self, overflow: bool) -> None:
        """Adapt the factor after an update."""
        self.fitted = 0 if overflow else self.fitted + 1
        if overflow:
            self.value /= 2
        elif self.fitted == self.patience:
            self.value, self.fitted = 2 * self.value, 0


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Inside, a network's weights need no gradient, so that no activation is kept for one."""
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    try:
        for parameter in learned:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in learned:
            parameter.requires_grad_(True)


def weighted_means(
    terms: Mapping[str, Tensor], weights: Mapping[str, float]
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss, the weighted sum of the means of its named terms (B,), and those means; every term needs a
    weight."""
    means = {name: term.mean() for name, term in terms.items()}
    total: Tensor | float = 0.0
    for name, mean in means.items():
        total = total + weights[name] * mean
    return total, means


def micro_batches(rows: int, size: int) -> Iterator[tuple[float, slice]]:
    """(share of the batch, rows) of each micro-batch of `size` rows; size 0: the whole batch."""
    if size < 0:
        raise InputError(f"micro_batch must be at least 1, or 0 for the whole batch, not {size}")
    size = size or rows
    for start in range(0, rows, size):
        stop = min(start + size, rows)
        yield (stop - start) / rows, slice(start, stop)


def optimiser_step(
    optimisers: Mapping[torch.optim.Optimizer, float],
    batch: Iterable[MicroBatch],
    step: int,
    clip: float,
    scale: LossScale | None = None,
) -> tuple[dict[str, float], float]:
    """Back-propagate the micro-batches, clip the gradient's norm to `clip` (0: not), step all at their rates.

    Each micro-batch is computed when the one before is back-propagated and freed, so that memory holds one at
    a time. Returns the terms' means and the gradient's norm before clipping. Only the optimisers' parameters
    get gradients. A GPU is waited for once, when terms and norm are read. Raises Diverged, naming the term
    and `step`, if one is not finite; with a `scale`, an update whose gradient overflows is skipped instead.
    """
    parameters = [p for optimiser in optimisers for group in optimiser.param_groups for p in group["params"]]
    try:
        means = _accumulate(parameters, batch, scale.value if scale else 1.0)

        # Several processes: each has the gradient of its own rows, all need the mean.
        processes.all_reduce_mean(list(means.values()))
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        processes.all_reduce_mean(gradients)
        norm = nn.utils.get_total_norm(gradients)

        *values, size = to_floats([*means.values(), norm])
        losses = dict(zip(means, values, strict=True))
        if not _is_finite(losses, size, step, scale):
            return losses, size

        if clip and size > clip:
            nn.utils.clip_grads_with_norm_(parameters, clip, norm)
        for optimiser, lr in optimisers.items():
            for group in optimiser.param_groups:
                group["lr"] = lr
            optimiser.step()
        return losses, size
    finally:
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=True)


def _accumulate(parameters: list[Tensor], batch: Iterable[MicroBatch], factor: float) -> dict[str, Tensor]:
    """Add up the gradients of all micro-batches in the parameters; return the means of the loss's terms.

    Each loss is multiplied by `factor` on the way and its gradient divided by it.
    """
    means: dict[str, Tensor] = {}
    for share, loss, terms in batch:
        for name, term in terms.items():
            means[name] = means.get(name, 0.0) + share * term.detach()
        gradients = torch.autograd.grad(factor * loss, parameters, allow_unused=True)
        del loss, terms  # frees the graph before the next micro-batch is computed

        for parameter, gradient in zip(parameters, gradients, strict=True):
            if gradient is not None:
                part = gradient if share == factor else share / factor * gradient
                parameter.grad = part if parameter.grad is None else parameter.grad + part
    return means


def _is_finite(losses: Mapping[str, float], norm: float, step: int, scale: LossScale | None) -> bool:
    """Whether the update may be applied; Diverged where no smaller loss scale can help."""
    for name, value in losses.items():
        if not math.isfinite(value):
            raise Diverged(
                f"the loss term {name!r} is {value} at step {step}; "
                "lower the learning rate or the coefficient and resume from the last checkpoint"
            )
    overflow = not math.isfinite(norm)
    if overflow and (scale is None or scale.value <= 1):
        raise Diverged(f"the gradient is {norm} at step {step}; lower the learning rate and resume")
    if scale:
        scale.update(overflow)
    return not overflow


def to_floats(values: Iterable[Tensor]) -> list[float]:
    """Numbers on the CPU; this waits until a GPU has computed them."""
    return torch.stack(list(values)).tolist()
