"""The panels of notebooks 06 to 09: every control and button answers, quickly, and says what is true."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import nbformat
import pytest
import torch

from dlmone_lite.files import ROOT
from dlmone_lite.lab import patients
from dlmone_lite.lessons import nb06

FOLDER = ROOT / "notebooks"
NEEDED = {
    "06_degeneration": (
        "import torch", "guess_validity = predict(", "kinds = {kind", "source = next(", "atlas_panel, live = ", "ward = ",
    ),
    "07_two_stage_gpu": ("import torch", "guess_changed = predict(", "def stage(", "live = "),
    "08_steps_quality_diversity": (
        "import torch", "= course(", "def write(", "def my_mbr(", "def mbr(", "panel = Panel(",
    ),
    "09_real_datasets": (
        "import torch", "own = {", "PAIRS = {", "MINE = {", "HOWS = {", "panel = Panel(",
    ),
}  # fmt: skip
LIMIT = 0.250  # seconds of work for one update of the atlas
PANEL = 0.150  # of any other panel


@pytest.fixture(scope="module")
def cells() -> Iterator[Callable[[str], dict[str, Any]]]:
    """What the cells that the panels of a notebook need leave behind; they work with one thread."""
    threads, made = torch.get_num_threads(), {}

    def of(name: str) -> dict[str, Any]:
        if name not in made:
            found: dict[str, Any] = {"display": lambda *widgets: None}
            notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
            for cell in notebook.cells:
                if cell.cell_type == "code" and any(piece in cell.source for piece in NEEDED[name]):
                    exec(cell.source, found)
            made[name] = found
        return made[name]

    yield of
    torch.set_num_threads(threads)


CHANGES = [
    ("06_degeneration", "atlas_panel", {"b_d": 0.0}, LIMIT),
    ("06_degeneration", "atlas_panel", {"b_g": 1.5}, LIMIT),
    ("06_degeneration", "atlas_panel", {"mu": 1.5}, LIMIT),
    ("06_degeneration", "atlas_panel", {"lr": 3e-4}, LIMIT),
    ("06_degeneration", "atlas_panel", {"seed": 0}, LIMIT),
    ("06_degeneration", "ward", {"patient": "D"}, PANEL),
    ("06_degeneration", "ward", {"reveal_it": True}, PANEL),
    ("06_degeneration", "live", {"b_d": 1.0}, PANEL),
    ("06_degeneration", "live", {"b_g": 1.0}, PANEL),
    ("06_degeneration", "live", {"mu": 1.0}, PANEL),
    ("06_degeneration", "live", {"lr": 1e-3}, PANEL),
    ("06_degeneration", "live", {"rho": 0.9}, PANEL),
    ("06_degeneration", "live", {"divergence": "reverse_kl"}, PANEL),
    ("08_steps_quality_diversity", "panel", {"method": "teacher, DDIM"}, PANEL),
    ("08_steps_quality_diversity", "panel", {"calls": 4}, PANEL),
    ("08_steps_quality_diversity", "panel", {"size": 8}, PANEL),
    ("09_real_datasets", "panel", {"task": "wiki_auto"}, PANEL),
    ("09_real_datasets", "panel", {"how": "student, 4 calls"}, PANEL),
    ("09_real_datasets", "panel", {"how": "teacher, 8 calls"}, PANEL),
    ("09_real_datasets", "panel", {"number": 2}, PANEL),
    ("09_real_datasets", "panel", {"seed": 1}, PANEL),
    ("07_two_stage_gpu", "live", {"b_d": 1.0}, PANEL),
    ("07_two_stage_gpu", "live", {"b_g": 1.0}, PANEL),
    ("07_two_stage_gpu", "live", {"lr": 1e-3}, PANEL),
    ("07_two_stage_gpu", "live", {"lr_psi": 1e-3}, PANEL),
]


@pytest.mark.parametrize(("notebook", "name", "change", "limit"), CHANGES)
def test_every_control_answers_quickly(cells, notebook: str, name: str, change: dict[str, Any], limit: float):
    panel = cells(notebook)[name]
    panel.reset()
    first, defaults = panel.readout, {key: panel.values[key] for key in change}
    assert panel.set(**change) != first and panel.error == ""
    spent = []
    for values in (defaults, change) * 3:  # a live panel redraws only when something has changed
        began = time.process_time()  # not wall-clock time: other work on the machine does not count
        panel.set(**values)
        spent.append(time.process_time() - began)
    panel.reset()
    assert panel.readout == first
    assert min(spent) < limit, f"an update takes {1000 * min(spent):.0f} ms"


def test_the_atlas_shows_the_collapse_and_hands_its_coefficients_over(cells) -> None:
    found = cells("06_degeneration")
    panel, live = found["atlas_panel"], found["live"]
    panel.reset()
    assert "detectors: healthy" in panel.readout
    assert "mode collapse" in panel.set(b_d=0.0, b_g=0.0)
    nb06.hand_over(panel, live)
    assert (live.run.config.b_d, live.run.config.b_g, live.run.step) == (0.0, 0.0, 0)
    panel.reset()
    live.reset()


def test_the_clinic_reveals_only_when_asked(cells) -> None:
    found = cells("06_degeneration")
    ward = found["ward"]
    for patient in patients.PATIENTS:
        assert ward.set(patient=patient.name, reveal_it=False).endswith("?")
        assert patient.mechanism in ward.set(reveal_it=True) and ward.error == ""
    ward.reset()


def test_a_patient_can_be_treated_in_the_live_panel(cells) -> None:
    live = cells("06_degeneration")["live"]
    live.set(student="A")
    before = [p.clone() for p in live.run.theta.parameters()]
    live.run_steps(20)
    assert live.history[-1].evaluation["coverage"] > 0 and live.error == ""
    assert any(not torch.equal(a, b) for a, b in zip(before, live.run.theta.parameters(), strict=True))
    live.reset()


def test_the_switch_restarts_psi_and_so_does_the_button(cells) -> None:
    live = cells("07_two_stage_gpu")["live"]
    live.set(switch=20)
    live.run_steps(20)
    assert live.run.optimisers["psi"].state
    live.act("restart psi")
    assert not live.run.optimisers["psi"].state and "restart psi" in live.log[-1]
    live.reset()


def test_the_live_run_turns_its_noise_and_its_divergence_while_it_trains(cells) -> None:
    live = cells("06_degeneration")["live"]
    live.reset()
    live.run_steps(40)
    assert set(live.history[-1].losses) == {"dsm", "sid"}
    live.set(rho=0.9, divergence="reverse_kl")
    live.run_steps(20)
    assert set(live.history[-1].losses) == {"dsm", "reverse_kl"} and live.error == ""
    assert all(sum(counts.values()) for counts in live.history[-1].evaluation["sentences"].values())
    live.reset()


def test_the_twin_is_the_run_that_was_never_restarted(cells) -> None:
    live = cells("07_two_stage_gpu")["live"]
    live.set(switch=0)
    live.run_steps(60)
    plain = [parameter.clone() for parameter in live.run.theta.parameters()]
    live.set(switch=20)
    live.run_steps(60)
    twin, restarted = live.run.twin, live.run
    assert twin.step == restarted.step == 60 and twin.twin is None
    assert all(map(torch.equal, plain, twin.theta.parameters()))
    assert not all(map(torch.equal, plain, restarted.theta.parameters()))
    assert "twin" in live.history[-1].evaluation and "not restarted" in live.readout
    live.reset()


def test_the_outputs_of_a_sentence_are_counted_and_marked(cells, monkeypatch: pytest.MonkeyPatch) -> None:
    found = cells("09_real_datasets")
    panel = found["panel"]
    panel.reset()
    spelled = "how can i learn to juggle in a week ?"
    made = [spelled] * 3 + ["what what is it ?"] * 2 + ["", "a <b> ?", "[PAD] ?"]
    monkeypatch.setitem(found, "eight", lambda *_: made)
    said = panel.set(seed=3)
    assert "different 5 of 8 | copy 3 | repeats 2 | broken off 2" in said and panel.error == ""
    assert "a &lt;b&gt; ?" in panel.html and "(nothing)" in panel.html and "3&nbsp;×" in panel.html
    monkeypatch.undo()
    panel.reset()
