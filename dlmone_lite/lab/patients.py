"""The clinic: students that degenerated in real runs, through coefficients and schedules alone.

The final student and score estimator of each patient's run (`experiment.Spec`) are shipped, as is its record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from dlmone_lite.checkpoints.checkpoint import Checkpoint, load, save
from dlmone_lite.corpora.pocket import GRAMMAR, SHIPPED, lab_data
from dlmone_lite.distill import DistillRun
from dlmone_lite.errors import InputError, nearest
from dlmone_lite.evaluation.psi_lag import regret
from dlmone_lite.files import digest, recorded, rounded
from dlmone_lite.lab import experiment
from dlmone_lite.lab.experiment import BASE, Spec

FOLDER = SHIPPED / "clinic"


@dataclass(frozen=True)
class Patient:
    """A broken student: its mechanism (a key of `degeneration.RULES`), the changes behind it, a treatment."""

    name: str
    mechanism: str
    changes: Mapping[str, Any]
    treatment: Mapping[str, Any]
    length: int = 8

    def spec(self, seed: int = 0) -> Spec:
        """The run that breaks this student."""
        return Spec("clinic", self.name, (dict(self.changes),), length=self.length, seed=seed)


SID_ALONE = {"b_d": 0.0, "b_g": 0.0}  # SiD without its adversarial terms
WILD = {**SID_ALONE, "lr_shape": "constant", "psi_warmup": 20, "t_max": 1976}  # no schedule, all noise levels
FAST = {**WILD, "lr": 5e-2, "lr_psi": 5e-2, "steps": 100}
STRONG = {**WILD, "b_d": 2.0, "b_g": 8.0, "lr": 6e-3, "lr_psi": 6e-3}
PATIENTS = (
    Patient("A", "mode collapse", SID_ALONE, {"b_d": 0.5, "b_g": 0.2}),
    Patient("B", "empty collapse", FAST, {"lr": 3e-3}, length=32),
    Patient("C", "strong adversary", STRONG, {"b_g": 0.2}),
    Patient("D", "repetition loop", FAST, {"lr": 3e-3}),
    Patient("E", "off the words", {**SID_ALONE, "mu": 2.0, "lr_shape": "constant"}, {"mu": 0.5}),
    Patient("F", "condition ignored", {**WILD, "lr": 2e-2, "lr_psi": 2e-2, "steps": 80}, {"lr": 3e-3}),
    Patient("G", "late psi", {**WILD, "t_max": 1000, "lr_psi": 1e-4}, {"lr_psi": 6e-3}),
)


def patient(name: str) -> Patient:
    """The patient of that name; InputError for an unknown one."""
    named = {one.name: one for one in PATIENTS}
    if name not in named:
        known = f"{nearest(name, named)}; in the clinic: {', '.join(named)}"
        raise InputError(f"there is no patient {name!r}{known}")
    return named[name]


def make(folder: Path, spec: Spec) -> dict[str, Any]:
    """Run the experiment of a patient and return its record; seed 0 also saves its networks in `folder`."""
    record, run = experiment.run_experiment(spec, folder)
    record["final"][0]["signs"]["regret"] = rounded(regret(run))
    if spec.seed:
        return record

    teacher = experiment.train_teacher(spec.teacher, spec.length, folder)
    provenance = {"command": "python -m dlmone_lite sweep clinic", "seed": spec.seed, "steps": run.step}
    provenance |= {"seconds": record["seconds"], "device": str(run.device), "stages": list(spec.stages)}
    provenance |= {"grammar_sha256": digest(GRAMMAR), "metrics": record["final"][0]}
    t_init = run.config.sampling
    networks = {"student": (run.result, "student", t_init), "psi": (run.psi, "teacher", {})}
    for name, (model, role, sampling) in networks.items():
        checkpoint = Checkpoint(model, teacher.codec, teacher.world, role, sampling, provenance)
        save(folder / f"{spec.arm}-{name}.safetensors", checkpoint, half=True)
    return record


@cache
def records() -> dict[str, dict[str, Any]]:
    """The records of the shipped patients (seed 0), by name."""
    return {record["spec"]["arm"]: record for record in recorded("clinic") if record["spec"]["seed"] == 0}


def student(name: str) -> Checkpoint:
    """A patient's student, ready to generate."""
    return load(FOLDER / f"{patient(name).name}-student.safetensors")


def treat(name: str, restart: bool = False, **changes: Any) -> DistillRun:
    """A run that continues with a patient's student and score estimator, its settings updated by `changes`.

    `restart` resets the score estimator to the teacher, as in DLM-One's second stage. The optimisers and the
    schedule of the learning rate start anew.
    """
    one = patient(name)
    teacher = experiment.train_teacher("trained", one.length, FOLDER)
    config = replace(BASE, **{**one.changes, "seed": 77, "psi_warmup": 0, **changes})
    run = DistillRun(teacher.model, lab_data(teacher.codec), config, student(name).model)
    if not restart:
        run.psi.load_state_dict(load(FOLDER / f"{name}-psi.safetensors").model.state_dict())
    return run


def treatments(one: Patient) -> dict[str, dict[str, Any]]:
    """The treatments of a patient: name -> arguments of `treat`; two to four are DLM-One's advice."""
    before = {**vars(BASE), **one.changes}
    healthy = {name: getattr(BASE, name) for name in one.changes}
    restart = {"restart": True, "psi_warmup": BASE.psi_warmup}
    arguments = {
        "as it was": {},
        "b_g raised": {"b_d": max(before["b_d"], 0.5), "b_g": max(2 * before["b_g"], 0.5)},
        "a tenth of the rates": {"lr": before["lr"] / 10, "lr_psi": before["lr_psi"] / 10},
        "psi restarted": restart,
        "its own cure": dict(one.treatment),
        "a healthy run's settings": healthy,
        "those, psi restarted": {**healthy, **restart},
    }
    return {name: {**changes, "steps": 200} for name, changes in arguments.items()}


def prevention(one: Patient) -> dict[str, dict[str, Any]]:
    """DLM-One's advice from the first update on: name -> the changes of the stage of `one.spec`."""
    stages = {}
    for name in ("b_g raised", "a tenth of the rates"):
        advice = treatments(one)[name]
        del advice["steps"]
        stages[name] = {**one.changes, **advice}
    return stages


def recover(spec: Spec) -> dict[str, Any]:
    """Treat the patient `spec.start` with the changes of the only stage, and return the record."""
    run = treat(spec.start, **{"seed": 77 + spec.seed, **spec.stages[0]})
    history = experiment.History(student(spec.start).codec)
    divergence = experiment.train_stage(run, history)
    return experiment.record_of(spec, history, run, run.seconds, divergence)
