"""Notebook 02's two panels: every control answers, quickly, and says what is true."""

from __future__ import annotations

import re
import time
from typing import Any

import nbformat
import pytest

from dlmone_lite.files import ROOT

NOTEBOOK = ROOT / "notebooks" / "02_sentences_in_space.ipynb"
NEEDED = ("import torch", "as_product =", "read_panel =", "walk_panel =")
LIMIT = 0.150  # seconds of work for one update


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What the cells that the panels need leave behind."""
    cells = [cell.source for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    found: dict[str, Any] = {}
    for source in [cell for cell in cells if any(piece in cell for piece in NEEDED)]:
        exec(source, found)
    return found


CHANGES = [
    ("read_panel", {"t": 1000}),
    ("read_panel", {"scale": 0.5}),
    ("read_panel", {"sentence": -1}),
    ("read_panel", {"seed": 50}),
    ("walk_panel", {"source": -1}),
    ("walk_panel", {"first": 3}),
    ("walk_panel", {"second": 4}),
    ("walk_panel", {"share": 0.12}),
    ("walk_panel", {"noise": 0.9}),
]


@pytest.mark.parametrize(("name", "change"), CHANGES)
def test_every_control_answers_quickly(names: dict[str, Any], name: str, change: dict[str, Any]) -> None:
    panel = names[name]
    ((control, value),) = change.items()
    if value == -1:  # the last entry of the menu
        change = {control: panel.controls[control].options[-1][1]}
    panel.reset()
    first = panel.readout
    assert panel.set(**change) != first and panel.error == ""
    spent = []
    for _ in range(5):
        began = time.process_time()  # not wall-clock time: other work on the machine does not count
        panel.set(**change)
        spent.append(time.process_time() - began)
    panel.reset()
    assert panel.readout == first
    assert min(spent) < LIMIT, f"an update takes {1000 * min(spent):.0f} ms"


def rights(readout: str) -> list[int]:
    """Words in all, and how many each of the three readers has right."""
    found = re.search(r"right of (\d+): alone (\d+), with the source (\d+), with all (\d+)", readout)
    return [int(number) for number in found.groups()]


def test_without_noise_every_reader_is_right_of_every_sentence(names: dict[str, Any]) -> None:
    panel = names["read_panel"]
    for sentence in names["cases"]:
        panel.reset()
        panel.set(sentence=sentence, t=1, scale=10)
        assert len(set(rights(panel.readout))) == 1 and panel.error == "" and "✗" not in panel.html
    panel.reset()


def test_context_reads_what_a_word_alone_does_not(names: dict[str, Any]) -> None:
    panel = names["read_panel"]
    panel.reset()
    seen = [rights(panel.set(seed=seed, t=1700)) for seed in range(10)]
    alone, source, whole = (sum(column) for column in list(zip(*seen, strict=True))[1:])
    assert alone < source < whole
    panel.reset()


def test_a_larger_scale_is_less_noise(names: dict[str, Any]) -> None:
    panel = names["read_panel"]
    panel.reset()
    small, large = (sum(rights(panel.set(scale=s, seed=3))[1:]) for s in (0.25, 4.0))
    assert small < large
    panel.reset()


def test_the_ends_of_the_noise_slider(names: dict[str, Any]) -> None:
    panel = names["read_panel"]
    for t in (1, 2000):
        panel.reset()
        panel.set(t=t)
        assert panel.error == ""
    panel.reset()


def test_a_walk_starts_and_ends_in_its_sentences(names: dict[str, Any]) -> None:
    panel = names["walk_panel"]
    for source in names["names"].values():
        answers = list(names["world"].support(source))
        for share, sentence in ((0.0, answers[2]), (1.0, answers[5])):
            panel.set(source=source, first=2, second=5, share=share, noise=0.0)
            assert f"right, “{sentence}”" in panel.readout and panel.error == ""
    panel.reset()


def test_a_walk_to_itself_is_right_all_the_way(names: dict[str, Any]) -> None:
    panel = names["walk_panel"]
    panel.reset()
    assert "wrong at 0 of 11 stops" in panel.set(first=1, second=1)
    assert "wrong at 0 of 11 stops" not in panel.set(first=0, second=1)
    panel.reset()
