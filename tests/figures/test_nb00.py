"""Figures of notebook 00: what is drawn is what was measured."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tiny import SHARES, SOURCES, make_codec, make_model, make_world

from dlmone_lite.checkpoints.checkpoint import Checkpoint
from dlmone_lite.evaluation.duel import Lane, Score, run_lane
from dlmone_lite.figures import nb00 as figures
from dlmone_lite.figures import style
from dlmone_lite.files import ROOT

SUPPORT = {"a b": 0.75, "c d": 0.25}
TEACHER = Lane("teacher", ("c x", "a x", "a d", "a b"), 0.5)
STUDENT = Lane("student", ("c b",), 0.125)


def checkpoint(folder: Path, role: str) -> Checkpoint:
    world = make_world(folder)
    codec = make_codec(world)
    sampling = {"t_init": 1490} if role == "student" else {}
    return Checkpoint(make_model(codec).eval().requires_grad_(False), codec, "tiny", role, sampling)


def texts(fig) -> list[str]:
    return [text.get_text() for ax in fig.axes for text in ax.texts]


def test_the_duel_shows_calls_by_doubling_and_both_verdicts() -> None:
    shown = texts(figures.duel("ask", TEACHER, STUDENT, SUPPORT))
    assert [text for text in shown if text.startswith("call ")] == ["call 1", "call 2", "call 4", "call 1"]
    assert "✓ right (p = 0.75)" in shown and "✗ not a right answer" in shown and "ask" in shown
    assert "teacher: 4 calls of the network" in shown and "student: 1 call of the network" in shown


def test_words_of_the_final_sentence_are_told_from_others() -> None:
    fig = figures.duel("ask", TEACHER, STUDENT, SUPPORT)
    drawn = {(t.get_text(), t.get_color()) for ax in fig.axes for t in ax.texts}
    assert {("c x", style.GREY), ("a  ", style.BLACK), ("  x", style.GREY), ("a b", style.BLACK)} <= drawn


def test_an_endless_sentence_is_cut() -> None:
    lane = Lane("student", (" ".join(["word"] * 40),), 0.1)
    shown = texts(figures.duel("ask", TEACHER, lane, SUPPORT))
    assert max(map(len, shown)) == figures.LONGEST and any(text.endswith("…") for text in shown)


def test_the_alt_text_says_who_wrote_what() -> None:
    alt = figures.duel_alt("ask", TEACHER, STUDENT, SUPPORT)
    assert "teacher writes 'a b' (4 calls), a right answer" in alt
    assert "student writes 'c b' (1 call), not a right answer" in alt


@pytest.mark.parametrize("right", [0.0, 1.0])
def test_the_scoreboard_holds_at_the_extremes(right: float) -> None:
    scores = [Score("teacher", 32, 0.1, 1.0, 1.0, 0.1), Score("student", 1, 0.003, right, right, 1 - right)]
    fig = figures.scoreboard(scores, 0.12)
    heights = [bar.get_height() for ax in fig.axes for bar in ax.patches]
    assert heights == pytest.approx([32, 1, 100, 3, 100, 100 * right, 1, right, 0.1, 1 - right])
    assert [len(ax.lines) for ax in fig.axes] == [0, 0, 1, 1, 1]
    assert fig.axes[4].lines[0].get_ydata()[0] == 0.12
    assert style.html(fig, "bars").startswith("<img")
    assert style.html(figures.whole_duel("ask", TEACHER, STUDENT, SUPPORT, scores, 0.12), "all").startswith(
        "<img"
    )


def test_the_truth_and_what_was_said() -> None:
    fig = figures.truth(SUPPORT, {"teacher": ["a b", "a b", "c d", "x"], "student": ["c d"] * 2})
    (ax,) = fig.axes
    assert [bar.get_width() for bar in ax.patches] == [0.75, 0.25, 0.0]
    assert [list(line.get_xdata()) for line in ax.lines] == [[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a b", "c d", "anything else (wrong)"]


def test_a_world_of_the_tests_can_be_drawn(tmp_path: Path) -> None:
    fig = figures.truth(make_world(tmp_path).support(SOURCES[0]), {})
    assert [bar.get_width() for bar in fig.axes[0].patches] == pytest.approx([*SHARES, 0.0])


def test_every_control_of_the_panel_answers(tmp_path: Path) -> None:
    """The notebook's own cell, with very small networks: each control changes the readout, Reset works."""
    path = ROOT / "notebooks" / "00_start_here.ipynb"
    cells = ["".join(cell["source"]) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]]
    (source,) = [cell for cell in cells if "panel = Panel(" in cell]
    names = {
        "figures": figures,
        "style": style,
        "run_lane": run_lane,
        "held_out_sources": lambda world, count: SOURCES,
    }
    names |= {role: checkpoint(tmp_path, role) for role in ("teacher", "student")}
    names["world"] = make_world(tmp_path)
    exec(source, names)
    panel = names["panel"]

    def said() -> str:
        return re.sub(r"[0-9.]+ ms", "", panel.readout)  # a duration changes by itself

    for name, value in {"asked": SOURCES[1], "seed": 7, "calls": 2}.items():
        panel.reset()
        first = said()
        panel.set(**{name: value})
        assert panel.error == "" and said() != first and "student, 1 call," in panel.readout
    panel.reset()
    assert said() == first
