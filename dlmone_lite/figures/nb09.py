"""Figures of notebook 09: scores against calls on real text, ratios with intervals, transfer between sets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dlmone_lite.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
Span = tuple[float, float, float]  # value, low, high
CALLS = (1, 4, 16, 64, 256, 2000)
COPY = "copy of the source"
DASHED = {"color": style.BLACK, "linestyle": (0, (6, 3))}


def against_calls(lines: Mapping[str, Mapping[str, Sequence[Row]]], copies: Mapping[str, float]) -> Figure:
    """BLEU (above) and self-BLEU (below) by `nfe`: title of a column -> network -> rows. Copying is dashed,
    its self-BLEU is 1."""
    fig, axes = style.canvas(2, len(lines), height=5.4)
    most = max((row["nfe"] for kinds in lines.values() for rows in kinds.values() for row in rows), default=1)
    for column, (title, kinds) in enumerate(lines.items()):
        above, below = axes[column], axes[column + len(lines)]
        for ax, key in ((above, "bleu"), (below, "self_bleu")):
            for i, (name, rows) in enumerate(kinds.items()):
                ax.plot([row["nfe"] for row in rows], [row[key] for row in rows], **style.look(i), label=name)
            style.log_axis(ax, [calls for calls in CALLS if calls <= most], base=2)
        if title in copies:
            above.axhline(copies[title], **DASHED, label=COPY)
            below.axhline(1.0, **DASHED)
        highest = max([copies.get(title, 0.0), *(row["bleu"] for rows in kinds.values() for row in rows)])
        above.set(title=title, ylim=(0, 1.08 * highest or None))
        below.set(xlabel="calls a sentence", ylim=(0, 1.06))
    for ax, name in ((axes[0], "BLEU"), (axes[len(lines)], "self-BLEU")):
        ax.set_ylabel(name)
    style.legend_below(fig, axes[0], columns=4)
    return fig


def ratios(own: Mapping[str, Span], recorded: Mapping[str, Span]) -> Figure:
    """Student's BLEU over the teacher's with intervals: of `own` sentences (discs), recorded (diamonds)."""
    names = list(dict.fromkeys([*own, *recorded]))
    fig, (ax,) = style.canvas(1, 1, height=1.4 + 0.6 * len(names), width=7.8)
    ax.axvline(1.0, color=style.GREY, linestyle="--", linewidth=1.5)
    for spans, shift, color, marker, label in (
        (own, -0.17, style.BLUE, "o", "own sentences"),
        (recorded, 0.17, style.BLACK, "D", "recorded"),
    ):
        for name, (value, low, high) in spans.items():
            y = names.index(name) + shift
            ax.plot([low, high], [y, y], color=color, linewidth=3)
            ax.plot([value], [y], marker=marker, color=color, markersize=8)
        ax.plot([], [], color=color, marker=marker, linewidth=3, label=f"{label}, 95% interval")
    style.name_rows(ax, names)
    ax.set(xlabel="student's BLEU over the teacher's", xlim=(0, None))
    style.legend_below(fig, ax, columns=2)
    return fig


def between(
    matrix: Mapping[str, Mapping[str, float]], copies: Mapping[str, float], titles: Mapping[str, str]
) -> Figure:
    """Heat map of BLEU: where a student was trained (rows) and measured (columns), copying in the last row.

    The colour is BLEU over that of the student trained on the column's own set; blank: not measured.
    """
    import seaborn

    tasks = [task for task in titles if task in matrix or any(task in row for row in matrix.values())]
    bleu = [[matrix.get(own, {}).get(task, math.nan) for task in tasks] for own in tasks]
    bleu.append([copies.get(task, math.nan) for task in tasks])
    diagonal = [row[i] for i, row in enumerate(bleu[:-1])]
    shares = [[value / own if own else math.nan for value, own in zip(row, diagonal)] for row in bleu]

    fig, (ax,) = style.canvas(1, 1, height=3.9, width=7.4)
    colours = {"vmin": 0, "vmax": 2, "cmap": "viridis", "linewidths": 2, "linecolor": "white"}
    bar = {"label": "over the own student's BLEU", "extend": "max"}
    columns = [f"on {titles[task]}" for task in tasks]
    rows = [*(f"trained on {titles[task]}" for task in tasks), COPY]
    with style.in_style():
        seaborn.heatmap(
            shares,
            ax=ax,
            annot=bleu,
            fmt=".3f",
            annot_kws={"fontsize": 12},
            cbar_kws=bar,
            xticklabels=columns,
            yticklabels=rows,
            **colours,
        )
        ax.axhline(len(tasks), color=style.BLACK, linewidth=2)
        ax.tick_params(axis="y", rotation=0, length=0)
        ax.tick_params(axis="x", length=0)
    return fig
