"""Figures and tables of notebook 02: what stands in them is what was given."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text

from dlmone_lite.figures import nb02 as figures
from dlmone_lite.figures import style
from dlmone_lite.figures.nb02 import Reading

X = [0.5, 1.0, 2.0]
BAND = [[0.0, -1.0, -2.0], [1.0, 0.0, -1.0], [2.0, 1.0, 0.0]]
LEVEL = dict(zip(figures.READERS, ([0.5, 0.6], [1.0, torch.inf], [1.5, torch.inf]), strict=True))
KINDS = {"here": torch.tensor([[0, 1, 3, 2, 1, 3]]), "DiffuSeq": torch.tensor([[1, 0, 1, 1, 1, 2, 1, 3]])}


def drawn() -> dict[str, Figure]:
    return {
        "cosines": figures.cosines(torch.eye(3), [("city", 2), ("job", 1)], {"same": [0.7], "other": [0.1]}),
        "layouts": figures.layouts(KINDS),
        "misreading": figures.misreading(X, [0.1, 0.2, 0.4], [0.2, 0.5, 1.0], [0.1, 0.1, 0.2]),
        "when_decided": figures.when_decided(
            X, {"word": BAND, "sentence": BAND}, ["who", "[PAD]"], LEVEL, [(1, 500)]
        ),
        "collapse": figures.collapse({"free": [[3.0, 1.0], [3.0, 2.0]], "sphere": [[3.0, 3.0]]}, "distance"),
    }


def texts(html: str) -> list[str]:
    """What is read, tag by tag."""
    found: list[str] = []
    parser = HTMLParser()
    parser.handle_data = found.append
    parser.feed(html)
    return found


@pytest.mark.parametrize("name", drawn())
def test_every_figure_is_readable(name: str) -> None:
    fig = drawn()[name]
    html = style.html(fig, "what it shows")
    assert all(text.get_fontsize() >= 11 for text in fig.findobj(Text)), "smaller than 11 points"
    (data,) = re.findall(r"base64,([^\"]+)", html)
    image = imread(io.BytesIO(base64.b64decode(data)))
    assert 600 <= image.shape[1] <= 1100 and image.shape[0] <= 700
    assert image.shape[2] == 3 or (image[..., 3] == 1).all(), "transparent: unreadable on a dark page"
    assert (image[0, 0, :3] == 1).all() and image[..., :3].min() < 0.3, "white ground, dark ink"
    assert len(html) < 160_000, "too heavy: a notebook holds several and must stay under 1 MB"


def test_groups_are_named_at_their_middle() -> None:
    left = drawn()["cosines"].axes[0]
    assert [label.get_text() for label in left.get_yticklabels()] == ["city (2)", "job (1)"]
    assert list(left.get_yticks()) == [0.5, 2.0]
    assert torch.equal(torch.as_tensor(left.images[0].get_array().data), torch.eye(3))


def test_layouts_show_every_position() -> None:
    axes = drawn()["layouts"].axes
    assert [ax.get_title() for ax in axes] == list(KINDS)
    for ax, kinds in zip(axes, KINDS.values(), strict=True):
        assert torch.equal(torch.as_tensor(ax.images[0].get_array().data), kinds)


def test_measured_errors_lie_between_the_bounds_drawn() -> None:
    (ax,) = drawn()["misreading"].axes
    assert [list(line.get_ydata()) for line in ax.lines] == [
        [0.2, 0.5, 1.0],
        [0.1, 0.1, 0.2],
        [0.1, 0.2, 0.4],
    ]


def test_words_stand_at_their_levels_and_arrows_at_the_edge() -> None:
    top, below = drawn()["when_decided"].axes
    assert [label.get_text() for label in below.get_yticklabels()] == ["who", "[PAD]"]
    places = [[tuple(p) for p in marks.get_offsets().tolist()] for marks in below.collections[1:]]
    assert places == [[(0.5, 0), (0.6, 1)], [(1.0, 0)], [(1.5, 0)], [(2.0, 1)]]
    assert [label.get_text() for label in below.get_xticklabels()] == ["1\nt=500"]
    assert list(top.lines[0].get_ydata()) == BAND[1]


def test_one_line_a_seed_one_label_a_setting() -> None:
    (ax,) = drawn()["collapse"].axes
    assert [list(line.get_ydata()) for line in ax.lines] == [[3.0, 1.0], [3.0, 2.0], [3.0, 3.0]]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["free", "sphere"]


def test_reading_table_marks_what_is_wrong_without_colour() -> None:
    lines = [Reading("who", 1.5, (("who", 0.9),)), Reading("<b>", -6.0, (("is", 0.25),))]
    html = figures.reading_table(lines, ["alone"])
    assert texts(html) == [
        "true word", "margin", "alone", "who", "+1.5", "who 0.90", "<b>", "-6.0", "✗ is 0.25",
    ]  # fmt: skip
    bars = re.findall(r"left:(\d+)%;width:(\d+)%;height", html)
    assert bars == [("50", "25"), ("0", "50")]  # right of the middle; full to the left


def test_origins_of_a_walk() -> None:
    words, first, second = ["is", "it", "at", "the"], ["is", "it", "on", "a"], ["is", "he", "at", "a"]
    found = figures.origins(words, first, second)
    assert found == ["both", "first", "second", "neither"]
    assert texts(figures.walk_line(words, found)) == ["is", "=", "it", "A", "at", "B", "the", "!"]


def test_walk_table_frames_one_row_and_says_right_or_wrong() -> None:
    html = figures.walk_table([("0.50", "x", False), ("1.00", "y", True)], 0)
    assert html.count("outline") == 1 and html.index("outline") < html.index("0.50")
    assert texts(html)[1:] == ["0.50", "x", "✗ wrong", "1.00", "y", "right"]
