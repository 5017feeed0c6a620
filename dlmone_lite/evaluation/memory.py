"""The memory that a distillation needs, measured on a few rows before a GPU is filled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from dlmone_lite.checkpoints.checkpoint import network
from dlmone_lite.distill import DistillConfig, DistillRun
from dlmone_lite.evaluation.speed import RandomText
from dlmone_lite.model import ModelConfig
from dlmone_lite.training.seeds import generator_at


@dataclass
class Kept:
    """Bytes that a forward pass keeps for its backward pass, by storage."""

    held: dict[StorageWeakRef, int] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """The sum over the storages that are still alive, each counted once."""
        return sum(size for storage, size in self.held.items() if not storage.expired())


@contextmanager
def kept_for_backward(*modules: nn.Module) -> Iterator[Kept]:
    """Count what the passes inside keep, without the weights of `modules`, which exist in any case.

    Read `bytes` before the loss is deleted, because deleting it frees what it keeps.
    """
    kept = Kept()
    weights = {StorageWeakRef(p.untyped_storage()) for module in modules for p in module.parameters()}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if (key := StorageWeakRef(storage)) not in weights:
            kept.held[key] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        yield kept


@dataclass
class Memory:
    """Bytes of a distillation.

    networks: phi, theta, psi and the average; optimisers: two moments each for theta and psi;
    gradients: of one network at a time; activations: for each row of a batch, of the larger of both losses;
    copies: what a pass keeps for any number of rows, that is weights in half precision.
    """

    networks: int
    optimisers: int
    gradients: int
    activations: float
    copies: float = 0.0

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

    The bytes grow linearly with the rows: the slope is `activations`, the rest `copies`. Temporary results of
    single operations are not counted. In bfloat16 a CPU's attention keeps its weights and a GPU's does not,
    so a GPU needs less than a CPU has counted.
    """
    many, few = max(2, rows), max(2, rows) // 2
    run = DistillRun(network(shape).to(device), RandomText(shape, many), config)
    networks = (run.phi, run.theta, run.psi)

    parts = []  # (bytes on `many` rows, bytes per row, bytes that do not grow) of each loss
    for part in (run.psi_part, run.theta_part):
        kept = {}
        for n in (few, many):
            draw = run.draw(generator_at(0, 1))[:n]
            with kept_for_backward(*networks) as counter:
                loss, _ = part(draw)
            kept[n] = counter.bytes
            del loss
        slope = (kept[many] - kept[few]) / (many - few)
        parts.append((kept[many], slope, max(0.0, kept[many] - many * slope)))

    weights = sum(4 * p.numel() for p in run.theta.parameters())
    trained = sum(4 * p.numel() for p in run.theta.parameters() if p.requires_grad)
    _, activations, copies = max(parts)
    return Memory(4 * weights, 2 * 2 * trained, trained, activations, copies)
