"""Figures of notebook 01: readable, and showing the numbers they were given."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import pytest
import torch
from matplotlib.image import imread
from matplotlib.text import Text

from dlmone_lite.figures import nb01 as figures
from dlmone_lite.figures import style

X = [0.1, 1.0, 10.0]
CURVES = {"0.3": [0.0, 0.5, 1.0], "1": [1.0, 0.5, 0.0], "3": [0.2, 0.2, 0.2]}
SENTENCES = ["is it open ?", "is it <closed> ?", "when is it open ?"]
TRUTH = [0.5, 0.3, 0.2]


def named(values):
    """A value for each sentence."""
    return dict(zip(SENTENCES, values, strict=True))


def drawn() -> dict[str, object]:
    two = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    return {
        "tweedie_1d": figures.tweedie_1d(X, CURVES, CURVES, CURVES),
        "arrows_2d": figures.arrows_2d(two, two, two, two, two[0], two[1], "sigma/alpha = 1"),
        "complaint": figures.complaint(X, CURVES),
        "decision": figures.decision([1, 2, 3], dict.fromkeys(CURVES, X), CURVES),
        "sampling": figures.sampling(SENTENCES, TRUTH, [0.4, 0.4, 0.2], [2, 8], [[0.3, 0.1]] * 2, 0.05),
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


def test_the_same_figure_gives_the_same_bytes() -> None:
    one, other = (style.html(drawn()["decision"], "x") for _ in range(2))
    assert one == other


def test_sampling_draws_the_numbers() -> None:
    left, right = drawn()["sampling"].axes
    widths = [round(bar.get_width(), 6) for bar in left.patches]
    assert widths == [0.5, 0.3, 0.2, 0.4, 0.4, 0.2]
    assert [label.get_text() for label in left.get_yticklabels()] == SENTENCES
    assert [list(line.get_ydata()) for line in right.get_lines()] == [[0.3, 0.1], [0.3, 0.1], [0.05, 0.05]]


def test_sentence_bars_say_weight_prior_and_truth() -> None:
    html = figures.sentence_weights(named([0.7, 0.2, 0.1]), TRUTH, SENTENCES[1])
    assert re.findall(r'"width:([\d.]+)%;height', html) == ["70.0", "20.0", "10.0"]
    assert re.findall(r"left:([\d.]+)%", html) == ["50.0", "30.0", "20.0"]
    assert texts(html) == [SENTENCES[0], "0.70", "▶ " + SENTENCES[1], "0.20", SENTENCES[2], "0.10"]


def test_word_line_shows_certainty_in_numbers_too() -> None:
    html = figures.word_line(["how", "<b>"], [1.0, 0.25])
    assert texts(html) == ["how", "1.00", "<b>", "0.25"]
    assert re.findall(r"rgba\([\d,]*,([\d.]+)\)", html) == ["0.400", "0.100"]
