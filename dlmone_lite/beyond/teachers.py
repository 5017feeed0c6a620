"""`sweep teachers` and `sweep samplers`: what a student owes to its teacher, and a teacher to its sampler.

Teachers by DiffuSeq's squared error, by cross-entropy with score interpolation (CDCD, arXiv 2211.15089), with
self-conditioning (arXiv 2208.04202), and the exact one. Samplers: ancestral, DDIM and a second-order solver
(DPM-Solver++ 2M, arXiv 2211.01095), with times even in t or in log(sigma/alpha).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dlmone_lite.beyond import trial
from dlmone_lite.checkpoints.checkpoint import Checkpoint
from dlmone_lite.corpora.pairs import PairedText
from dlmone_lite.corpora.pocket import POCKET, lab_world
from dlmone_lite.distill import DistillRun
from dlmone_lite.evaluation.bayes_floor import ExactModel, perfect
from dlmone_lite.lab.divergences import well_placed
from dlmone_lite.lab.experiment import SHAPE, Spec
from dlmone_lite.model import Denoiser, ModelConfig, sized
from dlmone_lite.sample import StepFn, ancestral_step, anchor, ddim_step, denoise_along, noise_like, timesteps
from dlmone_lite.schedule import Schedule
from dlmone_lite.teacher import TeacherConfig, TeacherRun
from dlmone_lite.text import Batch
from dlmone_lite.training.seeds import seed_weights

CALLS = (1, 2, 4, 8, 16, 32)


class SelfConditioned(Denoiser):
    """A denoiser that reads an estimate of x0 beside x_t: its own, from a first pass without one.

    A sampler would hand on the estimate of the call before. Score distillation asks at single points, so the
    first pass is made here, and one evaluation costs two passes. In training every other row has no estimate.
    """

    def __init__(self, config: ModelConfig):
        super().__init__(config)
        self.up = nn.Linear(2 * config.embed_dim, config.width)

    def hidden(self, x_t: Tensor, t: Tensor) -> Tensor:
        """The residual stream (B, L, W) of the second pass."""
        nothing = torch.zeros_like(x_t)
        with torch.no_grad():
            first = self.x0_from_hidden(x_t, t, super().hidden(torch.cat([x_t, nothing], -1), t))
        if self.training:
            first[::2] = 0.0
        return super().hidden(torch.cat([x_t, first], -1), t)


KINDS: dict[str, dict[str, Any]] = {
    "squared error": {},
    "cross-entropy": {"loss": "ce", "longer": 2},  # it learns more slowly
    "self-conditioning": {"conditioned": True},
    "exact": {"exact": True},
}


def new_teacher(settings: dict[str, Any], data: PairedText, config: TeacherConfig) -> tuple[Denoiser, float]:
    """A teacher of a kind, trained by a configuration, and the CPU seconds of its training."""
    shape = sized(SHAPE, data.codec)
    if settings.get("loss") == "ce":  # without `evidence`, which slows this small network
        shape = replace(shape, output="softmax", evidence=False)
    with torch.random.fork_rng():
        seed_weights(config.seed)
        model = (SelfConditioned if settings.get("conditioned") else Denoiser)(shape)
    steps = config.steps * settings.get("longer", 1)
    run = TeacherRun(model, data, replace(config, loss=settings.get("loss", "mse"), steps=steps))
    return run.result, trial.train(run)


def specs(seeds: int = 3) -> Iterator[Spec]:
    """A student of each teacher; teachers other than the exact one are trained anew in every row."""
    return trial.specs("teachers", {arm: {"teacher": kind} for arm, kind in KINDS.items()}, seeds)


def make(folder: Path, spec: Spec) -> trial.Record:
    """The record of a row: its student, and its teacher in eight calls."""
    found: dict[str, Any] = {}

    def start(teacher: Checkpoint, data: PairedText, settings: dict[str, Any]) -> DistillRun:
        kind, phi = settings.pop("teacher"), None
        if kind.get("exact"):
            phi = ExactModel(teacher, lab_world())
            found["teacher"] = trial.scores(perfect(teacher, lab_world()), _calls(teacher), spec.seed)
        else:
            config = trial.teacher_config(settings, spec.seed)
            teacher.model, found["teacher_seconds"] = new_teacher(kind, data, config)
            found["teacher"] = trial.scores(teacher, _calls(teacher), spec.seed)
        return DistillRun(teacher.model, data, trial.config_of(settings), None, phi)

    return trial.rounded(trial.student_row(spec, folder, start, (1, 4)) | found)


def _calls(teacher: Checkpoint) -> list[int]:
    return well_placed(teacher.model.schedule, 8)


def second_order(schedule: Schedule) -> StepFn:
    """DPM-Solver++ (2M): a step that also uses the x0_hat of the step before; one of these for each chain."""
    before: list[tuple[int, Tensor]] = []

    def level(t: int) -> float:
        """lambda = log(alpha/sigma)."""
        return -math.log(float(schedule.ratio(t)))

    def step(x_t: Tensor, x0_hat: Tensor, t: int, s: int) -> Tensor:
        h, estimate = level(s) - level(t), x0_hat
        if before:
            last, earlier = before.pop()
            ratio = (level(t) - level(last)) / h
            estimate = x0_hat + (x0_hat - earlier) / (2 * ratio)
        before.append((t, x0_hat))
        (_, sigma_t), (alpha_s, sigma_s) = schedule.like(t, x_t), schedule.like(s, x_t)
        return sigma_s / sigma_t * x_t - alpha_s * math.expm1(-h) * estimate

    return step


def times_of(schedule: Schedule, spacing: str, calls: int) -> list[int]:
    """The times of a sampler's calls, "even" in t or in "log" sigma/alpha, from T down to 0."""
    return timesteps(schedule.T, calls) if spacing == "even" else well_placed(schedule, calls)


@torch.no_grad()
def sample_along(
    teacher: Checkpoint, solver: str, times: Sequence[int], batch: Batch, generator: torch.Generator
) -> Tensor:
    """x (B, L, D) of a teacher by a solver, "ancestral", "ddim" or "second order", along `times`."""
    model, schedule = teacher.model, teacher.model.schedule
    clean = model.embed(batch.ids)

    def ancestral(x_t: Tensor, x0_hat: Tensor, t: int, s: int) -> Tensor:
        return ancestral_step(schedule, x_t, x0_hat, t, s, noise_like(x_t, generator))

    def ddim(x_t: Tensor, x0_hat: Tensor, t: int, s: int) -> Tensor:
        return ddim_step(schedule, x_t, x0_hat, t, s)

    step = {"ancestral": ancestral, "ddim": ddim, "second order": second_order(schedule)}[solver]
    x = anchor(noise_like(clean, generator), clean, batch)
    return denoise_along(model, step, x, times, batch, clean)


SOLVERS = [
    (solver, spacing) for solver in ("ancestral", "ddim", "second order") for spacing in ("even", "log")
]


def sampler_specs(seeds: int = 3) -> Iterator[Spec]:
    """Every solver with both spacings, of the shipped teacher and of the exact one."""
    for who in ("shipped", "exact"):
        arms = {f"{solver}, {spacing}": {"who": who, "how": [solver, spacing]} for solver, spacing in SOLVERS}
        yield from trial.specs(who, arms, seeds)


def make_samples(folder: Path, spec: Spec) -> trial.Record:
    """The record of a solver: its scores at 1 to 32 calls."""
    (stage,), teacher = spec.stages, trial.shipped_teacher(POCKET, folder)
    if stage["who"] == "exact":
        teacher = perfect(teacher, lab_world())
    batch, final = teacher.codec.encode(trial.sources_of(POCKET)).repeat(trial.SAMPLES), []
    for calls in CALLS:
        rng = torch.Generator().manual_seed(1000 * spec.seed + calls)
        solver, spacing = stage["how"]
        x = sample_along(teacher, solver, times_of(teacher.model.schedule, spacing, calls), batch, rng)
        texts = trial.in_groups(trial.decode(teacher, batch, x), trial.SAMPLES)
        final.append({"nfe": calls, **trial.score_texts(texts, POCKET)})
    return trial.record(spec, final)
