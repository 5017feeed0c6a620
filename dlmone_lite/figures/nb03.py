"""Figures of notebook 03: a teacher's loss above the Bayes floor, words out of noise, what samplers do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlmone_lite.errors import InputError
from dlmone_lite.figures import style
from dlmone_lite.training.run import Step

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Scores = Mapping[str, float]  # of `metrics.world_metrics`

LONGEST = 84  # characters of a sentence that fit into one line of `words_from_noise`
LOOKS = {  # of the two denoisers: colour, line, marker
    "teacher": (style.BLUE, "-", "o"),
    "perfect denoiser": (style.GREEN, "--", "^"),
}
TITLES = {"validity": "validity", "tv": "total variation to truth", "coverage": "coverage of truth"}


@dataclass(frozen=True)
class Reading:
    """What x0_hat spells at t: its words up to [SEP], and for each |x0_hat| / sqrt(D): 1 is one sure word."""

    t: int
    words: tuple[str, ...]
    sureness: tuple[float, ...]


def loss_above_floor(levels: Sequence[Mapping[str, float]]) -> Figure:
    """Loss at some levels t, with its two parts "bayes" and "excess"; left stacked, right on a log scale."""
    fig, (left, right) = style.canvas(1, 2, height=4.2, ratios=[1.35, 1])
    places, excess = range(len(levels)), [row["excess"] for row in levels]
    floor = [row["bayes"] for row in levels]
    left.bar(places, floor, 0.8, color="#c8c8c8", edgecolor=style.GREY, label="Bayes floor")
    look = {"color": style.ORANGE, "edgecolor": style.BLACK, "hatch": "//", "label": "above the floor"}
    left.bar(places, excess, 0.8, bottom=floor, **look)
    for ax in (left, right):
        ax.set_xticks(places, [f"{row['t']}" for row in levels], rotation=90)
        ax.set_xlabel("noise level t")
    left.set(ylabel="squared error per element", title="the teacher's loss")
    right.plot(places, floor, color=style.GREY, linestyle="--", marker="s", label="Bayes floor")
    right.plot(places, excess, color=style.ORANGE, marker="o", label="above the floor")
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
    fig, (ax,) = style.canvas(height=0.75 + 0.29 * count)
    fig.set_layout_engine("none")  # a slider waits for this figure: a fixed place is faster
    ax.set_position((0.0, 0.0, 1.0, 1 - 0.45 / fig.get_figheight()))
    ax.axis("off")
    wide = style.WIDTH * style.DPI / 9  # characters beside each other: at 11 points each is 9 pixels wide
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
    fig, (ax,) = style.canvas(height=3.2)
    for i, (name, values) in enumerate(variance.items()):
        places = [x + (i - 0.5) * 0.38 for x in range(len(t))]
        look = {"color": style.PALETTE[i], "hatch": ("", "//")[i % 2], "edgecolor": "black"}
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
    fig, (left, right) = style.canvas(1, 2, height=3.8)
    style.lines(left, t, curves, "t", "share")
    left.set(title="what is open at t", ylim=(-0.02, 1.02))
    left.legend(loc=(0.02, 0.1))
    for i, (name, values) in enumerate(density.items()):
        right.stairs(values, edges, color=style.PALETTE[i], linestyle=style.LINES[i], linewidth=2, label=name)
    right.set(title="where training looks", xlabel="t", ylabel="draws, relative to uniform", ylim=(0, None))
    right.legend(loc="upper left")
    return fig


def _truth_axes(
    axes: Sequence[Axes], keys: Sequence[str], steps: Sequence[int], rows: Sequence[Scores]
) -> None:
    """Titles and ticks of score axes over steps; on that of TV its floor, from any rows measured alike."""
    for ax, key in zip(axes, keys, strict=True):
        if key == "tv":
            look = {"color": style.BLACK, "linestyle": "-.", "linewidth": 1.2, "label": "floor: true samples"}
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
    fig, axes = style.canvas(1, 3, height=3.6)
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
    fig, axes = style.canvas(1, 2, height=3.6)
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


SCORES = {"validity": "validity", "tv": "total variation to truth", "coverage": "coverage of truth"}


def _floor_bars(ax: Axes, deciles: Sequence[Mapping[str, Any]]) -> None:
    """Stacked bars over t: the Bayes floor, and the teacher's excess on top of it."""
    middle = [(row["t_from"] + row["t_to"]) / 2 for row in deciles]
    width = 0.8 * (deciles[0]["t_to"] - deciles[0]["t_from"] + 1)
    floor, excess = ([row[key] for row in deciles] for key in ("bayes", "excess"))
    ax.bar(middle, floor, width, color="#c8c8c8", edgecolor=style.GREY, label="Bayes floor")
    ax.bar(
        middle,
        excess,
        width,
        bottom=floor,
        color=style.ORANGE,
        edgecolor=style.BLACK,
        hatch="//",
        label="above the floor",
    )
    ax.set(xlabel="t", ylabel="squared error per element")
    ax.legend(loc="upper left")


def live(history: Sequence[Step]) -> Figure:
    """A run so far. Left: its training loss; right: the latest evaluation as floor and excess per tenth of t.

    An evaluation holds "bayes <t_from> <t_to>" and "excess <t_from> <t_to>" (see `flat`).
    """
    fig, (left, right) = style.canvas(1, 2, height=3.6)
    if not history:
        for ax, text in ((left, "press Start"), (right, "the first evaluation comes soon after")):
            ax.set(xticks=[], yticks=[])
            ax.text(0.5, 0.5, text, ha="center", transform=ax.transAxes)
        return fig
    losses = [s.losses["denoising"] for s in history]
    left.plot([s.step for s in history], losses, color=style.BLUE, linewidth=1)
    left.set(title="training loss (as configured)", xlabel="step", yscale="log")
    evaluated = [s for s in history if s.evaluation]
    right.set(title="held-out error per t", xlabel="t")
    if evaluated:
        _floor_bars(right, deepen(evaluated[-1].evaluation))
        right.set_title(f"held-out error after {evaluated[-1].step} steps")
    return fig


def flat(deciles: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Rows of `bayes.loss_by_decile` as a `Step` can carry them."""
    kept = ("bayes", "excess")
    return {f"{key} {row['t_from']} {row['t_to']}": row[key] for row in deciles for key in kept}


def deepen(evaluation: Mapping[str, float]) -> list[dict[str, Any]]:
    """The rows that `flat` made flat."""
    rows: dict[tuple[int, int], dict[str, Any]] = {}
    for name, value in evaluation.items():
        key, first, last = name.split()
        row = rows.setdefault((int(first), int(last)), {"t_from": int(first), "t_to": int(last)})
        row[key] = value
    return list(rows.values())


def mean_excess(evaluation: Mapping[str, float]) -> float:
    """The error above the floor, a mean over the tenths of t."""
    excess = [value for name, value in evaluation.items() if name.startswith("excess")]
    return sum(excess) / len(excess)


# ---- recorded runs
def recorded(folder: Path, name: str) -> list[dict[str, Any]]:
    """The step records of the run `name` in `folder`: a .jsonl of `Step`s, or a .json that holds such a list
    somewhere; [] where there is none."""
    for path in sorted(folder.glob(f"{name}*.json*")):
        text, by_line = path.read_text(encoding="utf-8"), path.suffix == ".jsonl"
        value = [json.loads(line) for line in text.splitlines()] if by_line else json.loads(text)
        if rows := _step_rows(value):
            return rows
    return []


def _step_rows(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list) and value and all(isinstance(row, dict) and "step" in row for row in value):
        return value
    parts = value.values() if isinstance(value, dict) else ()
    return next(filter(None, map(_step_rows, parts)), [])


def by_steps(*files: Path) -> dict[int, dict[str, float]]:
    """{NFE: world scores} out of records of `evaluate`, all of as many sources and samples."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in files]
    sizes = {(r["settings"]["sources"], r["settings"]["samples"], r["settings"]["split"]) for r in records}
    if len(sizes) != 1:
        raise InputError(f"these records have different sizes {sorted(sizes)}; compare equal ones only")
    return {row["nfe"]: row for record in records for row in record["world_scores"]}


def recorded_run(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Left: training loss by step; right: what the evaluations on the way found."""
    fig, (left, right) = style.canvas(1, 2, height=3.4)
    trained = [row for row in rows if row.get("losses")]
    left.plot([r["step"] for r in trained], [r["losses"]["denoising"] for r in trained], color=style.BLUE)
    left.set(title="training loss", xlabel="step", yscale="log")
    evaluated = [row for row in rows if row.get("evaluation")]
    for i, (key, label) in enumerate(SCORES.items()):
        values = [row["evaluation"].get(key) for row in evaluated]
        if evaluated and None not in values:
            look = {"color": style.PALETTE[i], "linestyle": style.LINES[i], "marker": style.MARKERS[i]}
            right.plot([row["step"] for row in evaluated], values, label=label, **look)
    right.set(title="on held-out sources", xlabel="step", ylim=(-0.04, None))
    if evaluated:
        right.legend()
    return fig
