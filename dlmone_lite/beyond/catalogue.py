"""Every sweep by its name: the laboratory's, and those past the paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dlmone_lite.beyond import (
    anchors,
    diversity,
    learned_embeddings,
    masked,
    several_calls,
    spaces,
    teacher_free,
    teachers,
    transfer,
    trial,
)
from dlmone_lite.corpora.pocket import POCKET
from dlmone_lite.errors import InputError, nearest
from dlmone_lite.lab import sweeps
from dlmone_lite.lab.experiment import Spec
from dlmone_lite.lab.sweeps import Sweep

PAST_THE_PAPER = {
    "teacher-free": Sweep(teacher_free.specs, teacher_free.make, trial.no_preparation),
    "embeddings": Sweep(learned_embeddings.specs, learned_embeddings.make, trial.no_preparation),
    "masked": Sweep(masked.specs, masked.make, trial.no_preparation),
    "spaces": Sweep(spaces.specs, spaces.make, trial.no_preparation),
    "several-calls": Sweep(several_calls.specs, several_calls.make, trial.no_preparation),
    "diversity": Sweep(diversity.specs, diversity.make, trial.no_preparation),
    "teachers": Sweep(teachers.specs, teachers.make, trial.no_preparation),
    "samplers": Sweep(teachers.sampler_specs, teachers.make_samples, trial.no_preparation),
    "transfer": Sweep(transfer.specs, transfer.make, trial.no_preparation),
    "anchors": Sweep(anchors.specs, anchors.make, trial.no_preparation),
}
SWEEPS = {**sweeps.SWEEPS, **PAST_THE_PAPER}
QUICK = 300  # updates of a student in a quick run


def sweep(name: str) -> Sweep:
    """A sweep by name; InputError for an unknown one."""
    if name not in SWEEPS:
        raise InputError(f"there is no sweep {name!r}{nearest(name, SWEEPS)}; known: {', '.join(SWEEPS)}")
    return SWEEPS[name]


def plan(name: str) -> list[Spec]:
    """The runs of a sweep; InputError for an unknown one."""
    return list(sweep(name).specs())


def quick_plan(name: str) -> list[Spec]:
    """The runs in the pocket world with one seed and at most `QUICK` updates, for a class; InputError for a
    lab's sweep."""
    if name not in PAST_THE_PAPER:
        raise InputError(f"{name} has no quick form; those that have one: {', '.join(PAST_THE_PAPER)}")
    specs = [spec for spec in plan(name) if not spec.seed and spec.world == POCKET]
    return [replace(spec, stages=(_shorter(spec.stages[0]),)) for spec in specs]


def _shorter(stage: Mapping[str, Any]) -> dict[str, Any]:
    return {**stage, "steps": min(stage.get("steps", QUICK), QUICK)}
