"""Figures of notebook 06: quality beside diversity, and the cause of degeneration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from dlmone_lite.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Curves = tuple[Sequence[int], Sequence[Sequence[float]]]  # updates, and a curve for each seed
Grid = tuple[Sequence[float | str], Sequence[float | str], Sequence[Sequence[float]]]  # rows, columns, means
Record = Mapping[str, Any]

KINDS = {  # of a run: colour, line, marker
    "alone": {"color": style.ORANGE, "linestyle": "--", "marker": "s"},
    "adversarial": {"color": style.BLUE, "linestyle": "-", "marker": "o"},
}
PAIR = (("validity", "validity: quality"), ("coverage", "coverage: diversity"))
THREE = (*PAIR, ("tv_excess", "TV excess: distance"))
COSINES = {  # a gradient that is compared with the perfect one: label, colour
    "again": ("perfect, other noise", style.GREY),
    "teacher": ("perfect psi", style.GREEN),
    "sid": ("as trained", style.BLUE),
    "adversarial": ("adversarial term", style.ORANGE),
}


# ---- quality beside diversity


def story(curves: Mapping[str, Mapping[str, Curves]], shown: int = 2) -> Figure:
    """Quality (left), diversity (middle) and distance (right) by update: kind -> score -> curves, the scores
    validity, coverage, tv_excess. `shown` of the three are drawn."""
    fig, axes = style.canvas(1, shown, height=3.6)
    for ax, (score, title) in zip(axes, THREE):
        for kind, scores in curves.items():
            style.fan(ax, *scores[score], KINDS[kind], f"SiD {kind}")
        ax.set(xlabel="update", title=title, ylim=(-0.03, 1.06))
    style.legend_below(fig, axes[0], columns=3)
    return fig


def heat(grids: Mapping[str, Grid], rows: str = "", columns: str = "") -> Figure:
    """Heat maps side by side: title -> (rows, columns, means); the same colours for all. Rows and columns are
    values, the first at the bottom, or names, the first on top."""
    import seaborn

    names = any(isinstance(name, str) for _, across, _ in grids.values() for name in across)
    fig, axes = style.canvas(
        1, len(grids), height=5.0 if names else 3.7, width=10.4 if names else style.WIDTH
    )
    look = {"vmin": 0, "vmax": 1, "cmap": "viridis", "cbar": False, "linewidths": 1, "linecolor": "white"}
    look |= {"annot": True, "fmt": ".2f", "annot_kws": {"fontsize": 11}}
    with style.in_style():
        for ax, (title, (down, across, means)) in zip(axes, grids.items()):
            labels = _labels(across)
            seaborn.heatmap(means, ax=ax, xticklabels=labels, yticklabels=_labels(down), **look)
            ax.set(xlabel=columns, ylabel=rows, title=title)
            ax.tick_params(axis="y", rotation=0)
            if names:
                ax.tick_params(length=0, labelleft=ax is axes[0])
                ax.set_xticks(ax.get_xticks(), labels, rotation=50, ha="right", rotation_mode="anchor")
            else:
                ax.invert_yaxis()
    return fig


def _labels(values: Sequence[float | str]) -> list[str]:
    return [value if isinstance(value, str) else f"{value:g}" for value in values]


def factor(rows: Sequence[tuple[str, Mapping[str, Mapping[str, Sequence[float]]]]]) -> Figure:
    """One factor at a time: (setting, kind -> score -> values of the seeds), quality beside diversity."""
    fig, axes = style.canvas(1, 2, height=1.5 + 0.42 * len(rows))
    for ax, (score, title) in zip(axes, PAIR):
        for shift, (kind, look) in zip((-0.14, 0.14), KINDS.items()):
            color, marker = look["color"], look["marker"]
            for y, (_, kinds) in enumerate(rows):
                style.dots(
                    ax, y + shift, kinds.get(kind, {}).get(score, ()), color, marker, bar=color, half=0.13
                )
            ax.plot([], [], color=color, marker=marker, linestyle="", label=f"SiD {kind}")
        ax.set(title=title, xlim=(-0.03, 1.06), ylim=(len(rows) - 0.5, -0.5))
    axes[0].set_yticks(range(len(rows)), [name for name, _ in rows])
    axes[1].set_yticks(range(len(rows)), [""] * len(rows))
    style.legend_below(fig, axes[0], columns=2)
    return fig


def outcome(
    curves: Mapping[str, Curves],
    support: Mapping[str, float],
    counts: Sequence[Mapping[str, int]],
    samples: int,
) -> Figure:
    """A run's end. Left: quality and diversity by update. Right: how often it writes each right sentence of
    one source, `counts` of `samples` per seed, beside the exact probability."""
    fig, (left, right) = style.canvas(1, 2, height=3.5)
    fig.set_layout_engine("none")  # fixed places and ticks are drawn faster, while a slider waits
    left.set_position((0.06, 0.15, 0.33, 0.75))
    right.set_position((0.65, 0.15, 0.34, 0.75))
    tenths = (0, 0.2, 0.4, 0.6, 0.8, 1)

    for (score, title), color, marker, line in zip(PAIR, (style.BLUE, style.ORANGE), "os", ("-", "--")):
        style.fan(left, *curves[score], {"color": color, "linestyle": line, "marker": marker}, title)
    last = curves["validity"][0][-1]
    left.set(xlabel="update", ylim=(-0.03, 1.06), title="One step, held-out sources")
    left.set(xticks=range(0, last + 1, max(1, last // 4)), yticks=tenths)
    left.legend(loc="lower left", fontsize=style.SMALLEST, frameon=False)

    shares = {name: fmean(own.get(name, 0) / samples for own in counts) for name in support}
    style.share_bars(right, support, shares, [style.wrap(name, 24) for name in support])
    right.set(xticks=tenths, title="What it writes for one source")
    right.legend(loc="lower right", fontsize=style.SMALLEST, frameon=False)
    return fig


def signs(rows: Sequence[tuple[str, float, float, bool, bool]]) -> Figure:
    """A patient's signs over their limits: (sign, value, limit, whether high is bad, whether it shows)."""
    fig, (ax,) = style.canvas(1, 1, height=0.9 + 0.4 * len(rows), width=6.4)
    for y, (_, value, limit, high, shows) in enumerate(rows):
        ratio = min(4.0, value / limit if high else limit / max(value, 1e-9))
        color, hatch = (style.ORANGE, "//") if shows else (style.BLUE, "")
        ax.barh(y, ratio, color=color, hatch=hatch, edgecolor="white", height=0.6)
    ax.axvline(1, color=style.BLACK, linestyle="--")
    style.name_rows(ax, [f"{name} {value:.2f}" for name, value, *_ in rows], grid=True)
    ax.set(xlim=(0, 4.05), xlabel="times its limit (1: the detector fires)")
    return fig


def live(evaluations: Sequence[Mapping[str, Any]], begins: Mapping[str, float]) -> Figure:
    """A live run: validity, coverage and TV excess of its evaluations (rows with step), after `begins`."""
    fig, (ax,) = style.canvas(1, 1, height=3.3, width=7.2)
    rows = [{"step": 0, **begins}, *evaluations]
    steps = [row["step"] for row in rows]
    for (name, label), color, marker, line in zip(
        THREE, (style.BLUE, style.ORANGE, style.GREY), "os^", ("-", "--", ":")
    ):
        ax.plot(steps, [row[name] for row in rows], color=color, marker=marker, linestyle=line, label=label)
    ax.set(xlabel="update", ylim=(-0.03, 1.06), xlim=(-5, max(60, steps[-1]) * 1.03))
    style.legend_beside(ax)
    return fig


# ---- the cause


def blindness(ratio: Sequence[float], signal: Mapping[str, Sequence[float]]) -> Figure:
    """The difference that a perfect score estimator sees between each student and the teacher: squared
    difference of the exact x0 predictions (name -> values) against sigma / alpha."""
    fig, (ax,) = style.canvas(1, 1, height=3.5, width=7.2)
    least = 1e-9  # a logarithmic axis has no zero
    looks = zip((style.ORANGE, style.RED, style.BLUE), "sDo", ("--", ":", "-"))
    for (name, values), (color, marker, line) in zip(signal.items(), looks):
        above = [max(value, least) for value in values]
        ax.loglog(ratio, above, color=color, marker=marker, linestyle=line, label=name)
    ax.set(xlabel="sigma / alpha", ylabel="squared difference", ylim=(least / 2, 3))
    ax.set_title("What the two exact scores differ by")
    style.log_axis(ax, [0.5, 1, 2, 5, 10])
    style.legend_beside(ax)
    return fig


def ratios(records: Sequence[Record], key: str) -> list[float]:
    """The squared error `key` over the signal at each noise level, a mean over runs and moments."""
    moments = [moment for run in records for moment in run["looks"]]
    levels = [[row[key] / row["signal"] for row in moment["levels"]] for moment in moments]
    return [fmean(column) for column in zip(*levels)]


def cosines(records: Sequence[Record], key: str) -> list[float]:
    """The cosine called `key` of every run and moment."""
    return [moment["gradients"][key] for run in records for moment in run["looks"]]


def lateness(ratio: Sequence[float], kinds: Mapping[str, Sequence[Record]]) -> Figure:
    """Left: psi's squared error over the signal against sigma / alpha (`ratio`), for each kind of run, and
    the doubt about the student's own score. Right: cosines with the perfect gradient, a dot a moment."""
    fig, (left, right) = style.canvas(1, 2, height=3.9)
    for kind, records in kinds.items():
        left.loglog(ratio, ratios(records, "psi"), label=f"psi, {kind}", **KINDS[kind])
    doubt = {"color": style.GREY, "marker": "^", "linestyle": ":", "label": "doubt of f*, alone"}
    left.loglog(ratio, ratios(kinds["alone"], "doubt"), **doubt)
    left.axhline(1, color=style.BLACK, linewidth=1.2)
    left.set(xlabel="sigma / alpha", title="squared error / signal", ylim=(1e-3, 5))
    style.log_axis(left, [1, 2, 5])
    left.legend(loc="center right", fontsize=style.SMALLEST, frameon=False)

    names: list[str] = []
    for key, (label, color) in COSINES.items():
        for kind, records in kinds.items():
            if key == "adversarial" and kind == "alone":  # no discriminator was trained there
                continue
            style.dots(right, len(names), cosines(records, key), color, KINDS[kind]["marker"])
            names.append(f"{label}, {kind}" if key != "adversarial" else label)
    style.name_rows(right, names, grid=True)
    right.axvline(0, color=style.GREY, linewidth=1.2)
    right.set(title="cosine with the perfect gradient", xlim=(-1.03, 1.03))
    return fig
