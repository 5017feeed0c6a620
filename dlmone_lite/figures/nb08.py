"""Figures of notebook 08: what calls buy, one to two thousand; shares, and how soon all answers are seen."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dlmone_lite.figures.style import BLACK, BLUE, GREY, LINES, MARKERS, PALETTE, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, float]


def _calls(axes: Axes, ticks: Sequence[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("calls a sentence")


def methods(rows: Mapping[str, Sequence[Row]]) -> Figure:
    """Validity, TV (with two standard errors, and its floor) and coverage by `nfe`, for each method."""
    fig, axes = canvas(1, 3, height=3.9)
    for ax, key, title in zip(
        axes, ("validity", "tv", "coverage"), ("validity", "TV to the truth", "coverage")
    ):
        for i, (name, line) in enumerate(rows.items()):
            nfe, values = [row["nfe"] for row in line], [row[key] for row in line]
            ends = [[row[key] + sign * 2 * row[f"{key}_se"] for row in line] for sign in (-1, 1)]
            ax.plot(nfe, values, color=PALETTE[i], marker=MARKERS[i], linestyle=LINES[i], label=name)
            ax.vlines(nfe, *ends, color=PALETTE[i], linewidth=1.2)
        ax.set(title=title, ylim=(-0.03, 1.08))
        _calls(ax, [1, 2, 4, 8])
    axes[1].axhline(next(iter(rows.values()))[0]["tv_floor"], color=BLACK, linestyle=":", label="floor")
    handles, labels = axes[1].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=11, frameon=False)
    return fig


def frontier(lines: Mapping[str, Sequence[Row]]) -> Figure:
    """TV excess (left) and validity (right) against calls, 1 to 2000, of recorded evaluations."""
    fig, axes = canvas(1, 2, height=3.9)
    for ax, key, title in zip(axes, ("tv_excess", "validity"), ("TV excess (small is good)", "validity")):
        for i, (name, rows) in enumerate(lines.items()):
            look = {"color": PALETTE[i], "marker": MARKERS[i], "linestyle": LINES[i], "label": name}
            ax.plot([row["nfe"] for row in rows], [row[key] for row in rows], **look)
        ax.set(title=title, ylim=(-0.03, 1.05))
        _calls(ax, [1, 4, 16, 64, 256, 2000])
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=11, frameon=False)
    return fig


def shares(support: Mapping[str, float], written: Mapping[str, float]) -> Figure:
    """How often each right sentence was returned, beside its probability; the last bar is everything else."""
    names = list(support)
    fig, (ax,) = canvas(1, 1, height=0.8 + 0.32 * (len(names) + 1), width=6.8)
    rest = 1 - sum(written.values())
    ax.barh(
        range(len(names) + 1),
        [*(written[name] for name in names), rest],
        height=0.6,
        color=[*[BLUE] * len(names), GREY],
    )
    ax.plot(
        list(support.values()), range(len(names)), "D", color=BLACK, markersize=6, label="exact probability"
    )
    labels = [textwrap.shorten(name, 52, placeholder=" ...") for name in names]
    ax.set_yticks(range(len(names) + 1), [*labels, "anything else"])
    ax.set(xlim=(0, 1.02), ylim=(len(names) + 0.6, -0.6), xlabel="share of what is returned")
    ax.grid(axis="y", visible=False)
    ax.legend(loc="lower right", fontsize=11, frameon=False)
    return fig


def collector(counts: Sequence[int], curves: Mapping[str, Sequence[float | None]]) -> Figure:
    """Different right sentences seen after n samples, by method; None where there are not so many."""
    fig, (ax,) = canvas(1, 1, height=3.7, width=7.8)
    for i, (name, values) in enumerate(curves.items()):
        known = [(n, value) for n, value in zip(counts, values) if value is not None]
        look = {"color": BLACK if i == 0 else PALETTE[i - 1], "marker": MARKERS[i], "linestyle": LINES[i]}
        ax.plot(*zip(*known), label=name, **look)
    _calls(ax, list(counts))
    ax.set(xlabel="samples", ylabel="different right ones", ylim=(0, None))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=11, frameon=False)
    return fig
