"""Figures of notebook 03: what stands in them is what was given."""

from __future__ import annotations

from typing import Any

import pytest

from dlmone_lite.errors import InputError
from dlmone_lite.figures import nb03 as figures
from dlmone_lite.figures import style
from dlmone_lite.figures.nb03 import Reading
from dlmone_lite.training.run import Step

LEVELS = [{"t": 200, "bayes": 0.0, "excess": 0.01}, {"t": 1900, "bayes": 0.2, "excess": 0.05}]
DECILES = [{"t_from": 1, "t_to": 1000, "bayes": 0.1, "excess": 0.3}]
DECILES += [{"t_from": 1001, "t_to": 2000, "bayes": 0.5, "excess": 0.1}]
ROW = {"validity": 0.9, "tv": 0.3, "tv_floor": 0.1, "coverage": 0.8}
ROW |= {"validity_se": 0.01, "tv_se": 0.02, "coverage_se": 0.03}


def texts(fig: Any) -> list[str]:
    """Every text drawn in the axes of a figure."""
    return [text.get_text() for ax in fig.axes for text in ax.texts]


def step(number: int, evaluation: dict[str, float] | None = None) -> Step:
    return Step(number, {"denoising": 1 / number}, {}, 0.1, 0.0, 0, evaluation)


def test_the_excess_stands_on_the_floor() -> None:
    fig = figures.loss_above_floor(LEVELS)
    left, right = fig.axes
    floor, excess = left.containers
    assert [bar.get_height() for bar in floor] == [0.0, 0.2]
    assert [bar.get_height() for bar in excess] == [0.01, 0.05]
    assert [bar.get_y() for bar in excess] == [0.0, 0.2]
    assert [label.get_text() for label in left.get_xticklabels()] == ["200", "1900"]
    assert right.get_yscale() == "log" and list(right.lines[1].get_ydata()) == [0.01, 0.05]
    assert style.html(fig, "bars")  # a floor of 0 on a log scale does not stop it


def readings(words: list[str]) -> list[Reading]:
    return [Reading(2000 - i, tuple(w.split()), (0.5,) * len(w.split())) for i, w in enumerate(words)]


def test_words_come_line_by_line() -> None:
    fig = figures.words_from_noise(readings(["what noise", "what is", "what is it", "what is it"]), "title")
    assert texts(fig)[::2] == ["what noise", "what is", "what is it", "what is it"]
    assert texts(fig)[1::2] == ["t=2000", "t=1999", "t=1998", "t=1997"]
    assert style.html(fig, "words")


def test_of_many_readings_most_are_from_before_the_sentence_stood() -> None:
    fig = figures.words_from_noise(
        readings([f"word {i}" for i in range(20)] + ["done"] * 60), "title", rows=12
    )
    lines = texts(fig)[::2]
    assert len(lines) == 12 and lines[0] == "word 0" and lines[7] == "word 19" and lines[8:] == ["done"] * 4
    assert texts(fig)[-1] == "t=1921"


def test_a_sentence_that_is_too_long_is_cut_between_words() -> None:
    fig = figures.words_from_noise(readings(["strawberries " * 12]), "title")
    (line,) = texts(fig)[::2]
    assert set(line.split()) == {"strawberries"} and len(line) <= figures.LONGEST


def test_surer_words_are_darker() -> None:
    fig = figures.words_from_noise([Reading(5, ("faint", "sure"), (0.1, 1.0))], "title")
    faint, sure = fig.axes[0].collections[0].get_facecolors()
    assert sure[:3].sum() < faint[:3].sum()


def test_modes() -> None:
    (ax,) = figures.where_modes_fall([0, 1000, 2000], {"open": [0, 0.1, 1], "readable": [1, 0.3, 0]}).axes
    assert [list(line.get_ydata()) for line in ax.lines] == [[0, 0.1, 1], [1, 0.3, 0]]


def test_scores_against_steps() -> None:
    fig = figures.against_the_truth([1, 4], {"teacher": [ROW, ROW], "perfect denoiser": [ROW, ROW]})
    assert [list(ax.lines[0].get_ydata()) for ax in fig.axes] == [[0.9, 0.9], [0.3, 0.3], [0.8, 0.8]]
    (floor,) = (line for line in fig.axes[1].lines if str(line.get_label()).startswith("floor"))
    assert list(floor.get_ydata()) == [0.1, 0.1]
    (low, high) = fig.axes[1].collections[0].get_segments()[0][:, 1]
    assert (low, high) == pytest.approx((0.26, 0.34)), "two standard errors up and down"


def test_the_wrong_update_is_dotted() -> None:
    fig = figures.stride_damage([4], {"teacher": {"both ends": [ROW], "t - 1": [ROW]}})
    for ax in fig.axes:
        assert [line.get_linestyle() for line in ax.lines][:2] == ["-", ":"]
    assert [text.get_text() for text in fig.legends[0].texts][:2] == ["teacher: both ends", "teacher: t - 1"]


# ---- runs


def test_rows_survive_flattening() -> None:
    assert figures.unflatten(figures.flatten(DECILES)) == DECILES
    assert figures.mean_excess(figures.flatten(DECILES)) == pytest.approx(0.2)


def test_live_figure() -> None:
    assert "press Start" in texts(figures.live([]))
    fig = figures.live([step(1), step(2)])
    assert list(fig.axes[0].lines[0].get_ydata()) == [1.0, 0.5] and not fig.axes[1].containers
    fig = figures.live([step(1, figures.flatten(DECILES[:1])), step(2, figures.flatten(DECILES)), step(3)])
    floor, excess = fig.axes[1].containers
    assert [bar.get_height() for bar in floor] == [0.1, 0.5] and [bar.get_y() for bar in excess] == [0.1, 0.5]
    assert "after 2 steps" in fig.axes[1].get_title() and style.html(fig, "live")


def test_records_by_steps_must_be_of_one_size() -> None:
    def record(samples: int, steps: list[int]) -> dict[str, Any]:
        settings = {"sources": 4, "samples": samples, "split": "test"}
        return {"settings": settings, "world_scores": [{"nfe": k, **ROW} for k in steps]}

    few, many, other = record(64, [1, 2]), record(64, [64]), record(16, [8])
    assert list(figures.by_steps(few, many)) == [1, 2, 64] and figures.by_steps(many)[64]["tv"] == 0.3
    with pytest.raises(InputError, match="different sizes"):
        figures.by_steps(few, other)
