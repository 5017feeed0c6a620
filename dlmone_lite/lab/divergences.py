"""`sweep divergences`: what makes a one-step student, beside what does not, at about equal training time.

World and teacher are of classroom size. Every student begins with the teacher's weights.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any

from dlmone_lite.checkpoints import zoo
from dlmone_lite.checkpoints.checkpoint import Checkpoint
from dlmone_lite.corpora.pocket import lab_data, lab_world
from dlmone_lite.distill import DistillConfig, DistillRun
from dlmone_lite.errors import Diverged
from dlmone_lite.evaluation.measure import measure
from dlmone_lite.files import rounded
from dlmone_lite.lab.experiment import Spec
from dlmone_lite.sample import snr_timesteps
from dlmone_lite.schedule import Schedule
from dlmone_lite.variants.progressive import ProgressiveConfig, ProgressiveRun
from dlmone_lite.variants.recipes import CLASSROOM, RECIPES
from dlmone_lite.variants.warm_start import WarmStartConfig, WarmStartRun

WORLD = "paraphrase"
SOURCES, SAMPLES = 64, 128  # held-out sources of an evaluation, and samples of each
NFE, TEACHER_NFE = (1, 2), (1, 2, 4, 8)
SIDA = RECIPES["sida"].first
PLAIN = DistillConfig(
    batch_size=48, lr=6e-4, lr_psi=1.2e-3, b_d=0.0, b_g=0.0, t_init=1491, t_max=1977, precision="bfloat16"
)
# Each objective with so many updates as take about two minutes of one core.
OBJECTIVES: dict[str, dict[str, Any]] = {
    "SiD": {"steps": 340},
    "SiD + adversary, paper's numerals": {"steps": 260, "b_d": 0.5, "b_g": 0.5},
    "SiD + adversary, SiDA's ratio": {"steps": 260, "b_d": SIDA.b_d, "b_g": SIDA.b_g},
    "reverse KL": {"steps": 420, "divergence": "reverse_kl"},
}
# The lessons of the classroom's recipe, one after the other, each with those before it.
LESSONS: dict[str, dict[str, Any]] = {
    "t in log(sigma/alpha)": {"t_spacing": "log"},
    "late t": {"late_share": CLASSROOM.late_share, "late_weight": CLASSROOM.late_weight},
    "six samples a source": {"group": CLASSROOM.group},
    "its learning rates": {"lr": CLASSROOM.lr, "lr_psi": CLASSROOM.lr_psi},
    "the teacher kept at low t": {"keep": CLASSROOM.keep},
}
WARM_START = {"steps": 310, "sources": 200}  # the teacher's sentences take a third of the time
PROGRESSIVE = {"steps": 600, "batch_size": 48}


def divergences(seeds: int = 3) -> Iterator[Spec]:
    """Rows that need no distillation, every objective with both kinds of noise, and the recipe's lessons."""
    for seed in range(seeds):
        yield _spec("no training", "teacher in well-placed calls", seed, "teacher", {})
        for rho in (0.0, 1.0):
            yield _spec("no training", f"undistilled, {_noise(rho)}", seed, "none", {"rho": rho})
        yield _spec("regression", "warm start", seed, "warm start", WARM_START)
        yield _spec("regression", "progressive distillation", seed, "progressive", PROGRESSIVE)
        for name, changes in OBJECTIVES.items():
            for rho in (0.0, 1.0):
                arm = f"{name}, {_noise(rho)}"
                yield _spec("score distillation", arm, seed, "distill", {**changes, "rho": rho})
        learned = {**OBJECTIVES["reverse KL"], "rho": 1.0}
        for name, changes in LESSONS.items():
            learned |= changes
            yield _spec("lessons", f"reverse KL + {name}", seed, "distill", learned)


def _spec(group: str, arm: str, seed: int, method: str, changes: Mapping[str, Any]) -> Spec:
    return Spec(group, arm, ({"method": method, **changes},), seed=seed, start="teacher", world=WORLD)


def _noise(rho: float) -> str:
    return "shared noise" if rho else "independent noise"


def well_placed(schedule: Schedule, calls: int) -> list[int]:
    """The times of a teacher's `calls` calls, from T down to 0, evenly in log(sigma/alpha) between."""
    if calls > 2:
        return snr_timesteps(schedule, calls)
    return [schedule.T, *[schedule.at_ratio(28**0.5)][: calls - 1], 0]


def train(
    teacher: Checkpoint, method: str, changes: Mapping[str, Any], seed: int
) -> tuple[Checkpoint, float]:
    """The student of a method, and the CPU seconds of its training."""
    if method == "none":
        sampling = {"t_init": PLAIN.t_init, **changes}
        return Checkpoint(teacher.model, teacher.codec, WORLD, "student", sampling), 0.0
    data, began = lab_data(teacher.codec, WORLD), time.process_time()
    same = {"precision": "bfloat16", "seed": seed, **changes}
    if method == "warm start":
        run = WarmStartRun(teacher.model, data, WarmStartConfig(**same))
    elif method == "progressive":
        run = ProgressiveRun(teacher.model, data, ProgressiveConfig(**same))
    else:
        run = DistillRun(teacher.model, data, replace(PLAIN, **same))
    for _ in chain(run.prepare(), run):
        pass
    seconds = time.process_time() - began
    return Checkpoint(run.result, teacher.codec, WORLD, "student", run.config.sampling), seconds


def prepare(spec: Spec, folder: Path) -> None:
    """Nothing is made beforehand: the teacher is shipped."""


def compare(folder: Path, spec: Spec) -> dict[str, Any]:
    """The record of one row: its scores on held-out sources at several NFE."""
    teacher, (stage,) = zoo.load(f"{WORLD}-teacher"), spec.stages
    changes = {name: value for name, value in stage.items() if name != "method"}
    how = {"sources": SOURCES, "samples": SAMPLES, "seed": spec.seed}
    world, schedule = lab_world(WORLD), teacher.model.schedule
    record = {"key": spec.key, "spec": asdict(spec), "final": [], "diverged": None, "seconds": 0.0}
    if stage["method"] == "teacher":
        for calls in TEACHER_NFE:
            scores = measure(teacher, world, steps=well_placed(schedule, calls), **how)
            record["final"].append({**scores, "nfe": calls})
        return rounded(record)
    try:
        student, seconds = train(teacher, stage["method"], changes, spec.seed)
    except Diverged as error:
        return {**record, "diverged": str(error)}
    record["final"] = [measure(student, world, steps=nfe, **how) for nfe in NFE]
    return {**rounded(record), "seconds": round(seconds, 1)}
