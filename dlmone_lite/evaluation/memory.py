"""The memory that a distillation needs, measured on a few rows before a GPU is filled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from dlmone_lite.checkpoints.checkpoint import network
from dlmone_lite.distill import DistillConfig, DistillRun
from dlmone_lite.evaluation.speed import RandomText
from dlmone_lite.model import ModelConfig
from dlmone_lite.training.seeds import generator_at


@contextmanager
def kept_for_backward(*modules: nn.Module) -> Iterator[Callable[[], int]]:
    """Gives a function that counts the bytes that the passes inside keep for their backward pass.

    Each storage that is still alive counts once, without the weights of `modules`, which exist in any case.
    Count before the loss is deleted, because deleting it frees what it keeps.
    """
    held: dict[StorageWeakRef, int] = {}
    weights = {StorageWeakRef(p.untyped_storage()) for module in modules for p in module.parameters()}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if (key := StorageWeakRef(storage)) not in weights:
            held[key] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        yield lambda: sum(size for storage, size in held.items() if not storage.expired())


@dataclass
class Memory:
    """Bytes of a distillation."""

    networks: int  # phi, theta, psi and the average
    optimisers: int  # two moments each for theta and psi
    gradients: int  # of one network at a time
    activations: float  # for each row of a batch, of the larger of both losses
    copies: float = 0.0  # what a pass keeps for any number of rows, that is weights in half precision

    def total(self, rows: int) -> float:
        """Bytes in all with `rows` rows at a time (`micro_batch`)."""
        return self.networks + self.optimisers + self.gradients + self.copies + rows * self.activations

    def rows(self, card: float) -> int:
        """The largest number of rows at a time that fits into `card` bytes."""
        return max(0, int((card - self.total(0)) // self.activations))


def distillation_memory(
    shape: ModelConfig, config: DistillConfig, device: torch.device, rows: int = 2
) -> Memory:
    """Measure both losses of a distillation on `rows` rows and on half as many.

    The bytes grow linearly with the rows: the slope is `activations`, the rest `copies`. Temporary results
    are not counted. In bfloat16 a GPU needs less than a CPU counts, whose attention keeps its weights.
    """
    many, few = max(2, rows), max(2, rows) // 2
    run = DistillRun(network(shape).to(device), RandomText(shape, many), config)

    def kept(part: Callable, n: int) -> int:
        draw = run.draw(generator_at(0, 1))[:n]
        with kept_for_backward(run.phi, run.theta, run.psi) as count:
            loss, _ = part(draw)  # alive while its bytes are counted
            return count()

    parts = []  # of each loss: bytes on `many` rows, bytes of a row, bytes that do not grow
    for part in (run.psi_part, run.theta_part):
        most = kept(part, many)
        slope = (most - kept(part, few)) / (many - few)
        parts.append((most, slope, max(0.0, most - many * slope)))

    weights = sum(4 * p.numel() for p in run.theta.parameters())
    trained = sum(4 * p.numel() for p in run.theta.parameters() if p.requires_grad)
    _, activations, copies = max(parts)
    return Memory(4 * weights, 2 * 2 * trained, trained, activations, copies)
