"""The stages of a distillation, and the networks that they begin with."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dlmone_lite.errors import InputError
from dlmone_lite.jobs import loop
from dlmone_lite.jobs.provenance import wrapper
from dlmone_lite.jobs.settings import changed, steps_and_settings
from dlmone_lite.jobs.state import claim, resumed

if TYPE_CHECKING:
    from dlmone_lite.checkpoints.checkpoint import Checkpoint
    from dlmone_lite.corpora.pairs import PairedText
    from dlmone_lite.distill import DistillConfig
    from dlmone_lite.jobs.task import Task
    from dlmone_lite.model import Denoiser
    from dlmone_lite.training.run import Run
    from dlmone_lite.variants.warm_start import WarmStartConfig


@dataclass
class Stage:
    """One part of a distillation: 0 is the warm start, 1 and 2 are the paper's."""

    number: int
    config: WarmStartConfig | DistillConfig
    state: Path

    @property
    def title(self) -> str:
        """What the progress bar says."""
        return f"stage {self.number}" if self.number else "warm start"

    def begin(
        self, teacher: Denoiser, data: PairedText, runs: list[Run], start: Denoiser | None = None
    ) -> Run:
        """The run of this stage, after `runs`; the first begins with the student `start`, if any."""
        from dlmone_lite.distill import DistillRun
        from dlmone_lite.variants.warm_start import WarmStartRun

        if self.number == 0:
            return WarmStartRun(teacher, data, self.config)
        if self.number == 2:
            return runs[-1].second_stage(self.config)
        return DistillRun(teacher, data, self.config, runs[-1].result if runs else start)


def a_teacher(name_or_file: str, device: str, world: str | None, said: str) -> Checkpoint:
    """A teacher; another role is refused with what was wanted."""
    from dlmone_lite.checkpoints import zoo

    teacher = zoo.load(name_or_file, device, world)
    if teacher.role != "teacher":
        raise InputError(f"{name_or_file} is a {teacher.role}; {said}")
    return teacher


def student_to_start(args: argparse.Namespace, teacher: Checkpoint, device: str) -> Checkpoint | None:
    """The student of --start, if it belongs to this teacher."""
    from dlmone_lite.checkpoints import zoo

    if not args.start:
        return None
    start = zoo.load(args.start, device, teacher.world)
    if start.role != "student":
        raise InputError(f"{args.start} is a {start.role}; --start takes a student")
    if start.model.config != teacher.model.config or not start.model.words.equal(teacher.model.words):
        raise InputError(f"{args.start} was not distilled from {args.teacher}: another shape or embedding")
    return start


def plan(args: argparse.Namespace, out: Path, T: int, start: Checkpoint | None = None) -> list[Stage]:
    """The stages that the options ask for, in order."""
    from dlmone_lite.distill import DistillConfig
    from dlmone_lite.variants.warm_start import WarmStartConfig

    base, warm = DistillConfig(seed=args.seed), WarmStartConfig(seed=args.seed)
    if start:
        base = replace(base, t_init=start.sampling["t_init"])
    one = changed(base, steps_and_settings(args.steps, args.set, base), T)
    stages = [Stage(1, one, out.with_name(f"{out.name}.state"))] if args.stages else []
    if args.warm_start:
        zero = {"t_init": one.t_init, **steps_and_settings(args.warm_start, args.set0, warm, "--set0")}
        stages.insert(0, Stage(0, changed(warm, zero, T), out.with_name(f"{out.name}.warm.state")))
    if args.stages == 2:
        two = {"seed": args.seed + 1}
        two |= steps_and_settings(args.steps2, args.set2, base, "--set2")
        stages.append(Stage(2, changed(one, two, T), out.with_name(f"{out.name}.stage2.state")))
    for stage in stages:
        stage.config = resumed(stage.config, claim(stage.state, args.resume))
    return stages


def loop_of(args: argparse.Namespace, stage: Stage, runs: list[Run], task: Task) -> loop.Loop:
    """The loop of `stage`, whose run is the last of `runs`."""
    return loop.Loop(
        runs[-1],
        stage.title,
        stage.state,
        wrapper(task, "student", {"t_init": stage.config.t_init}),
        task,
        args,
        stage.number,
        args.keep if stage.number else "last",
        seconds_before=sum(run.seconds for run in runs[:-1]),
        lookout=task.lookout(args) if stage.number else None,
    )
