"""Distillation in stages: a warm start, and the paper's one or two stages, each a run of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlmone_lite.errors import InputError
from dlmone_lite.jobs.loop import Loop
from dlmone_lite.jobs.provenance import describe, finish, origin
from dlmone_lite.jobs.records import Distillation, Evaluation, Job, Keeping, Making
from dlmone_lite.jobs.settings import changed, changes_of, check_job
from dlmone_lite.jobs.state import claim, clean, finished, resumed, state_of
from dlmone_lite.jobs.task import WorldTask
from dlmone_lite.jobs.teachers import compare_with, load_source, load_teacher
from dlmone_lite.training import processes

if TYPE_CHECKING:
    from dlmone_lite.checkpoints.checkpoint import Checkpoint
    from dlmone_lite.corpora.pairs import PairedText
    from dlmone_lite.distill import DistillConfig
    from dlmone_lite.model import Denoiser
    from dlmone_lite.training.run import Run
    from dlmone_lite.variants.warm_start import WarmStartConfig


@dataclass
class Stage:
    """One part of a distillation: 0 is the warm start, 1 and 2 are the paper's."""

    number: int
    config: WarmStartConfig | DistillConfig
    state: Path

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

    def loop(self, job: Job, runs: list[Run]) -> Loop:
        """The training loop of this stage, whose run is the last of `runs`."""
        watched = self.number > 0 and isinstance(job.task, WorldTask)  # a corpus has no usual signs
        return Loop(
            runs[-1],
            f"stage {self.number}" if self.number else "warm start",
            self.state,
            job,
            "student",
            self.config.sampling,
            self.number,
            job.keeping.keep if self.number else "last",
            seconds_before=sum(run.seconds for run in runs[:-1]),
            warning=job.task.early_warning(job.evaluation) if watched else None,
        )


def distil(request: Distillation, evaluation: Evaluation, keeping: Keeping, making: Making) -> None:
    """Distil a teacher in the stages asked for, and save the student."""
    teacher, task = load_source(request.source, making.device, "distill a teacher")
    job = Job(task, evaluation, keeping, making)
    start = load_start(request, teacher, making.device)
    reference = teacher
    if request.like:
        reference = load_teacher(request.like, making.device, teacher.world, "--like takes a teacher")
    stages = plan(request, job, teacher.model.schedule.T, start)
    going_on = claim_states(stages, keeping)
    check_job(job, min(stage.config.t_init for stage in stages))
    processes.barrier()  # every process has read the files before one writes
    if not going_on:
        clean_all(stages)
        if keeping.resume:
            print(f"{keeping.out} is finished; what was left of its saved states is removed")
            processes.shutdown()
            return

    data, provenance = task.data()
    if request.stages and keeping.keep == "best":
        compare_with(reference, job)
    provenance |= networks_of(request, teacher, start)
    runs: list[Run] = []
    for stage, later in zip(stages, [*stages[1:], None], strict=True):
        if runs and stage.config.precision == "auto":  # it was measured for the first stage
            stage.config.precision = runs[-1].config.precision
        runs.append(stage.begin(teacher.model, data, runs, start.model if start else None))
        runs[-1].origin = origin(provenance)
        if later and later.state.is_file():  # this stage was completed before
            runs[-1].load(stage.state)
            continue

        loop = stage.loop(job, runs)
        student = loop.checkpoint(loop.train(), {**provenance, **loop.notes})
        if loop.notes.get("time_to"):
            break
        if later and stage.number == 1 and request.out_stage1 and processes.is_main():
            finish(job, Path(request.out_stage1), runs, student)

    if processes.is_main():
        if request.out_last:
            last = {**provenance, "kept": "last", "kept_step": runs[-1].step}
            finish(job, Path(request.out_last), runs, loop.checkpoint(runs[-1].result, last))
        finish(job, keeping.out, runs, student)
    clean_all(stages)
    processes.shutdown()


def claim_states(stages: list[Stage], keeping: Keeping) -> bool:
    """Give each stage the configuration of its saved state; False if a kill left states of a finished run."""
    if finished([stage.state for stage in stages]):
        return False
    for stage in stages:
        stage.config = resumed(stage.config, claim(stage.state, keeping.resume))
    return True


def clean_all(stages: list[Stage]) -> None:
    """Remove the states of all stages, in order, which `finished` relies on."""
    for stage in stages if processes.is_main() else ():
        clean(stage.state)


def load_start(request: Distillation, teacher: Checkpoint, device: str) -> Checkpoint | None:
    """The student to begin with, if one is named; InputError if it is not of this teacher."""
    from dlmone_lite.checkpoints import zoo

    if not request.start:
        return None
    start, name = zoo.load(request.start, device, teacher.world), request.source.teacher
    if start.role != "student":
        raise InputError(f"{request.start} is a {start.role}; --start takes a student")
    if start.model.config != teacher.model.config or not start.model.words.equal(teacher.model.words):
        raise InputError(f"{request.start} was not distilled from {name}: another shape or embedding")
    return start


def plan(request: Distillation, job: Job, T: int, start: Checkpoint | None) -> list[Stage]:
    """The stages asked for, in order, each with its configuration."""
    from dlmone_lite.variants.recipes import RECIPES
    from dlmone_lite.variants.warm_start import WarmStartConfig

    seed, out = job.making.seed, job.keeping.out
    recipe, warm = RECIPES[request.recipe], WarmStartConfig(seed=seed)
    base = replace(recipe.first, seed=seed)
    if start:
        base = replace(base, **start.sampling)
    one = changed(base, changes_of(request.first, base), T)

    stages = []
    if request.warm_start:
        changes = {"t_init": one.t_init, **changes_of(request.warm_start, warm)}
        stages.append(Stage(0, changed(warm, changes, T), state_of(out, ".warm")))
    if request.stages:
        stages.append(Stage(1, one, state_of(out)))
    if request.stages == 2:
        changes = {"seed": seed + 1, **recipe.second, **changes_of(request.second, base)}
        stages.append(Stage(2, changed(one, changes, T), state_of(out, ".stage2")))
    return stages


def networks_of(request: Distillation, teacher: Checkpoint, start: Checkpoint | None) -> dict[str, Any]:
    """The networks that a student comes from, as provenance.

    The command of a sharpened teacher belongs to it, because sharpening is a part of the student's making.
    """
    provenance: dict[str, Any] = {"teacher": describe(request.source.teacher)}
    if teacher.provenance.get("teacher"):
        provenance["teacher"]["command"] = teacher.provenance["command"]
    if start:
        provenance["start"] = {**describe(request.start), "command": start.provenance["command"]}
    return provenance
