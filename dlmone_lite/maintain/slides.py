"""`python -m dlmone_lite.maintain.slides`: what of a notebook is a slide, in Jupyter's own cell metadata.

A heading begins a slide. The text, figures and panels under it follow below. Set-up, exercises, code that
shows no picture, and the sources are left out. Jupyter makes the slides, with or without code:

    python -m jupyter nbconvert --to slides --no-input notebooks/*.ipynb --output-dir runs/slides
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from typing import Any

from dlmone_lite.files import ROOT, write_together

NOTEBOOKS = ROOT / "notebooks"
HEADING, LEFT_OUT = re.compile(r"#{1,2} "), re.compile(r"## .*(Sources|What to try)")
EXERCISE = re.compile(r"\bExercise \d\d\.\d\b|^check\(", re.MULTILINE)


def slide_type(cell: Mapping[str, Any]) -> str:
    """A cell's place among the slides: "slide", "subslide" below it, or "skip"."""
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown" and HEADING.match(source):
        return "skip" if LEFT_OUT.match(source) else "slide"
    if EXERCISE.search(source):
        return "skip"
    shown = any("text/html" in output.get("data", {}) for output in cell.get("outputs", ()))
    return "subslide" if shown or cell["cell_type"] == "markdown" else "skip"


def marked(text: str) -> str:
    """A notebook's text with every cell marked."""
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        cell["metadata"]["slideshow"] = {"slide_type": slide_type(cell)}
    return json.dumps(notebook, ensure_ascii=False, indent=1) + "\n"


def main() -> int:
    """Mark the cells of all notebooks."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(NOTEBOOKS.glob("*.ipynb"))}
    new = {path: marked(text) for path, text in texts.items() if marked(text) != text}
    write_together({path: text.encode("utf-8") for path, text in new.items()})
    print(
        *(f"marked: {path.name}" for path in new), f"{len(new)} of {len(texts)} notebooks changed", sep="\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
