"""Notebook 09: scores without a truth, detectors, how sure a ratio is, and eight outputs of one sentence."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from dlmone_lite.evaluation import degeneration, metrics, published
from dlmone_lite.evaluation.measure import field_scores
from dlmone_lite.figures import nb09 as figures
from dlmone_lite.figures import style
from dlmone_lite.panels.panel import View

Pairs = Sequence[tuple[str, str]]
Rows = Sequence[Mapping[str, Any]]


def scores(pairs: Pairs, texts: Sequence[Sequence[str]]) -> dict[str, Any]:
    """The field's scores of several outputs for each source, and their share of copies."""
    sources, targets = zip(*pairs, strict=True)
    flat = [(text, source) for own, source in zip(texts, sources, strict=True) for text in own]
    found = field_scores(texts, targets)
    return found | {"copies": metrics.copy_rate(*map(list, zip(*flat, strict=True)))}


def failures(pairs: Pairs, texts: Sequence[Sequence[str]]) -> str:
    """What the detectors of notebook 06 name, where the references tell a part of what is usual."""
    sources, targets = map(list, zip(*pairs, strict=True))
    usual = degeneration.Signs(
        repetition=fmean(map(degeneration.repeats, targets)),
        empty=fmean(map(degeneration.broken_off, targets)),
        copy=metrics.copy_rate(targets, sources),
        grip=degeneration.grip([[target] for target in targets], sources),
        variety=math.nan,
        modes=math.nan,
    )
    found = degeneration.diagnose(degeneration.signs(texts, sources), usual)
    return ", ".join(finding.mechanism for finding in found) or "nothing"


def against_calls(own: Rows, copies: Mapping[str, float]) -> None:
    """Draw BLEU and self-BLEU by calls of every network on its own task, and the copy's BLEU by task."""
    lines = {
        title: {
            role: sorted((r for r in own if r["network"] == f"{task}-{role}"), key=lambda r: r["nfe"])
            for role in ("teacher", "student")
        }
        for task, title in published.TASKS.items()
    }
    told = "; ".join(
        f"{title} {role} " + ", ".join(f"{row['nfe']}: {row['bleu']:.3f}" for row in line)
        for title, kinds in lines.items()
        for role, line in kinds.items()
    )
    alt = "BLEU (above) and self-BLEU (below) against calls a sentence for teacher and student, a column for "
    alt += f"each of three real sets; a dashed line is the copy of the source. BLEU by calls: {told}"
    dashed = {published.TASKS[task]: bleu for task, bleu in copies.items()}
    style.show(figures.against_calls(lines, dashed), alt, f"BLEU by calls | {told}")


def ratio_without_copies(own: Rows, task: str) -> float:
    """Student's BLEU at one call over its teacher's at its best, of the outputs that are not their source."""
    told = [row for row in own if row.get("bleu_rest") is not None]  # earlier records lack it
    student = published.best_row([row for row in told if row["nfe"] == 1], task, f"{task}-student")
    return student["bleu_rest"] / published.best_row(told, task, f"{task}-teacher")["bleu_rest"]


def ratio_interval(
    student: Sequence[float], teacher: Sequence[float], draws: Sequence[Sequence[int]]
) -> tuple[float, float]:
    """The middle 95 percent of the ratio of means over draws of source numbers."""
    ratios = sorted(sum(student[i] for i in d) / sum(teacher[i] for i in d) for d in draws)
    cut = int(0.025 * len(ratios))
    return ratios[cut], ratios[-1 - cut]


def show_ratios(own: Mapping[str, figures.Span], recorded: Mapping[str, figures.Span]) -> None:
    """Draw (ratio, low, high) by data set: of the learner's own sentences, and of the records."""

    def told(spans: Mapping[str, figures.Span]) -> str:
        return "; ".join(
            f"{name} {ratio:.2f} ({low:.2f} to {high:.2f})" for name, (ratio, low, high) in spans.items()
        )

    alt = "Student's BLEU over the teacher's, three sets, with 95 percent intervals: on the own sentences "
    alt += f"{told(own)}; as recorded {told(recorded)}."
    numbers = f"own sentences, teacher at 8 calls | {told(own)} || recorded | {told(recorded)}"
    style.show(figures.ratios(own, recorded), alt, numbers)


def from_set_to_set(rows: Rows, copies: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Draw where a student was trained against where it was measured -> {trained on: {measured on: BLEU}}."""
    matrix, names = published.zero_shot(rows), published.TASKS
    said = [f"{names[a]} on {names[b]} {bleu:.3f}" for a, row in matrix.items() for b, bleu in row.items()]
    alt = "Heat map of BLEU at one call: where a student was trained against where it was measured, and the "
    alt += "copy of the source as the last row. " + "; ".join(said)
    style.show(figures.between(matrix, copies, names), alt, "; ".join(said))
    return matrix


def eight_outputs(title: str, source: str, texts: Sequence[str]) -> View:
    """The different outputs for a source, how often each came, and what can be seen without a reference."""
    signs = {"copy": source.__eq__, "repeats": degeneration.repeats, "broken off": degeneration.broken_off}
    lines = ""
    for text, count in Counter(texts).most_common():
        marks = ", ".join(name for name, shows in signs.items() if shows(text))
        cells = f"{count}&nbsp;×", style.escape(text) or "(nothing)", f"<b>{marks}</b>"
        lines += f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
    said = " | ".join(f"{name} {sum(map(shows, texts))}" for name, shows in signs.items())
    table = f"<p>source: <b>{style.escape(source)}</b></p><table style='line-height:1.3'>{lines}</table>"
    numbers = f"{title} | different {len(set(texts))} of {len(texts)} | {said}"
    return View(table, f"{numbers} | self-BLEU {metrics.self_bleu([list(texts)]):.2f}")
