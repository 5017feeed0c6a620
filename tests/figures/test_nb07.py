"""What the figures of notebook 07 draw is what they are given."""

from __future__ import annotations

import pytest

from dlmone_lite.figures import nb07 as figures

ENDS = {"one": {"validity": [0.9, 0.7], "tv_excess": [0.1, 0.3], "coverage": [1.0, 0.8]}}


def test_recipes_draws_every_seed_and_the_mean() -> None:
    fig = figures.recipes({**ENDS, "two": ENDS["one"]})
    for axes, mean in zip(fig.axes, (0.8, 0.2, 0.9)):
        dots = [drawn for drawn in axes.get_lines() if drawn.get_linestyle() == "None"]
        bars = [drawn for drawn in axes.get_lines() if drawn.get_linestyle() != "None"]
        assert len(dots) == len(bars) == 2 and list(bars[0].get_xdata()) == pytest.approx([mean, mean])
    assert [label.get_text() for label in fig.axes[0].get_yticklabels()] == ["one", "two"]


@pytest.mark.parametrize("restarts", [(), (40,), (20, 40)])
def test_live_marks_every_restart(restarts: tuple[int, ...]) -> None:
    begins = {"validity": 0.9, "coverage": 0.8, "tv_excess": 0.1}
    (axes,) = figures.live([{"step": 20, **begins}], begins, restarts).axes
    assert [text.xy[0] for text in axes.texts] == list(restarts)
