"""Figures of notebook 11: factorised and other neighbours, samplers of a teacher."""

from __future__ import annotations

from collections.abc import Mapping

from dlmone_lite.figures import style
from dlmone_lite.figures.style import Lines


def factorised(lines: Lines, levels: Mapping[str, float]) -> style.Figure:
    """Label -> evaluations by calls: total variation, and levels that hold for every product, as lines."""
    fig, (ax,) = style.canvas(height=4.0, width=7.4)
    for i, (label, rows) in enumerate(lines.items()):
        style.score(ax, "nfe", rows, "tv", label, style.look(i), errors=True)
    for i, (label, level) in enumerate(levels.items()):
        ax.axhline(level, color=style.BLACK, linestyle=style.LINES[i + 1], linewidth=1.4, label=label)
    style.log_axis(ax, [row["nfe"] for row in next(iter(lines.values()))], base=2)
    ax.set(xlabel="network calls", ylabel="total variation", ylim=(-0.02, 1.05))
    return style.legend_beside(ax)


def samplers(teachers: Mapping[str, Lines]) -> style.Figure:
    """Teacher -> sampler -> evaluations by calls: TV excess, a panel for each teacher."""
    fig, axes = style.canvas(1, len(teachers), height=4.4)
    for ax, (title, lines) in zip(axes, teachers.items(), strict=True):
        for i, (label, rows) in enumerate(lines.items()):
            style.score(ax, "nfe", rows, "tv_excess", label, style.look(i))
        style.log_axis(ax, [row["nfe"] for row in next(iter(lines.values()))], base=2)
        ax.set(title=title, xlabel="network calls", ylim=(-0.02, 1.05))
    axes[0].set_ylabel("TV excess")
    return style.legend_below(fig, axes[0], columns=3)
