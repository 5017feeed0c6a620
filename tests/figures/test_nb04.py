"""Figures of notebook 04: readable, and showing the numbers they were given."""

from __future__ import annotations

import pytest
import torch
from matplotlib.text import Text

from dlmone_lite.figures import nb04 as figures
from dlmone_lite.figures import style

DENSITY = torch.ones(4, 4)
TWO = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
THREE = torch.tensor([[-1.0, 0.0], [0.0, 0.5], [1.0, 1.0]])
SEEDS = {"mu 0.5": [[2.0, 1.0, 0.5], [2.0, 0.8, 0.4]], "mu 2": [[2.0, 500.0], [2.0, 4.0, 900.0]]}


def made() -> dict[str, object]:
    return {
        "watch": figures.watch(DENSITY, THREE, TWO, THREE, TWO, [TWO, 2 * TWO, 3 * TWO], 1.0),
        "pulls": figures.pulls(DENSITY, THREE, THREE, -THREE, ("true", "SiD, mu = 1")),
        "cosines": figures.cosines([0, 0.5, 1], {"1.0": [[0.8, 1, 0.9], [0.6, 1, 0.7]]}, [-0.4]),
        "descents": figures.descents(SEEDS, 20, top=30),
        "lags": figures.lags([10, 20], {"fast": [[0.2, 0.4], [0.4, 0.6]]}, {"fast": 7.5}),
        "accuracies": figures.accuracies(
            [0.2, 6], {"start, best": [0.97, 0.56], "start, learned": [0.9, 0.5]}
        ),
    }


def line(axes, label: str) -> tuple[list[float], list[float]]:
    """Points of the one line with this label."""
    (found,) = (drawn for drawn in axes.get_lines() if drawn.get_label() == label)
    return list(found.get_xdata()), list(found.get_ydata())


@pytest.mark.parametrize("name", list(made()))
def test_text_is_large_enough_and_there_is_a_picture(name: str) -> None:
    fig = made()[name]
    assert "<img" in style.html(fig, name)
    assert min(text.get_fontsize() for text in fig.findobj(Text) if text.get_text()) >= style.SMALLEST


def test_watch_draws_every_arrow_at_its_place() -> None:
    left, right = made()["watch"].axes
    (pull,) = (drawn for drawn in left.collections if hasattr(drawn, "U"))
    assert pull.U.tolist() == [0, 1] and pull.XY.tolist() == THREE[:2].tolist()
    arrows = [drawn for drawn in right.collections if hasattr(drawn, "U")]
    assert [drawn.U.tolist() for drawn in arrows] == [[0, 1], [0, 2], [0, 3]]
    assert all(drawn.XY.tolist() == TWO.tolist() for drawn in arrows)
    labels = [text.get_text() for text in made()["watch"].legends[0].get_texts()]
    assert set(figures.ARROWS) < set(labels)


def test_pulls_name_the_two_directions() -> None:
    fig = made()["pulls"]
    labels = [text.get_text() for text in fig.legends[0].get_texts()]
    assert labels[-2:] == ["true", "SiD, mu = 1"]
    arrows = [drawn for drawn in fig.axes[0].collections if hasattr(drawn, "U")]
    assert arrows[0].U.tolist() == [-1, 0, 1] and arrows[1].U.tolist() == [1, 0, -1]


def test_cosines_are_means_over_the_students() -> None:
    left, right = made()["cosines"].axes
    assert line(left, "1.0") == ([0, 0.5, 1], pytest.approx([0.7, 1, 0.8]))
    assert [bar.get_height() for bar in right.patches] == [-0.4]


def test_descents_take_the_median_and_end_where_a_seed_ran_away() -> None:
    (axes,) = made()["descents"].axes
    assert line(axes, "mu 0.5") == ([0, 20, 40], [2.0, 1.0, 0.5])
    assert line(axes, "mu 2")[0] == [0, 20]
    assert axes.get_ylim()[1] == 30


def test_lags_and_accuracies_by_hand() -> None:
    left, right = made()["lags"].axes
    assert line(left, "fast") == ([10, 20], pytest.approx([0.3, 0.5]))
    assert [bar.get_width() for bar in right.patches] == [7.5]
    (axes,) = made()["accuracies"].axes
    assert line(axes, "start, learned") == ([0.2, 6], [0.9, 0.5])
