"""Notebook 09: scores without a truth, detectors, and how sure a ratio is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from dlmone_lite.evaluation import degeneration, metrics, published
from dlmone_lite.evaluation.measure import field_scores
from dlmone_lite.figures import nb09 as figures
from dlmone_lite.figures import style

Pairs = Sequence[tuple[str, str]]
Rows = Sequence[Mapping[str, Any]]


def scores(pairs: Pairs, texts: Sequence[Sequence[str]]) -> dict[str, Any]:
    """The field's scores of several outputs for each source, with MBR, copies and words an output."""
    sources, targets = zip(*pairs, strict=True)
    flat = [(text, source) for own, source in zip(texts, sources, strict=True) for text in own]
    found = {
        **field_scores(texts, targets),
        "mbr": metrics.bleu([metrics.mbr(own) for own in texts], targets),
    }
    found["copies"] = metrics.copy_rate(*map(list, zip(*flat, strict=True)))
    return found | {"words": fmean(len(text.split()) for text, _ in flat)}


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


def against_calls(own: Rows, copies: Mapping[str, float]) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    """Draw BLEU and self-BLEU by calls of every network on its own task -> (task, role): its rows."""
    tasks = published.TASKS
    kept: dict[tuple[str, str], list] = {
        (task, role): [] for task in tasks for role in ("teacher", "student")
    }
    for row in sorted(own, key=lambda row: row["nfe"]):
        for task, role in kept:
            if row["network"] == f"{task}-{role}":
                kept[task, role].append(row)
    lines = {
        title: {role: kept[task, role] for role in ("teacher", "student")} for task, title in tasks.items()
    }
    told = [
        f"{title} {role} " + ", ".join(f"{row['nfe']}: {row['bleu']:.3f}" for row in line)
        for title, kinds in lines.items()
        for role, line in kinds.items()
    ]
    alt = "BLEU (above) and self-BLEU (below) against calls a sentence for teacher and student, a column for "
    alt += "each of three real sets; a dashed line is the copy of the source. BLEU by calls: " + "; ".join(
        told
    )
    dashed = {tasks[task]: bleu for task, bleu in copies.items()}
    style.show(figures.against_calls(lines, dashed), alt, "BLEU by calls | " + "; ".join(told))
    return kept


def ratio_interval(
    student: Sequence[float], teacher: Sequence[float], draws: Sequence[Sequence[int]]
) -> tuple[float, float]:
    """The middle 95 percent of the ratio of means over draws of source numbers."""
    ratios = sorted(sum(student[i] for i in d) / sum(teacher[i] for i in d) for d in draws)
    cut = int(0.025 * len(ratios))
    return ratios[cut], ratios[-1 - cut]
