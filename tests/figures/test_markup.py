"""Words that a file can bring reach the screen as text: no markup of theirs is ever run."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from dlmone_lite.figures import nb01, nb02
from dlmone_lite.files import ROOT
from dlmone_lite.panels.panel import Panel, View, choice

EVIL = "<img src=x onerror=alert(1)><script>alert(2)</script>&\"'"


class Tags(HTMLParser):
    """The tags of a page, and whether one of them is the planted one."""

    def __init__(self, html: str):
        super().__init__()
        self.found: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        assert not [name for name, _ in attributes if name.startswith("on")], attributes

    def handle_data(self, data: str) -> None:
        self.text += data


PAGES = {
    "word_line": lambda: nb01.word_line([EVIL], [0.5]),
    "sentence_weights": lambda: nb01.sentence_weights({EVIL: 0.5, "a": 0.5}, [0.5, 0.5], EVIL),
    "reading_table": lambda: nb02.reading_table(
        [nb02.Reading(EVIL, 1.0, ((EVIL, 0.5), ("a", 0.1)))], [EVIL, "b"]
    ),
    "walk": lambda: nb02.walk_table([(EVIL, nb02.walk_line([EVIL], ["both"]), True)], 0),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_figure_shows_words_as_text(name: str) -> None:
    tags = Tags(PAGES[name]())
    assert not {"img", "script"} & set(tags.found) and EVIL in tags.text


def test_a_panel_shows_words_as_text() -> None:
    panel = Panel(
        EVIL, {"text": choice("text", [EVIL, "b"], EVIL)}, lambda text: View("<p>fine</p>", f"says {text}")
    )
    bundle = panel._repr_mimebundle_()
    page = Tags(bundle["text/html"])
    assert not {"img", "script"} & set(page.found) and f"says {EVIL}" in page.text
    panel.complain(ValueError(EVIL))
    shown = Tags(panel._view.value)
    assert not {"img", "script"} & set(shown.found) and EVIL in shown.text


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem[:2])
def test_a_notebook_escapes_what_it_sets_into_html(path: Path) -> None:
    """A value between tags is escaped there, or is html that was escaped where it was made."""
    made_of_html = {"row", "bars", "texts", "lines", "marks", "count", "table"}
    for line in re.findall(r"f\\\"[^\n]*<(?:li|td|p|b|span)\b[^\n]*", path.read_text(encoding="utf-8")):
        for value in re.findall(r">\{([^{}]+)\}", line):
            name = re.split(r"[ .\[(:]", value)[0]
            assert "escape(" in value or name in made_of_html, f"{value!r} in {line[:120]}"
