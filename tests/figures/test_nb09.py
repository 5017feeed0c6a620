"""What the figures of notebook 09 draw is what they are given."""

from __future__ import annotations

import math

import pytest

from dlmone_lite.figures import nb09 as figures
from dlmone_lite.figures import style

TEACHER = [{"nfe": 4, "bleu": 0.1, "self_bleu": 0.2}, {"nfe": 100, "bleu": 0.2, "self_bleu": 0.3}]
STUDENT = [{"nfe": 1, "bleu": 0.15, "self_bleu": 0.4}]
TITLES = {"qqp": "QQP", "wiki_auto": "Wiki-Auto", "quasar_t": "Quasar-T"}


def line(axes, label):
    """Points of the one line with this label."""
    (found,) = (drawn for drawn in axes.get_lines() if drawn.get_label() == label)
    return list(found.get_xdata()), list(found.get_ydata())


def test_against_calls_draws_both_scores_of_each_network_and_the_copy() -> None:
    lines = {"QQP": {"teacher": TEACHER, "student": STUDENT}, "Quasar-T": {"teacher": TEACHER[:1]}}
    fig = figures.against_calls(lines, {"QQP": 0.3})
    above, other, below, _ = fig.axes
    assert line(above, "teacher") == ([4, 100], [0.1, 0.2]) and line(above, "student") == ([1], [0.15])
    assert line(below, "teacher") == ([4, 100], [0.2, 0.3]) and line(other, "teacher") == ([4], [0.1])
    assert set(line(above, figures.COPY)[1]) == {0.3}
    assert any(set(drawn.get_ydata()) == {1.0} for drawn in below.get_lines())
    assert figures.COPY not in [drawn.get_label() for drawn in other.get_lines()]
    assert [above.get_title(), other.get_title()] == ["QQP", "Quasar-T"]
    assert "<img" in style.html(fig, "scores against calls")


def test_against_calls_draws_what_there_is() -> None:
    """Before the first record there is nothing; a score that was not measured leaves a gap."""
    gap = [{"nfe": 1, "bleu": 0.1, "self_bleu": None}]
    assert "<img" in style.html(figures.against_calls({"QQP": {"student": gap}}, {}), "one")
    assert "<img" in style.html(figures.against_calls({"QQP": {}}, {}), "none")


def test_ratios_draws_values_and_intervals() -> None:
    (ax,) = figures.ratios(
        {"QQP": (0.9, 0.7, 1.2)}, {"QQP": (0.95, 0.9, 1.0), "Wiki-Auto": (0.8, 0.6, 1)}
    ).axes
    drawn = [list(found.get_xdata()) for found in ax.get_lines()]
    assert all(points in drawn for points in ([0.7, 1.2], [0.9], [0.9, 1.0], [0.95], [0.6, 1], [0.8]))
    assert [label.get_text() for label in ax.get_yticklabels()] == ["QQP", "Wiki-Auto"]


def test_between_colours_by_the_own_student_and_writes_bleu() -> None:
    matrix = {"qqp": {"qqp": 0.2, "wiki_auto": 0.05}, "wiki_auto": {"wiki_auto": 0.1}}
    fig = figures.between(matrix, {"qqp": 0.3, "wiki_auto": 0.4}, TITLES)
    ax = fig.axes[0]
    colours = ax.collections[0].get_array().reshape(3, 2)
    assert colours[0].tolist() == pytest.approx([1.0, 0.5]) and colours[2].tolist() == pytest.approx([1.5, 4])
    assert colours.mask[1, 0] and not colours.mask[1, 1], "not measured, so blank"
    assert [text.get_text() for text in ax.texts] == ["0.200", "0.050", "0.100", "0.300", "0.400"]
    assert [label.get_text() for label in ax.get_yticklabels()][-1] == figures.COPY
    assert not math.isnan(float(colours[1, 1]))
