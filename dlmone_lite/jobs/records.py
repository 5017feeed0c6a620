"""What the options of a command become: small records that the jobs below it work by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dlmone_lite.jobs.task import Task


@dataclass(frozen=True)
class Evaluation:
    """How a network in training is evaluated on held-out sources.

    every: updates between two evaluations, 0 for none. sources, samples: sources, and samples of each.
    steps: network evaluations of a sample, NFE. time_to: the validity at which training stops, if any.
    """

    every: int
    sources: int
    samples: int
    steps: int
    time_to: float | None = None


@dataclass(frozen=True)
class Keeping:
    """What a training job writes.

    out: the checkpoint. keep: "best", the network with the best evaluation, or "last". half: float16 weights.
    save_every: updates between two saved states. resume: continue from a saved state. log: file of the
    steps. json: file of the checkpoint's provenance.
    """

    out: Path
    keep: str
    half: bool
    save_every: int
    resume: bool
    log: str | None
    json: str | None


@dataclass(frozen=True)
class Making:
    """The command that makes a network, its seed and its device, as provenance records them."""

    argv: Sequence[str]
    seed: int
    device: str


@dataclass(frozen=True)
class Job:
    """What all stages of a training job share."""

    task: Task
    evaluation: Evaluation
    keeping: Keeping
    making: Making


@dataclass(frozen=True)
class Changes:
    """What the command line changes in a configuration: its steps, and name=value texts given to `option`."""

    steps: int | None
    pairs: Sequence[str] | None
    option: str = "--set"


@dataclass(frozen=True)
class Source:
    """The teacher that a job begins with, by name or file, and where its world or its corpus is."""

    teacher: str
    world: str | None
    corpus: str | None


@dataclass(frozen=True)
class Distillation:
    """What `distill` is asked for.

    recipe: its name, of which warm_start, first and second are changes. stages: 0 for a warm start alone, 1
    or 2. start: the student to begin with. like: the teacher with which students of a corpus are compared.
    out_stage1, out_last: files for the students of stage one and of the last update.
    """

    source: Source
    recipe: str
    stages: int
    warm_start: Changes | None
    first: Changes
    second: Changes
    start: str | None
    like: str | None
    out_stage1: str | None
    out_last: str | None
