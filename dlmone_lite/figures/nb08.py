"""Figures of notebook 08: scores against calls, 1 to 2000; shares; how soon all right answers are seen."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dlmone_lite.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, float]


def methods(rows: Mapping[str, Sequence[Row]]) -> Figure:
    """Validity, TV (with two standard errors, and its floor) and coverage by `nfe`, for each method."""
    fig, axes = style.canvas(1, 3, height=3.9)
    titles = {"validity": "validity", "tv": "TV to the truth", "coverage": "coverage"}
    for ax, (key, title) in zip(axes, titles.items(), strict=True):
        for i, (name, line) in enumerate(rows.items()):
            nfe = [row["nfe"] for row in line]
            ax.plot(nfe, [row[key] for row in line], **style.look(i), label=name)
            style.two_errors(ax, nfe, line, key, style.PALETTE[i])
        style.log_axis(ax, [1, 2, 4, 8], base=2)
        ax.set(title=title, xlabel="calls a sentence", ylim=(-0.03, 1.08))
    axes[1].axhline(next(iter(rows.values()))[0]["tv_floor"], color=style.BLACK, linestyle=":", label="floor")
    style.legend_below(fig, axes[1], columns=3)
    return fig


def frontier(lines: Mapping[str, Sequence[Row]]) -> Figure:
    """TV excess (left) and validity (right) against calls, 1 to 2000, of recorded evaluations."""
    fig, axes = style.canvas(1, 2, height=3.9)
    for ax, key, title in zip(axes, ("tv_excess", "validity"), ("TV excess (small is good)", "validity")):
        for i, (name, rows) in enumerate(lines.items()):
            ax.plot([row["nfe"] for row in rows], [row[key] for row in rows], **style.look(i), label=name)
        style.log_axis(ax, [1, 4, 16, 64, 256, 2000], base=2)
        ax.set(title=title, xlabel="calls a sentence", ylim=(-0.03, 1.05))
    style.legend_below(fig, axes[0], columns=3)
    return fig


def shares(support: Mapping[str, float], written: Mapping[str, float]) -> Figure:
    """How often each right sentence was returned, beside its probability; the last bar is everything else."""
    fig, (ax,) = style.canvas(1, 1, height=0.8 + 0.32 * (len(support) + 1), width=6.8)
    labels = [textwrap.shorten(name, 52, placeholder=" ...") for name in support]
    style.share_bars(ax, support, written, labels)
    ax.set_xlabel("share of what is returned")
    ax.legend(loc="lower right", fontsize=style.SMALLEST, frameon=False)
    return fig


def collector(counts: Sequence[int], curves: Mapping[str, Sequence[float | None]]) -> Figure:
    """Different right sentences after n samples, by method; None where a method has fewer samples."""
    fig, (ax,) = style.canvas(1, 1, height=3.7, width=7.8)
    for i, (name, values) in enumerate(curves.items()):
        measured = [(n, value) for n, value in zip(counts, values) if value is not None]
        ax.plot(
            *zip(*measured),
            **{**style.look(i), "color": style.PALETTE[i - 1] if i else style.BLACK},
            label=name,
        )
    style.log_axis(ax, list(counts), base=2)
    ax.set(xlabel="samples", ylabel="different right ones", ylim=(0, None))
    style.legend_beside(ax)
    return fig
