"""Figures of notebook 02: words on a sphere, rows of tokens, margins against noise, scale and collapse."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from dlmone_lite.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    LINES,
    MARKERS,
    ORANGE,
    PALETTE,
    RED,
    SKY,
    canvas,
    lines,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

KINDS = ("source", "[SEP] / [CLS]", "target", "[PAD]")  # what may stand at a position of `layouts`
SHADES = (SKY, BLACK, ORANGE, "#e4e4e4")
READERS = {  # what a word is read from: colour, marker
    "own position alone": (BLUE, "o"),
    "with the source": (GREEN, "s"),
    "with all positions": (ORANGE, "D"),
}


def cosines(
    table: Tensor, groups: Sequence[tuple[str, int]], samples: Mapping[str, Sequence[float]]
) -> Figure:
    """Left: cosines (n, n) of words that stand group by group (name, size). Right: their distributions."""
    fig, (left, right) = canvas(1, 2, height=4.2, ratios=[1.25, 1])
    image = left.imshow(table, cmap="cividis", vmin=0.2, vmax=0.8, interpolation="nearest")
    edges = [0]
    for _, size in groups:
        edges.append(edges[-1] + size)
    for edge in edges[1:-1]:
        left.axhline(edge - 0.5, color="white", linewidth=0.8)
        left.axvline(edge - 0.5, color="white", linewidth=0.8)
    left.set_yticks(
        [(a + b - 1) / 2 for a, b in itertools.pairwise(edges)], [f"{name} ({size})" for name, size in groups]
    )
    left.set_xticks([])
    left.grid(visible=False)
    left.set_title("cosine of every pair of words")
    fig.colorbar(image, ax=left, shrink=0.9, extend="both")
    bins = [i / 25 - 0.6 for i in range(41)]
    for i, (name, values) in enumerate(samples.items()):
        look = {"color": PALETTE[i], "linestyle": LINES[i], "linewidth": 2}
        right.hist(values, bins=bins, density=True, histtype="step", label=name, **look)
    right.set(xlabel="cosine", ylabel="density", xlim=(-0.65, 1.05), title="their distribution")
    right.legend(loc="upper left")
    right.set_ylim(0, right.get_ylim()[1] * 1.3)
    return fig


def layouts(rows: Mapping[str, Tensor]) -> Figure:
    """One picture per layout (the keys): rows (n, L) of kinds, numbers into `KINDS`."""
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    fig, axes = canvas(1, len(rows), height=3.6)
    for ax, (title, kinds) in zip(axes, rows.items(), strict=True):
        ax.imshow(kinds, cmap=ListedColormap(SHADES), vmin=0, vmax=3, aspect="auto", interpolation="nearest")
        ax.set(title=title, xlabel="position", yticks=[])
        ax.grid(visible=False)
    axes[0].set_ylabel(f"{len(next(iter(rows.values())))} pairs")
    patches = [Patch(facecolor=c, edgecolor=GREY, label=k) for c, k in zip(SHADES, KINDS, strict=True)]
    fig.legend(handles=patches, loc="outside lower center", ncols=4)
    return fig


def band(
    ax: Axes, x: Sequence[float], low_mid_high: Sequence[Sequence[float]], look: tuple[str, str], label: str
) -> None:
    """A middle line inside the band from low to high."""
    colour, marker = look
    low, middle, high = low_mid_high
    ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
    ax.plot(x, middle, color=colour, marker=marker, markevery=6, label=label)


def misreading(
    ratio: Sequence[float],
    margin: Sequence[Sequence[float]],
    measured: Sequence[float],
    upper: Sequence[float],
    lower: Sequence[float],
) -> Figure:
    """Left: margin (low, middle, high) of the nearest token; right: share misread, between its two bounds."""
    fig, (left, right) = canvas(1, 2, height=3.8)
    band(left, ratio, margin, READERS["own position alone"], "median, and 80% of all words")
    left.axhline(0, color=RED, linestyle="--", label="below: misread")
    left.set(ylabel="margin of the right word", title="nearest-token margin")
    left.legend(loc="lower left")
    right.plot(ratio, upper, color=ORANGE, linestyle="--", label="union bound")
    right.plot(ratio, lower, color=GREEN, linestyle="-.", label="nearest word alone")
    right.plot(ratio, measured, "o", color=BLUE, fillstyle="none", label="measured")
    right.set(ylabel="share of words misread", yscale="log", ylim=(1e-4, 1.5), title="rounding error")
    right.legend(loc="lower right")
    for ax in (left, right):
        ax.set(xscale="log", xlabel=r"noise level $\sigma/\alpha$")
        ax.set_xticks([0.3, 0.5, 1, 2, 3], ["0.3", "0.5", "1", "2", "3"])
        ax.minorticks_off()
    return fig


def when_decided(
    ratio: Sequence[float],
    margins: Mapping[str, Sequence[Sequence[float]]],
    words: Sequence[str],
    level: Mapping[str, Sequence[float]],
    clock: Sequence[tuple[float, int]],
) -> Figure:
    """The figure to remember. Above: margins (low, middle, high) against noise. Below: for each word and
    each of `READERS`, the level up to which it is decided (inf: at any noise).

    `clock` holds the places of the ticks, as pairs of sigma/alpha and t.
    """
    fig, (top, below) = canvas(2, 1, height=3.6 + 0.26 * len(words))
    fig.get_layout_engine().set(h_pad=0.06)
    top.get_gridspec().set_height_ratios([1, 0.4 + 0.115 * len(words)])
    for (name, values), look in zip(margins.items(), ((BLUE, "o"), (ORANGE, "D")), strict=True):
        band(top, ratio, values, look, name)
    top.axhline(0, color=RED, linestyle="--", linewidth=1.5)
    top.set(
        ylabel="margin",
        title="margin to the nearest wrong one, median and 80% of draws; below 0 it is misread",
        ylim=(-8, 12),
    )
    top.legend(loc=(0.01, 0.53))
    right = max(ratio)
    rows = range(len(words))
    ends = [[min(level[name][i], right) for name in READERS] for i in rows]
    below.hlines(rows, [min(e) for e in ends], [max(e) for e in ends], color="#bbbbbb", linewidth=4, zorder=1)
    for name, (colour, marker) in READERS.items():
        here = [(v, i) for i, v in enumerate(level[name]) if v < right]
        look = {"color": colour, "marker": marker, "s": 60, "edgecolors": "black", "zorder": 3}
        below.scatter([v for v, _ in here], [i for _, i in here], label=name, **look)
    sure = [i for i in rows if max(ends[i]) >= right]
    look = {"marker": ">", "s": 70, "color": BLACK, "label": "beyond this", "clip_on": False, "zorder": 3}
    if sure:
        below.scatter([right] * len(sure), sure, **look)
    below.set_yticks(rows, words)
    below.set(ylim=(len(words) - 0.4, -0.6), title="the noise up to which each word is decided")
    fig.legend(*below.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    for ax in (top, below):
        ax.set(xscale="log", xlim=(min(ratio), right))
    below.set_xlabel(r"noise level $\sigma/\alpha$ (and step $t$ of the square-root schedule)")
    below.set_xticks([r for r, _ in clock], [f"{r:g}\nt={t}" for r, t in clock])
    top.set_xticks([r for r, _ in clock], [""] * len(clock))
    for ax in (top, below):
        ax.minorticks_off()
    return fig


def by_scale(scale: Sequence[float], losses: Mapping[str, Sequence[float]]) -> Figure:
    """Losses against the factor on all embeddings."""
    fig, (ax,) = canvas(height=3.6)
    lines(ax, scale, losses, "factor on all embeddings", "loss", log_x=True, log_y=True)
    for line, marker in zip(ax.get_lines(), MARKERS, strict=False):
        line.set(marker=marker, markevery=3)
    ax.axvline(1, color=GREY, linewidth=1)
    ax.set_ylim(1e-6, 30)
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return fig


def collapse(runs: Mapping[str, Sequence[Sequence[float]]], ylabel: str) -> Figure:
    """A value over training steps: one colour per setting (the keys), one line per seed."""
    fig, (ax,) = canvas(height=3.7)
    for i, (name, seeds) in enumerate(runs.items()):
        for j, values in enumerate(seeds):
            look = {"color": PALETTE[i], "linestyle": LINES[i], "linewidth": 1.4}
            look |= {"marker": MARKERS[i], "markevery": (12 * j, 60), "label": "" if j else name}
            ax.plot(range(len(values)), values, **look)
    ax.set(xlabel="training step", ylabel=ylabel, ylim=(0, None))
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return fig


def mixing(differ: Sequence[int], measured: Sequence[float], law: Sequence[float]) -> Figure:
    """Share of word-by-word mixtures of two right sentences that are right, by how many words differ."""
    fig, (ax,) = canvas(height=3.3)
    places = range(1, len(law) + 1)
    ax.plot(places, law, color=ORANGE, linestyle="--", label="$2^{1-m}$: only the two themselves")
    ax.plot(differ, measured, "o", color=BLUE, fillstyle="none", label="measured, all such pairs")
    ax.set(
        xlabel="positions $m$ at which the two sentences differ", ylabel="share that is right", yscale="log"
    )
    ax.set_xticks(places)
    ax.legend(loc="upper right")
    return fig


WIDEST = 3.0  # margins beyond this fill the whole bar


ORIGINS = {  # where a word of a walk comes from: mark, background
    "both": ("=", "#e6e6e6"),
    "first": ("A", "#9cc9e6"),
    "second": ("B", "#f6cf85"),
    "neither": ("!", "#f2a98f"),
}


PAGE = '<div style="background:#fff;color:#000;padding:6px;font-size:14px;line-height:1.3">'


@dataclass(frozen=True)
class Reading:
    """One position: the true word, its margin, and what is read there by whom, with its probability."""

    word: str
    margin: float
    reads: tuple[tuple[str, float], ...]


def _bar(margin: float) -> str:
    """A bar to the right of the middle for a positive margin, to the left for a negative one."""
    share = 50 * min(1.0, abs(margin) / WIDEST)
    left, colour = (50.0, BLUE) if margin > 0 else (50 - share, RED)
    return (
        '<div style="position:relative;width:150px;height:14px;background:#eee">'
        f'<div style="position:absolute;left:{left:.0f}%;width:{share:.0f}%;height:14px;background:{colour}">'
        '</div><div style="position:absolute;left:50%;width:1px;height:14px;background:#000"></div></div>'
    )


def reading_table(readings: Sequence[Reading], readers: Sequence[str]) -> str:
    """A line per position: true word, margin bar, and each reader's word (✗: wrong) with its probability."""
    head = "".join(f'<th style="text-align:left;padding:0 8px">{escape(n)}</th>' for n in readers)
    lines = [f'<tr><th style="text-align:left">true word</th><th colspan="2">margin</th>{head}</tr>']
    for reading in readings:
        cells = f"<td>{escape(reading.word)}</td><td>{_bar(reading.margin)}</td>"
        cells += f'<td style="text-align:right">{reading.margin:+.1f}</td>'
        for word, p in reading.reads:
            right = word == reading.word
            style = "" if right else "color:#a00;font-weight:bold"
            mark = "" if right else "✗ "
            cells += f'<td style="padding:0 8px;{style}">{mark}{escape(word)} {p:.2f}</td>'
        lines.append(f"<tr>{cells}</tr>")
    return f'{PAGE}<table style="border-collapse:collapse">{"".join(lines)}</table></div>'


def origins(words: Sequence[str], first: Sequence[str], second: Sequence[str]) -> list[str]:
    """For each word of a walk, which of the two sentences has it at that place: a key of `ORIGINS`."""
    found = []
    for word, a, b in zip(words, first, second, strict=True):
        found.append(
            "both" if word == a == b else "first" if word == a else "second" if word == b else "neither"
        )
    return found


def walk_line(words: Sequence[str], origin: Sequence[str]) -> str:
    """Words on the colour of their origin, each with its mark, so that colour is not needed."""
    boxes = []
    for word, name in zip(words, origin, strict=True):
        mark, colour = ORIGINS[name]
        style = f"display:inline-block;margin:1px;padding:1px 5px;background:{colour}"
        boxes.append(f'<span style="{style}">{escape(word)}<sub>{mark}</sub></span>')
    return "".join(boxes)


def walk_table(rows: Sequence[tuple[str, str, bool]], here: int) -> str:
    """Lines (label, `walk_line`, whether it is a right sentence); the one at `here` is framed."""
    lines = []
    for i, (label, line, right) in enumerate(rows):
        frame = "outline:2px solid #000;" if i == here else ""
        verdict = "right" if right else '<b style="color:#a00">✗ wrong</b>'
        lines.append(
            f'<tr style="{frame}"><td style="padding:0 8px">{escape(label)}</td><td>{line}</td>'
            f'<td style="padding:0 8px">{verdict}</td></tr>'
        )
    legend = "A: only in the first, B: only in the second, =: in both, !: in neither"
    return f'{PAGE}{legend}<table style="border-collapse:collapse">{"".join(lines)}</table></div>'
