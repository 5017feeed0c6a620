"""The part of `evaluate` for real text: DiffuSeq's scores, beside those of copying the source."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
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
    checkpoint: Checkpoint, task: CorpusTask, args: argparse.Namespace, sampling: Sampling
) -> dict[str, Any]:
    """Print a row for copying the source and one for each number of steps; return them for a record.

    Scores are means over all samples of each source, except three. div-4, which falls with the
    number of samples, takes three of them. MBR is the BLEU of the sample among the first ten, DiffuSeq's
    number, that agrees best with the others. BERTScore takes the first sample; it is None where its package
    or its weights are missing.
    """
    steps, role = args.steps or STEPS[checkpoint.role], checkpoint.role
    check_steps(checkpoint, steps)
    sources, targets = (side[: args.sources] for side in task.valid)
    print(f"{role}, corpus {task.name}: {len(sources)} valid sources, {sampling.samples} samples each")
    print(task.about_valid())
    judge, note = bert_judge(args.bertscore)

    table, rows = Table(*COLUMNS), []
    texts = [[source] * min(SEEDS, sampling.samples) for source in sources]
    for nfe in (0, *steps):  # 0: the source, copied
        began = time.perf_counter()
        if nfe:
            texts = sample_texts(checkpoint, sources, nfe, sampling, f"{nfe} steps")
        seconds = time.perf_counter() - began
        scores = {"name": role if nfe else "copy", "nfe": nfe, **text_scores(texts, sources, targets)}
        scores |= more_scores(texts, targets, judge, choose=nfe > 0)
        rows.append({**scores, "seconds": round(seconds, 2)})
        printed = ("bleu", "mbr", "rouge_l", "bertscore", "dist_1", "self_bleu", "div_4")
        ends = fixed(scores["length"], 1), fixed(scores["copies"]), fixed(seconds, 1)
        table.row(scores["name"], str(nfe or "-"), *(fixed(scores[key]) for key in printed), *ends)
    print("ROUGE-L compares words, of scripts without spaces characters; an [UNK] is never right")
    print(note)
    settings = {"sources": len(sources), "split": "valid", **asdict(sampling)}
    found = {"kind": "corpus-evaluation", "settings": settings, "unknown": task.unknown}
    return {**found, "text_scores": rows, "bertscore": note}


def more_scores(
    texts: list[list[str]], targets: list[str], judge: Judge | None, choose: bool
) -> dict[str, Any]:
    """What `text_scores` lacks: scores of each source, for paired comparisons; MBR if `choose`; BERTScore.

    The means of `bleu_by_source` and `self_bleu_by_source` are `bleu` and `self_bleu`.
    """
    from dlmone_lite.evaluation.metrics import bleu, mbr, self_bleu

    bleus = [bleu(own, [target] * len(own)) for own, target in zip(texts, targets, strict=True)]
    scores: dict[str, Any] = {"bleu_by_source": [round(value, 4) for value in bleus]}
    several = len(texts[0]) > 1
    if several:
        scores["self_bleu_by_source"] = [round(self_bleu([own]), 4) for own in texts]
    best = [mbr(own[:CANDIDATES]) for own in texts] if several and choose else None
    scores["mbr"] = bleu(best, targets) if best else None
    return {**scores, "bertscore": judge([own[0] for own in texts], targets) if judge else None}


def bert_judge(model: str | None) -> tuple[Judge | None, str]:
    """(BERTScore or None, a note on it), by the model in a folder, or on the hub if `model` is "hub"."""
    from dlmone_lite.evaluation.metrics import DEBERTA, bertscore

    if not model:
        return None, "BERTScore was not asked for (--bertscore hub, or a folder with the model)"
    model = DEBERTA if model == "hub" else model
    judge = partial(bertscore, model=model)
    try:
        judge(["a"], ["a"])
    except InputError as error:
        return None, f"no BERTScore: {error}"
    return judge, f"BERTScore F1 by {model}"
