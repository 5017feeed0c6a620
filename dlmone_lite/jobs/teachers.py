"""The jobs that make a teacher, `train` and `sharpen`, and the loading of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlmone_lite.errors import InputError
from dlmone_lite.jobs.corpus_task import WITHIN, CorpusTask
from dlmone_lite.jobs.loop import Loop
from dlmone_lite.jobs.provenance import describe, finish, origin
from dlmone_lite.jobs.records import Changes, Evaluation, Job, Keeping, Making, Source
from dlmone_lite.jobs.settings import changed, changes_of, check_job
from dlmone_lite.jobs.state import claim, clean, resumed, state_of
from dlmone_lite.jobs.task import Task, task_of
from dlmone_lite.training import processes

if TYPE_CHECKING:
    from dlmone_lite.checkpoints.checkpoint import Checkpoint
    from dlmone_lite.model import ModelConfig
    from dlmone_lite.teacher import TeacherConfig


def train_teacher(job: Job, shape: ModelConfig, recipe: TeacherConfig, changes: Changes, preset: str) -> None:
    """Train a new network of that shape by the recipe, and save it."""
    from dlmone_lite.checkpoints.checkpoint import network
    from dlmone_lite.teacher import TeacherRun
    from dlmone_lite.training.seeds import seed_weights

    config = changed(recipe, changes_of(changes, recipe), shape.T)
    check_job(job, shape.T)
    state = state_of(job.keeping.out)
    config = resumed(config, claim(state, job.keeping.resume))
    processes.barrier()  # every process has read the files before one writes

    data, provenance = job.task.data()
    seed_weights(job.making.seed)
    run = TeacherRun(network(shape).to(job.making.device), data, config)
    run.origin = origin(provenance)
    provenance["preset"] = preset
    complete(Loop(run, "teacher", state, job, "teacher"), provenance)


def sharpen_teacher(
    source: Source, changes: Changes, evaluation: Evaluation, keeping: Keeping, making: Making
) -> None:
    """Train a teacher further on its own clamped sentences, and save it."""
    from dlmone_lite.variants.sharpen import SharpenConfig, SharpenRun

    teacher, task = load_source(source, making.device, "sharpen a teacher")
    job, base, T = (
        Job(task, evaluation, keeping, making),
        SharpenConfig(seed=making.seed),
        teacher.model.schedule.T,
    )
    config = changed(base, changes_of(changes, base), T)
    check_job(job, T)
    state = state_of(keeping.out)
    config = resumed(config, claim(state, keeping.resume))
    processes.barrier()  # every process has read the files before one writes

    data, provenance = task.data()
    if keeping.keep == "best":
        compare_with(teacher, job, within=0)
    provenance["teacher"] = {**describe(source.teacher), "command": teacher.provenance.get("command", "")}
    run = SharpenRun(teacher.model, data, config)
    run.origin = origin(provenance)
    complete(Loop(run, "sharpening", state, job, "teacher", {"clamp": 0}, keep=keeping.keep), provenance)


def complete(loop: Loop, provenance: dict[str, Any]) -> None:
    """Train the only run of a job and save the network that it keeps."""
    network, job = loop.train(), loop.job
    if processes.is_main():
        finish(job, job.keeping.out, [loop.run], loop.checkpoint(network, {**provenance, **loop.notes}))
        clean(loop.state)
    processes.shutdown()


def load_source(source: Source, device: str, purpose: str) -> tuple[Checkpoint, Task]:
    """The teacher that a job begins with, and its task; another role is refused with the purpose."""
    from dlmone_lite.corpora.world import World

    world = World.load(source.world).name if source.world else None
    teacher = load_teacher(source.teacher, device, world, purpose)
    return teacher, task_of(teacher, source.teacher, source.world, source.corpus)


def load_teacher(name_or_file: str, device: str, world: str | None, purpose: str) -> Checkpoint:
    """A teacher, of that world if one is given; another role is refused with the purpose."""
    from dlmone_lite.checkpoints import zoo

    teacher = zoo.load(name_or_file, device, world)
    if teacher.role != "teacher":
        raise InputError(f"{name_or_file} is a {teacher.role}; {purpose}")
    return teacher


def compare_with(teacher: Checkpoint, job: Job, within: float = WITHIN) -> None:
    """Measure the teacher whose self-BLEU limits that of the best network, and print it.

    Only a corpus needs a teacher for this; the networks of a world are compared with its exact distribution.
    """
    if isinstance(job.task, CorpusTask) and processes.is_main():
        text = job.task.measure_teacher(teacher, job.evaluation, within)
        if text:
            print(text)
