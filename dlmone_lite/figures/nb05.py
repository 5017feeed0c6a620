"""Figures of a one-step student: where it starts, how it rises, what it writes how often, what steps buy."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dlmone_lite.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, PINK, RED, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, float]
PALE = "#bbbbbb"  # what is not reached yet; never the only carrier of a fact


def _legend(axes: Axes, where: str = "best") -> None:
    axes.legend(loc=where, fontsize=11, frameon=False, labelspacing=0.25)


def levels(rows: Sequence[Row], chosen: int) -> Figure:
    """What one evaluation on pure noise gives at each t: rows with t, ratio (sigma / alpha), validity (and
    validity_se, drawn twice up and down), choice (variance over z of an output coordinate), blur (its squared
    distance to the nearest embedding)."""
    fig, (left, right) = canvas(1, 2, height=3.5)
    t = [row["t"] for row in rows]
    left.semilogy(t, [row["ratio"] for row in rows], color=BLACK, marker="P")
    left.set(xlabel="noise step t", ylabel="sigma / alpha", title="Noise level")
    for key, name, color, marker, line in (
        ("validity", "sentences right", BLUE, "o", "-"),
        ("choice", "what z decides (variance)", GREEN, "^", "-."),
        ("blur", "blur (distance to words)", ORANGE, "s", "--"),
    ):
        right.plot(t, [row[key] for row in rows], color=color, marker=marker, linestyle=line, label=name)
    ends = ([row["validity"] + sign * row["validity_se"] for row in rows] for sign in (-2, 2))
    right.vlines(t, *ends, color=BLUE, linewidth=1.2)
    top = max(row[key] for row in rows for key in ("validity", "choice", "blur"))
    right.set(xlabel="noise step t", title="One evaluation on pure noise", ylim=(-0.03, 1.6 * top))
    _legend(right, "upper left")
    for axes in (left, right):
        axes.axvline(chosen, color=GREY, linewidth=1.2, linestyle=":")
    where = (chosen, 1.5 * left.get_ylim()[0])
    left.annotate(f"t_init = {chosen} ", where, ha="right", va="bottom", color=BLACK, fontsize=11)
    return fig


def rise(curve: Sequence[Row], lines: Mapping[str, Row], until: float | None = None) -> Figure:
    """Validity (left) and total variation (right) of the one-step student while it trains.

    curve: rows with step, validity, tv, tv_floor and, where there are several, stage (0: a warm start).
    lines: name -> a row with validity and tv to compare with (the teacher). With `until`, what lies after
    that step is pale.
    """
    fig, (left, right) = canvas(1, 2, height=3.9)
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
        axes.plot(steps[:seen], values[:seen], color=BLUE, marker="o", markersize=4.5, label="student")
        for (name, row), color, line in zip(lines.items(), (ORANGE, RED, PINK), ("--", "-.", ":")):
            axes.axhline(row[key], color=color, linestyle=line, label=name)
        for before, row in zip(curve, curve[1:]):
            if (stage := row.get("stage", 1)) != before.get("stage", 1):
                dashes = "--" if stage == 1 else ":"
                axes.axvline(
                    before["step"], color=GREY, linewidth=1.5, linestyle=dashes, label=f"stage {stage} begins"
                )
        axes.set(xlabel="update", title=title, ylim=(-0.03, 1.03), xlim=(-0.03 * width, 1.03 * width))
    right.axhline(curve[0]["tv_floor"], color=BLACK, linestyle=":", label="floor: a perfect model")
    handles, labels = right.get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=11, frameon=False)
    return fig


def frequencies(support: Mapping[str, float], outputs: Mapping[str, Sequence[str]]) -> Figure:
    """How often each right sentence is written: the exact probability with two standard deviations of as many
    true samples, and for each model (name -> its sentences) its share; the last row is everything else."""
    names = list(support)
    fig, (axes,) = canvas(1, 1, height=1.3 + 0.44 * (len(names) + 1))
    thick, most = 0.7 / len(outputs), max(support.values())
    for j, ((model, texts), color) in enumerate(zip(outputs.items(), (BLUE, ORANGE, GREEN))):
        share = [sum(text == name for text in texts) / len(texts) for name in names]
        share.append(1 - sum(share))
        most = max(most, *share)
        rows = [i + (j - (len(outputs) - 1) / 2) * thick for i in range(len(share))]
        axes.barh(
            rows, share, height=thick, color=color, hatch="//" if j else "", edgecolor="white", label=model
        )
    n = len(next(iter(outputs.values())))
    spread = [2 * (p * (1 - p) / n) ** 0.5 for p in support.values()]
    axes.errorbar(
        list(support.values()),
        range(len(names)),
        xerr=spread,
        fmt="D",
        color=BLACK,
        markersize=6,
        capsize=3,
        linewidth=1.5,
        label=f"exact, ± 2 sd of {n} samples",
    )
    wrapped = ("\n".join(textwrap.wrap(name.replace(" ?", "\u00a0?"), 36)) for name in names)
    labels = [*wrapped, "any other sentence (wrong)"]
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="share of the samples", xlim=(0, 1.08 * most), ylim=(len(labels) - 0.4, -0.6))
    axes.grid(axis="y", visible=False)
    fig.legend(loc="outside upper right", ncols=len(outputs) + 1, fontsize=11, frameon=False)
    return fig


def refinement(rows: Sequence[Row], lines: Mapping[str, Row]) -> Figure:
    """What more network evaluations give a student: validity and coverage (left), TV (right), by `nfe`;
    `lines` are models to compare with (name -> row), drawn at their own nfe."""
    fig, (left, right) = canvas(1, 2, height=3.8)
    nfe = [row["nfe"] for row in rows]
    for key, name, color, marker, line in (
        ("validity", "validity: quality", BLUE, "o", "-"),
        ("coverage", "coverage: diversity", GREEN, "^", "-."),
    ):
        left.plot(nfe, [row[key] for row in rows], color=color, marker=marker, linestyle=line, label=name)
        for row, other in zip(lines.values(), ("D", "X")):
            left.plot(row["nfe"], row[key], color=color, marker=other, linestyle="", markersize=9)
    right.plot(nfe, [row["tv"] for row in rows], color=BLUE, marker="o", label="student")
    floors = [row["tv_floor"] for row in rows]
    right.plot(nfe, floors, color=BLACK, linestyle=":", label="floor: a perfect model")
    for (model, row), marker in zip(lines.items(), ("D", "X")):
        right.plot(
            row["nfe"], row["tv"], color=ORANGE, marker=marker, linestyle="", markersize=9, label=model
        )
        left.plot([], [], color=GREY, marker=marker, linestyle="", markersize=9, label=f"{model}, both")
    low = min(min(row["validity"], row["coverage"]) for row in [*rows, *lines.values()])
    ticks = sorted({*nfe, *(row["nfe"] for row in lines.values())})
    for axes, title in ((left, "Quality and diversity"), (right, "TV to the truth (small is good)")):
        axes.set_xscale("log", base=2)
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
        axes.set(xlabel="network evaluations a sentence", title=title)
    left.set_ylim(max(0.0, low - 0.45), 1.15)
    right.set_ylim(0, 1.5 * max(row["tv"] for row in [*rows, *lines.values()]))
    _legend(left, "lower left")
    _legend(right, "upper right")
    return fig
