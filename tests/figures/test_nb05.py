"""What the student's figures draw is what they are given."""

from __future__ import annotations

import pytest

from dlmone_lite.figures import nb05, style

CURVE = [
    {"step": 100 * i, "validity": 0.2 + 0.1 * i, "tv": 0.9 - 0.1 * i, "tv_floor": 0.15, "stage": 1 + (i > 2)}
    for i in range(5)
]
TEACHER = {"validity": 0.95, "tv": 0.3, "coverage": 0.9, "tv_floor": 0.15}
LEVELS = [
    {"t": t, "ratio": r, "choice": 0.4, "validity": v, "validity_se": 0.05, "blur": 0.2}
    for t, r, v in [(500, 1.0, 0.1), (1490, 2.5, 0.3), (2000, 80.0, 0.0)]
]


def line(axes, label):
    """Points of the one line with this label."""
    (found,) = (drawn for drawn in axes.get_lines() if drawn.get_label() == label)
    return list(found.get_xdata()), list(found.get_ydata())


def test_levels_shows_each_share_and_marks_t_init() -> None:
    fig = nb05.levels(LEVELS, 1490)
    left, right = fig.axes
    assert line(right, "sentences right") == ([500, 1490, 2000], [0.1, 0.3, 0.0])
    assert line(right, "what z decides (variance)")[1] == [0.4, 0.4, 0.4]
    assert line(right, "blur (distance to words)")[1] == [0.2, 0.2, 0.2]
    assert list(right.collections[0].get_segments()[0][:, 1]) == pytest.approx([0.0, 0.2])
    drawn = [points for axes in fig.axes for points in axes.get_lines()]
    marks = [points for points in drawn if list(points.get_xdata()) == [1490, 1490]]
    assert len(marks) == 2 and "t_init = 1490" in left.texts[0].get_text()


def test_rise_draws_the_curve_the_teacher_and_the_floor() -> None:
    left, right = nb05.rise(CURVE, {"teacher": TEACHER}).axes
    assert line(left, "student") == ([0, 100, 200, 300, 400], pytest.approx([0.2, 0.3, 0.4, 0.5, 0.6]))
    assert line(right, "student")[1] == pytest.approx([0.9, 0.8, 0.7, 0.6, 0.5])
    assert line(left, "teacher")[1] == [0.95, 0.95] and line(right, "teacher")[1] == [0.3, 0.3]
    assert line(right, "floor: a perfect model")[1] == [0.15, 0.15]
    assert line(left, "stage 2 begins")[0] == [200, 200], "where the last row of stage one stands"


def test_rise_pales_what_comes_later() -> None:
    left, _ = nb05.rise(CURVE, {}, until=250).axes
    assert line(left, "student")[0] == [0, 100, 200]
    assert line(left, "recorded later")[0] == [0, 100, 200, 300, 400]
    whole, _ = nb05.rise(CURVE, {}, until=400).axes
    assert "recorded later" not in [drawn.get_label() for drawn in whole.get_lines()]


def test_rise_stands_a_single_point() -> None:
    fig = nb05.rise(CURVE[:1], {"teacher": TEACHER})
    assert line(fig.axes[0], "student") == ([0], [0.2]) and "<img" in style.html(fig, "one point")


def test_frequencies_are_shares_with_the_wrong_ones_last() -> None:
    support = {"a b": 0.75, "a c": 0.25}
    outputs = {"student": ["a b", "a b", "a c", "x"], "teacher": ["a b"] * 4}
    (axes,) = nb05.frequencies(support, outputs).axes
    student, teacher = ([bar.get_width() for bar in group] for group in axes.containers[:2])
    assert student == [0.5, 0.25, 0.25] and teacher == [1.0, 0.0, 0.0]
    assert [text.get_text() for text in axes.get_yticklabels()][-1].startswith("any other")
    exact = axes.containers[2].lines[0]
    assert list(exact.get_xdata()) == [0.75, 0.25] and list(exact.get_ydata()) == [0, 1]
    assert axes.get_xlim()[1] >= 1.0, "the longest bar is inside"


def test_frequencies_spread_is_twice_the_binomial_one() -> None:
    (axes,) = nb05.frequencies({"a": 0.5, "b": 0.5}, {"student": ["a"] * 25}).axes
    (segments,) = axes.containers[1].lines[2]
    (start, end) = segments.get_segments()[0][:, 0]
    assert end - start == pytest.approx(4 * (0.25 / 25) ** 0.5)


@pytest.mark.parametrize("name", ["levels", "rise", "frequencies"])
def test_text_is_large_enough_to_read(name: str) -> None:
    made = {
        "levels": lambda: nb05.levels(LEVELS, 1490),
        "rise": lambda: nb05.rise(CURVE, {"teacher": TEACHER}),
        "frequencies": lambda: nb05.frequencies({"a": 0.5, "b": 0.5}, {"student": ["a", "b"]}),
    }[name]()
    style.html(made, name)
    legends = [axes.get_legend() for axes in made.axes if axes.get_legend()] + made.legends
    texts = [text for legend in legends for text in legend.get_texts()]
    texts += [text for axes in made.axes for text in (*axes.texts, axes.title, axes.xaxis.label)]
    assert min(text.get_fontsize() for text in texts if text.get_text()) >= 11
