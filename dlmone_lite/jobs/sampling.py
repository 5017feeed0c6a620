"""Samples of a checkpoint for a command: the settings of its sampler, refusals, and a progress bar."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlmone_lite.errors import InputError
from dlmone_lite.jobs.console import rows_bar

if TYPE_CHECKING:
    from dlmone_lite.checkpoints.checkpoint import Checkpoint


@dataclass(frozen=True)
class Sampling:
    """Settings of `generation.generate` beside the number of steps; `samples` are those of each source."""

    samples: int
    seed: int = 0
    clamp: bool = False
    batch_size: int = 512
    precision: str = "float32"


def sample_texts(
    checkpoint: Checkpoint, sources: Sequence[str], steps: int, sampling: Sampling, title: str | None = None
) -> list[list[str]]:
    """The samples of each source, in `steps` network evaluations; with a `title` under a progress bar."""
    from dlmone_lite.generation import generate

    bar, progress = rows_bar(title) if title else (nullcontext(), None)
    with bar:
        return generate(
            checkpoint,
            sources,
            steps=steps,
            samples=sampling.samples,
            seed=sampling.seed,
            clamp=sampling.clamp,
            batch_size=sampling.batch_size,
            precision=sampling.precision,
            progress=progress,
        )


def check_clamp(checkpoint: Checkpoint, clamp: bool) -> None:
    """Refuse the clamp for a student."""
    if clamp and checkpoint.role == "student":
        raise InputError("--clamp belongs to a teacher's sampler; a student has no such step")


def check_steps(checkpoint: Checkpoint, steps: Sequence[int]) -> None:
    """Refuse a number of steps that the sampler cannot take, before the minutes of the ones before it."""
    from dlmone_lite.sample import timesteps

    for nfe in steps:
        timesteps(checkpoint.model.schedule.T, nfe, checkpoint.sampling.get("t_init"))
