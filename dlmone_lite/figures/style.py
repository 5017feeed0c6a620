"""The common look of all figures: colours, axes, legends, runs and their means, and HTML around a picture.

Every figure is a pure function from data to a matplotlib `Figure`; `html` makes it an <img> with an alt text.
"""

from __future__ import annotations

import base64
import io
import os
import textwrap
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from html import escape  # whatever a checkpoint, a world or a learner wrote passes through it
from statistics import fmean
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Values = Sequence[float]
Curves = Mapping[str, Values]  # label -> values
Shares = Mapping[str, float]  # sentence -> its probability, or how often it was written
Row = Mapping[str, Any]  # scores of one evaluation by name
Lines = Mapping[str, Sequence[Row]]  # label -> the evaluations along a curve
Seeds = Mapping[str, Sequence[Values]]  # label -> a curve for each seed
Look = Mapping[str, Any]  # of a curve: colour, linestyle, marker

# ---- the look

# The colours of Okabe and Ito, which any colour vision tells apart; a marker and a line style go with each.
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, RED, PINK = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
PALETTE = (BLUE, ORANGE, GREEN, RED, PINK, SKY, BLACK)  # in order of use; yellow is too pale for lines
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
HATCHES = ("", "//", "..", "xx")
GREY = "#767676"  # the palest grey that is still readable on white
WIDTH, DPI = 8.6, 100  # inches, dots per inch
SMALLEST = 11  # points; nothing in a figure is smaller
PLAIN = {"fontsize": SMALLEST, "frameon": False}  # how a legend looks
PROJECTOR = "DLMONE_PROJECTOR"  # projector mode: set this environment variable to 1 before a panel is made
RATIO = r"noise level $\sigma/\alpha$"

STYLE = {"font.family": "DejaVu Sans", "axes.titlesize": 12, "lines.linewidth": 2.0, "grid.color": "#dddddd"}
STYLE |= dict.fromkeys(("font.size", "axes.labelsize", "legend.fontsize"), SMALLEST)
STYLE |= dict.fromkeys(("xtick.labelsize", "ytick.labelsize"), SMALLEST)
STYLE |= dict.fromkeys(("axes.spines.top", "axes.spines.right", "legend.frameon"), False)
STYLE |= dict.fromkeys(("axes.grid", "axes.axisbelow"), True)
STYLE |= dict.fromkeys(("figure.facecolor", "axes.facecolor"), "white")


def in_style() -> AbstractContextManager[None]:
    """A context in which matplotlib draws with `STYLE`."""
    from matplotlib import rc_context

    return rc_context(STYLE)


def canvas(
    rows: int = 1,
    columns: int = 1,
    height: float = 3.6,
    width: float = WIDTH,
    ratios: Values | None = None,
    places: Sequence[tuple[float, float, float, float]] = (),
) -> tuple[Figure, list[Axes]]:
    """A blank figure in the common style and its axes, row by row; `ratios` are the widths of the columns,
    `places` fixed (left, bottom, width, height) of the axes, which are drawn faster, while a slider waits."""
    from matplotlib.figure import Figure

    with in_style():
        fig = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
        axes = list(fig.subplots(rows, columns, squeeze=False, width_ratios=ratios).flat)
    if places:
        fig.set_layout_engine("none")
    for ax, place in zip(axes, places):
        ax.set_position(place)
    return fig, axes


def pen(color: str, line: str = "-", marker: str = "") -> dict[str, Any]:
    """The look of a curve, or without a line of marks."""
    return {"color": color, "linestyle": line, "marker": marker}


def stroke(i: int) -> dict[str, Any]:
    """Colour and line style of the i-th curve."""
    return {"color": PALETTE[i % 7], "linestyle": LINES[i % 7]}


def look(i: int) -> dict[str, Any]:
    """Colour, line style and marker of the i-th curve."""
    return {**stroke(i), "marker": MARKERS[i % 7]}


# ---- axes and legends


def log_axis(ax: Axes, ticks: Values, labels: Sequence[str] | None = None, *, base: float = 10) -> None:
    """A logarithmic x axis with just these ticks."""
    ax.set_xscale("log", base=base)
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks] if labels is None else labels)
    ax.minorticks_off()


def name_rows(ax: Axes, names: Sequence[str], *, grid: bool = False) -> None:
    """Names along the y axis, the first on top, for bars or, with a grid, marks at 0, 1, 2, ..."""
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    if not grid:
        ax.grid(axis="y", visible=False)


def wrap(sentence: str, width: int) -> str:
    """A sentence over several lines, its question mark never alone on one."""
    return "\n".join(textwrap.wrap(sentence.replace(" ?", "\u00a0?"), width))


def legend(ax: Axes, where: str) -> None:
    """A legend inside the axes, close-set."""
    ax.legend(loc=where, labelspacing=0.25, **PLAIN)


def legend_below(fig: Figure, ax: Axes, columns: int) -> Figure:
    """The figure, now with the legend of one of its axes below it."""
    handles, labels = ax.get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=columns, **PLAIN)
    return fig


def legend_beside(ax: Axes, *, at: str = "center left") -> Figure:
    """The figure, now with a legend beside these axes, at their middle or, "upper left", from the top."""
    ax.legend(loc=at, bbox_to_anchor=(1.0, 0.5 if at == "center left" else 1.0), **PLAIN)
    return ax.figure


# ---- what is drawn in several notebooks


def lines(
    ax: Axes, x: Values, curves: Curves, xlabel: str, ylabel: str, *, log_x: bool = False, log_y: bool = False
) -> None:
    """Labelled curves over one x, told apart by colour and line style."""
    for i, (label, y) in enumerate(curves.items()):
        ax.plot(x, y, **stroke(i), label=label)
    scale = {False: "linear", True: "log"}
    ax.set(xlabel=xlabel, ylabel=ylabel, xscale=scale[log_x], yscale=scale[log_y])
    if len(curves) > 1:
        ax.legend()


def score(
    ax: Axes, x: str, rows: Sequence[Row], key: str, label: str, look: Look, *, errors: bool = False
) -> None:
    """The score `key` of each row against its `x`; with two standard errors, `<key>_se`, up and down."""
    across = [row[x] for row in rows]
    ax.plot(across, [row[key] for row in rows], **look, label=label)
    if errors:
        low, high = ([row[key] + sign * row[f"{key}_se"] for row in rows] for sign in (-2, 2))
        ax.vlines(across, low, high, color=look["color"], linewidth=1.2)


def scores_by_calls(
    axes: Sequence[Axes],
    titles: Mapping[str, str],
    lines: Lines,
    ticks: Values,
    looks: Mapping[str, Look] | None = None,
    *,
    errors: bool = False,
    **settings: Any,
) -> None:
    """On each of the axes, with `settings`, a score (key -> title) by `nfe`, a curve for each line."""
    for ax, (key, title) in zip(axes, titles.items(), strict=True):
        for i, (label, rows) in enumerate(lines.items()):
            score(ax, "nfe", rows, key, label, looks[label] if looks else look(i), errors=errors)
        log_axis(ax, ticks, base=2)
        ax.set(title=title, **settings)


def fan(
    ax: Axes, x: Values, runs: Sequence[Values], look: Look, label: str, *, middle: Values | None = None
) -> None:
    """Every run thin and their mean, or `middle`, thick; a curve shorter than x ends early."""
    thin = {"color": look["color"], "linestyle": look["linestyle"], "linewidth": 0.8, "alpha": 0.5}
    for run in runs:
        ax.plot(x[: len(run)], run, **thin)
    if middle is None:
        middle = [fmean(column) for column in zip(*runs, strict=True)]
    ax.plot(x[: len(middle)], middle, **look, linewidth=2.4, label=label)


def dots(ax: Axes, y: float, values: Values, look: Look, *, bar: str = BLACK, half: float = 0.3) -> None:
    """A dot for each value along the row y, and an upright bar of 2 `half` at their mean."""
    ax.plot(values, [y] * len(values), **{**look, "linestyle": ""}, alpha=0.6)
    if values:
        ax.plot([fmean(values)] * 2, [y - half, y + half], color=bar, linewidth=2.5)


def heat_map(
    ax: Axes, values: Sequence[Values], rows: Sequence[str], columns: Sequence[str], **look: Any
) -> None:
    """Values as colours with a number in each cell; look: further arguments of `seaborn.heatmap`."""
    import seaborn

    colours = {"vmin": 0, "cmap": "viridis", "linecolor": "white", "annot": True}
    with in_style():
        seaborn.heatmap(values, ax=ax, xticklabels=columns, yticklabels=rows, **colours | look)
        ax.tick_params(axis="y", rotation=0)


def share_bars(ax: Axes, support: Shares, shares: Shares, labels: Sequence[str]) -> None:
    """How often each right sentence is written, a diamond at its exact probability; all others come last."""
    written = [shares.get(name, 0.0) for name in support]
    colors = [BLUE] * len(written) + [GREY]
    ax.barh(range(len(colors)), [*written, 1 - sum(written)], color=colors, height=0.6)
    diamonds = pen(BLACK, "", "D")
    ax.plot(list(support.values()), range(len(support)), **diamonds, markersize=6, label="exact probability")
    name_rows(ax, [*labels, "anything else"])
    ax.set_xlim(0, 1.02)


# ---- HTML


def tag(name: str, *content: str, style: str = "") -> str:
    """An element around HTML."""
    return f'<{name} style="{style}">{"".join(content)}</{name}>'


def page(*parts: str) -> str:
    """HTML on white with black letters, which is readable in a dark notebook as well."""
    return tag("div", *parts, style="background:#fff;color:#000;padding:6px;font-size:14px;line-height:1.3")


def projecting() -> bool:
    """Whether figures and panels are made for a projector."""
    return os.environ.get(PROJECTOR, "0") not in ("", "0")


def enlarge(fig: Figure) -> None:
    """Draw a figure for a projected panel: narrower, so its letters come out larger, and as high as fits."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    if isinstance(fig.get_layout_engine(), ConstrainedLayoutEngine):  # fixed places are made for one width
        width, height = 0.85 * fig.get_size_inches()
        fig.set(size_inches=(width, max(height, min(height / 0.85, width / 2.1))), dpi=DPI / 0.85)


def html(fig: Figure, alt: str, *, kept: bool = False) -> str:
    """The figure as an `<img>` on opaque white with its alt text; raises ValueError without one. Its PNG is
    made quickly, since it follows a slider, or small, if it is kept in a notebook."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    if not alt.strip():
        raise ValueError("a figure needs an alt text that says what it shows")
    for text in fig.findobj(Text):  # legends and labels made outside the style's context come out smaller
        text.set_fontsize(max(SMALLEST, text.get_fontsize()))
    if projecting() and not kept:
        enlarge(fig)
    buffer = io.BytesIO()
    options = {"metadata": {"Software": None}, "pil_kwargs": {"compress_level": 9 if kept else 3}}
    with in_style():
        FigureCanvasAgg(fig).print_png(buffer, **options)  # savefig draws all twice, while a slider waits
    data = base64.b64encode(buffer.getvalue()).decode()
    style = "max-width:100%;height:auto;background:#fff"
    return f'<img alt="{escape(alt)}" style="{style}" src="data:image/png;base64,{data}">'


def show(fig: Figure, alt: str, numbers: str = "") -> None:
    """Display the figure in a notebook, with its numbers in words below it."""
    from IPython.display import HTML, display

    below = tag("div", escape(numbers), style="font-family:monospace") if numbers else ""
    display(HTML(html(fig, alt, kept=True) + below))
