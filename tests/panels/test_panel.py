"""Panels: every control answers, errors stay inside, and what a notebook prints is the same in every run."""

from __future__ import annotations

import pytest
from IPython.core.formatters import DisplayFormatter

from dlmone_lite.errors import InputError
from dlmone_lite.figures.style import PROJECTOR
from dlmone_lite.panels.panel import Panel, View, choice, log_slider, slider, switch


def compute(t: int, level: float, schedule: str, clamp: bool) -> View:
    if t == 13:
        raise InputError("t may not be 13")
    if t == 14:
        raise KeyError("x")
    return View(f"<p>{t}</p>", f"t {t}, level {level:.1f}, {schedule} <{clamp}>")


def make_panel() -> Panel:
    controls = {
        "t": slider("step", 0, 20, 5),
        "level": slider("level", 0.0, 1.0, 0.5, 0.1),
        "schedule": choice("schedule", {"square root": "sqrt", "cosine": "cos"}),
        "clamp": switch("clamp"),
    }
    return Panel("Title <1>", controls, compute)


@pytest.mark.parametrize(("name", "value"), [("t", 7), ("level", 0.3), ("schedule", "cos"), ("clamp", True)])
def test_every_control_answers_and_reset_undoes_it(name: str, value: object) -> None:
    panel = make_panel()
    first = panel.readout
    panel.controls[name].value = value  # what a hand does
    assert panel.readout != first and panel.error == ""
    assert panel.readout == compute(**{**make_panel().values, name: value}).readout
    panel.reset()
    assert panel.readout == first and panel.values == make_panel().values


def test_set_changes_all_at_once() -> None:
    calls = []

    def counted(a: int, b: int) -> View:
        calls.append((a, b))
        return View("", f"{a} {b}")

    panel = Panel("p", {"a": slider("a", 0, 9, 1), "b": slider("b", 0, 9, 2)}, counted)
    assert panel.set(a=3, b=4) == "3 4"
    assert calls == [(1, 2), (3, 4)]
    with pytest.raises(InputError, match="no control 'c'.*it has a, b"):
        panel.set(a=5, c=1)
    assert panel.values == {"a": 3, "b": 4}  # nothing was half set


def test_errors_are_shown_inside_and_go_away() -> None:
    panel = make_panel()
    assert panel.set(t=13) == "error: t may not be 13"
    assert panel.error == "t may not be 13" and 'role="alert"' in panel.html
    panel.set(t=14)
    assert panel.error == "KeyError: 'x'"
    panel.set(t=12)
    assert panel.error == "" and panel.html == "<p>12</p>"


def test_an_error_in_the_first_view_is_raised() -> None:
    with pytest.raises(InputError, match="13"):
        Panel("p", {"t": slider("t", 0, 20, 13)}, lambda t: compute(t, 0.0, "sqrt", False))


def test_what_is_displayed_is_constant_and_escaped() -> None:
    (data, _), (again, _) = (DisplayFormatter().format(make_panel()) for _ in range(2))
    assert data["text/plain"] == "Panel('Title <1>')"
    widget = data["application/vnd.jupyter.widget-view+json"]
    assert set(widget) == {"version_major", "version_minor", "model_id"}
    assert (data["text/plain"], data["text/html"]) == (again["text/plain"], again["text/html"])
    assert "<b>Title &lt;1&gt;</b>" in data["text/html"] and "&lt;False&gt;" in data["text/html"]


def test_the_box_has_what_the_browser_check_looks_for() -> None:
    panel = make_panel()
    assert "dlmone-panel" in panel.box._dom_classes
    texts = [getattr(child, "value", "") for child in panel.box.children]
    assert sum('class="dlmone-readout"' in text for text in texts) == 1
    heights = [child.layout.height for child in panel.box.children if child.layout.height]
    assert heights == ["440px"]  # the page must not jump while a figure is replaced


def test_controls_know_their_kind() -> None:
    assert type(slider("t", 0, 9, 1)).__name__ == "IntSlider"
    assert type(slider("t", 0, 9.0, 1)).__name__ == "FloatSlider"
    assert not slider("t", 0, 9, 1).continuous_update and slider("t", 0, 9, 1, live=True).continuous_update
    level = log_slider("level", 0.01, 10, 0.1)
    assert (level.min, level.max, level.value) == pytest.approx((-2, 1, 0.1))
    assert choice("c", ["a", "b"], "b").value == "b" and choice("c", {"text": 3}).value == 3


def test_a_projected_panel_has_its_controls_beside_the_view(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = make_panel()
    monkeypatch.setenv(PROJECTOR, "1")
    panel = make_panel()
    assert panel.readout == plain.readout and panel.set(t=7) == plain.set(t=7)
    top, row, _ = panel.box.children
    left, right = row.children
    controls = list(panel.controls.values())
    assert [child for child in left.children if child in controls] == controls and len(right.children) == 2
    assert [child.value for child in left.children if child not in controls] == ["step", "level", "schedule"]
    assert "20px" in top.children[0].value and len(top.children) == 2
    monkeypatch.setenv(PROJECTOR, "0")
    assert len(make_panel().box.children) == 5
