"""A duel of teacher and student on one source: what each writes call by call, and scores of many samples."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from dlmone_lite.checkpoints.checkpoint import Checkpoint
from dlmone_lite.evaluation.metrics import coverage, total_variation, validity
from dlmone_lite.generation import generate_batch


@dataclass(frozen=True)
class Lane:
    """One role's run: the sentence that x0_hat spells after each network call, and seconds for the whole."""

    role: str
    readings: tuple[str, ...]
    seconds: float

    @property
    def calls(self) -> int:
        """Network evaluations (NFE)."""
        return len(self.readings)

    @property
    def cost(self) -> str:
        """`1 call`, `32 calls`."""
        return f"{self.calls} call{'s' * (self.calls > 1)}"

    @property
    def sentence(self) -> str:
        """The sentence after the last call."""
        return self.readings[-1]


@dataclass(frozen=True)
class Score:
    """Scores of samples of one source: NFE, seconds a sentence, validity, coverage, total variation."""

    role: str
    calls: int
    seconds: float
    validity: float
    coverage: float
    tv: float


def run_lane(checkpoint: Checkpoint, source: str, steps: int, seed: int) -> Lane:
    """Sample one sentence and keep the reading of every call; lanes of one seed start from the same noise."""
    model, codec = checkpoint.model, checkpoint.codec
    batch = codec.encode([source]).to(model.words.device)
    ids: list[torch.Tensor] = []

    def trace(t: int, x_t: torch.Tensor, x0_hat: torch.Tensor) -> None:
        ids.append(model.round(x0_hat))

    began = time.perf_counter()
    generate_batch(checkpoint, batch, steps=steps, generator=torch.Generator().manual_seed(seed), trace=trace)
    readings = tuple(codec.decode(torch.cat(ids).cpu()))  # copying to the CPU waits for the GPU's work
    return Lane(checkpoint.role, readings, time.perf_counter() - began)


def score_samples(
    role: str, calls: int, seconds: float, samples: Sequence[str], support: Mapping[str, float]
) -> Score:
    """The scores of a role's samples of one source."""
    scores = (metric(samples, support) for metric in (validity, coverage, total_variation))
    return Score(role, calls, seconds, *scores)
