"""Figures of notebook 06: quality beside diversity, and the cause of degeneration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dlmone_lite.figures import style
from dlmone_lite.figures.style import Curves, Row, Shares, Values

Course = tuple[Sequence[int], Sequence[Values]]  # updates, and a curve for each seed
Runs = Mapping[str, Course]  # score -> its course
Grid = tuple[Sequence[float | str], Sequence[float | str], Sequence[Values]]  # rows, columns, means

KINDS = {
    "alone": style.pen(style.ORANGE, "--", "s"),
    "adversarial": style.pen(style.BLUE, "-", "o"),
}  # of a run
PAIR = (("validity", "validity: quality"), ("coverage", "coverage: diversity"))
THREE = (*PAIR, ("tv_excess", "TV excess: distance"))
LOOKS = (
    style.pen(style.BLUE, "-", "o"),
    style.pen(style.ORANGE, "--", "s"),
    style.pen(style.GREEN, ":", "^"),
)
PLACED = {"height": 3.5, "width": 7.3}  # inches; narrow, so that letters are large beside a panel's controls
PLACED["places"] = [(0.07, 0.15, 0.29, 0.75), (0.68, 0.15, 0.31, 0.75)]  # of scores, of bars with long names
TENTHS = (0, 0.2, 0.4, 0.6, 0.8, 1)  # ticks that need not be found, while a slider waits


def story(curves: Mapping[str, Runs], shown: int = 2) -> style.Figure:
    """Quality (left), diversity (middle) and distance (right) by update: kind -> score -> course, the scores
    validity, coverage, tv_excess. `shown` of the three are drawn."""
    fig, axes = style.canvas(1, shown, height=3.6)
    for ax, (score, title) in zip(axes, THREE):
        for kind, scores in curves.items():
            style.fan(ax, *scores[score], KINDS[kind], f"SiD {kind}")
        ax.set(xlabel="update", title=title, ylim=(-0.03, 1.06))
    return style.legend_below(fig, axes[0], columns=3)


def heat(grids: Mapping[str, Grid], rows: str = "", columns: str = "") -> style.Figure:
    """Heat maps side by side: title -> (rows, columns, means); the same colours for all. Rows and columns are
    values, the first at the bottom, or names, the first on top."""
    names = any(isinstance(name, str) for _, across, _ in grids.values() for name in across)
    height, width = (5.0, 10.4) if names else (3.7, style.WIDTH)
    fig, axes = style.canvas(1, len(grids), height=height, width=width)
    look = {"vmax": 1, "cbar": False, "linewidths": 1, "fmt": ".2f", "annot_kws": {"fontsize": 11}}
    for ax, (title, (down, across, means)) in zip(axes, grids.items()):
        labels = _labels(across)
        style.heat_map(ax, means, _labels(down), labels, **look)
        ax.set(xlabel=columns, ylabel=rows, title=title)
        if names:
            ax.tick_params(length=0, labelleft=ax is axes[0])
            ax.set_xticks(ax.get_xticks(), labels, rotation=50, ha="right", rotation_mode="anchor")
        else:
            ax.invert_yaxis()
    return fig


def _labels(values: Sequence[float | str]) -> list[str]:
    return [value if isinstance(value, str) else f"{value:g}" for value in values]


def factor(rows: Sequence[tuple[str, Mapping[str, Curves]]]) -> style.Figure:
    """One factor at a time: (setting, kind -> score -> values of the seeds), quality beside diversity."""
    fig, axes = style.canvas(1, 2, height=1.5 + 0.42 * len(rows))
    for ax, (score, title) in zip(axes, PAIR):
        for shift, (kind, look) in zip((-0.14, 0.14), KINDS.items()):
            for y, (_, kinds) in enumerate(rows):
                values = kinds.get(kind, {}).get(score, ())
                style.dots(ax, y + shift, values, look, bar=look["color"], half=0.13)
            ax.plot([], [], **{**look, "linestyle": ""}, label=f"SiD {kind}")
        ax.set_yticks(range(len(rows)), [name if ax is axes[0] else "" for name, _ in rows])
        ax.set(title=title, xlim=(-0.03, 1.06), ylim=(len(rows) - 0.5, -0.5))
    return style.legend_below(fig, axes[0], columns=2)


def outcome(curves: Runs, chosen: int, support: Shares, counts: Mapping[str, int]) -> style.Figure:
    """A recorded run's end. Left: quality and diversity by update, thick for the chosen run, thin for others.
    Right: how often it writes each right sentence of one source, by its `counts`, beside the probability."""
    fig, (left, right) = style.canvas(1, 2, **PLACED)
    for (score, title), look in zip(PAIR, LOOKS):
        updates, runs = curves[score]
        style.fan(left, updates, runs, look, title, middle=runs[chosen])
    last = curves["validity"][0][-1]
    left.set(xlabel="update", ylim=(-0.03, 1.06), title="One step, held-out sources")
    left.set(xticks=range(0, last + 1, max(1, last // 4)), yticks=TENTHS)
    left.legend(loc="lower left", **style.PLAIN)

    _shares(right, support, counts)
    return fig


def _shares(ax: style.Axes, support: Shares, counts: Mapping[str, int]) -> None:
    shares = {name: counts.get(name, 0) / sum(counts.values()) for name in support}
    style.share_bars(ax, support, shares, [style.wrap(name, 24) for name in support])
    ax.set(xticks=TENTHS, title="What it writes for one source")
    ax.legend(loc="lower right", **style.PLAIN)


def signs(rows: Sequence[tuple[str, float, float, bool, bool]]) -> style.Figure:
    """A patient's signs over their limits: (sign, value, limit, whether high is bad, whether it shows)."""
    fig, (ax,) = style.canvas(height=0.9 + 0.4 * len(rows), width=6.4)
    for y, (_, value, limit, high, shows) in enumerate(rows):
        ratio = min(4.0, value / limit if high else limit / max(value, 1e-9))
        color, hatch = (style.ORANGE, "//") if shows else (style.BLUE, "")
        ax.barh(y, ratio, color=color, hatch=hatch, edgecolor="white", height=0.6)
    ax.axvline(1, color=style.BLACK, linestyle="--")
    style.name_rows(ax, [f"{name} {value:.2f}" for name, value, *_ in rows], grid=True)
    ax.set(xlim=(0, 4.05), xlabel="times its limit (1: the detector fires)")
    return fig


def live(evaluations: Sequence[Row], begins: Row, twin: Sequence[Row] = ()) -> style.Figure:
    """A live run: validity, coverage and TV excess of its evaluations (rows with step), after `begins`; those
    of a `twin` in grey."""
    fig, (ax,) = style.canvas(height=3.3, width=7.2)
    rows = [{"step": 0, **begins}, *evaluations]
    for (name, label), look in zip(THREE, LOOKS):
        style.score(ax, "step", rows, name, label, look)
    for (name, _), line in zip(THREE if twin else (), ("-", "--", ":")):
        at, values = ([row[key] for row in twin] for key in ("step", name))
        label = "twin, psi kept" if name == "validity" else None
        ax.plot(at, values, **style.pen("#999999", line), linewidth=1.5, label=label)
    ax.set(xlabel="update", ylim=(-0.03, 1.06), xlim=(-5, max(60, rows[-1]["step"]) * 1.03))
    return style.legend_beside(ax)


def live_sentences(rows: Sequence[Row], support: Shares, counts: Mapping[str, int]) -> style.Figure:
    """A live run. Left: the three scores of its evaluations (rows with step). Right: how often it writes each
    right sentence of one source, by its `counts`, beside the probability."""
    fig, (left, right) = style.canvas(1, 2, **PLACED)
    for (name, label), look in zip(THREE, LOOKS):
        style.score(left, "step", rows, name, label.split(":")[0], look)
    left.set(xlabel="update", ylim=(-0.03, 1.06), xlim=(-5, max(60, rows[-1]["step"]) * 1.03), yticks=TENTHS)
    left.legend(loc="lower left", bbox_to_anchor=(-0.05, 1), ncols=3, **style.PLAIN)
    _shares(right, support, counts)
    return fig


def blindness(ratio: Values, signal: Curves) -> style.Figure:
    """The difference that a perfect score estimator sees between each student and the teacher: squared
    difference of the exact x0 predictions (name -> values) against sigma / alpha."""
    fig, (ax,) = style.canvas(height=3.5, width=7.2)
    least = 1e-9  # a logarithmic axis has no zero
    looks = zip((style.ORANGE, style.RED, style.BLUE), ("--", ":", "-"), "sDo")
    for (name, values), look in zip(signal.items(), looks):
        ax.loglog(ratio, [max(value, least) for value in values], **style.pen(*look), label=name)
    ax.set(xlabel="sigma / alpha", ylabel="squared difference", ylim=(least / 2, 3))
    ax.set_title("What the two exact scores differ by")
    style.log_axis(ax, [0.5, 1, 2, 5, 10])
    return style.legend_beside(ax)
