"""Figures of notebook 03: a teacher's loss above the Bayes floor, words out of noise, what samplers do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dlmone_lite import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Scores = Mapping[str, float]  # of `metrics.world_metrics`

LONGEST = 84  # characters of a sentence that fit into one line of `words_from_noise`
LOOKS = {  # of the two denoisers: colour, line, marker
    "teacher": (plots.BLUE, "-", "o"),
    "perfect denoiser": (plots.GREEN, "--", "^"),
}
TITLES = {
    "validity": "validity",
    "tv": "total variation to truth",
    "coverage": "coverage of truth",
}


@dataclass(frozen=True)
class Reading:
    """What x0_hat spells at t: its words up to [SEP], and for each |x0_hat| / sqrt(D): 1 is one sure word."""

    t: int
    words: tuple[str, ...]
    sureness: tuple[float, ...]


def loss_above_floor(levels: Sequence[Mapping[str, float]]) -> Figure:
    """Loss at some levels t, with its two parts "bayes" and "excess"; left stacked, right on a log scale."""
    fig, (left, right) = plots.canvas(1, 2, height=4.2, ratios=[1.35, 1])
    places, excess = range(len(levels)), [row["excess"] for row in levels]
    floor = [row["bayes"] for row in levels]
    left.bar(places, floor, 0.8, color="#c8c8c8", edgecolor=plots.GREY, label="Bayes floor")
    look = {"color": plots.ORANGE, "edgecolor": plots.BLACK, "hatch": "//", "label": "above the floor"}
    left.bar(places, excess, 0.8, bottom=floor, **look)
    for ax in (left, right):
        ax.set_xticks(places, [f"{row['t']}" for row in levels], rotation=90)
        ax.set_xlabel("noise level t")
    left.set(ylabel="squared error per element", title="the teacher's loss")
    right.plot(places, floor, color=plots.GREY, linestyle="--", marker="s", label="Bayes floor")
    right.plot(places, excess, color=plots.ORANGE, marker="o", label="above the floor")
    right.set(yscale="log", ylim=(1e-6, 3), title="its two parts, log scale")
    left.legend(loc="upper left")
    right.legend(loc="lower right")
    return fig


def _spread(items: Sequence[Any], count: int) -> list[Any]:
    """At most `count` of the items, evenly spaced, the first and the last among them."""
    if len(items) <= count:
        return list(items)
    return [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)]


def words_from_noise(readings: Sequence[Reading], title: str, rows: int = 12) -> Figure:
    """The sentence that x0_hat spells on the way from t = T to 0, a line each; darker words are surer.

    Of many readings at most `rows` are shown, four of them from where the sentence stands.
    """
    from matplotlib import colormaps

    last = max((i for i, r in enumerate(readings) if r.words != readings[-1].words), default=-1)
    chosen = [*_spread(readings[: last + 1], rows - 4), *_spread(readings[last + 1 :], 4)]
    count = len(chosen)
    fig, (ax,) = plots.canvas(height=0.75 + 0.29 * count)
    fig.set_layout_engine("none")  # a slider waits for this figure: a fixed place is faster
    ax.set_position((0.0, 0.0, 1.0, 1 - 0.45 / fig.get_figheight()))
    ax.axis("off")
    wide = plots.WIDTH * plots.DPI / 9  # characters beside each other: at 11 points each is 9 pixels wide
    ax.set(xlim=(-8, wide - 8), ylim=(count - 0.4, -0.6))
    fig.text(0.005, 0.99, title, va="top", fontsize=12)
    shade = colormaps["Blues"]
    for y, reading in enumerate(chosen):
        x, spans, colors, line = 0, [], [], []
        for word, sure in zip(reading.words, reading.sureness, strict=True):
            if x + len(word) > LONGEST:
                break
            spans.append((x - 0.2, len(word) + 0.4))
            colors.append(shade(0.6 * min(1.0, max(0.0, sure)) ** 2))
            line.append(word)
            x += len(word) + 1
        ax.broken_barh(spans, (y - 0.42, 0.84), facecolors=colors)
        ax.text(0, y, " ".join(line), family="DejaVu Sans Mono", fontsize=11, va="center")
        ax.text(-8, y, f"t={reading.t}", family="DejaVu Sans Mono", fontsize=11, va="center", color="#555555")
    return fig


def gradient_noise(t: Sequence[int], variance: Mapping[str, Sequence[float]]) -> Figure:
    """Variance of a batch's gradient at some t, one bar per kind of target."""
    fig, (ax,) = plots.canvas(height=3.2)
    for i, (name, values) in enumerate(variance.items()):
        places = [x + (i - 0.5) * 0.38 for x in range(len(t))]
        look = {"color": plots.PALETTE[i], "hatch": ("", "//")[i % 2], "edgecolor": "black"}
        ax.bar(places, values, 0.36, label=name, **look)
    ax.set_xticks(range(len(t)), [f"t = {level}" for level in t])
    ax.set(ylabel="variance of the gradient")
    ax.legend(title="target")
    return fig


def where_modes_fall(
    t: Sequence[int],
    curves: Mapping[str, Sequence[float]],
    edges: Sequence[float],
    density: Mapping[str, Sequence[float]],
) -> Figure:
    """Left: shares against t (the open choice, the readable words); right: how densely t is drawn.

    density holds, for each sampler, draws per bin between `edges`, relative to uniform.
    """
    fig, (left, right) = plots.canvas(1, 2, height=3.8)
    plots.lines(left, t, curves, "t", "share")
    left.set(title="what is open at t", ylim=(-0.02, 1.02))
    left.legend(loc=(0.02, 0.1))
    for i, (name, values) in enumerate(density.items()):
        right.stairs(values, edges, color=plots.PALETTE[i], linestyle=plots.LINES[i], linewidth=2, label=name)
    right.set(title="where training looks", xlabel="t", ylabel="draws, relative to uniform", ylim=(0, None))
    right.legend(loc="upper left")
    return fig


def _truth_axes(
    axes: Sequence[Axes], keys: Sequence[str], steps: Sequence[int], rows: Sequence[Scores]
) -> None:
    """Titles and ticks of score axes over steps; on that of TV its floor, from any rows measured alike."""
    for ax, key in zip(axes, keys, strict=True):
        if key == "tv":
            look = {"color": plots.BLACK, "linestyle": "-.", "linewidth": 1.2, "label": "floor: true samples"}
            ax.plot(steps, [row["tv_floor"] for row in rows], **look)
        ax.set_xscale("log", base=2)
        ax.set_xticks(steps, [str(n) for n in steps])
        ax.set(title=TITLES[key], xlabel="sampling steps (NFE)", ylim=(-0.04, 1.12))


def _two_errors(ax: Axes, steps: Sequence[int], rows: Sequence[Scores], key: str, color: str) -> None:
    """Two standard errors up and down at each point."""
    low, high = ([row[key] + sign * row[f"{key}_se"] for row in rows] for sign in (-2, 2))
    ax.vlines(steps, low, high, color=color, linewidth=1.2)


def against_the_truth(steps: Sequence[int], measured: Mapping[str, Sequence[Scores]]) -> Figure:
    """Validity, TV with its floor, and coverage against steps, per denoiser, ± 2 standard errors.

    All rows must have been measured with as many samples, or their floors differ.
    """
    keys = ("validity", "tv", "coverage")
    fig, axes = plots.canvas(1, 3, height=3.6)
    for ax, key in zip(axes, keys, strict=True):
        for name, rows in measured.items():
            color, line, marker = LOOKS[name]
            values = [row[key] for row in rows]
            ax.plot(steps, values, color=color, linestyle=line, marker=marker, label=name)
            _two_errors(ax, steps, rows, key, color)
    _truth_axes(axes, keys, steps, next(iter(measured.values())))
    fig.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return fig


def stride_damage(steps: Sequence[int], measured: Mapping[str, Mapping[str, Sequence[Scores]]]) -> Figure:
    """Validity and TV against steps, for each denoiser with the right and the wrong update, ± 2 standard
    errors."""
    keys = ("validity", "tv")
    fig, axes = plots.canvas(1, 2, height=3.6)
    for ax, key in zip(axes, keys, strict=True):
        for name, updates in measured.items():
            color, _, marker = LOOKS[name]
            for update, rows in updates.items():
                right = update.startswith("both")
                look = {"linestyle": "-" if right else ":", "markerfacecolor": color if right else "white"}
                values = [row[key] for row in rows]
                ax.plot(steps, values, color=color, marker=marker, label=f"{name}: {update}", **look)
                _two_errors(ax, steps, rows, key, color)
    _truth_axes(axes, keys, steps, next(iter(next(iter(measured.values())).values())))
    fig.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return fig
