"""The notebooks' cells carry the marks from which Jupyter makes slides."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dlmone_lite.maintain.slides import NOTEBOOKS, marked, slide_type

PICTURE = [{"output_type": "display_data", "data": {"text/html": "<img>"}, "metadata": {}}]
CELLS = [
    ("markdown", "# 06 · When?\n\n**You will** see", None, "slide"),
    ("markdown", "## 1. A section\n\ntext", None, "slide"),
    ("markdown", "text", None, "subslide"),
    ("markdown", "**Exercise 06.1 · 4 minutes, core.** Write", None, "skip"),
    ("markdown", "## What to try next\n\n## Sources", None, "skip"),
    ("markdown", "## In short\n\ntext\n\n## What to try next", None, "slide"),
    ("code", "style.show(fig)", PICTURE, "subslide"),
    ("code", "import torch", [], "skip"),
    ("code", 'def f(): ...\n\ncheck("06.1", f)', PICTURE, "skip"),
]


@pytest.mark.parametrize(("kind", "source", "outputs", "place"), CELLS)
def test_a_cell_has_its_place(kind: str, source: str, outputs: list | None, place: str) -> None:
    cell = {"cell_type": kind, "source": source.splitlines(keepends=True), "outputs": outputs or []}
    assert slide_type(cell) == place


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_the_notebook_is_marked(path: Path) -> None:
    """After a change: python -m dlmone_lite.maintain.slides."""
    text = path.read_text(encoding="utf-8")
    assert marked(text) == text
    places = [cell["metadata"]["slideshow"]["slide_type"] for cell in json.loads(text)["cells"]]
    assert places[0] == "slide" and places.count("slide") >= 4
    assert places.count("subslide") >= 5
