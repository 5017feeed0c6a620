"""Notebook 09: its sentences, its scores, its figures' alternatives and its panel say what is true."""

from __future__ import annotations

import pytest

from dlmone_lite.corpora import real_text
from dlmone_lite.evaluation import published
from dlmone_lite.figures import style
from dlmone_lite.files import DATA
from dlmone_lite.lessons import nb09 as lesson


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The alt text of every figure that the lesson shows."""
    found: list[str] = []
    monkeypatch.setattr(style, "show", lambda fig, alt, numbers="": found.append(alt))
    return found


@pytest.mark.parametrize("task", published.TASKS)
def test_the_sentences_are_distinct_pairs_and_planted_failures_are_named(task: str) -> None:
    rows = real_text.load(DATA / "sentences" / task, "valid")
    pairs = [(row["src"], row["trg"]) for row in rows]
    assert len(set(pairs)) == 12
    sources = [source for source, _ in pairs]
    planted = {
        "copying": [[source] * 4 for source in sources],
        "repetition loop": [[source + " ? ?"] * 4 for source in sources],
        "empty collapse": [[""] * 4 for _ in sources],
        "condition ignored": [[sources[-1]] * 4 for _ in sources],
    }
    for name, texts in planted.items():
        assert name in lesson.failures(pairs, texts)
    scores = lesson.scores(pairs, planted["copying"])
    assert scores["copies"] == scores["self_bleu"] == 1.0


def test_ratios_and_transfer_are_drawn_as_recorded(shown: list[str]) -> None:
    rows = published.measured()
    own = [row for row in rows if row["trained_on"] == row["task"]]
    assert (
        lesson.ratio_without_copies(own, "wiki_auto")
        < published.ratio(rows, "wiki_auto", "wiki_auto-student", "wiki_auto-teacher")["bleu"]
    )
    lesson.against_calls(own, {"qqp": 0.27})
    lesson.show_ratios({"QQP": (1.0, 0.9, 1.25)}, {"QQP": (0.97, 0.91, 1.05)})
    matrix = lesson.from_set_to_set(rows, {task: 0.3 for task in published.TASKS})
    assert set(matrix) == set(published.TASKS) == set(matrix["qqp"])
    assert "QQP student 1: " in shown[0] and "QQP 1.00 (0.90 to 1.25); as recorded QQP 0.97" in shown[1]
    assert f"QQP on Wiki-Auto {matrix['qqp']['wiki_auto']:.3f}" in shown[2]


def test_eight_outputs_are_counted_and_escaped() -> None:
    view = lesson.eight_outputs("QQP", "is it ?", ["is it ?"] * 5 + ["a <b> ?", "", "what what ?"])
    assert "different 4 of 8 | copy 5 | repeats 1 | broken off 1" in view.readout
    assert "a &lt;b&gt; ?" in view.html and "5&nbsp;×" in view.html
