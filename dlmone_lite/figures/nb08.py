"""Figures of notebook 08: scores against calls, 1 to 2000; shares; how soon all right answers are seen."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from dlmone_lite.figures import style
from dlmone_lite.figures.style import Lines, Shares


def methods(rows: Lines) -> style.Figure:
    """Validity, TV (with two standard errors, and its floor) and coverage by `nfe`, for each method."""
    fig, axes = style.canvas(1, 3, height=3.9)
    titles = {"validity": "validity", "tv": "TV to the truth", "coverage": "coverage"}
    settings = {"xlabel": "calls a sentence", "ylim": (-0.03, 1.08)}
    style.scores_by_calls(axes, titles, rows, [1, 2, 4, 8], errors=True, **settings)
    axes[1].axhline(next(iter(rows.values()))[0]["tv_floor"], color=style.BLACK, linestyle=":", label="floor")
    return style.legend_below(fig, axes[1], columns=3)


def frontier(lines: Lines) -> style.Figure:
    """TV excess (left) and validity (right) against calls, 1 to 2000, of recorded evaluations."""
    fig, axes = style.canvas(1, 2, height=3.9)
    titles = {"tv_excess": "TV excess (small is good)", "validity": "validity"}
    settings = {"xlabel": "calls a sentence", "ylim": (-0.03, 1.05)}
    style.scores_by_calls(axes, titles, lines, [1, 4, 16, 64, 256, 2000], **settings)
    return style.legend_below(fig, axes[0], columns=3)


def shares(support: Shares, written: Shares) -> style.Figure:
    """How often each right sentence was returned, beside its probability; the last bar is everything else."""
    fig, (ax,) = style.canvas(height=0.8 + 0.32 * (len(support) + 1), width=6.8)
    labels = [textwrap.shorten(name, 52, placeholder=" ...") for name in support]
    style.share_bars(ax, support, written, labels)
    ax.set_xlabel("share of what is returned")
    ax.legend(loc="lower right", **style.PLAIN)
    return fig


def collector(counts: Sequence[int], curves: Mapping[str, Sequence[float | None]]) -> style.Figure:
    """Different right sentences after n samples, by method; None where a method has fewer samples."""
    fig, (ax,) = style.canvas(height=3.7, width=7.8)
    for i, (name, values) in enumerate(curves.items()):
        measured = [(n, value) for n, value in zip(counts, values) if value is not None]
        look = {**style.look(i), "color": style.PALETTE[i - 1] if i else style.BLACK}
        ax.plot(*zip(*measured), **look, label=name)
    style.log_axis(ax, list(counts), base=2)
    ax.set(xlabel="samples", ylabel="different right ones", ylim=(0, None))
    return style.legend_beside(ax)
