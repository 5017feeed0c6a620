"""Figures of notebook 10: several calls, and frontiers of quality against diversity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dlmone_lite.figures import style
from dlmone_lite.figures.style import Lines, Row

CALLS = {"validity": "validity", "tv_excess": "TV excess (small is good)"}
FRONTIER = {"validity": "validity", "kl": "KL to the truth, nats (small is good)"}


def by_calls(lines: Lines) -> style.Figure:
    """Label -> evaluations at several numbers of calls: validity and TV excess, with two standard errors."""
    fig, axes = style.canvas(1, 2, height=4.4)
    ticks = sorted({row["nfe"] for rows in lines.values() for row in rows})
    style.scores_by_calls(axes, CALLS, lines, ticks, errors=True, xlabel="network calls")
    return style.legend_below(fig, axes[0], columns=2)


def frontiers(arms: Mapping[str, Sequence[Row]], truth: float) -> style.Figure:
    """Label -> points along the noise scale: validity and KL against entropy, a line at that of the truth.
    The marker is filled where the noise is as loud as in training."""
    fig, axes = style.canvas(1, 2, height=4.8)
    for ax, (key, title) in zip(axes, FRONTIER.items(), strict=True):
        for i, (label, points) in enumerate(arms.items()):
            entropy, values = ([point[name] for point in points] for name in ("entropy", key))
            ax.plot(entropy, values, **style.look(i), markersize=4, markerfacecolor="white", label=label)
            here = next(k for k, point in enumerate(points) if point["scale"] == 1.0)
            ax.plot(entropy[here], values[here], **style.pen(style.PALETTE[i % 7], "", style.MARKERS[i % 7]))
        ax.axvline(truth, color=style.GREY, linewidth=1.5, linestyle=":")
        ax.set(xlabel="entropy of the sentences, nats", title=title)
    return style.legend_below(fig, axes[0], columns=2)
