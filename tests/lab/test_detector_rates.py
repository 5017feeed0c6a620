"""detector_rates: how often the detectors are right, on constructed records."""

from __future__ import annotations

from dlmone_lite.lab.detector_rates import (
    Count,
    detections,
    false_alarms,
    final_evaluation,
    mechanisms_in,
    right_diagnoses,
    timely_warnings,
    usual_signs,
    with_seeds,
)

SIGNS = {
    "repetition": 0.0,
    "empty": 0.0,
    "copy": 0.0,
    "grip": 0.4,
    "variety": 6.0,
    "modes": 5.0,
    "margin": 0.8,
}


def evaluation(validity: float, coverage: float, **signs: float) -> dict:
    return {"validity": validity, "coverage": coverage, "signs": {**SIGNS, **signs}}


def record(arm: str, last: dict, seed: int = 0, validity: float = 0.9) -> dict:
    first = evaluation(validity, 0.95)
    spec = {"arm": arm, "seed": seed}
    return {"spec": spec, "evaluations": [first, first, last], "final": [last]}


WELL, MUTE = record("w", evaluation(0.9, 0.9)), record("m", evaluation(0.95, 0.2, modes=1.0))
NERVOUS = record("n", evaluation(0.9, 0.9, modes=1.0), seed=1)  # healthy by the truth, yet a detector fires
UNSEEN = record("u", evaluation(0.1, 0.1), seed=2)  # broken by the truth, yet no detector fires


def test_false_alarms_are_findings_at_later_healthy_evaluations() -> None:
    assert false_alarms([WELL]) == Count(0, 3) and false_alarms([NERVOUS]) == Count(2, 3)
    assert false_alarms([MUTE]) == Count(0, 1), "its broken evaluations do not count"
    assert false_alarms([record("x", evaluation(0.9, 0.9), validity=0.4)]) == Count(0, 0), "it started broken"


def test_a_warning_is_in_time_if_it_comes_no_later_than_the_break() -> None:
    assert timely_warnings([MUTE, WELL]) == Count(1, 1) and timely_warnings([UNSEEN]) == Count(0, 1)
    late = record("l", evaluation(0.1, 0.1))
    late["evaluations"].append({**evaluation(0.1, 0.1, modes=1.0), "step": 50})
    assert detections([late]).right > 0 and timely_warnings([late]) == Count(0, 1)


def test_broken_evaluations_are_detected_or_not() -> None:
    assert detections([MUTE, WELL]) == Count(2, 2) and detections([UNSEEN]) == Count(0, 2)
    assert detections([UNSEEN, MUTE]).share == 0.5 and Count(0, 0).share == 0
    between = record("b", evaluation(0.75, 0.75, modes=1.0))
    assert detections([between]) == Count(0, 0) and false_alarms([between]) == Count(0, 1)


def test_a_mechanism_is_named_per_arm() -> None:
    counts = right_diagnoses([MUTE, UNSEEN], {"m": "mode collapse", "u": "mode collapse"})
    assert counts == {"m": Count(1, 1), "u": Count(0, 1)} and str(counts["m"]) == "1 of 1 (1.000)"


def test_the_end_has_the_signs_of_the_last_losses() -> None:
    run = record("a", evaluation(0.5, 0.9, margin=0.3))
    assert mechanisms_in(final_evaluation(run), usual_signs(run)) == ["off the words"]
    run["evaluations"][-1] = evaluation(0.5, 0.9, margin=0.3, discriminator=0.69)
    assert mechanisms_in(final_evaluation(run), usual_signs(run)) == ["strong adversary"]


def test_of_seeds() -> None:
    assert with_seeds([WELL, NERVOUS, UNSEEN], range(1, 3)) == [NERVOUS, UNSEEN]
