"""Figures of notebook 07: recipes at equal budget, their courses, and a live run with a switch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from dlmone_lite.figures.nb06 import Curves
from dlmone_lite.figures.nb06 import live as live_scores
from dlmone_lite.figures.style import BLACK, BLUE, GREEN, GREY, LINES, MARKERS, ORANGE, PALETTE, canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLES = {"validity": "validity", "tv_excess": "TV excess (small is good)", "coverage": "coverage"}


def recipes(ends: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Recipe -> score -> values of the seeds: a dot for each, a bar at their mean, a panel for each score."""
    fig, axes = canvas(1, len(TITLES), height=1.2 + 0.36 * len(ends))
    names = list(ends)
    for ax, (score, title), color, marker in zip(axes, TITLES.items(), (BLUE, ORANGE, GREEN), MARKERS):
        for y, name in enumerate(names):
            values = ends[name][score]
            ax.plot(
                values, [y] * len(values), color=color, marker=marker, linestyle="", alpha=0.6, markersize=5
            )
            ax.plot([fmean(values)] * 2, [y - 0.3, y + 0.3], color=BLACK, linewidth=2.5)
        ax.set(title=title, ylim=(len(names) - 0.4, -0.6), xlim=(-0.03, 1.06))
        ax.set_yticks(range(len(names)), names if ax is axes[0] else [""] * len(names))
    return fig


def courses(found: Mapping[str, Mapping[str, Curves]], switch: int) -> Figure:
    """Recipe -> score -> (updates, one curve per seed): means thick, seeds thin; a line at the switch."""
    fig, axes = canvas(1, 2, height=3.9)
    for ax, score in zip(axes, ("validity", "coverage")):
        for i, (name, curves) in enumerate(found.items()):
            steps, runs = curves[score]
            look = {"color": PALETTE[i], "linestyle": LINES[i]}
            for run in runs:
                ax.plot(steps, run, linewidth=0.7, alpha=0.4, **look)
            mean = [fmean(column) for column in zip(*runs)]
            ax.plot(steps, mean, linewidth=2.4, marker=MARKERS[i], markersize=4, label=name, **look)
        ax.axvline(switch, color=GREY, linewidth=1.5, linestyle=":")
        ax.set(xlabel="update", title=TITLES[score], ylim=(-0.03, 1.06))
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=11, frameon=False)
    return fig


def live(history: Sequence[Mapping[str, Any]], begins: Mapping[str, float], switch: int) -> Figure:
    """A live run's scores, as notebook 06 draws them, with the update of the switch if there is one."""
    fig = live_scores(history, begins)
    if switch:
        fig.axes[0].axvline(switch, color=BLACK, linewidth=1.5, linestyle=":")
        fig.axes[0].annotate("psi restarts", (switch, 1.0), ha="right", va="top", rotation=90, fontsize=11)
    return fig
