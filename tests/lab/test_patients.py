"""clinic: every patient is shipped, is as broken as its record says, and can be treated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import same_weights

from dlmone_lite.distill import DistillConfig
from dlmone_lite.errors import InputError
from dlmone_lite.evaluation.degeneration import RULES
from dlmone_lite.lab import patients
from dlmone_lite.lab.detector_rates import final_evaluation, mechanisms_in, usual_signs
from dlmone_lite.lab.experiment import Spec, evaluate, train_teacher

NAMES = [patient.name for patient in patients.PATIENTS]


@pytest.mark.parametrize("patient", patients.PATIENTS, ids=NAMES)
def test_its_mechanism_is_known_and_named(patient: patients.Patient) -> None:
    """Broken by coefficients, schedules and noise levels alone: all of them settings of the run."""
    assert patient.mechanism in RULES
    assert {*patient.changes, *patient.treatment} <= set(DistillConfig.__dataclass_fields__)
    record = patients.records()[patient.name]
    assert patient.mechanism in mechanisms_in(final_evaluation(record), usual_signs(record))


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_student_is_the_one_of_the_record(name: str) -> None:
    recorded = patients.records()[name]["final"][0]
    seen = evaluate(patients.student(name), 1, seed=1, with_field=False)
    assert seen["validity"] == pytest.approx(recorded["validity"], abs=0.03)  # it is stored as float16
    assert seen["coverage"] == pytest.approx(recorded["coverage"], abs=0.06)
    made, spec = patients.student(name), patients.patient(name).spec()
    assert made.provenance["command"] == "python -m dlmone_lite sweep clinic"
    assert made.provenance["stages"] == list(spec.stages) == patients.records()[name]["spec"]["stages"]
    assert made.codec.target_length == spec.length and made.provenance["metrics"] == recorded


@pytest.mark.parametrize("restart", [False, True])
def test_a_treatment_goes_on_with_the_patients_networks(restart: bool) -> None:
    run = patients.treat("A", restart=restart, **patients.patient("A").treatment)
    assert same_weights(run.theta, patients.student("A").model)
    teacher = train_teacher("trained", 8, patients.FOLDER).model
    assert same_weights(run.psi, teacher) is restart
    assert (run.config.b_d, run.config.psi_warmup) == (0.5, 0)
    before = run.theta.state_dict()["words"].clone()
    run.advance()
    assert torch.equal(run.theta.state_dict()["words"], before) and run.step == 1


def test_a_treatment_leaves_a_record_that_begins_with_the_patient(tmp_path: Path) -> None:
    spec = Spec("F", "a tenth of the rates", ({"lr": 2e-3, "lr_psi": 2e-3, "steps": 2},), start="F")
    record = patients.recover(spec)
    assert record["key"] == "F/a tenth of the rates/0" and record["diverged"] is None
    before = evaluate(patients.student("F"), 1, with_field=False)
    assert record["evaluations"][0]["validity"] == pytest.approx(before["validity"], abs=1e-3)
    assert [seen["step"] for seen in record["evaluations"]] == [0, 1, 2]
    assert patients.recover(replace(spec, seed=1))["final"] != record["final"]


def test_an_unknown_patient_is_refused() -> None:
    with pytest.raises(InputError, match="no patient 'Z'.*in the clinic: A, B"):
        patients.student("Z")
