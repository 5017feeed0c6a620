"""Figures of notebook 09: scores against calls on real text, ratios with intervals, transfer between sets."""

from __future__ import annotations

import math
from collections.abc import Mapping

from dlmone_lite.figures import style
from dlmone_lite.figures.style import Lines, Shares

Span = tuple[float, float, float]  # value, low, high
CALLS = (1, 4, 16, 64, 256, 2000)
COPY = "copy of the source"
DASHED = {"color": style.BLACK, "linestyle": (0, (6, 3))}


def against_calls(lines: Mapping[str, Lines], copies: Shares) -> style.Figure:
    """BLEU (above) and self-BLEU (below) by `nfe`: title of a column -> network -> rows. Copying is dashed,
    its self-BLEU is 1."""
    fig, axes = style.canvas(2, len(lines), height=5.4)
    most = max((row["nfe"] for kinds in lines.values() for rows in kinds.values() for row in rows), default=1)
    ticks = [calls for calls in CALLS if calls <= most]
    for (title, kinds), above, below in zip(lines.items(), axes, axes[len(lines) :]):
        style.scores_by_calls((above, below), {"bleu": title, "self_bleu": ""}, kinds, ticks)
        if title in copies:
            above.axhline(copies[title], **DASHED, label=COPY)
            below.axhline(1.0, **DASHED)
        highest = max([copies.get(title, 0.0), *(row["bleu"] for rows in kinds.values() for row in rows)])
        above.set_ylim(0, 1.08 * highest or None)
        below.set(xlabel="calls a sentence", ylim=(0, 1.06))
    axes[0].set_ylabel("BLEU")
    axes[len(lines)].set_ylabel("self-BLEU")
    return style.legend_below(fig, axes[0], columns=4)


def ratios(own: Mapping[str, Span], recorded: Mapping[str, Span]) -> style.Figure:
    """Student's BLEU over the teacher's with intervals: of `own` sentences (discs), recorded (diamonds)."""
    names = list(dict.fromkeys([*own, *recorded]))
    fig, (ax,) = style.canvas(height=1.4 + 0.6 * len(names), width=7.8)
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
    return style.legend_below(fig, ax, columns=2)


def between(matrix: Mapping[str, Shares], copies: Shares, titles: Mapping[str, str]) -> style.Figure:
    """Heat map of BLEU: where a student was trained (rows) and measured (columns), copying in the last row.

    The colour is BLEU over that of the student trained on the column's own set; blank: not measured.
    """
    tasks = [task for task in titles if task in matrix or any(task in row for row in matrix.values())]
    bleu = [[matrix.get(own, {}).get(task, math.nan) for task in tasks] for own in tasks]
    bleu.append([copies.get(task, math.nan) for task in tasks])
    diagonal = [row[i] for i, row in enumerate(bleu[:-1])]
    shares = [[value / own if own else math.nan for value, own in zip(row, diagonal)] for row in bleu]

    fig, (ax,) = style.canvas(height=3.9, width=7.4)
    columns = [f"on {titles[task]}" for task in tasks]
    rows = [*(f"trained on {titles[task]}" for task in tasks), COPY]
    look = {"vmax": 2, "linewidths": 2, "annot_kws": {"fontsize": 12}, "fmt": ".3f"}
    bar = {"label": "over the own student's BLEU", "extend": "max"}
    style.heat_map(ax, shares, rows, columns, annot=bleu, cbar_kws=bar, **look)
    ax.axhline(len(tasks), color=style.BLACK, linewidth=2)
    ax.tick_params(length=0)
    return fig
