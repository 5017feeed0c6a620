"""Figures and tables of notebook 02: words on a sphere, rows of tokens, misread words, collapse, walks."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from dlmone_lite.figures import style
from dlmone_lite.figures.style import Curves, Seeds, Values

# What may stand at a position of `layouts`, and its colour.
KINDS = {"source": style.SKY, "[SEP] / [CLS]": style.BLACK, "target": style.ORANGE, "[PAD]": "#e4e4e4"}
READERS = {  # what a word is read from: colour, marker
    "own position alone": (style.BLUE, "o"),
    "with the source": (style.GREEN, "s"),
    "with all positions": (style.ORANGE, "D"),
}
ORIGINS = {  # where a word of a walk comes from: mark, background
    "both": ("=", "#e6e6e6"),
    "first": ("A", "#9cc9e6"),
    "second": ("B", "#f6cf85"),
    "neither": ("!", "#f2a98f"),
}
WRONG, PADDED, TABLE = "#a00", "padding:0 8px", "border-collapse:collapse;"
WIDEST = 3.0  # margins beyond this fill the whole bar

Band = Sequence[Values]  # low, middle, high


def cosines(table: Tensor, groups: Sequence[tuple[str, int]], samples: Curves) -> style.Figure:
    """Left: cosines (n, n) of words that stand group by group (name, size). Right: their distributions."""
    fig, (left, right) = style.canvas(1, 2, height=4.2, ratios=[1.25, 1])
    image = left.imshow(table, cmap="cividis", vmin=0.2, vmax=0.8, interpolation="nearest")
    edges = [0, *itertools.accumulate(size for _, size in groups)]
    for edge in edges[1:-1]:
        left.axhline(edge - 0.5, color="white", linewidth=0.8)
        left.axvline(edge - 0.5, color="white", linewidth=0.8)
    middles = [(start + end - 1) / 2 for start, end in itertools.pairwise(edges)]
    left.set_yticks(middles, [f"{name} ({size})" for name, size in groups])
    left.set(xticks=[], title="cosine of every pair of words")
    left.grid(visible=False)
    fig.colorbar(image, ax=left, shrink=0.9, extend="both")

    bins = [i / 25 - 0.6 for i in range(41)]
    for i, (name, values) in enumerate(samples.items()):
        outline = {"bins": bins, "density": True, "histtype": "step", "linewidth": 2}
        right.hist(values, **outline, label=name, **style.stroke(i))
    right.set(xlabel="cosine", ylabel="density", xlim=(-0.65, 1.05), title="their distribution")
    right.legend(loc="upper left")
    right.set_ylim(0, right.get_ylim()[1] * 1.3)
    return fig


def layouts(rows: Mapping[str, Tensor]) -> style.Figure:
    """One picture per layout (the keys): rows (n, L) of kinds, numbers into `KINDS`."""
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    fig, axes = style.canvas(1, len(rows), height=3.6)
    look = {"cmap": ListedColormap([*KINDS.values()]), "vmin": 0, "vmax": 3}
    for ax, (title, kinds) in zip(axes, rows.items(), strict=True):
        ax.imshow(kinds, **look, aspect="auto", interpolation="nearest")
        ax.set(title=title, xlabel="position", yticks=[])
        ax.grid(visible=False)
    axes[0].set_ylabel(f"{len(next(iter(rows.values())))} pairs")
    patches = [Patch(facecolor=c, edgecolor=style.GREY, label=k) for k, c in KINDS.items()]
    fig.legend(handles=patches, loc="outside lower center", ncols=4)
    return fig


def _band(ax: style.Axes, x: Values, values: Band, colour: str, marker: str, label: str) -> None:
    """A middle line inside the band from low to high."""
    low, middle, high = values
    ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
    ax.plot(x, middle, color=colour, marker=marker, markevery=6, label=label)


def misreading(ratio: Values, measured: Values, upper: Values, lower: Values) -> style.Figure:
    """Share of words misread against noise, between its two bounds."""
    fig, (ax,) = style.canvas(height=3.4)
    ax.plot(ratio, upper, **style.pen(style.ORANGE, "--"), label="union bound")
    ax.plot(ratio, lower, **style.pen(style.GREEN, "-."), label="nearest word alone")
    ax.plot(ratio, measured, "o", color=style.BLUE, fillstyle="none", label="measured")
    ax.set(ylabel="share of words misread", yscale="log", ylim=(1e-4, 1.5), xlabel=style.RATIO)
    style.log_axis(ax, [0.5, 1, 2, 3])
    return style.legend_beside(ax)


def when_decided(
    ratio: Values, margins: dict[str, Band], words: list[str], level: Curves, clock: list[tuple[float, int]]
) -> style.Figure:
    """The figure to remember. Above: margins against noise. Below: for each word and each of `READERS`, the
    sigma/alpha in `level` up to which the word is decided (inf: at any noise). clock: where ticks stand, as
    pairs of sigma/alpha and t."""
    fig, (top, below) = style.canvas(2, 1, height=3.6 + 0.26 * len(words))
    fig.get_layout_engine().set(h_pad=0.06)
    top.get_gridspec().set_height_ratios([1, 0.4 + 0.115 * len(words)])
    looks = ((style.BLUE, "o"), (style.ORANGE, "D"))
    for (name, values), look in zip(margins.items(), looks, strict=True):
        _band(top, ratio, values, *look, name)
    top.axhline(0, color=style.RED, linestyle="--", linewidth=1.5)
    top.set(ylabel="margin", ylim=(-8, 12))
    top.set_title("margin to the nearest wrong one, median and 80% of draws; below 0 it is misread")
    top.legend(loc=(0.01, 0.53))

    _levels(below, words, level, max(ratio))
    below.set_title("the noise up to which each word is decided")
    style.legend_below(fig, below, columns=4)

    places = [place for place, _ in clock]
    for ax, labels in ((top, [""] * len(clock)), (below, [f"{place:g}\nt={t}" for place, t in clock])):
        ax.set_xlim(min(ratio), max(ratio))
        style.log_axis(ax, places, labels)
    below.set_xlabel(r"noise level $\sigma/\alpha$ (and step $t$ of the square-root schedule)")
    return fig


def _levels(ax: style.Axes, words: Sequence[str], level: Curves, right: float) -> None:
    """A row for each word with a mark for each reader; an arrow where a level lies beyond the right edge."""
    rows = range(len(words))
    ends = [[min(level[name][i], right) for name in READERS] for i in rows]
    ax.hlines(rows, [min(e) for e in ends], [max(e) for e in ends], color="#bbbbbb", linewidth=4, zorder=1)
    for name, (colour, marker) in READERS.items():
        places = [i for i in rows if level[name][i] < right]
        mark = {"color": colour, "marker": marker, "s": 60, "edgecolors": "black", "zorder": 3}
        ax.scatter([level[name][i] for i in places], places, label=name, **mark)

    beyond = [i for i in rows if max(ends[i]) >= right]
    if beyond:
        arrow = {"marker": ">", "s": 70, "color": style.BLACK, "clip_on": False, "zorder": 3}
        ax.scatter([right] * len(beyond), beyond, label="beyond this", **arrow)
    style.name_rows(ax, words, grid=True)


def collapse(runs: Seeds, ylabel: str) -> style.Figure:
    """A value over training steps: one colour per setting (the keys), one line per seed."""
    fig, (ax,) = style.canvas(height=3.7)
    for i, (name, seeds) in enumerate(runs.items()):
        for j, values in enumerate(seeds):
            marks = {"markevery": (12 * j, 60), "label": "" if j else name}
            ax.plot(range(len(values)), values, **style.look(i), **marks, linewidth=1.4)
    ax.set(xlabel="training step", ylabel=ylabel, ylim=(0, None))
    return style.legend_beside(ax)


@dataclass(frozen=True)
class Reading:
    """One position: the true word, its margin, and for each reader the word it reads and its probability."""

    word: str
    margin: float
    reads: tuple[tuple[str, float], ...]


def _margin_bar(margin: float) -> str:
    """A bar to the right of the middle for a positive margin, to the left for a negative one."""
    share = 50 * min(1.0, abs(margin) / WIDEST)
    left, colour = (50.0, style.BLUE) if margin > 0 else (50 - share, style.RED)
    bar = f"position:absolute;left:{left:.0f}%;width:{share:.0f}%;height:14px;background:{colour}"
    middle = "position:absolute;left:50%;width:1px;height:14px;background:#000"
    frame = "position:relative;width:150px;height:14px;background:#eee"
    return style.tag("div", style.tag("div", style=bar), style.tag("div", style=middle), style=frame)


def reading_table(readings: Sequence[Reading], readers: Sequence[str]) -> str:
    """A row per position: true word, margin bar, each reader's word (✗: wrong) and probability (HTML)."""
    titles = ["true word", "margin", "", *map(style.escape, readers)]
    rows = [style.tag("tr", *(style.tag("th", title, style=f"{PADDED};text-align:left") for title in titles))]
    for reading in readings:
        cells = [style.tag("td", style.escape(reading.word), style=PADDED)]
        cells.append(style.tag("td", _margin_bar(reading.margin)))
        cells.append(style.tag("td", f"{reading.margin:+.1f}", style="text-align:right"))
        for word, p in reading.reads:
            mark, look = ("", "") if word == reading.word else ("✗ ", f"color:{WRONG};font-weight:bold")
            cells.append(style.tag("td", f"{mark}{style.escape(word)} {p:.2f}", style=f"{PADDED};{look}"))
        rows.append(style.tag("tr", *cells))
    return style.page(style.tag("table", *rows, style=TABLE))


def origins(words: Sequence[str], first: Sequence[str], second: Sequence[str]) -> list[str]:
    """For each word of a walk, which of the two sentences has it at that place: a key of `ORIGINS`."""
    names = {(True, True): "both", (True, False): "first", (False, True): "second", (False, False): "neither"}
    return [names[word == a, word == b] for word, a, b in zip(words, first, second, strict=True)]


def walk_line(words: Sequence[str], origin: Sequence[str]) -> str:
    """Words on the colour of their origin, each with its mark, so that colour is not needed (HTML)."""
    boxes = []
    for word, name in zip(words, origin, strict=True):
        mark, colour = ORIGINS[name]
        look = f"display:inline-block;margin:1px;padding:1px 5px;background:{colour}"
        boxes.append(f'<span style="{look}">{style.escape(word)}<sub>{mark}</sub></span>')
    return "".join(boxes)


def walk_table(rows: Sequence[tuple[str, str, bool]], here: int) -> str:
    """Rows (label, `walk_line`, whether the sentence is right); the one at `here` is framed (HTML)."""
    legend = "A: only in the first, B: only in the second, =: in both, !: in neither"
    lines = []
    for i, (label, line, right) in enumerate(rows):
        verdict = "right" if right else f'<b style="color:{WRONG}">✗ wrong</b>'
        cells = [style.tag("td", style.escape(label), style=PADDED), style.tag("td", line)]
        cells.append(style.tag("td", verdict, style=PADDED))
        lines.append(style.tag("tr", *cells, style="outline:2px solid #000" if i == here else ""))
    return style.page(legend, style.tag("table", *lines, style=TABLE))
