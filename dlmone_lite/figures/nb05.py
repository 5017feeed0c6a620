"""Figures of notebook 05: where a one-step student starts, how it rises, what it writes, what steps add."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dlmone_lite.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, float]
PALE = "#bbbbbb"  # what is not reached yet; never the only carrier of a fact


def levels(rows: Sequence[Row], chosen: int) -> Figure:
    """Scores of one evaluation on pure noise at each t, and the chosen t_init.

    rows: with t, ratio (sigma / alpha), validity and validity_se (drawn twice up and down), choice (variance
    over z of an output coordinate), blur (its squared distance to the nearest embedding).
    """
    fig, (left, right) = style.canvas(1, 2, height=3.5)
    t = [row["t"] for row in rows]
    left.semilogy(t, [row["ratio"] for row in rows], color=style.BLACK, marker="P")
    left.set(xlabel="noise step t", ylabel="sigma / alpha", title="Noise level")

    for key, name, color, marker, line in (
        ("validity", "sentences right", style.BLUE, "o", "-"),
        ("choice", "what z decides (variance)", style.GREEN, "^", "-."),
        ("blur", "blur (distance to words)", style.ORANGE, "s", "--"),
    ):
        right.plot(t, [row[key] for row in rows], color=color, marker=marker, linestyle=line, label=name)
    style.two_errors(right, t, rows, "validity", style.BLUE)
    top = max(row[key] for row in rows for key in ("validity", "choice", "blur"))
    right.set(xlabel="noise step t", title="One evaluation on pure noise", ylim=(-0.03, 1.6 * top))
    style.legend(right, "upper left")

    for axes in (left, right):
        axes.axvline(chosen, color=style.GREY, linewidth=1.2, linestyle=":")
    where = (chosen, 1.5 * left.get_ylim()[0])
    left.annotate(f"t_init = {chosen} ", where, ha="right", va="bottom", color=style.BLACK, fontsize=11)
    return fig


def rise(curve: Sequence[Row], lines: Mapping[str, Row], until: float | None = None) -> Figure:
    """Validity (left) and total variation (right) of the one-step student while it trains.

    curve: rows with step, validity, tv, tv_floor and, where there are several, stage (0: a warm start).
    lines: name -> a row with validity and tv to compare with (the teacher). until: later steps are pale.
    """
    fig, (left, right) = style.canvas(1, 2, height=3.9)
    steps = [row["step"] for row in curve]
    seen = sum(until is None or step <= until for step in steps)
    width = max(steps[-1], 20)
    for axes, key, title in (
        (left, "validity", "Right sentences, one step"),
        (right, "tv", "TV to the truth, one step"),
    ):
        values = [row[key] for row in curve]
        if seen < len(steps):
            axes.plot(steps, values, color=PALE, linewidth=1.2, label="recorded later")
        axes.plot(steps[:seen], values[:seen], color=style.BLUE, marker="o", markersize=4.5, label="student")
        for (name, row), color, dashes in zip(
            lines.items(), (style.ORANGE, style.RED, style.PINK), ("--", "-.", ":")
        ):
            axes.axhline(row[key], color=color, linestyle=dashes, label=name)
        for before, row in itertools.pairwise(curve):
            if (stage := row.get("stage", 1)) != before.get("stage", 1):
                dashed = {"color": style.GREY, "linewidth": 1.5, "linestyle": "--" if stage == 1 else ":"}
                axes.axvline(before["step"], **dashed, label=f"stage {stage} begins")
        axes.set(xlabel="update", title=title, ylim=(-0.03, 1.03), xlim=(-0.03 * width, 1.03 * width))
    right.axhline(curve[0]["tv_floor"], color=style.BLACK, linestyle=":", label="floor: a perfect model")
    style.legend_below(fig, right, columns=3)
    return fig


def frequencies(support: Mapping[str, float], outputs: Mapping[str, Sequence[str]]) -> Figure:
    """How often each model (name -> its sentences) writes each right sentence; the last row is all others.

    Diamonds: the exact probability, with two standard deviations of as many true samples.
    """
    names = list(support)
    fig, (axes,) = style.canvas(1, 1, height=1.3 + 0.44 * (len(names) + 1))
    thick, most = 0.7 / len(outputs), max(support.values())
    for j, ((model, texts), color) in enumerate(
        zip(outputs.items(), (style.BLUE, style.ORANGE, style.GREEN))
    ):
        share = [sum(text == name for text in texts) / len(texts) for name in names]
        share.append(1 - sum(share))
        most = max(most, *share)
        rows = [i + (j - (len(outputs) - 1) / 2) * thick for i in range(len(share))]
        hatched = {"color": color, "hatch": "//" if j else "", "edgecolor": "white"}
        axes.barh(rows, share, height=thick, **hatched, label=model)

    n = len(next(iter(outputs.values())))
    spread = [2 * (p * (1 - p) / n) ** 0.5 for p in support.values()]
    marks = {"fmt": "D", "color": style.BLACK, "markersize": 6, "capsize": 3, "linewidth": 1.5}
    exact = f"exact, ± 2 sd of {n} samples"
    axes.errorbar(list(support.values()), range(len(names)), xerr=spread, **marks, label=exact)
    style.name_rows(axes, [*(style.wrap(name, 36) for name in names), "any other sentence (wrong)"])
    axes.set(xlabel="share of the samples", xlim=(0, 1.08 * most))
    fig.legend(loc="outside upper right", ncols=len(outputs) + 1, fontsize=style.SMALLEST, frameon=False)
    return fig


def refinement(rows: Sequence[Row], lines: Mapping[str, Row]) -> Figure:
    """A student's scores by network evaluations, `nfe`: validity and coverage (left), TV (right).

    lines: models to compare with (name -> row), drawn at their own nfe.
    """
    fig, (left, right) = style.canvas(1, 2, height=3.8)
    nfe = [row["nfe"] for row in rows]
    for key, name, color, marker, line in (
        ("validity", "validity: quality", style.BLUE, "o", "-"),
        ("coverage", "coverage: diversity", style.GREEN, "^", "-."),
    ):
        left.plot(nfe, [row[key] for row in rows], color=color, marker=marker, linestyle=line, label=name)
        for row, other in zip(lines.values(), ("D", "X")):
            left.plot(row["nfe"], row[key], color=color, marker=other, linestyle="", markersize=9)

    right.plot(nfe, [row["tv"] for row in rows], color=style.BLUE, marker="o", label="student")
    floors = [row["tv_floor"] for row in rows]
    right.plot(nfe, floors, color=style.BLACK, linestyle=":", label="floor: a perfect model")
    for (model, row), marker in zip(lines.items(), ("D", "X")):
        mark = {"marker": marker, "linestyle": "", "markersize": 9}
        right.plot(row["nfe"], row["tv"], color=style.ORANGE, label=model, **mark)
        left.plot([], [], color=style.GREY, label=f"{model}, both", **mark)

    low = min(min(row["validity"], row["coverage"]) for row in [*rows, *lines.values()])
    ticks = sorted({*nfe, *(row["nfe"] for row in lines.values())})
    for axes, title in ((left, "Quality and diversity"), (right, "TV to the truth (small is good)")):
        style.log_axis(axes, ticks, base=2)
        axes.set(xlabel="network evaluations a sentence", title=title)
    left.set_ylim(max(0.0, low - 0.45), 1.15)
    right.set_ylim(0, 1.5 * max(row["tv"] for row in [*rows, *lines.values()]))
    style.legend(left, "lower left")
    style.legend(right, "upper right")
    return fig
