"""The pocket world of notebook 05 measures a student, and draws it, as its parts do."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dlmone_lite import World
from dlmone_lite.distill import DistillConfig, DistillRun
from dlmone_lite.figures import style
from dlmone_lite.lessons import nb05


@pytest.fixture(scope="module")
def pocket() -> nb05.PocketWorld:
    return nb05.PocketWorld()


def test_a_source_of_each_kind() -> None:
    world = World.load("paraphrase")
    sources = nb05.of_each_kind(world, 4)
    assert len({next(iter(world.meanings_of(source))).frame for source in sources}) == 4


def test_one_learner_moves_alone(pocket: nb05.PocketWorld) -> None:
    config = DistillConfig(steps=4, batch_size=4, precision="float32")
    run = DistillRun(pocket.teacher.model, pocket.pairs, config)
    assert [nb05.moved(run, name) for name in ("psi", "theta", "psi")] == [["psi"], ["theta"], ["psi"]]


def test_the_pocket_world_begins_with_the_teacher_and_draws_what_is_measured(
    pocket: nb05.PocketWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pocket.begin["step"] == 0 and pocket.begin["validity"] < 0.5
    assert pocket.lines["teacher, 8 steps"]["validity"] > 0.9
    drawn: list[list[dict]] = []
    monkeypatch.setattr(nb05.figures, "rise", lambda curve, lines: drawn.append(list(curve)))
    monkeypatch.setattr(style, "html", lambda fig, alt: "")
    scores = {"validity": 0.5, "tv": 0.5, "coverage": 1.0}
    history = [SimpleNamespace(step=1, evaluation=None), SimpleNamespace(step=2, evaluation=scores)]
    run = SimpleNamespace(result=pocket.teacher.model, config=pocket.recipe, step=2)
    view = pocket.view(history, run)
    assert [row["step"] for row in drawn[0]] == [0, 2] and view.html.count("<br>") == 2
    assert view.readout == "validity 0.50, TV 0.50, coverage 1.00"


def test_answers_and_scores_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    support, wrote = {"a b": 0.5, "a c": 0.5}, {"student": ["a b", "a c", "x", "x"]}
    readout = nb05.answers("what?", support, wrote).readout
    assert readout.startswith("what? | student: validity 0.50, TV 0.50, coverage 1")
    scores = {"validity": 0.5, "validity_se": 0.1, "tv": 0.25, "tv_se": 0.0, "coverage": 1.0, "tv_floor": 0.1}
    nb05.print_scores({"student": scores})
    assert "0.50 ± 0.10  0.25 ± 0.00      1.00" in capsys.readouterr().out
