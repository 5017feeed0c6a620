"""Notebook 03's two panels: every control answers, and says what is true."""

from __future__ import annotations

from typing import Any

import nbformat
import pytest

from dlmone_lite.files import ROOT

NOTEBOOK = ROOT / "notebooks" / "03_teacher.ipynb"
NEEDED = (
    "import torch\n",
    "teacher, _ = course(",
    "guess_half = predict(",
    "sources = held_out_sources",
    "def fresh",
    "panel = Panel",
)


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What the cells that the panels need leave behind."""
    cells = [cell.source for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    found: dict[str, Any] = {"display": lambda *shown: None}
    for source in [cell for cell in cells if any(piece in cell for piece in NEEDED)]:
        exec(source, found)
    return found


WORDS = [{"sampler": "DDIM"}, {"steps": 3}, {"clamp": True}, {"seed": 7}]


@pytest.mark.parametrize("change", [*WORDS, {"source": "another"}])
def test_every_control_of_the_sampler_answers(names: dict[str, Any], change: dict[str, Any]) -> None:
    panel = names["panel"]
    if "source" in change:
        change = {"source": next(s for s in names["sources"] if s != panel.values["source"])}
    panel.reset()
    first, picture = panel.readout, panel.html
    assert panel.set(**change) != first and panel.error == "" and panel.html != picture
    panel.reset()
    assert panel.readout == first and panel.html == picture


def test_the_sentence_is_judged_by_the_exact_support(names: dict[str, Any]) -> None:
    panel, world = names["panel"], names["world"]
    panel.reset()
    for seed in range(4):
        readout = panel.set(seed=seed, steps=16)
        sentence = readout.split("“")[1].split("”")[0]
        p = world.support(panel.values["source"]).get(sentence)
        assert (f"right, p = {p:.2f}" if p else "not a right answer") in readout


def test_the_live_panel_trains_and_obeys(names: dict[str, Any]) -> None:
    live = names["live"]
    live.reset()
    readouts = [live.readout]
    for name, value in (("lr_muon", 0.1), ("target", "sample"), ("late_share", 0.2)):
        readouts.append(live.set(**{name: value}))
        assert getattr(live.run.config, name) == value and live.error == ""
    readouts += [live.run_steps(2), live.run_steps(23)]
    assert len(set(readouts)) == len(readouts) and "above the floor" in readouts[-1]
    live.set(output="softmax")  # another network: a fresh run
    assert live.run.step == 0 and live.run.config.loss == "ce" and live.run.config.target == "sample"
    assert live.run_steps(1) and live.error == ""
    live.reset()
    assert live.readout == readouts[0] and live.run.config.loss == "mse"
