"""clinic: every patient is shipped, is as broken as its record says, and can be treated."""

from __future__ import annotations

import pytest
import torch
from tiny import same_weights

from dlmone_lite import clinic
from dlmone_lite.degeneration import RULES
from dlmone_lite.detectors import end_of, findings, usual_of
from dlmone_lite.distill import DistillConfig
from dlmone_lite.errors import InputError
from dlmone_lite.lab import observe, train_teacher

NAMES = [patient.name for patient in clinic.PATIENTS]


@pytest.mark.parametrize("patient", clinic.PATIENTS, ids=NAMES)
def test_its_mechanism_is_known_and_named(patient: clinic.Patient) -> None:
    """Broken by coefficients, schedules and noise levels alone: all of them settings of the run."""
    assert patient.mechanism in RULES
    assert {*patient.changes, *patient.treatment} <= set(DistillConfig.__dataclass_fields__)
    record = clinic.records()[patient.name]
    assert patient.mechanism in findings(end_of(record), usual_of(record))


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_student_is_the_one_of_the_record(name: str) -> None:
    recorded = clinic.records()[name]["final"][0]
    seen = observe(clinic.student(name), 1, seed=1, field_too=False)
    assert seen["validity"] == pytest.approx(recorded["validity"], abs=0.03)  # it is stored as float16
    assert seen["coverage"] == pytest.approx(recorded["coverage"], abs=0.06)
    assert clinic.student(name).provenance["command"] == "python -m dlmone_lite sweep clinic"


@pytest.mark.parametrize("restart", [False, True])
def test_a_treatment_goes_on_with_the_patients_networks(restart: bool) -> None:
    run = clinic.treat("A", restart=restart, **clinic.patient("A").treatment)
    assert same_weights(run.theta, clinic.student("A").model)
    teacher = train_teacher("trained", 8, clinic.FOLDER).model
    assert same_weights(run.psi, teacher) is restart
    assert (run.config.b_d, run.config.psi_warmup) == (0.5, 0)
    before = run.theta.state_dict()["words"].clone()
    run.advance()
    assert torch.equal(run.theta.state_dict()["words"], before) and run.step == 1


def test_an_unknown_patient_is_refused() -> None:
    with pytest.raises(InputError, match="no patient 'Z'.*in the clinic: A, B"):
        clinic.student("Z")
