"""Figures of notebook 03 that follow a training run, live or recorded, onto the Bayes floor."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlmone_lite import plots
from dlmone_lite.errors import InputError
from dlmone_lite.training import Step

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SCORES = {"validity": "validity", "tv": "total variation to truth", "coverage": "coverage of truth"}


def _floor_bars(ax: Axes, deciles: Sequence[Mapping[str, Any]]) -> None:
    """Stacked bars over t: the Bayes floor, and the teacher's excess on top of it."""
    middle = [(row["t_from"] + row["t_to"]) / 2 for row in deciles]
    width = 0.8 * (deciles[0]["t_to"] - deciles[0]["t_from"] + 1)
    floor, excess = ([row[key] for row in deciles] for key in ("bayes", "excess"))
    ax.bar(middle, floor, width, color="#c8c8c8", edgecolor=plots.GREY, label="Bayes floor")
    ax.bar(
        middle, excess, width, bottom=floor, color=plots.ORANGE, edgecolor=plots.BLACK, hatch="//",
        label="above the floor",
    )  # fmt: skip
    ax.set(xlabel="t", ylabel="squared error per element")
    ax.legend(loc="upper left")


def live(history: Sequence[Step]) -> Figure:
    """A run so far. Left: its training loss; right: the latest evaluation as floor and excess per tenth of t.

    An evaluation holds "bayes <t_from> <t_to>" and "excess <t_from> <t_to>" (see `flat`).
    """
    fig, (left, right) = plots.canvas(1, 2, height=3.6)
    if not history:
        for ax, text in ((left, "press Start"), (right, "the first evaluation comes soon after")):
            ax.set(xticks=[], yticks=[])
            ax.text(0.5, 0.5, text, ha="center", transform=ax.transAxes)
        return fig
    losses = [s.losses["denoising"] for s in history]
    left.plot([s.step for s in history], losses, color=plots.BLUE, linewidth=1)
    left.set(title="training loss (as configured)", xlabel="step", yscale="log")
    evaluated = [s for s in history if s.evaluation]
    right.set(title="held-out error per t", xlabel="t")
    if evaluated:
        _floor_bars(right, deepen(evaluated[-1].evaluation))
        right.set_title(f"held-out error after {evaluated[-1].step} steps")
    return fig


def flat(deciles: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Rows of `bayes.loss_by_decile` as a `Step` can carry them."""
    kept = ("bayes", "excess")
    return {f"{key} {row['t_from']} {row['t_to']}": row[key] for row in deciles for key in kept}


def deepen(evaluation: Mapping[str, float]) -> list[dict[str, Any]]:
    """The rows that `flat` made flat."""
    rows: dict[tuple[int, int], dict[str, Any]] = {}
    for name, value in evaluation.items():
        key, first, last = name.split()
        row = rows.setdefault((int(first), int(last)), {"t_from": int(first), "t_to": int(last)})
        row[key] = value
    return list(rows.values())


def mean_excess(evaluation: Mapping[str, float]) -> float:
    """The error above the floor, a mean over the tenths of t."""
    excess = [value for name, value in evaluation.items() if name.startswith("excess")]
    return sum(excess) / len(excess)


# ---- recorded runs


def recorded(folder: Path, name: str) -> list[dict[str, Any]]:
    """The step records of the run `name` in `folder`: a .jsonl of `Step`s, or a .json that holds such a list
    somewhere; [] where there is none."""
    for path in sorted(folder.glob(f"{name}*.json*")):
        text, by_line = path.read_text(encoding="utf-8"), path.suffix == ".jsonl"
        value = [json.loads(line) for line in text.splitlines()] if by_line else json.loads(text)
        if rows := _step_rows(value):
            return rows
    return []


def _step_rows(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list) and value and all(isinstance(row, dict) and "step" in row for row in value):
        return value
    parts = value.values() if isinstance(value, dict) else ()
    return next(filter(None, map(_step_rows, parts)), [])


def by_steps(*files: Path) -> dict[int, dict[str, float]]:
    """{NFE: world scores} out of records of `evaluate`, all of as many sources and samples."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in files]
    sizes = {(r["settings"]["sources"], r["settings"]["samples"], r["settings"]["split"]) for r in records}
    if len(sizes) != 1:
        raise InputError(f"these records have different sizes {sorted(sizes)}; compare equal ones only")
    return {row["nfe"]: row for record in records for row in record["world_scores"]}


def recorded_run(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Left: training loss by step; right: what the evaluations on the way found."""
    fig, (left, right) = plots.canvas(1, 2, height=3.4)
    trained = [row for row in rows if row.get("losses")]
    left.plot([r["step"] for r in trained], [r["losses"]["denoising"] for r in trained], color=plots.BLUE)
    left.set(title="training loss", xlabel="step", yscale="log")
    evaluated = [row for row in rows if row.get("evaluation")]
    for i, (key, label) in enumerate(SCORES.items()):
        values = [row["evaluation"].get(key) for row in evaluated]
        if evaluated and None not in values:
            look = {"color": plots.PALETTE[i], "linestyle": plots.LINES[i], "marker": plots.MARKERS[i]}
            right.plot([row["step"] for row in evaluated], values, label=label, **look)
    right.set(title="on held-out sources", xlabel="step", ylim=(-0.04, None))
    if evaluated:
        right.legend()
    return fig
