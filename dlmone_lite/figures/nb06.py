"""Figures of notebook 06: quality beside diversity, over updates, over coefficients, over sentences."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from dlmone_lite.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, RED, STYLE, WIDTH, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curves = tuple[Sequence[int], Sequence[Sequence[float]]]
KINDS = {"alone": (ORANGE, "s", "--"), "adversarial": (BLUE, "o", "-")}
PAIR = (("validity", "validity: quality"), ("coverage", "coverage: diversity"))


def _fan(axes: Axes, curves: Curves, color: str, marker: str, line: str, label: str) -> None:
    """Every run thin, their mean thick."""
    steps, runs = curves
    for run in runs:
        axes.plot(steps, run, color=color, linewidth=0.8, alpha=0.5, linestyle=line)
    mean = [fmean(column) for column in zip(*runs)]
    axes.plot(steps, mean, color=color, marker=marker, linestyle=line, linewidth=2.4, label=label)


def story(found: Mapping[str, Mapping[str, Curves]], shown: int = 2) -> Figure:
    """Quality (left), diversity (middle) and distance (right) while runs go on: kind -> score -> curves, the
    scores validity, coverage, tv_excess. `shown` of the three are drawn."""
    names = (*PAIR, ("tv_excess", "TV excess: distance"))[:shown]
    fig, axes = canvas(1, len(names), height=3.6)
    for ax, (score, title) in zip(axes, names):
        for kind, curves in found.items():
            _fan(ax, curves[score], *KINDS[kind], label=f"SiD {kind}")
        ax.set(xlabel="update", title=title, ylim=(-0.03, 1.06))
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=11, frameon=False)
    return fig


Grid = tuple[Sequence[float | str], Sequence[float | str], Sequence[Sequence[float]]]


def heat(grids: Mapping[str, Grid], rows: str = "", columns: str = "") -> Figure:
    """Heat maps side by side: title -> (rows, columns, means); the same colours for all. Rows and columns are
    values, the first at the bottom, or names, the first on top."""
    import seaborn
    from matplotlib import rc_context

    names = any(isinstance(name, str) for _, across, _ in grids.values() for name in across)
    fig, axes = canvas(1, len(grids), height=5.0 if names else 3.7, width=10.4 if names else WIDTH)
    with rc_context(STYLE):
        for ax, (title, (down, across, means)) in zip(axes, grids.items()):
            seaborn.heatmap(
                means,
                ax=ax,
                vmin=0,
                vmax=1,
                cmap="viridis",
                annot=True,
                fmt=".2f",
                cbar=False,
                xticklabels=_said(across),
                yticklabels=_said(down),
                annot_kws={"fontsize": 11},
                linewidths=1,
                linecolor="white",
            )
            ax.set(xlabel=columns, ylabel=rows, title=title)
            ax.tick_params(axis="y", rotation=0)
            if names:
                ax.tick_params(length=0, labelleft=ax is axes[0])
                ax.set_xticks(ax.get_xticks(), _said(across), rotation=50, ha="right", rotation_mode="anchor")
            else:
                ax.invert_yaxis()
    return fig


def _said(values: Sequence[float | str]) -> list[str]:
    return [value if isinstance(value, str) else f"{value:g}" for value in values]


def factor(rows: Sequence[tuple[str, Mapping[str, Mapping[str, Sequence[float]]]]]) -> Figure:
    """One factor at a time: (setting, kind -> score -> values of the seeds), quality beside diversity."""
    fig, axes = canvas(1, 2, height=1.5 + 0.42 * len(rows))
    for ax, (score, title) in zip(axes, PAIR):
        for shift, (kind, (color, marker, _)) in zip((-0.14, 0.14), KINDS.items()):
            for y, (_, kinds) in enumerate(rows):
                values = kinds.get(kind, {}).get(score, ())
                ax.plot(
                    values, [y + shift] * len(values), color=color, marker=marker, linestyle="", alpha=0.5
                )
                if values:
                    ax.plot(
                        [fmean(values)] * 2, [y + shift - 0.13, y + shift + 0.13], color=color, linewidth=3
                    )
            ax.plot([], [], color=color, marker=marker, linestyle="", label=f"SiD {kind}")
        ax.set(title=title, xlim=(-0.03, 1.06), ylim=(len(rows) - 0.5, -0.5))
    axes[0].set_yticks(range(len(rows)), [name for name, _ in rows])
    axes[1].set_yticks(range(len(rows)), [""] * len(rows))
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=11, frameon=False)
    return fig


def outcome(
    curves: Mapping[str, Curves],
    support: Mapping[str, float],
    counts: Sequence[Mapping[str, int]],
    samples: int,
) -> Figure:
    """A run's end: quality and diversity over the updates (left); how often it writes each right sentence of
    one source, `counts` of `samples` per seed, beside the exact probability (right)."""
    fig, (left, right) = canvas(1, 2, height=3.5)
    fig.set_layout_engine("none")  # fixed places and ticks: a slider waits for this figure
    left.set_position((0.06, 0.15, 0.33, 0.75))
    right.set_position((0.65, 0.15, 0.34, 0.75))
    for (score, title), color, marker, line in zip(PAIR, (BLUE, ORANGE), "os", ("-", "--")):
        _fan(left, curves[score], color, marker, line, title)
    tenths = (0, 0.2, 0.4, 0.6, 0.8, 1)
    last = curves["validity"][0][-1]
    left.set(xlabel="update", ylim=(-0.03, 1.06), title="One step, held-out sources")
    left.set(xticks=range(0, last + 1, max(1, last // 4)), yticks=tenths)
    left.legend(loc="lower left", fontsize=11, frameon=False)
    names = list(support)
    shares = [fmean(own.get(name, 0) / samples for own in counts) for name in names]
    rows = range(len(names) + 1)
    right.barh(rows, [*shares, 1 - sum(shares)], color=[*[BLUE] * len(names), GREY], height=0.6)
    right.plot(
        list(support.values()), range(len(names)), "D", color=BLACK, markersize=6, label="exact probability"
    )
    labels = ["\n".join(textwrap.wrap(name.replace(" ?", "\u00a0?"), 24)) for name in names]
    right.set_yticks(rows, [*labels, "anything else"])
    right.set(xlim=(0, 1.02), xticks=tenths, ylim=(len(names) + 0.6, -0.6))
    right.set_title("What it writes for one source")
    right.grid(axis="y", visible=False)
    right.legend(loc="lower right", fontsize=11, frameon=False)
    return fig


def blindness(ratio: Sequence[float], signal: Mapping[str, Sequence[float]]) -> Figure:
    """What a perfect score estimator sees of each known student: squared difference of the exact x0
    predictions (name -> values) against sigma / alpha."""
    fig, (ax,) = canvas(1, 1, height=3.5, width=7.2)
    least = 1e-9  # a logarithmic axis has no zero
    for (name, values), color, marker, line in zip(
        signal.items(), (ORANGE, RED, BLUE), "sDo", ("--", ":", "-")
    ):
        ax.loglog(
            ratio,
            [max(value, least) for value in values],
            color=color,
            marker=marker,
            linestyle=line,
            label=name,
        )
    ax.set(
        xlabel="sigma / alpha",
        ylabel="squared difference",
        title="What the two exact scores differ by",
        ylim=(least / 2, 3),
    )
    ax.set_xticks([0.5, 1, 2, 5, 10], ["0.5", "1", "2", "5", "10"])
    ax.minorticks_off()
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=11, frameon=False)
    return fig


def signs(rows: Sequence[tuple[str, float, float, bool, bool]]) -> Figure:
    """A patient's signs over their limits: (sign, value, limit, whether high is bad, whether it shows)."""
    fig, (ax,) = canvas(1, 1, height=0.9 + 0.4 * len(rows), width=6.4)
    for y, (_, value, limit, high, shows) in enumerate(rows):
        ratio = min(4.0, value / limit if high else limit / max(value, 1e-9))
        ax.barh(
            y,
            ratio,
            color=ORANGE if shows else BLUE,
            hatch="//" if shows else "",
            edgecolor="white",
            height=0.6,
        )
    ax.axvline(1, color=BLACK, linestyle="--")
    ax.set_yticks(range(len(rows)), [f"{name} {value:.2f}" for name, value, *_ in rows])
    ax.set(xlim=(0, 4.05), ylim=(len(rows) - 0.4, -0.6), xlabel="times its limit (1: the detector fires)")
    return fig


def live(history: Sequence[Mapping[str, Any]], begins: Mapping[str, float]) -> Figure:
    """A live run: validity, coverage and TV excess of its looks (rows with step), from where it begins."""
    fig, (ax,) = canvas(1, 1, height=3.3, width=7.2)
    rows = [{"step": 0, **begins}, *history]
    steps = [row["step"] for row in rows]
    for (name, label), color, marker, line in zip(
        (*PAIR, ("tv_excess", "TV excess: distance")), (BLUE, ORANGE, GREY), "os^", ("-", "--", ":")
    ):
        ax.plot(steps, [row[name] for row in rows], color=color, marker=marker, linestyle=line, label=label)
    ax.set(xlabel="update", ylim=(-0.03, 1.06), xlim=(-5, max(60, steps[-1]) * 1.03))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=11, frameon=False)
    return fig


COSINES = {
    "again": ("perfect, other noise", GREY),
    "teacher": ("perfect psi", GREEN),
    "sid": ("as trained", BLUE),
}


COSINES |= {"adversarial": ("adversarial term", ORANGE)}


def ratios(records: Sequence[Mapping[str, Any]], key: str) -> list[float]:
    """Mean over runs and moments of `key` over the signal, at each level."""
    levels = [
        [row[key] / row["signal"] for row in look["levels"]] for run in records for look in run["looks"]
    ]
    return [fmean(column) for column in zip(*levels)]


def cosines(records: Sequence[Mapping[str, Any]], key: str) -> list[float]:
    """The cosine called `key` of every run and moment."""
    return [look["gradients"][key] for run in records for look in run["looks"]]


def lateness(ratio: Sequence[float], kinds: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """Left: psi's squared error over the signal against sigma / alpha (`ratio`), for each kind of run, and
    the doubt about the student's own score. Right: cosines with the perfect gradient, a dot for each look."""
    fig, (left, right) = canvas(1, 2, height=3.9)
    for kind, records in kinds.items():
        color, marker, line = KINDS[kind]
        left.loglog(
            ratio, ratios(records, "psi"), color=color, marker=marker, linestyle=line, label=f"psi, {kind}"
        )
    left.loglog(
        ratio,
        ratios(kinds["alone"], "doubt"),
        color=GREY,
        marker="^",
        linestyle=":",
        label="doubt of f*, alone",
    )
    left.axhline(1, color=BLACK, linewidth=1.2)
    left.set(xlabel="sigma / alpha", title="squared error / signal", ylim=(1e-3, 5))
    left.set_xticks([1, 2, 5], ["1", "2", "5"])
    left.minorticks_off()
    left.legend(loc="center right", fontsize=11, frameon=False)
    names = []
    for key, (label, color) in COSINES.items():
        for kind, records in kinds.items():
            values = cosines(records, key)
            if key == "adversarial" and kind == "alone":  # no discriminator was trained there
                continue
            y = len(names)
            right.plot(values, [y] * len(values), color=color, marker=KINDS[kind][1], linestyle="", alpha=0.6)
            right.plot([fmean(values)] * 2, [y - 0.3, y + 0.3], color=BLACK, linewidth=2.5)
            names.append(f"{label}, {kind}" if key != "adversarial" else label)
    right.set_yticks(range(len(names)), names)
    right.axvline(0, color=GREY, linewidth=1.2)
    right.set(title="cosine with the perfect gradient", xlim=(-1.03, 1.03), ylim=(len(names) - 0.4, -0.6))
    return fig
