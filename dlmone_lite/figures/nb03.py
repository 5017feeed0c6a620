"""Figures of notebook 03: a teacher's loss above the Bayes floor, words out of noise, what samplers do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from dlmone_lite.errors import InputError
from dlmone_lite.figures import style
from dlmone_lite.figures.style import Curves, Lines, Look, Row, Values
from dlmone_lite.training.run import Step

LONGEST = 84  # characters of a sentence that fit into one line of `words_from_noise`
LOOKS = {  # of the two denoisers
    "teacher": style.pen(style.BLUE, "-", "o"),
    "perfect denoiser": style.pen(style.GREEN, "--", "^"),
}
TITLES = {"validity": "validity", "tv": "total variation to truth", "coverage": "coverage of truth"}


@dataclass(frozen=True)
class Reading:
    """What x0_hat spells at t: its words up to [SEP], and |x0_hat| / sqrt(D) of each, 1 for a sure word."""

    t: int
    words: tuple[str, ...]
    sureness: tuple[float, ...]


def _stack(ax: style.Axes, places: Values, width: float, rows: Sequence[Row]) -> None:
    """Stacked bars: the Bayes floor, and the teacher's excess on top of it."""
    floor, excess = ([row[key] for row in rows] for key in ("bayes", "excess"))
    ax.bar(places, floor, width, color="#c8c8c8", edgecolor=style.GREY, label="Bayes floor")
    hatched = {"color": style.ORANGE, "edgecolor": style.BLACK, "hatch": "//", "label": "above the floor"}
    ax.bar(places, excess, width, bottom=floor, **hatched)
    ax.set_ylabel("squared error per element")
    ax.legend(loc="upper left")


def loss_above_floor(levels: Sequence[Row]) -> style.Figure:
    """Loss at some levels t, with its two parts "bayes" and "excess"; left stacked, right on a log scale."""
    fig, (left, right) = style.canvas(1, 2, height=4.2, ratios=[1.35, 1])
    places = range(len(levels))
    _stack(left, places, 0.8, levels)
    left.set_title("the teacher's loss")
    floor, excess = ([row[key] for row in levels] for key in ("bayes", "excess"))
    right.plot(places, floor, **style.pen(style.GREY, "--", "s"), label="Bayes floor")
    right.plot(places, excess, **style.pen(style.ORANGE, "-", "o"), label="above the floor")
    right.set(yscale="log", ylim=(1e-6, 3), title="its two parts, log scale")
    right.legend(loc="lower right")
    for ax in (left, right):
        ax.set_xticks(places, [f"{row['t']}" for row in levels], rotation=90)
        ax.set_xlabel("noise level t")
    return fig


def live(history: Sequence[Step]) -> style.Figure:
    """A run so far. Left: its training loss; right: the latest evaluation (see `flatten`) per tenth of t."""
    fig, (left, right) = style.canvas(1, 2, height=3.6)
    if not history:
        for ax, text in ((left, "press Start"), (right, "the first evaluation comes soon after")):
            ax.set(xticks=[], yticks=[])
            ax.text(0.5, 0.5, text, ha="center", transform=ax.transAxes)
        return fig

    losses = [step.losses["denoising"] for step in history]
    left.plot([step.step for step in history], losses, color=style.BLUE, linewidth=1)
    left.set(title="training loss (as configured)", xlabel="step", yscale="log")
    right.set(title="held-out error per t", xlabel="t")
    evaluated = [step for step in history if step.evaluation]
    if evaluated:
        deciles = unflatten(evaluated[-1].evaluation)
        middles = [(row["t_from"] + row["t_to"]) / 2 for row in deciles]
        _stack(right, middles, 0.8 * (deciles[0]["t_to"] - deciles[0]["t_from"] + 1), deciles)
        right.set_title(f"held-out error after {evaluated[-1].step} steps")
    return fig


def flatten(deciles: Sequence[Row]) -> dict[str, float]:
    """Rows of `bayes_floor.loss_by_decile` as the evaluation of a `Step`, which holds numbers only."""
    keys = ("bayes", "excess")
    return {f"{key} {row['t_from']} {row['t_to']}": row[key] for row in deciles for key in keys}


def unflatten(evaluation: Mapping[str, float]) -> list[dict[str, Any]]:
    """The rows from an evaluation that `flatten` returned."""
    rows: dict[tuple[int, int], dict[str, Any]] = {}
    for name, value in evaluation.items():
        key, first, last = name.split()
        row = rows.setdefault((int(first), int(last)), {"t_from": int(first), "t_to": int(last)})
        row[key] = value
    return list(rows.values())


def mean_excess(evaluation: Mapping[str, float]) -> float:
    """The error above the floor, averaged over the tenths of t."""
    return fmean(value for name, value in evaluation.items() if name.startswith("excess"))


def _spread(items: Sequence[Any], count: int) -> list[Any]:
    """At most `count` of the items, evenly spaced, the first and the last among them."""
    if len(items) <= count:
        return list(items)
    return [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)]


def words_from_noise(readings: Sequence[Reading], title: str, rows: int = 12) -> style.Figure:
    """The sentences that x0_hat spells on the way from t = T to 0, one a line; surer words are darker. Of
    many readings at most `rows` are shown, the last four from where the sentence no longer changes."""
    from matplotlib import colormaps

    last = max((i for i, r in enumerate(readings) if r.words != readings[-1].words), default=-1)
    chosen = [*_spread(readings[: last + 1], rows - 4), *_spread(readings[last + 1 :], 4)]
    count = len(chosen)

    height = 0.75 + 0.29 * count
    fig, (ax,) = style.canvas(height=height, places=[(0.0, 0.0, 1.0, 1 - 0.45 / height)])
    ax.axis("off")
    wide = style.WIDTH * style.DPI / 9  # characters in a line: at 11 points each is 9 pixels wide
    ax.set(xlim=(-8, wide - 8), ylim=(count - 0.4, -0.6))
    fig.text(0.005, 0.99, title, va="top", fontsize=12)

    shade, fixed_width = colormaps["Blues"], {"family": "DejaVu Sans Mono", "fontsize": 11, "va": "center"}
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
        ax.text(0, y, " ".join(line), **fixed_width)
        ax.text(-8, y, f"t={reading.t}", color="#555555", **fixed_width)
    return fig


def where_modes_fall(t: Sequence[int], curves: Curves) -> style.Figure:
    """Shares against t: the choice that is open, the words that are readable."""
    fig, (ax,) = style.canvas(height=3.4)
    style.lines(ax, t, curves, "t", "share")
    ax.set(title="what is open at t", ylim=(-0.02, 1.02))
    ax.legend(loc=(0.02, 0.1))
    return fig


def by_steps(*records: Mapping[str, Any]) -> dict[int, Row]:
    """NFE -> world scores of records of `evaluate`; raises InputError if their sources or samples differ."""
    sizes = {(r["settings"]["sources"], r["settings"]["samples"], r["settings"]["split"]) for r in records}
    if len(sizes) != 1:
        raise InputError(f"these records have different sizes {sorted(sizes)}; compare equal ones only")
    return {row["nfe"]: row for record in records for row in record["world_scores"]}


def _over_steps(
    titles: Mapping[str, str], steps: Values, measured: Lines, looks: Mapping[str, Look]
) -> style.Figure:
    """Scores (key -> title) against steps, ± 2 standard errors, a curve for each of `measured`, and TV's
    floor, which is the same for all if they were measured with as many samples."""
    fig, axes = style.canvas(1, len(titles), height=3.6)
    lines = {name: [{**row, "nfe": n} for n, row in zip(steps, rows)] for name, rows in measured.items()}
    settings = {"xlabel": "sampling steps (NFE)", "ylim": (-0.04, 1.12)}
    style.scores_by_calls(axes, titles, lines, steps, looks, errors=True, **settings)
    floor = {**style.pen(style.BLACK, "-."), "linewidth": 1.2}
    style.score(axes[1], "nfe", next(iter(lines.values())), "tv_floor", "floor: true samples", floor)
    return style.legend_below(fig, axes[1], columns=3)


def against_the_truth(steps: Values, measured: Lines) -> style.Figure:
    """Validity, TV with its floor, and coverage against steps, per denoiser, ± 2 standard errors."""
    return _over_steps(TITLES, steps, measured, LOOKS)


def stride_damage(steps: Values, measured: Mapping[str, Lines]) -> style.Figure:
    """Validity and TV against steps, ± 2 standard errors, of the right and the wrong update per denoiser."""
    titles, lines, looks = {key: TITLES[key] for key in ("validity", "tv")}, {}, {}
    for name, updates in measured.items():
        for update, rows in updates.items():
            wrong = {} if update.startswith("both") else {"linestyle": ":", "markerfacecolor": "white"}
            lines[f"{name}: {update}"] = rows
            looks[f"{name}: {update}"] = LOOKS[name] | {"linestyle": "-"} | wrong
    return _over_steps(titles, steps, lines, looks)
