"""What a distillation keeps in memory, counted before a card is filled."""

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
    """Bytes that a forward pass keeps for its backward pass, by the storage that holds them."""

    held: dict[StorageWeakRef, int] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """All that is still kept, each storage once."""
        return sum(size for storage, size in self.held.items() if not storage.expired())


@contextmanager
def kept_for_backward(*modules: nn.Module) -> Iterator[Kept]:
    """Counts what the passes inside keep, apart from the weights of `modules`, which are there anyway.

    Read it while the loss is still alive: with it goes what it kept.
    """
    kept = Kept()
    weights = {StorageWeakRef(p.untyped_storage()) for module in modules for p in module.parameters()}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if (held := StorageWeakRef(storage)) not in weights:
            kept.held[held] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        yield kept


@dataclass
class Memory:
    """Bytes of a distillation: `networks` (phi, theta, psi, average), `optimisers` (two moments for theta and
    psi), `gradients` (of one network at a time), and of the larger of both losses the `activations` for each
    row of a batch and what a pass keeps however many rows it has (`copies`: weights in half precision)."""

    networks: int
    optimisers: int
    gradients: int
    activations: float
    copies: float = 0.0

    def total(self, rows: int) -> float:
        """With so many rows at a time (`micro_batch`)."""
        return self.networks + self.optimisers + self.gradients + self.copies + rows * self.activations

    def rows(self, card: float) -> int:
        """How many rows at a time fit into so many bytes."""
        return max(0, int((card - self.total(0)) // self.activations))


def distillation_memory(
    shape: ModelConfig, config: DistillConfig, device: torch.device, rows: int = 2
) -> Memory:
    """Counted on a batch of `rows` and on one of half as many: what does not grow with them is told apart.

    Temporary results of single operations come on top. A CPU's attention in bfloat16 keeps its weights, a
    GPU's does not: it needs less than a CPU has counted.
    """
    many = max(2, rows)
    run, few = DistillRun(network(shape).to(device), RandomText(shape, many), config), many // 2
    networks, parts = (run.phi, run.theta, run.psi), []
    for part in (run.psi_part, run.theta_part):
        kept = {}
        for n in (few, many):
            draw = run.draw(generator_at(0, 1))[:n]
            with kept_for_backward(*networks) as held:
                loss, _ = part(draw)
            kept[n] = held.bytes
            del loss
        slope = (kept[many] - kept[few]) / (many - few)
        parts.append((kept[many], slope, max(0.0, kept[many] - many * slope)))
    one = sum(4 * p.numel() for p in run.theta.parameters())
    learned = sum(4 * p.numel() for p in run.theta.parameters() if p.requires_grad)
    return Memory(4 * one, 2 * 2 * learned, learned, *max(parts)[1:])
