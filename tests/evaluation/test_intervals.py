"""Intervals of paired differences, against tables of Student's t and a simulation."""

from __future__ import annotations

import random

import pytest

from dlmone_lite.errors import InputError
from dlmone_lite.evaluation.intervals import holm, paired, quantile, student_p

T975 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 9: 2.262, 20: 2.086}  # printed tables


@pytest.mark.parametrize(("freedom", "t"), T975.items())
def test_students_t_is_the_tables(freedom: int, t: float) -> None:
    assert student_p(t, freedom) == pytest.approx(0.05, abs=1e-4)
    assert quantile(freedom) == pytest.approx(t, abs=2e-3)
    assert student_p(0, freedom) == 1 and student_p(-t, freedom) == student_p(t, freedom)


def test_an_interval_holds_the_truth_as_often_as_it_says() -> None:
    dice, held = random.Random(1), 0
    for _ in range(2000):
        noise = [(dice.gauss(0, 3), dice.gauss(0, 1)) for _ in range(4)]  # pairs share the first part
        found = paired([a + b + 0.5 for a, b in noise], [a for a, _ in noise])
        held += abs(found.mean - 0.5) <= found.half
    assert held / 2000 == pytest.approx(0.95, abs=0.015)


def test_a_difference_has_its_sign_and_words() -> None:
    found = paired([0.9, 0.8, 0.91], [0.5, 0.41, 0.5])
    assert found.mean == pytest.approx(0.4, abs=0.01) and found.pairs == 3 and found.p < 0.01
    assert found.verdict(more_is_better=True) == "better" and found.verdict(more_is_better=False) == "worse"
    assert found.verdict(True, p=0.2) == "not told apart" and str(found).startswith("+0.4")
    assert paired([1, 2], [1, 2]).p == 1 and paired([2, 3], [1, 2]).p == 0
    for wrong in (([1.0], [2.0]), ([1.0, 2.0], [1.0])):
        with pytest.raises(InputError, match="two pairs"):
            paired(*wrong)


def test_holm_on_a_worked_example() -> None:
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert found == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})
    assert holm({"a": 0.6, "b": 0.9}) == {"a": 1.0, "b": 1.0}


def test_of_families_without_any_difference_few_have_one() -> None:
    dice, families = random.Random(2), 0
    for _ in range(400):
        ps = {}
        for k in range(10):
            a, b = ([dice.gauss(0, 1) for _ in range(5)] for _ in range(2))
            ps[str(k)] = paired(a, b).p
        families += min(holm(ps).values()) <= 0.05
    assert families / 400 <= 0.09
