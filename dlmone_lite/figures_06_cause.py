"""Figure of notebook 06: how wrong the score estimator is, and what that does to the student's gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from dlmone_lite.figures_06 import KINDS
from dlmone_lite.plots import BLACK, BLUE, GREEN, GREY, ORANGE, canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
