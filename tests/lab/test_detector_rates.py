"""detectors: how often they are right, on records made for it."""

from __future__ import annotations

from dlmone_lite.lab.detector_rates import (
    Count,
    end_of,
    false_alarms,
    findings,
    in_time,
    named,
    noticed,
    of_seeds,
    usual_of,
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


def look(validity: float, coverage: float, **signs: float) -> dict:
    return {"validity": validity, "coverage": coverage, "signs": {**SIGNS, **signs}}


def record(arm: str, last: dict, seed: int = 0, validity: float = 0.9) -> dict:
    first = look(validity, 0.95)
    spec = {"arm": arm, "seed": seed}
    return {"spec": spec, "evaluations": [first, first, last], "final": [last]}


WELL, MUTE = record("w", look(0.9, 0.9)), record("m", look(0.95, 0.2, modes=1.0))
NERVOUS = record("n", look(0.9, 0.9, modes=1.0), seed=1)  # healthy by the truth, and accused
UNSEEN = record("u", look(0.1, 0.1), seed=2)  # broken by the truth, and no sign of it


def test_false_alarms_are_findings_at_healthy_looks_but_the_first() -> None:
    assert false_alarms([WELL]) == Count(0, 3) and false_alarms([NERVOUS]) == Count(2, 3)
    assert false_alarms([MUTE]) == Count(0, 1), "its broken looks are not asked"
    assert false_alarms([record("x", look(0.9, 0.9), validity=0.4)]) == Count(0, 0), "it began ill"


def test_a_warning_is_in_time_if_it_comes_no_later_than_the_break() -> None:
    assert in_time([MUTE, WELL]) == Count(1, 1) and in_time([UNSEEN]) == Count(0, 1)
    late = record("l", look(0.1, 0.1))
    late["evaluations"].append({**look(0.1, 0.1, modes=1.0), "step": 50})
    assert noticed([late]).right > 0 and in_time([late]) == Count(0, 1)


def test_broken_looks_are_noticed_or_not() -> None:
    assert noticed([MUTE, WELL]) == Count(2, 2) and noticed([UNSEEN]) == Count(0, 2)
    assert noticed([UNSEEN, MUTE]).share == 0.5 and Count(0, 0).share == 0
    between = record("b", look(0.75, 0.75, modes=1.0))
    assert noticed([between]) == Count(0, 0) and false_alarms([between]) == Count(0, 1)


def test_a_mechanism_is_named_per_arm() -> None:
    counts = named([MUTE, UNSEEN], {"m": "mode collapse", "u": "mode collapse"})
    assert counts == {"m": Count(1, 1), "u": Count(0, 1)} and str(counts["m"]) == "1 of 1 (1.000)"


def test_the_end_has_the_signs_of_the_last_losses() -> None:
    run = record("a", look(0.5, 0.9, margin=0.3))
    assert findings(end_of(run), usual_of(run)) == ["off the words"]
    run["evaluations"][-1] = look(0.5, 0.9, margin=0.3, discriminator=0.69)
    assert findings(end_of(run), usual_of(run)) == ["strong adversary"]


def test_of_seeds() -> None:
    assert of_seeds([WELL, NERVOUS, UNSEEN], range(1, 3)) == [NERVOUS, UNSEEN]
