"""Figures: readable (size, colours, opaque), described in words, and showing the numbers they were given."""

from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from matplotlib.text import Text

from dlmone_lite import plots

X = [0.1, 1.0, 10.0]
CURVES = {"0.3": [0.0, 0.5, 1.0], "1": [1.0, 0.5, 0.0], "3": [0.2, 0.2, 0.2]}
SENTENCES = ["is it open ?", "is it <closed> ?", "when is it open ?"]
TRUTH = [0.5, 0.3, 0.2]


def named(values):
    """A value for each sentence."""
    return dict(zip(SENTENCES, values, strict=True))


def figures() -> dict[str, object]:
    two = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    return {
        "tweedie_1d": plots.tweedie_1d(X, CURVES, CURVES, CURVES),
        "arrows_2d": plots.arrows_2d(two, two, two, two, two[0], two[1], "sigma/alpha = 1"),
        "weights_by_noise": plots.weights_by_noise(X, named(CURVES.values()), SENTENCES[0]),
        "decision": plots.decision([1, 2, 3], dict.fromkeys(CURVES, X), CURVES),
        "sampling": plots.sampling(SENTENCES, TRUTH, [0.4, 0.4, 0.2], [2, 8], [[0.3, 0.1]] * 2, 0.05),
    }


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def pixels(html: str) -> np.ndarray:
    (data,) = re.findall(r"data:image/png;base64,([^\"]+)", html)
    return imread(io.BytesIO(base64.b64decode(data)))


@pytest.mark.parametrize("name", figures())
def test_every_figure_is_readable(name: str) -> None:
    fig = figures()[name]
    html = plots.html(fig, "what it shows")
    assert all(text.get_fontsize() >= 11 for text in fig.findobj(Text)), "smaller than 11 points"
    image = pixels(html)
    assert 600 <= image.shape[1] <= 1100 and image.shape[0] <= 700
    assert image.shape[2] == 3 or (image[..., 3] == 1).all(), "transparent: unreadable on a dark page"
    assert (image[0, 0, :3] == 1).all() and image[..., :3].min() < 0.3, "white ground, dark ink"
    assert len(html) < 160_000, "too heavy: a notebook holds several and must stay under 1 MB"


def test_alt_text_is_required_and_escaped() -> None:
    fig = plots.canvas()[0]
    for empty in ("", "  "):
        with pytest.raises(ValueError, match="alt text"):
            plots.html(fig, empty)
    ((tag, attributes),) = Page(plots.html(fig, 'p < 0.1 "here"')).tags
    assert tag == "img" and attributes["alt"] == 'p < 0.1 "here"'


def test_show_displays_html_with_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    plots.show(plots.canvas()[0], "an empty plot", "TV < 0.1")
    page = Page(shown[0].data)
    assert page.tags[0][1]["alt"] == "an empty plot" and page.text == ["TV < 0.1"]
    assert not hasattr(shown[0], "savefig")  # a figure would be shown a second time, without alt text


def test_the_same_figure_gives_the_same_bytes() -> None:
    one, other = (plots.html(figures()["decision"], "x") for _ in range(2))
    assert one == other


def test_curves_differ_in_colour_and_in_style() -> None:
    (ax,) = plots.canvas()[1]
    plots.lines(ax, X, {str(i): CURVES["1"] for i in range(7)}, "x", "y", log_x=True, log_y=True)
    drawn = ax.get_lines()
    colours = {line.get_color() for line in drawn}
    styles = {str(line._dash_pattern) for line in drawn}
    assert len(colours) == len(styles) == 7
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert len({*plots.PALETTE}) == len(plots.MARKERS) == len(plots.LINES) == 7


def test_grey_text_is_readable_on_white() -> None:
    linear = [((int(plots.GREY[i : i + 2], 16) / 255 + 0.055) / 1.055) ** 2.4 for i in (1, 3, 5)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    assert 1.05 / (luminance + 0.05) >= 4.5  # WCAG 2.2, 1.4.3


def test_sampling_draws_the_numbers() -> None:
    left, right = figures()["sampling"].axes
    widths = [round(bar.get_width(), 6) for bar in left.patches]
    assert widths == [0.5, 0.3, 0.2, 0.4, 0.4, 0.2]
    assert [label.get_text() for label in left.get_yticklabels()] == SENTENCES
    assert [list(line.get_ydata()) for line in right.get_lines()] == [[0.3, 0.1], [0.3, 0.1], [0.05, 0.05]]


def test_sentence_bars_say_weight_prior_and_truth() -> None:
    html = plots.sentence_weights(named([0.7, 0.2, 0.1]), TRUTH, SENTENCES[1])
    page = Page(html)
    assert re.findall(r'"width:([\d.]+)%;height', html) == ["70.0", "20.0", "10.0"]
    assert re.findall(r"left:([\d.]+)%", html) == ["50.0", "30.0", "20.0"]
    assert page.text == [SENTENCES[0], "0.70", "▶ " + SENTENCES[1], "0.20", SENTENCES[2], "0.10"]


def test_word_line_shows_certainty_in_numbers_too() -> None:
    html = plots.word_line(["how", "<b>"], [1.0, 0.25])
    assert Page(html).text == ["how", "1.00", "<b>", "0.25"]
    assert re.findall(r"rgba\([\d,]*,([\d.]+)\)", html) == ["0.400", "0.100"]


def test_importing_plots_does_not_import_matplotlib() -> None:
    heavy = "{'matplotlib', 'ipywidgets'}"
    code = f"import sys, dlmone_lite.plots, dlmone_lite.live; sys.exit(bool({heavy} & {{*sys.modules}}))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
