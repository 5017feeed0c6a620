"""Figures: pure functions from data to a matplotlib `Figure`, shown as an <img> with a text alternative."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito's colours, told apart with any colour vision; a marker and a line style go with each.
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, RED, PINK = (
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)
PALETTE = (BLUE, ORANGE, GREEN, RED, PINK, SKY, BLACK)  # in order of use; yellow is too pale for lines
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
GREY = "#767676"  # the palest grey that is still readable on white
WIDTH, DPI = 8.6, 100  # inches, dots per inch
SMALLEST = 11  # points; nothing in a figure is smaller

STYLE = {
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.labelsize": 11,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "legend.fontsize": 11,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "axes.axisbelow": True,
    "lines.linewidth": 2.0,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "font.family": "DejaVu Sans",
    "svg.fonttype": "none",
}


def canvas(
    rows: int = 1,
    columns: int = 1,
    height: float = 3.6,
    width: float = WIDTH,
    ratios: Sequence[float] | None = None,
) -> tuple[Figure, list[Axes]]:
    """A blank figure in the kit's style and its axes, row by row; `ratios` are the widths of the columns."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        fig = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
        axes = fig.subplots(rows, columns, squeeze=False, width_ratios=ratios)
    return fig, list(axes.flat)


def html(fig: Figure, alt: str, compress: int = 3) -> str:
    """The figure as an `<img>` with its text alternative, opaque white behind it; PNG's `compress` goes from
    1, quick, for what follows a slider, to 9, small, for what is kept in a file."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    if not alt.strip():
        raise ValueError("a figure needs an alt text that says what it shows")
    for text in fig.findobj(Text):  # legends and labels made outside the style's context come out smaller
        text.set_fontsize(max(SMALLEST, text.get_fontsize()))
    buffer = io.BytesIO()
    with rc_context(STYLE):
        # not fig.savefig, which draws everything twice, and a slider waits for it
        options = {"metadata": {"Software": None}, "pil_kwargs": {"compress_level": compress}}
        FigureCanvasAgg(fig).print_png(buffer, **options)
    data = base64.b64encode(buffer.getvalue()).decode()
    style = "max-width:100%;height:auto;background:#fff"
    return f'<img alt="{escape(alt)}" style="{style}" src="data:image/png;base64,{data}">'


def show(fig: Figure, alt: str, numbers: str = "") -> None:
    """Display the figure in a notebook, with its numbers in words below it."""
    from IPython.display import HTML, display

    below = f'<div style="font-family:monospace">{escape(numbers)}</div>' if numbers else ""
    display(HTML(html(fig, alt, compress=9) + below))


def lines(
    ax: Axes,
    x: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    xlabel: str,
    ylabel: str,
    *,
    log_x: bool = False,
    log_y: bool = False,
) -> None:
    """Labelled curves over one x, told apart by colour and line style."""
    for i, (label, y) in enumerate(curves.items()):
        ax.plot(x, y, color=PALETTE[i % 7], linestyle=LINES[i % 7], label=label)
    if log_x:
        ax.set_xscale("log")
    if log_y:
        ax.set_yscale("log")
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if len(curves) > 1:
        ax.legend()
