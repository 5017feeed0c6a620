"""What all figures share: an opaque picture, words for it, letters of a readable size, distinct curves."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.image import imread
from matplotlib.text import Text

from dlmone_lite.figures import style

X = [0.1, 1.0, 10.0]


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


def test_the_picture_is_opaque_and_its_letters_are_readable() -> None:
    fig, (left, right) = style.canvas(1, 2)
    left.plot(X, X, label="a legend made outside the style")
    left.legend()
    right.text(0.5, 0.5, "small", fontsize=6)
    image = pixels(style.html(fig, "a line"))
    assert all(text.get_fontsize() >= 11 for text in fig.findobj(Text))
    assert image.shape[2] == 3 or (image[..., 3] == 1).all(), "transparent: unreadable on a dark page"
    assert (image[0, 0, :3] == 1).all() and image[..., :3].min() < 0.3, "white ground, dark ink"
    assert image.shape[:2] == (360, 860)


def test_letters_are_larger_for_a_projector_and_nothing_that_is_kept_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def height_of_letters(**settings: bool) -> float:  # as a share of the picture's width
        fig, (ax,) = style.canvas()
        title = ax.set_title("a title")
        style.html(fig, "a title", **settings)
        return title.get_window_extent().height / fig.bbox.width

    plain, placed = height_of_letters(), style.canvas(places=[(0.1, 0.1, 0.8, 0.8)])[0]
    monkeypatch.setenv(style.PROJECTOR, "1")
    assert height_of_letters() == pytest.approx(plain / 0.85, rel=0.05)
    assert height_of_letters(kept=True) == pytest.approx(plain)
    style.html(placed, "made for one width")
    assert placed.get_size_inches().tolist() == [style.WIDTH, 3.6]


def test_alt_text_is_required_and_escaped() -> None:
    fig = style.canvas()[0]
    for empty in ("", "  "):
        with pytest.raises(ValueError, match="alt text"):
            style.html(fig, empty)
    ((tag, attributes),) = Page(style.html(fig, 'p < 0.1 "here"')).tags
    assert tag == "img" and attributes["alt"] == 'p < 0.1 "here"'


def test_show_displays_html_with_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    style.show(style.canvas()[0], "an empty plot", "TV < 0.1")
    page = Page(shown[0].data)
    assert page.tags[0][1]["alt"] == "an empty plot" and page.text == ["TV < 0.1"]
    assert not hasattr(shown[0], "savefig")  # a figure would be shown a second time, without alt text


def test_curves_differ_in_colour_and_in_style() -> None:
    (ax,) = style.canvas()[1]
    style.lines(ax, X, {str(i): X for i in range(7)}, "x", "y", log_x=True, log_y=True)
    drawn = ax.get_lines()
    colours = {line.get_color() for line in drawn}
    styles = {str(line._dash_pattern) for line in drawn}
    assert len(colours) == len(styles) == 7
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert len({*style.PALETTE}) == len(style.MARKERS) == len(style.LINES) == 7


def test_grey_text_is_readable_on_white() -> None:
    linear = [((int(style.GREY[i : i + 2], 16) / 255 + 0.055) / 1.055) ** 2.4 for i in (1, 3, 5)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    assert 1.05 / (luminance + 0.05) >= 4.5  # WCAG 2.2, 1.4.3
