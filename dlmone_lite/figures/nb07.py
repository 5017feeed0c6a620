"""Figures of notebook 07: recipes at equal budget, and a live run with a switch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dlmone_lite.figures import nb06, style
from dlmone_lite.figures.style import Curves, Row

TITLES = {"validity": "validity", "tv_excess": "TV excess\n(small is good)", "coverage": "coverage"}


def recipes(ends: Mapping[str, Curves]) -> style.Figure:
    """Recipe -> score -> values of the seeds: a dot for each, a bar at their mean, a panel for each score."""
    fig, axes = style.canvas(1, len(TITLES), height=1.2 + 0.36 * len(ends))
    colors = (style.BLUE, style.ORANGE, style.GREEN)
    for ax, (score, title), color, marker in zip(axes, TITLES.items(), colors, style.MARKERS):
        for y, values in enumerate(ends.values()):
            style.dots(ax, y, values[score], style.pen(color, "", marker))
        names = [style.wrap(name, 34) if ax is axes[0] else "" for name in ends]
        style.name_rows(ax, names, grid=True)
        ax.set(title=title, xlim=(-0.03, 1.06))
    return fig


def live(evaluations: Sequence[Row], begins: Row, restarts: Sequence[int]) -> style.Figure:
    """A live run as notebook 06 draws it, its twin (key "twin") in grey, a line at every restart of psi."""
    twins = [{"step": row["step"], **row["twin"]} for row in evaluations if "twin" in row]
    fig = nb06.live(evaluations, begins, twins)
    for step in restarts:
        fig.axes[0].axvline(step, color=style.BLACK, linewidth=1.5, linestyle=":")
        look = {"ha": "right", "va": "top", "rotation": 90, "fontsize": 11}
        fig.axes[0].annotate("psi restarts", (step, 1.0), **look)
    return fig
