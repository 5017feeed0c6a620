"""Figures of notebook 05: where a one-step student starts, how it rises, what it writes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from dlmone_lite.figures import style
from dlmone_lite.figures.style import Row, Shares

PALE = "#bbbbbb"  # what is not reached yet; never the only carrier of a fact
LOOKS = (
    style.pen(style.BLUE, "-", "o"),
    style.pen(style.GREEN, "-.", "^"),
    style.pen(style.ORANGE, "--", "s"),
)


def levels(rows: Sequence[Row], chosen: int) -> style.Figure:
    """Scores of one evaluation on pure noise at each t, and the chosen t_init.

    rows: with t, ratio (sigma / alpha), validity and validity_se (drawn twice up and down), choice (variance
    over z of an output coordinate), blur (its squared distance to the nearest embedding).
    """
    fig, (left, right) = style.canvas(1, 2, height=3.5)
    style.score(left, "t", rows, "ratio", "", style.pen(style.BLACK, "-", "P"))
    left.set(yscale="log", xlabel="noise step t", ylabel="sigma / alpha", title="Noise level")

    names = {"validity": "sentences right", "choice": "what z decides (variance)"}
    names |= {"blur": "blur (distance to words)"}
    for (key, name), look in zip(names.items(), LOOKS):
        style.score(right, "t", rows, key, name, look, errors=key == "validity")
    top = max(row[key] for row in rows for key in names)
    right.set(xlabel="noise step t", title="One evaluation on pure noise", ylim=(-0.03, 1.6 * top))
    style.legend(right, "upper left")

    for axes in (left, right):
        axes.axvline(chosen, color=style.GREY, linewidth=1.2, linestyle=":")
    where = (chosen, 1.5 * left.get_ylim()[0])
    left.annotate(f"t_init = {chosen} ", where, ha="right", va="bottom", color=style.BLACK, fontsize=11)
    return fig


def rise(curve: Sequence[Row], lines: Mapping[str, Row], until: float | None = None) -> style.Figure:
    """Validity (left) and total variation (right) of the one-step student while it trains.

    curve: rows with step, validity, tv, tv_floor and, where there are several, stage (0: a warm start).
    lines: name -> a row with validity and tv to compare with (the teacher). until: later steps are pale.
    """
    fig, (left, right) = style.canvas(1, 2, height=3.9)
    seen = [row for row in curve if until is None or row["step"] <= until]
    width = max(curve[-1]["step"], 20)
    titles = {"validity": "Right sentences, one step", "tv": "TV to the truth, one step"}
    for axes, (key, title) in zip((left, right), titles.items()):
        if len(seen) < len(curve):
            style.score(axes, "step", curve, key, "recorded later", {"color": PALE, "linewidth": 1.2})
        student = {"color": style.BLUE, "marker": "o", "markersize": 4.5}
        style.score(axes, "step", seen, key, "student", student)
        others = zip((style.ORANGE, style.RED, style.PINK), ("--", "-.", ":"))
        for (name, row), look in zip(lines.items(), others):
            axes.axhline(row[key], **style.pen(*look), label=name)
        for before, row in itertools.pairwise(curve):
            if (stage := row.get("stage", 1)) != before.get("stage", 1):
                dashed = style.pen(style.GREY, "--" if stage == 1 else ":")
                axes.axvline(before["step"], **dashed, linewidth=1.5, label=f"stage {stage} begins")
        axes.set(xlabel="update", title=title, ylim=(-0.03, 1.03), xlim=(-0.03 * width, 1.03 * width))
    right.axhline(curve[0]["tv_floor"], color=style.BLACK, linestyle=":", label="floor: a perfect model")
    return style.legend_below(fig, right, columns=3)


def frequencies(support: Shares, outputs: Mapping[str, Sequence[str]]) -> style.Figure:
    """How often each model (name -> its sentences) writes each right sentence; the last row is all others.
    Diamonds: the exact probability, with two standard deviations of as many true samples."""
    names = list(support)
    fig, (axes,) = style.canvas(height=1.3 + 0.44 * (len(names) + 1))
    thick, most = 0.7 / len(outputs), max(support.values())
    for j, (model, texts) in enumerate(outputs.items()):
        share = [sum(text == name for text in texts) / len(texts) for name in names]
        share.append(1 - sum(share))
        most = max(most, *share)
        rows = [i + (j - (len(outputs) - 1) / 2) * thick for i in range(len(share))]
        hatched = {"color": style.PALETTE[j], "hatch": "//" if j else "", "edgecolor": "white"}
        axes.barh(rows, share, height=thick, **hatched, label=model)

    exact, n = list(support.values()), len(next(iter(outputs.values())))
    spread = [2 * (p * (1 - p) / n) ** 0.5 for p in exact]
    most = max(most, *map(sum, zip(exact, spread)))
    marks = {"fmt": "D", "color": style.BLACK, "markersize": 6, "capsize": 3, "linewidth": 1.5}
    axes.errorbar(exact, range(len(names)), xerr=spread, **marks, label=f"exact, ± 2 sd of {n} samples")
    style.name_rows(axes, [*(style.wrap(name, 36) for name in names), "any other sentence (wrong)"])
    axes.set(xlabel="share of the samples", xlim=(0, 1.08 * most))
    fig.legend(loc="outside upper right", ncols=len(outputs) + 1, **style.PLAIN)
    return fig
