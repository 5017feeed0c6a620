"""Figures of notebook 00 and of the README: the duel of a teacher and its student, and a world's truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from dlmone_lite.evaluation.duel import Lane, Score
from dlmone_lite.figures import style
from dlmone_lite.figures.style import Shares

LOOKS = {"teacher": (style.BLUE, "o", ""), "student": (style.RED, "D", "//")}  # colour, marker, hatch
LONGEST = 80  # characters of a sentence that fit beside its label
WORDS_AT = 0.115  # where sentences begin, as a share of the width
FIXED_WIDTH = {"family": "DejaVu Sans Mono", "va": "center"}


def _row(ax: style.Axes, y: float, label: str, sentence: str, final: str) -> None:
    """A sentence in two layers of fixed-width type: words as in the final sentence, and other words."""
    words, last = sentence.split(), final.split()
    stays = [i < len(last) and word == last[i] for i, word in enumerate(words)]
    ax.text(0.0, y, label, ha="left", va="center", color=style.GREY)
    for keep, color, slant in ((True, style.BLACK, "normal"), (False, style.GREY, "italic")):
        layer = " ".join(w if s is keep else " " * len(w) for w, s in zip(words, stays, strict=True))
        if len(layer) > LONGEST:
            layer = layer[: LONGEST - 1] + "…"
        if layer.strip():
            ax.text(WORDS_AT, y, layer, color=color, style=slant, **FIXED_WIDTH)


def _lanes(ax: style.Axes, source: str, teacher: Lane, student: Lane, support: Shares) -> None:
    """Both lanes as text: the teacher's reading after 1, 2, 4, ... calls, the student's after its one."""
    shown = [n for n in (2**i for i in range(12)) if n < teacher.calls] + [teacher.calls]
    rows = len(shown) + student.calls + 4.9
    ax.set_axis_off()
    ax.set(xlim=(0, 1), ylim=(rows - 0.5, -0.6))
    ax.text(0.0, 0.0, "source", color=style.GREY, va="center")
    ax.text(WORDS_AT, 0.0, source, weight="bold", **FIXED_WIDTH)

    y = 1.3
    for lane, counts in ((teacher, shown), (student, range(1, student.calls + 1))):
        p, bold = support.get(lane.sentence), {"color": LOOKS[lane.role][0], "weight": "bold", "va": "center"}
        ax.text(0.0, y, f"{lane.role}: {lane.cost} of the network", **bold)
        verdict = "✗ not a right answer" if p is None else f"✓ right (p = {p:.2f})"
        ax.text(1.0, y, verdict, **bold, ha="right")
        for n in counts:
            y += 1
            _row(ax, y, f"call {n}", lane.readings[n - 1], lane.sentence)
        y += 1.3

    note = "black: as in the final sentence; grey italics: not so"
    ax.text(1.0, y, note, color=style.GREY, ha="right", va="center")
    for text in ax.texts:
        text.set_in_layout(False)  # a long sentence must not squeeze the others


def duel(source: str, teacher: Lane, student: Lane, support: Shares) -> style.Figure:
    """One sentence each: the teacher's readings call by call, and the student's single call."""
    fig, (ax,) = style.canvas(height=4.1)
    _lanes(ax, source, teacher, student, support)
    return fig


def duel_alt(source: str, teacher: Lane, student: Lane, support: Shares) -> str:
    """What `duel` shows, in words."""
    ends = []
    for lane in (teacher, student):
        verdict = "a right answer" if lane.sentence in support else "not a right answer"
        ends.append(f"the {lane.role} writes '{lane.sentence}' ({lane.cost}), {verdict}")
    return f"The duel for the source '{source}': {'; '.join(ends)}."


def _bars(ax: style.Axes, title: str, values: Mapping[str, float], digits: int, log: bool = False) -> None:
    """One small panel: a bar for each role, with its value."""
    for i, (role, value) in enumerate(values.items()):
        color, _, hatch = LOOKS[role]
        ax.bar(i, value, color=color, hatch=hatch, edgecolor="white", width=0.7)
        shown = f"{value:,.{digits}f}" if value < 100 else f"{value:,.0f}"
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
        ax.annotate(shown, (i, value), (0, 3), textcoords="offset points", ha="center", bbox=box)
    if log:
        ax.set(yscale="log", ylim=(min(values.values()) / 3, max(values.values()) * 4))
    else:
        ax.margins(y=0.18)
    ax.set_title(title, fontsize=11)
    ax.set_xticks(range(len(values)), list(values))
    ax.set_yticks([])
    ax.minorticks_off()
    ax.spines["left"].set_visible(False)
    ax.grid(False)


def _scores(axes: Sequence[style.Axes], scores: Sequence[Score], floor: float) -> None:
    """Cost on the left, quality and diversity on the right."""
    _bars(axes[0], "network calls", {s.role: s.calls for s in scores}, 0, log=True)
    _bars(axes[1], "ms a sentence", {s.role: 1000 * s.seconds for s in scores}, 1, log=True)
    _bars(axes[2], "right, of 100", {s.role: 100 * s.validity for s in scores}, 0)
    _bars(axes[3], "variety (coverage)", {s.role: s.coverage for s in scores}, 2)
    _bars(axes[4], "TV to the truth", {s.role: s.tv for s in scores}, 2)
    for ax, ideal in zip(axes[2:], (100.0, 1.0, floor)):
        ax.axhline(ideal, color=style.BLACK, linestyle="--", linewidth=1.2)


def scoreboard(scores: Sequence[Score], floor: float) -> style.Figure:
    """Cost, quality and diversity side by side; dashed: scores of as many samples of the exact truth."""
    fig, axes = style.canvas(1, 5, height=2.6)
    _scores(axes, scores, floor)
    fig.supxlabel("dashed: as many samples of the exact truth", fontsize=11)
    return fig


def whole_duel(
    source: str, teacher: Lane, student: Lane, support: Shares, scores: Sequence[Score], floor: float
) -> style.Figure:
    """`duel` above `scoreboard`: the README's picture."""
    from matplotlib.figure import Figure

    with style.in_style():
        fig = Figure(figsize=(style.WIDTH, 6.6), dpi=style.DPI, layout="constrained")
        above, below = fig.subfigures(2, 1, height_ratios=[1.5, 1.0])
        _lanes(above.subplots(), source, teacher, student, support)
        _scores(below.subplots(1, 5), scores, floor)
        below.supxlabel("many samples of this source; dashed: as many of the exact truth", fontsize=11)
    return fig


def truth(support: Shares, samples: Mapping[str, Sequence[str]]) -> style.Figure:
    """All right answers of a source with their exact probabilities, and how often each role wrote them."""
    names = [*support, "anything else (wrong)"]
    fig, (ax,) = style.canvas(height=0.9 + 0.3 * len(names))
    ax.barh(range(len(names)), [*support.values(), 0.0], color="#cfcfcf", label="exact probability")
    for i, (role, texts) in enumerate(samples.items()):
        counts = Counter(text if text in support else names[-1] for text in texts)
        shares = [counts[name] / len(texts) for name in names]
        shift = (i - (len(samples) - 1) / 2) * 0.3  # roles stand one below the other
        color, marker, _ = LOOKS[role]
        heights, look = [j + shift for j in range(len(names))], style.pen(color, "", marker)
        ax.plot(shares, heights, **look, label=f"{role}, of {len(texts)}")
    style.name_rows(ax, names)
    ax.set(xlabel="share of the answers", xlim=(0, None))
    ax.locator_params(axis="x", nbins=6)
    if samples:
        fig.legend(loc="outside upper right", ncols=1 + len(samples), **style.PLAIN)
    return fig
