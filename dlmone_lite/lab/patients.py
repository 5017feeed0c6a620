"""The clinic: students that real runs broke, by coefficients, schedules and restarts alone.

Each patient is a run of the laboratory (`lab.Spec`) whose student and score estimator are shipped as they
were at its end, with its record. `treat` goes on training one, with other coefficients.
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
from dlmone_lite.lab.experiment import BASE, Spec, Watch, distil, follow, report, train_teacher
from dlmone_lite.training.update import Diverged

FOLDER = SHIPPED / "clinic"


@dataclass(frozen=True)
class Patient:
    """A broken student: what the run did, what it is called in `degeneration.RULES`, what to try."""

    name: str
    mechanism: str
    changes: Mapping[str, Any]
    treatment: Mapping[str, Any]
    length: int = 8
    start: str = "warm"

    def spec(self, seed: int = 0) -> Spec:
        """The run that makes it."""
        return Spec(
            "clinic", self.name, (dict(self.changes),), length=self.length, start=self.start, seed=seed
        )


ALONE = {"b_d": 0.0, "b_g": 0.0}
WILD = {**ALONE, "lr_shape": "constant", "psi_warmup": 20, "t_max": 1976}  # no schedule, all noise levels
PATIENTS = (
    Patient("A", "mode collapse", ALONE, {"b_d": 0.5, "b_g": 0.2}),
    Patient(
        "B", "empty collapse", {**WILD, "lr": 5e-2, "lr_psi": 5e-2, "steps": 100}, {"lr": 3e-3}, length=32
    ),
    Patient(
        "C", "strong adversary", {**WILD, "b_d": 2.0, "b_g": 8.0, "lr": 6e-3, "lr_psi": 6e-3}, {"b_g": 0.2}
    ),
    Patient("D", "repetition loop", {**WILD, "lr": 5e-2, "lr_psi": 5e-2, "steps": 100}, {"lr": 3e-3}),
    Patient("E", "off the words", {**ALONE, "mu": 2.0, "lr_shape": "constant"}, {"mu": 0.5}),
    Patient("F", "condition ignored", {**WILD, "lr": 2e-2, "lr_psi": 2e-2, "steps": 80}, {"lr": 3e-3}),
    Patient("G", "late psi", {**WILD, "t_max": 1000, "lr_psi": 1e-4}, {"lr_psi": 6e-3}),
)


def patient(name: str) -> Patient:
    """The patient of that name; InputError for an unknown one."""
    known = {one.name: one for one in PATIENTS}
    if name not in known:
        raise InputError(
            f"there is no patient {name!r}{nearest(name, known)}; in the clinic: {', '.join(known)}"
        )
    return known[name]


def make(folder: Path, spec: Spec) -> dict[str, Any]:
    """Make a patient's run and its record; seed 0 leaves its two networks in `folder`."""
    record, run = distil(spec, folder)
    record["final"][0]["signs"]["regret"] = rounded(regret(run))
    if spec.seed:
        return record
    folder.mkdir(parents=True, exist_ok=True)
    teacher = train_teacher(spec.teacher, spec.length, folder)
    told = {"command": "python -m dlmone_lite sweep clinic", "seed": spec.seed, "steps": run.step}
    told |= {"seconds": record["seconds"], "device": str(run.device), "stages": list(spec.stages)}
    told |= {"grammar_sha256": digest(GRAMMAR), "metrics": record["final"][0]}
    for network, model in (("student", run.result), ("psi", run.psi)):
        sampling = {"t_init": run.config.t_init} if network == "student" else {}
        role = "student" if network == "student" else "teacher"
        made = Checkpoint(model, teacher.codec, teacher.world, role, sampling, told)
        save(folder / f"{spec.arm}-{network}.safetensors", made, half=True)
    return record


@cache
def records() -> dict[str, dict[str, Any]]:
    """The patients' records by name."""
    return {record["spec"]["arm"]: record for record in recorded("clinic") if record["spec"]["seed"] == 0}


def student(name: str, folder: Path = FOLDER) -> Checkpoint:
    """A patient's student, ready to generate."""
    return load(folder / f"{patient(name).name}-student.safetensors")


def treat(name: str, folder: Path = FOLDER, restart: bool = False, **changes: Any) -> DistillRun:
    """A run that goes on with a patient's student and score estimator, `changes` made to its settings.

    With `restart` the score estimator is the teacher again, as in DLM-One's second stage. The optimisers
    start anew, and the learning rate falls from its full value once more.
    """
    one = patient(name)
    teacher = train_teacher("trained", one.length, folder)
    config = replace(BASE, **{**one.changes, "seed": 77, "psi_warmup": 0, **changes})
    run = DistillRun(teacher.model, lab_data(teacher.codec), config, student(name, folder).model)
    if not restart:
        run.psi.load_state_dict(load(folder / f"{name}-psi.safetensors").model.state_dict())
    return run


def treatments(one: Patient, updates: int = 200) -> dict[str, dict[str, Any]]:
    """What is tried on a patient: a name -> what `treat` is told. Rows two to four are the paper's advice."""
    was = {**vars(BASE), **one.changes}
    judged = {"b_d": max(was["b_d"], 0.5), "b_g": max(2 * was["b_g"], 0.5)}
    slower = {"lr": was["lr"] / 10, "lr_psi": was["lr_psi"] / 10}
    healthy = {name: getattr(BASE, name) for name in one.changes}
    told = {
        "as it was": {},
        "b_g raised": judged,
        "a tenth of the rates": slower,
        "psi restarted": {"restart": True, "psi_warmup": BASE.psi_warmup},
        "its own cure": dict(one.treatment),
        "a healthy run's settings": healthy,
        "those, psi restarted": {**healthy, "restart": True, "psi_warmup": BASE.psi_warmup},
    }
    return {name: {**changes, "steps": updates} for name, changes in told.items()}


def prevention(one: Patient) -> dict[str, dict[str, Any]]:
    """DLM-One's advice, followed from the start: a name -> what the stage of `one.spec` changes instead."""
    tried = treatments(one)
    return {
        name: {**one.changes, **{k: v for k, v in tried[name].items() if k != "steps"}}
        for name in ("b_g raised", "a tenth of the rates")
    }


def recover(_: Path, spec: Spec) -> dict[str, Any]:
    """Treat the patient `spec.start` with the changes of the one stage -> the record of it."""
    run = treat(spec.start, **{"seed": 77 + spec.seed, **spec.stages[0]})
    watch, note = Watch(student(spec.start).codec), None
    try:
        follow(run, watch)
    except Diverged as error:
        note = str(error)
    return report(spec, watch, run, run.seconds, note)
