"""Every sweep by its name: the laboratory's, and those past the paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
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
)
from dlmone_lite.corpora.pocket import POCKET
from dlmone_lite.errors import InputError, nearest
from dlmone_lite.lab import sweeps
from dlmone_lite.lab.experiment import Spec
from dlmone_lite.lab.sweeps import Sweep


def _without_preparation(spec: Spec, folder: Path) -> None:
    """These rows load or train what they need."""


PARTS = {
    "teacher-free": (teacher_free.specs, teacher_free.make),
    "embeddings": (learned_embeddings.specs, learned_embeddings.make),
    "masked": (masked.specs, masked.make),
    "spaces": (spaces.specs, spaces.make),
    "several-calls": (several_calls.specs, several_calls.make),
    "diversity": (diversity.specs, diversity.make),
    "teachers": (teachers.specs, teachers.make),
    "samplers": (teachers.sampler_specs, teachers.make_samples),
    "transfer": (transfer.specs, transfer.make),
    "anchors": (anchors.specs, anchors.make),
}
PAST_THE_PAPER = {name: Sweep(*parts, _without_preparation) for name, parts in PARTS.items()}
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
