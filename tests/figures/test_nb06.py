"""What the figures of notebook 06 draw is what they are given."""

from __future__ import annotations

import math

import pytest

from dlmone_lite.figures import nb06 as figures
from dlmone_lite.figures import style

CURVES = ([0, 50, 100], [[0.9, 0.5, 0.1], [0.9, 0.7, 0.5]])
FOUND = {kind: dict.fromkeys(("validity", "coverage", "tv_excess"), CURVES) for kind in figures.KINDS}


def line(axes, label):
    """Points of the one line with this label."""
    (found,) = (drawn for drawn in axes.get_lines() if drawn.get_label() == label)
    return list(found.get_xdata()), list(found.get_ydata())


@pytest.mark.parametrize("shown", [2, 3])
def test_story_draws_means_thick_and_every_seed_thin(shown: int) -> None:
    fig = figures.story(FOUND, shown)
    assert len(fig.axes) == shown
    assert line(fig.axes[0], "SiD alone") == ([0, 50, 100], pytest.approx([0.9, 0.6, 0.3]))
    assert len(fig.axes[0].get_lines()) == 2 * 3
    assert "<img" in style.html(fig, "three curves")


def test_heat_writes_each_mean_into_its_cell() -> None:
    fig = figures.heat({"a": ([0, 1], [2, 3], [[0.1, 0.2], [0.3, math.nan]])}, "down", "across")
    (axes,) = fig.axes
    assert [text.get_text() for text in axes.texts] == ["0.10", "0.20", "0.30"]
    assert axes.get_xlabel() == "across" and [t.get_text() for t in axes.get_yticklabels()] == ["0", "1"]


def test_heat_puts_the_first_name_on_top() -> None:
    fig = figures.heat({"a": (["A", "B"], ["rest", "raise"], [[0.1, 0.2], [0.3, 0.4]])})
    (axes,) = fig.axes
    assert axes.yaxis_inverted() and [t.get_text() for t in axes.get_xticklabels()] == ["rest", "raise"]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["A", "B"]


def test_factor_draws_a_dot_for_each_seed() -> None:
    values = {"alone": {"validity": [0.9, 0.8], "coverage": [0.2, 0.4]}, "adversarial": {"validity": [0.7]}}
    left, right = figures.factor([("one", values), ("two", {})]).axes
    assert any(list(drawn.get_xdata()) == [0.9, 0.8] for drawn in left.get_lines())
    assert any(list(drawn.get_xdata()) == pytest.approx([0.3, 0.3]) for drawn in right.get_lines())
    assert [label.get_text() for label in left.get_yticklabels()] == ["one", "two"]


def test_outcome_draws_shares_beside_probabilities_and_the_rest_last() -> None:
    support = {"a b ?": 0.75, "b a ?": 0.25}
    counts = {"a b ?": 6, "b a ?": 3, "slip": 1}
    fig = figures.outcome({"validity": CURVES, "coverage": CURVES}, 1, support, counts)
    left, right = fig.axes
    assert line(left, "validity: quality")[1] == CURVES[1][1], "the thick line is the chosen run's"
    assert [bar.get_width() for bar in right.patches] == pytest.approx([0.6, 0.3, 0.1])
    assert line(right, "exact probability")[0] == [0.75, 0.25]


def test_blindness_puts_nothing_at_the_bottom_of_its_axis() -> None:
    (axes,) = figures.blindness([0.5, 1.0], {"x": [0.0, 1e-3], "y": [0.1, 0.2], "z": [1, 1]}).axes
    assert line(axes, "x")[1] == [1e-9, 1e-3] and axes.get_ylim()[0] < 1e-9


def test_signs_are_ratios_to_their_limits() -> None:
    rows = [
        ("modes", 2.0, 4.0, False, True),
        ("empty", 0.05, 0.1, True, False),
        ("grip", 0.0, 1.0, False, True),
    ]
    (axes,) = figures.signs(rows).axes
    assert [bar.get_width() for bar in axes.patches] == [2.0, 0.5, 4.0]
    assert [bool(bar.get_hatch()) for bar in axes.patches] == [True, False, True]


def test_live_begins_with_what_was_there() -> None:
    begins = {"validity": 0.9, "coverage": 0.8, "tv_excess": 0.1}
    (axes,) = figures.live([{"step": 20, "validity": 1.0, "coverage": 0.2, "tv_excess": 0.6}], begins).axes
    assert line(axes, "validity: quality") == ([0, 20], [0.9, 1.0])


def test_a_twin_is_drawn_beside_the_run_in_grey() -> None:
    begins = {"validity": 0.9, "coverage": 0.8, "tv_excess": 0.1}
    row = {"step": 20, "validity": 1.0, "coverage": 0.2, "tv_excess": 0.6}
    (axes,) = figures.live([row], begins, [{**row, "validity": 0.5}]).axes
    assert line(axes, "twin, psi kept") == ([20], [0.5])
    (axes,) = figures.live([row], begins).axes
    assert not any("twin" in drawn.get_label() for drawn in axes.get_lines()), "no twin, no legend of one"


def test_a_live_run_is_drawn_with_its_sentences() -> None:
    rows = [{"step": 0, "validity": 0.9, "coverage": 0.8, "tv_excess": 0.1}]
    left, right = figures.live_sentences(rows, {"a b": 0.75, "b a": 0.25}, {"a b": 1, "c": 3}).axes
    assert line(left, "coverage") == ([0], [0.8])
    assert [bar.get_width() for bar in right.patches] == [0.25, 0.0, 0.75]
