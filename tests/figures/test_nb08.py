"""What the figures of notebook 08 draw is what they are given."""

from __future__ import annotations

import pytest

from dlmone_lite.figures import nb08 as figures
from dlmone_lite.figures import style

ROWS = [
    {"nfe": nfe, "tv_floor": 0.1, "tv_excess": 0.2}
    | {
        key: value
        for name in ("validity", "tv", "coverage")
        for key, value in ((name, v), (f"{name}_se", 0.01))
    }
    for nfe, v in ((1, 0.5), (4, 0.25))
]


def line(axes, label):
    """Points of the one line with this label."""
    (found,) = (drawn for drawn in axes.get_lines() if drawn.get_label() == label)
    return list(found.get_xdata()), list(found.get_ydata())


def test_methods_draws_each_score_with_its_error_and_the_floor() -> None:
    fig = figures.methods({"a": ROWS, "b": ROWS[:1]})
    for axes in fig.axes:
        assert line(axes, "a") == ([1, 4], [0.5, 0.25]) and line(axes, "b") == ([1], [0.5])
        assert list(axes.collections[0].get_segments()[0][:, 1]) == pytest.approx([0.48, 0.52])
    assert line(fig.axes[1], "floor")[1] == [0.1, 0.1]


def test_frontier_draws_recorded_rows() -> None:
    left, right = figures.frontier({"student": ROWS, "teacher": ROWS[1:]}).axes
    assert line(left, "student") == ([1, 4], [0.2, 0.2]) and line(right, "teacher") == ([4], [0.25])


def test_shares_end_with_everything_else() -> None:
    fig = figures.shares({"a ?": 0.7, "b ?": 0.3}, {"a ?": 0.5, "b ?": 0.1})
    (axes,) = fig.axes
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([0.5, 0.1, 0.4])
    assert line(axes, "exact probability")[0] == [0.7, 0.3] and "<img" in style.html(fig, "shares")


def test_collector_leaves_out_what_is_not_known() -> None:
    (axes,) = figures.collector((1, 2, 4), {"truth": [1.0, 1.8, 3.0], "mbr": [1.0, 1.5, None]}).axes
    assert line(axes, "mbr") == ([1, 2], [1.0, 1.5]) and line(axes, "truth")[1] == [1.0, 1.8, 3.0]
