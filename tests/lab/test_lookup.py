"""lookup: recorded runs found by their coefficients."""

from __future__ import annotations

import math

import pytest

from dlmone_lite.errors import InputError
from dlmone_lite.lab.experiment import BASE
from dlmone_lite.lab.lookup import (
    Atlas,
    by_calls,
    curves,
    difference,
    ends,
    grid,
    group_by_arm,
    score,
    select,
    settings,
    spread,
)


def record(group: str, arm: str, seed: int = 0, validity: float = 0.5, **changes: float) -> dict:
    look = {"step": 0, "validity": validity, "nfe": 1, "signs": {"modes": 3.0}}
    return {
        "spec": {"group": group, "arm": arm, "seed": seed, "stages": [changes], "start": "warm"},
        "evaluations": [look, {**look, "step": 10, "validity": 0.9}],
        "final": [look, {**look, "nfe": 2, "validity": 1.0}],
    }


RUNS = [
    record("base", "alone", b_d=0.0, b_g=0.0),
    record("base", "adversarial", seed=1),
    record("b_d x b_g", "b_d=3,b_g=1.5", b_d=3.0, b_g=1.5, validity=0.7),
    record("mu x lr", "alone mu=1.5,lr=0.006", b_d=0.0, b_g=0.0, mu=1.5, lr=6e-3),
    record("t", "alone t_max=300", b_d=0.0, b_g=0.0, t_max=300),
]


def test_settings_are_the_base_with_the_runs_changes() -> None:
    assert settings(RUNS[0]) == {"b_d": 0, "b_g": 0, "mu": BASE.mu, "lr": BASE.lr}
    assert settings(RUNS[3])["mu"] == 1.5 and settings(RUNS[1])["b_d"] == BASE.b_d


@pytest.mark.parametrize("run", RUNS[:4])
def test_a_recorded_run_is_nearest_to_itself(run: dict) -> None:
    knobs, runs = Atlas(RUNS).nearest(**settings(run))
    assert knobs == settings(run) and runs == [run]


def test_other_groups_are_not_on_the_atlas() -> None:
    assert sum(map(len, Atlas(RUNS).cells.values())) == 4
    with pytest.raises(InputError, match="sweep coefficients"):
        Atlas(RUNS[4:])


def test_a_slider_between_two_records_takes_the_nearer_one() -> None:
    knobs, _ = Atlas(RUNS).nearest(b_d=2.0, b_g=1.0, mu=0.5, lr=BASE.lr)
    assert (knobs["b_d"], knobs["b_g"]) == (3.0, 1.5)


def test_table_has_means_over_seeds_and_nan_where_no_run_is() -> None:
    runs = [
        record("b_d x b_g", "x", 0, 0.4, b_d=0.0, b_g=0.0),
        record("b_d x b_g", "x", 1, 0.6, b_d=0.0, b_g=0.0),
        record("b_d x b_g", "y", 0, 0.9, b_d=1.0, b_g=0.5),
    ]
    down, across, means = grid(runs, "b_d", "b_g", score("validity"))
    assert (down, across) == ([0.0, 1.0], [0.0, 0.5]) and means[0][0] == pytest.approx(0.5)
    assert means[1][1] == 0.9 and math.isnan(means[0][1]) and math.isnan(means[1][0])


def test_scores_signs_groups_and_curves() -> None:
    assert score("validity", nfe=2)(RUNS[0]) == 1.0 and score("modes")(RUNS[0]) == 3.0
    assert select(RUNS, "base", "alone") == RUNS[:1] and select(RUNS, "t") == RUNS[4:]
    assert set(group_by_arm(RUNS[:2])) == {"alone", "adversarial"}
    assert curves(RUNS[:2], "validity") == ([0, 10], [[0.5, 0.9], [0.5, 0.9]])
    assert spread([1.0]) == (1.0, 0.0) and spread([1.0, 3.0]) == (2.0, pytest.approx(2**0.5))


def test_ends_differences_and_means_by_calls() -> None:
    runs = [
        record("g", arm, seed, value)
        for arm, base in (("a", 0.5), ("b", 0.3))
        for seed, value in ((1, base + 0.2), (0, base), (2, base + 0.01))
    ]
    runs += [record("g", "a", 3, 0.0) | {"final": []}]  # diverged
    assert ends(runs, ["validity"])["a"] == {"validity": [0.5, 0.7, 0.51]}, "in the order of the seeds"
    found = difference(runs, "a", "b", "validity")
    assert found.mean == pytest.approx(0.2) and found.half == pytest.approx(0, abs=1e-9) and found.pairs == 3
    assert difference(runs[1:], "a", "b", "validity").pairs == 2, "common seeds alone"
    with pytest.raises(InputError, match="two pairs"):
        difference(runs, "a", "c", "validity")
    one, two = by_calls(runs[:3])
    assert (one["nfe"], two["nfe"], two["validity"]) == (1, 2, 1.0) and two["validity_se"] == 0
    assert one["validity"] == pytest.approx(0.57) and one["validity_se"] == pytest.approx(0.065, abs=1e-3)
