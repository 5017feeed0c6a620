"""The paper's table with ours beside it: published scores, and the records of `evaluate --corpus`."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from dlmone_lite.errors import InputError
from dlmone_lite.files import RUNS

Row = dict[str, Any]  # of a table: a network's scores on a task
REAL = RUNS / "real"
TASKS = {"qqp": "QQP", "wiki_auto": "Wiki-Auto", "quasar_t": "Quasar-T"}
NAMES = {"bleu": "BLEU", "mbr": "MBR", "rouge_l": "ROUGE-L", "bertscore": "BERTScore", "dist_1": "dist-1"}
NAMES |= {"self_bleu": "self-BLEU", "div_4": "div-4", "copies": "copies"}
NAMES |= {"bleu_tight": "BLEU as DiffuSeq's", "bleu_rest": "BLEU of no copies"}
# Of the paper's table.
SCORES = ("bleu", "bleu_tight", "mbr", "rouge_l", "bertscore", "dist_1", "self_bleu", "div_4")
DRAWS = 2000  # of a bootstrap

# Test split of the whole sets, BERT-base: DLM-One's BLEU, then DiffuSeq's other scores, MBR of ten samples.
# In DLM-One's table the last two look exchanged, because .2985 is nearer to what DiffuSeq has on Wiki-Auto.
PUBLISHED: list[Row] = []
for _task, _bleu, *_others in (
    ("qqp", 0.1788, 0.2413, 0.5880, 0.8365, 0.9807, 0.2732, 0.8641),
    ("wiki_auto", 0.2139, 0.3622, 0.5849, 0.8126, 0.9264, 0.4642, 0.6604),
    ("quasar_t", 0.2985, 0.1731, 0.3665, 0.6123, 0.9056, 0.2789, 0.8103),
):
    _scores = dict(zip(SCORES[2:], _others, strict=True))
    PUBLISHED.append({"task": _task, "network": "DiffuSeq (arXiv 2210.08933)", "nfe": 2000, **_scores})
    PUBLISHED.append({"task": _task, "network": "DLM-One (arXiv 2506.00290)", "nfe": 1, "bleu_tight": _bleu})


def network(record: Row) -> str:
    """The network that was evaluated: the name of a shipped checkpoint, or of a file without its ending."""
    return Path(record["checkpoint"]).name.removesuffix(".safetensors")


def measured(folder: Path = REAL) -> list[Row]:
    """A row for each number of steps of each record in the folder; InputError for any other file.

    A row has task, trained_on, network, nfe, the scores, sources, samples, `record` (the file's name) and the
    network's `provenance`. Of a task's rows for copying the source, the one of most sources stays.
    """
    rows: list[Row] = []
    copies: dict[str, Row] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            shared = {"task": record["world"], "trained_on": record.get("trained_on", record["world"])}
            shared |= {"network": network(record), "record": path.name}
            shared["provenance"] = record.get("provenance", {})
            shared |= {key: record["settings"][key] for key in ("sources", "samples")}
            scored = record["text_scores"]
        except (KeyError, TypeError, ValueError) as e:
            raise InputError(f"{path} is no record of `evaluate --corpus --json`; take it away") from e
        for scores in scored:
            row = {**shared, **scores}
            if row["name"] != "copy":
                rows.append(row)
            elif row["sources"] > copies.get(row["task"], {}).get("sources", 0):
                copies[row["task"]] = {**row, "network": "copy of the source"}
    return [*copies.values(), *rows]


def table(rows: Sequence[Row], scores: Sequence[str] = SCORES) -> list[list[str]]:
    """Headings and cells, task by task: what was published, copying, then ours with their record.

    Samples are sources x samples a source; for copying the sources alone, because a copy never varies.
    """
    cells = [["task", "network", "NFE", *(NAMES[key] for key in scores), "samples", "from"]]
    for task in [*TASKS, *sorted({row["task"] for row in rows} - set(TASKS))]:
        published = [row for row in PUBLISHED if row["task"] == task]
        ours = [row for row in rows if row["task"] == task and row.get("trained_on", task) == task]
        for row in [*published, *ours]:
            samples = str(row.get("sources", ""))
            samples += f" x {row['samples']}" if samples and row["nfe"] else ""
            numbers = ["" if row.get(key) is None else f"{row[key]:.3f}" for key in scores]
            head = [TASKS.get(task, task), row["network"], str(row["nfe"] or "")]
            cells.append([*head, *numbers, samples, row.get("record", "published")])
    return cells


def best_row(rows: Sequence[Row], task: str, network: str) -> Row | None:
    """A network's row of the highest BLEU on the task it was trained on; None if there is none."""
    own = (row for row in rows if row["task"] == row["trained_on"] == task and row["network"] == network)
    return max(own, key=lambda row: row["bleu"], default=None)


def ratio(rows: Sequence[Row], task: str, student: str, teacher: str) -> dict[str, float] | None:
    """The student's BLEU at one step over the teacher's at its best number of steps, and how far apart their
    self-BLEU and shares of copies are.

    BLEU and self-BLEU are taken on the sources that both have written for. `low` and `high` bound the ratio
    at 95 percent, by bootstrap (Efron 1979) over those sources. None where either network has no row.
    """
    one = best_row([row for row in rows if row["nfe"] == 1], task, student)
    many = best_row(rows, task, teacher)
    if one is None or many is None:
        return None
    pairs = list(zip(one["bleu_by_source"], many["bleu_by_source"]))
    apart = [a - b for a, b in zip(one["self_bleu_by_source"], many["self_bleu_by_source"])]
    rng = random.Random(0)
    drawn = sorted(_quotient(rng.choices(pairs, k=len(pairs))) for _ in range(DRAWS))
    result = {"bleu": _quotient(pairs), "self_bleu": fmean(apart), "nfe": many["nfe"], "sources": len(pairs)}
    result["copies"] = one["copies"] - many["copies"]
    return result | {"low": drawn[round(0.025 * DRAWS)], "high": drawn[round(0.975 * DRAWS) - 1]}


def _quotient(pairs: Sequence[tuple[float, float]]) -> float:
    below = sum(b for _, b in pairs)
    return sum(a for a, _ in pairs) / below if below else float("inf")


def seeds(rows: Sequence[Row], network: str) -> list[str]:
    """`network`, then its further training seeds in order, which are named `<network>-seed<n>`."""
    names, pattern = {row["network"] for row in rows}, re.compile(re.escape(network) + r"(?:-seed(\d+))?")
    found = filter(None, map(pattern.fullmatch, names))
    return [match[0] for match in sorted(found, key=lambda match: int(match[1] or -1))]


def zero_shot(rows: Sequence[Row], score: str = "bleu") -> dict[str, dict[str, float]]:
    """{trained on: {task: score}} of each `<task>-student` at one step, on every task it was measured on."""
    matrix: dict[str, dict[str, float]] = {}
    for row in rows:
        if row["nfe"] == 1 and row["network"] == f"{row['trained_on']}-student":
            matrix.setdefault(row["trained_on"], {})[row["task"]] = row[score]
    return matrix
