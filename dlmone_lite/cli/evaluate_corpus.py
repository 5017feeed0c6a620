"""The part of `evaluate` for real text: DiffuSeq's scores, beside those of copying the source."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dlmone_lite.errors import InputError
from dlmone_lite.jobs.console import Table, fixed
from dlmone_lite.jobs.corpus_task import SEEDS, CorpusTask, text_scores
from dlmone_lite.jobs.sampling import Sampling, check_steps, sample_texts

if TYPE_CHECKING:
    from dlmone_lite.checkpoints.checkpoint import Checkpoint

Judge = Callable[[list[str], list[str]], float]  # (hypotheses, references) -> BERTScore
COLUMNS = [("", -8), ("NFE", 5), ("BLEU", 6), ("MBR", 6), ("ROUGE-L", 7), ("BERTScore", 9), ("dist-1", 6)]
COLUMNS += [("self-BLEU", 9), ("div-4", 6), ("words", 6), ("copies", 6), ("seconds", 8)]
CANDIDATES = 10  # samples of a source among which MBR chooses
STEPS = {"teacher": [10, 100, 500, 2000], "student": [1, 2, 4, 8]}


def evaluate_corpus(
    checkpoint: Checkpoint,
    task: CorpusTask,
    count: int,
    steps: list[int] | None,
    sampling: Sampling,
    bertscore: str | None,
) -> dict[str, Any]:
    """Print a row for copying the source and one for each number of steps; return them for a record.

    Scores are means over all samples of each of `count` sources, except three. div-4, which falls with the
    number of samples, takes three of them. MBR is the BLEU of the sample among the first ten, DiffuSeq's
    number, that agrees best with the others. BERTScore takes the first sample; it is None where its package
    or its weights are missing.
    """
    steps = steps or STEPS[checkpoint.role]
    check_steps(checkpoint, steps)
    sources, targets = (side[:count] for side in task.valid)
    size = f"{len(sources)} valid sources, {sampling.samples} samples each"
    print(f"{checkpoint.role}, corpus {task.name}: {size}")
    print(task.about_valid())
    judge, note = bert_judge(bertscore)

    table = Table(*COLUMNS)
    copies = [[source] * min(SEEDS, sampling.samples) for source in sources]
    rows = [row(table, "copy", 0, copies, sources, targets, 0.0, judge)]
    for nfe in steps:
        began = time.perf_counter()
        texts = sample_texts(checkpoint, sources, nfe, sampling, f"{nfe} steps")
        seconds = time.perf_counter() - began
        rows.append(row(table, checkpoint.role, nfe, texts, sources, targets, seconds, judge))
    print("ROUGE-L compares words, of scripts without spaces characters; an [UNK] is never right")
    print(note)
    settings = {"sources": len(sources), "split": "valid", **asdict(sampling)}
    return {
        "kind": "corpus-evaluation",
        "settings": settings,
        "unknown": task.unknown,
        "text_scores": rows,
        "bertscore": note,
    }


def row(
    table: Table,
    name: str,
    nfe: int,
    texts: list[list[str]],
    sources: list[str],
    targets: list[str],
    seconds: float,
    judge: Judge | None,
) -> dict[str, Any]:
    """Score samples, print them as a row of the table, and return the scores."""
    from dlmone_lite.evaluation.metrics import bleu, mbr

    scores: dict[str, Any] = {"name": name, "nfe": nfe, **text_scores(texts, sources, targets)}
    scores |= by_source(texts, targets)
    several = len(texts[0]) > 1 and name != "copy"
    scores["mbr"] = bleu([mbr(own[:CANDIDATES]) for own in texts], targets) if several else None
    scores["bertscore"] = judge([own[0] for own in texts], targets) if judge else None
    scores["seconds"] = round(seconds, 2)

    printed = ("bleu", "mbr", "rouge_l", "bertscore", "dist_1", "self_bleu", "div_4")
    ends = fixed(scores["length"], 1), fixed(scores["copies"]), fixed(seconds, 1)
    table.row(name, str(nfe) if nfe else "-", *(fixed(scores[key]) for key in printed), *ends)
    return scores


def by_source(texts: list[list[str]], targets: list[str]) -> dict[str, list[float]]:
    """BLEU and self-BLEU of each source, for paired comparisons; their means are `bleu` and `self_bleu`."""
    from dlmone_lite.evaluation.metrics import bleu, self_bleu

    bleus = [bleu(own, [target] * len(own)) for own, target in zip(texts, targets, strict=True)]
    scores = {"bleu_by_source": [round(value, 4) for value in bleus]}
    if len(texts[0]) > 1:
        scores["self_bleu_by_source"] = [round(self_bleu([own]), 4) for own in texts]
    return scores


def bert_judge(model: str | None) -> tuple[Judge | None, str]:
    """(BERTScore or None, a note on it), by the model in a folder, or on the hub if `model` is "hub"."""
    from dlmone_lite.evaluation.metrics import DEBERTA, bertscore

    if not model:
        return None, "BERTScore was not asked for (--bertscore hub, or a folder with the model)"
    model = DEBERTA if model == "hub" else model

    def judge(hypotheses: list[str], references: list[str]) -> float:
        return bertscore(hypotheses, references, model=model)

    try:
        judge(["a"], ["a"])
    except InputError as error:
        return None, f"no BERTScore: {error}"
    return judge, f"BERTScore F1 by {model}"
