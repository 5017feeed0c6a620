"""Figures of notebook 09: scores against calls on real text, ratios with intervals, between the sets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dlmone_lite.figures.style import BLACK, BLUE, GREY, LINES, MARKERS, PALETTE, STYLE, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
Span = tuple[float, float, float]  # value, low, high
TICKS = (1, 4, 16, 64, 256, 2000)
COPY = "copy of the source"


def _calls(axes: Axes, most: int) -> None:
    ticks = [tick for tick in TICKS if tick <= most]
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()


def against_calls(lines: Mapping[str, Mapping[str, Sequence[Row]]], copies: Mapping[str, float]) -> Figure:
    """BLEU (above) and self-BLEU (below) by `nfe`: title of a column -> network -> rows. Copying is dashed,
    its self-BLEU is 1."""
    fig, axes = canvas(2, len(lines), height=5.4)
    most = max((row["nfe"] for kinds in lines.values() for rows in kinds.values() for row in rows), default=1)
    for column, (title, kinds) in enumerate(lines.items()):
        above, below = axes[column], axes[column + len(lines)]
        for ax, key in ((above, "bleu"), (below, "self_bleu")):
            for i, (name, rows) in enumerate(kinds.items()):
                look = {"color": PALETTE[i], "marker": MARKERS[i], "linestyle": LINES[i], "label": name}
                ax.plot([row["nfe"] for row in rows], [row[key] for row in rows], **look)
            _calls(ax, most)
        if title in copies:
            above.axhline(copies[title], color=BLACK, linestyle=(0, (6, 3)), label=COPY)
            below.axhline(1.0, color=BLACK, linestyle=(0, (6, 3)))
        highest = max([copies.get(title, 0.0), *(row["bleu"] for rows in kinds.values() for row in rows)])
        above.set(title=title, ylim=(0, 1.08 * highest or None))
        below.set(xlabel="calls a sentence", ylim=(0, 1.06))
    for ax, name in ((axes[0], "BLEU"), (axes[len(lines)], "self-BLEU")):
        ax.set_ylabel(name)
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=11, frameon=False)
    return fig


def ratios(found: Mapping[str, Span], recorded: Mapping[str, Span]) -> Figure:
    """Student's BLEU over the teacher's with its interval: `found` here (discs), of records (diamonds)."""
    names = list(dict.fromkeys([*found, *recorded]))
    fig, (ax,) = canvas(1, 1, height=1.4 + 0.6 * len(names), width=7.8)
    ax.axvline(1.0, color=GREY, linestyle="--", linewidth=1.5)
    for spans, shift, color, marker, label in (
        (found, -0.17, BLUE, "o", "own sentences"),
        (recorded, 0.17, BLACK, "D", "recorded"),
    ):
        for name, (value, low, high) in spans.items():
            y = names.index(name) + shift
            ax.plot([low, high], [y, y], color=color, linewidth=3)
            ax.plot([value], [y], marker=marker, color=color, markersize=8)
        ax.plot([], [], color=color, marker=marker, linewidth=3, label=f"{label}, 95% interval")
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel="student's BLEU over the teacher's", ylim=(len(names) - 0.4, -0.6), xlim=(0, None))
    ax.grid(axis="y", visible=False)
    fig.legend(
        *ax.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=11, frameon=False
    )
    return fig


def between(
    matrix: Mapping[str, Mapping[str, float]], copies: Mapping[str, float], titles: Mapping[str, str]
) -> Figure:
    """Heat map of BLEU: where a student was trained (rows) and measured (columns), copying in the last row.

    A colour says which share it has of the student trained on the column's own set; blank: not measured.
    """
    import seaborn
    from matplotlib import rc_context

    tasks = [task for task in titles if task in matrix or any(task in row for row in matrix.values())]
    bleu = [[matrix.get(own, {}).get(task, math.nan) for task in tasks] for own in tasks]
    bleu.append([copies.get(task, math.nan) for task in tasks])
    diagonal = [row[i] for i, row in enumerate(bleu[:-1])]
    shares = [[value / own if own else math.nan for value, own in zip(row, diagonal)] for row in bleu]
    fig, (ax,) = canvas(1, 1, height=3.9, width=7.4)
    with rc_context(STYLE):
        seaborn.heatmap(
            shares,
            ax=ax,
            vmin=0,
            vmax=2,
            cmap="viridis",
            annot=bleu,
            fmt=".3f",
            linewidths=2,
            linecolor="white",
            annot_kws={"fontsize": 12},
            cbar_kws={"label": "over the own student's BLEU", "extend": "max"},
            xticklabels=[f"on {titles[task]}" for task in tasks],
            yticklabels=[*(f"trained on {titles[task]}" for task in tasks), COPY],
        )
        ax.axhline(len(tasks), color=BLACK, linewidth=2)
        ax.tick_params(axis="y", rotation=0, length=0)
        ax.tick_params(axis="x", length=0)
    return fig
