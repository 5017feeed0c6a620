"""Figures of notebook 04: scores and gradients as arrows in the plane, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from statistics import fmean

from torch import Tensor

from dlmone_lite.figures import style
from dlmone_lite.figures.style import Curves, Seeds, Values

EDGE = 2.7  # of the square that is shown
REAL = {"color": style.BLUE, "width": 0.006, "zorder": 4}
FAKE = {"color": style.ORANGE, "width": 0.005, "zorder": 5}
# The exact score is a broad shadow, so that a fake arrow that is right lies inside it.
EXACT = {"color": "#444444", "width": 0.014, "zorder": 3, "alpha": 0.5}
EXACT |= {"headwidth": 2.2, "headlength": 2.2, "headaxislength": 2.2}
ARROWS = {"real: the teacher's": REAL, "exact: the student's own": EXACT, "fake: psi's": FAKE}
MARKS = [("the data", "#888888", "s", 0), ("student's points", style.GREEN, "o", 0)]  # see `_key`


def _arrows(ax: style.Axes, places: Tensor, arrows: Tensor, **look: object) -> None:
    ax.quiver(*places.T, *arrows.T, angles="xy", scale_units="xy", scale=1, **look)


def _plane(ax: style.Axes, density: Tensor, title: str) -> None:
    """The data's density (n, n) over the square in grey, y along the rows."""
    extent = (-EDGE, EDGE, -EDGE, EDGE)
    grey = {"cmap": "Greys", "vmin": 0, "vmax": 1.5, "interpolation": "bilinear"}
    ax.imshow(density, origin="lower", extent=extent, zorder=0, **grey)
    _square(ax, title)


def _square(ax: style.Axes, title: str) -> None:
    ticks = (-2, 0, 2)  # few and fixed, because finding good ones takes longer than all the arrows
    ax.set(xlim=(-EDGE, EDGE), ylim=(-EDGE, EDGE), aspect="equal", title=title, xticks=ticks, yticks=ticks)
    ax.grid(visible=False)


def _key(fig: style.Figure, left: float, marks: Sequence[tuple[str, str, str, float]]) -> None:
    """A legend from `left`: label, colour, marker and width of the line, 0 for a marker alone."""
    from matplotlib.lines import Line2D

    handles = []
    for label, color, marker, width in marks:
        look = style.pen(color, "-" if width else "none", marker)
        handles.append(Line2D([], [], **look, linewidth=width, label=label))
    fig.legend(handles=handles, loc="center left", bbox_to_anchor=(left, 0.5), **style.PLAIN)


def watch(
    density: Tensor,
    points: Tensor,
    pulls: Tensor,
    noised: Tensor,
    places: Tensor,
    arrows: Sequence[Tensor],
    ratio: float,
) -> style.Figure:
    """Left: the data's density (n, n), the student's points (N, 2), descent's pull (M, 2) on the first M.
    Right: the points noised (N, 2), and the real, exact and fake scores (P, 2) at `places` (P, 2)."""
    squares = [(0.04, 0.08, 0.31, 0.83), (0.4, 0.08, 0.31, 0.83)]
    fig, (left, right) = style.canvas(1, 2, height=3.5, width=9.2, places=squares)
    _plane(left, density, "the student's samples $x_g$")
    left.scatter(*points.T, s=9, color=style.GREEN, linewidths=0, zorder=2)
    _arrows(left, points[: len(pulls)], pulls, color=style.RED, width=0.006, zorder=4)

    right.scatter(*noised.T, s=5, color=style.SKY, alpha=0.5, linewidths=0, zorder=1)
    for arrow, look in zip(arrows, ARROWS.values(), strict=True):
        _arrows(right, places, arrow, **look)
    _square(right, rf"noised to $\sigma/\alpha$ = {ratio:.1f}: $\sigma^2 \times$ score")

    marks = [*MARKS, ("descent's pull", style.RED, ">", 0), ("noised points", style.SKY, "o", 0)]
    marks += [(name, look["color"], "", 5 if look is EXACT else 2.5) for name, look in ARROWS.items()]
    _key(fig, 0.725, marks)
    return fig


def pulls(
    density: Tensor, points: Tensor, truth: Tensor, taken: Tensor, names: tuple[str, str]
) -> style.Figure:
    """Two descent directions at every point of a small student: the true one and another, (N, 2) each."""
    fig, (ax,) = style.canvas(height=3.6, width=7.0, places=[(0.06, 0.08, 0.48, 0.85)])
    _plane(ax, density, "where descent pulls each point")
    ax.scatter(*points.T, s=40, color=style.GREEN, edgecolors="black", linewidths=0.8, zorder=3)
    _arrows(ax, points, truth, **EXACT)
    _arrows(ax, points, taken, color=style.RED, width=0.006, zorder=5)
    _key(fig, 0.56, [*MARKS, (names[0], "#444444", "", 5), (names[1], style.RED, "", 2.5)])
    return fig


def _hatched(bars: Sized) -> dict[str, object]:
    return {"color": style.PALETTE[: len(bars)], "hatch": style.HATCHES[: len(bars)], "edgecolor": "white"}


def cosines(mu: Values, by_level: Seeds, alone: Values) -> style.Figure:
    """Left: cosine between the gradient of L2 - mu L1 and the true one, by mu; thin lines are students,
    the thick one is their mean; one colour per noise level (the keys). Right: L1 alone, a bar per level."""
    fig, (left, right) = style.canvas(1, 2, height=3.8, width=10.0, ratios=[1.7, 1])
    for i, (level, students) in enumerate(by_level.items()):
        style.fan(left, mu, students, {**style.look(i), "markevery": 4}, level)
    left.axvline(0.5, color=style.GREY, linewidth=1.2, linestyle=":")
    left.set(xlabel=r"$\mu$", ylabel="cosine with the true gradient", ylim=(0, 1.05))
    left.set_title(r"$L_2 - \mu L_1$")
    left.legend(title=r"$\sigma/\alpha$", loc="lower center")

    bars = range(len(alone))
    right.bar(bars, alone, **_hatched(alone), width=0.6)
    right.axhline(0, color=style.BLACK, linewidth=1.2)
    right.set_xticks(bars, list(by_level))
    right.set(xlabel=r"$\sigma/\alpha$", ylim=(-1.05, 1.05), title="$L_1$ alone: below 0 is uphill")
    right.grid(axis="x", visible=False)
    return fig


def descents(curves: Seeds, every: int, top: float) -> style.Figure:
    """Divergence against the update for each rule (the keys): a thin line per seed, a thick one through their
    medians; both end where they exceed `top`. every: updates between two values."""
    fig, (ax,) = style.canvas(height=3.9)
    length = max(len(values) for seeds in curves.values() for values in seeds)
    updates = [every * j for j in range(length)]
    for i, (name, seeds) in enumerate(curves.items()):
        padded = [list(values) + [10 * top] * (length - len(values)) for values in seeds]
        median = [sorted(column)[len(column) // 2] for column in zip(*padded, strict=True)]
        kept = next((j + 1 for j, value in enumerate(median) if value > top), length)
        style.fan(ax, updates, seeds, {**style.look(i), "markevery": 2}, name, middle=median[:kept])
    ax.set(yscale="log", xlabel="update of theta", ylabel=r"divergence $E\,\|f_\phi - f^*_\theta\|^2$")
    ax.set_ylim(None, top)
    return style.legend_beside(ax, at="upper left")


def lags(steps: Sequence[int], lag: Seeds, age: Mapping[str, float]) -> style.Figure:
    """Left: psi's error over the signal while the student travels, mean and range of the seeds, for each
    setting (the keys). Right: how many updates psi is behind, as bars."""
    fig, (left, right) = style.canvas(1, 2, height=3.7, width=10.0, ratios=[1.25, 1])
    for i, (name, seeds) in enumerate(lag.items()):
        columns = list(zip(*seeds, strict=True))
        low, high = [min(column) for column in columns], [max(column) for column in columns]
        left.fill_between(steps, low, high, color=style.PALETTE[i], alpha=0.15)
        left.plot(steps, [fmean(column) for column in columns], **style.look(i), label=name)
    left.axhline(1, color=style.GREY, linewidth=1.2, linestyle=":")
    left.set(xlabel="update of theta", ylabel="psi's error / signal", ylim=(0, None))
    left.legend(loc="upper left")

    right.barh(range(len(age)), list(age.values()), **_hatched(age), height=0.6)
    style.name_rows(right, list(age))
    right.set_xlabel("updates behind, mean")
    return fig


def accuracies(ratio: Values, by_judge: Curves) -> style.Figure:
    """Share of right verdicts against the noise level, one curve per moment and judge (the keys)."""
    fig, (ax,) = style.canvas(height=3.6)
    for i, (name, values) in enumerate(by_judge.items()):
        look = style.pen(style.PALETTE[i // 2], style.LINES[i % 2], style.MARKERS[i // 2])
        ax.plot(ratio, values, **look, fillstyle=("full", "none")[i % 2], label=name)
    ax.axhline(0.5, color=style.GREY, linewidth=1.2, linestyle=":")
    ax.annotate("chance", (ratio[0], 0.495), va="top", fontsize=11)
    ax.set(xlabel=style.RATIO, ylabel="share of right verdicts", ylim=(0.4, 1.03))
    style.log_axis(ax, list(ratio), [f"{r:.2g}" for r in ratio])
    return style.legend_beside(ax, at="upper left")


def progress(density: Tensor, clouds: Mapping[int, Tensor]) -> style.Figure:
    """Update -> the student's points (N, 2) over the data's density (n, n), a panel for each."""
    fig, axes = style.canvas(1, len(clouds), height=2.7)
    for ax, (update, points) in zip(axes, clouds.items()):
        _plane(ax, density, f"update {update}")
        ax.scatter(*points.T, s=9, color=style.GREEN, zorder=2)
    return fig
