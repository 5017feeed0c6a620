"""The part of `evaluate` for real text: DiffuSeq's scores, beside those of copying the source."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from dlmone_lite.errors import InputError
from dlmone_lite.jobs.console import Table, fixed, rows_bar
from dlmone_lite.jobs.corpus_task import SEEDS, CorpusTask, text_scores

if TYPE_CHECKING:
    from dlmone_lite.checkpoints.checkpoint import Checkpoint

COLUMNS = [("", -8), ("NFE", 5), ("BLEU", 6), ("MBR", 6), ("ROUGE-L", 7), ("BERTScore", 9), ("dist-1", 6)]
COLUMNS += [("self-BLEU", 9), ("div-4", 6), ("words", 6), ("copies", 6), ("seconds", 8)]
CHOICE = 10  # samples of a source from which MBR chooses
STEPS = {"teacher": [10, 100, 500, 2000], "student": [1, 2, 4, 8]}
SETTINGS = ("sources", "samples", "seed", "clamp", "batch_size", "precision")


def corpus_scores(checkpoint: Checkpoint, task: CorpusTask, args: argparse.Namespace) -> dict[str, Any]:
    """A row for each number of steps, and one for copying the source, printed and returned.

    Scores are means over all samples of a source; but div-4, which falls with their number, is that of the
    first three, and MBR the BLEU of the one among the first ten, as many as DiffuSeq has, that agrees best
    with the others. BERTScore, of the first sample, is left out where its package or weights are not.
    """
    from dlmone_lite.generation import generate
    from dlmone_lite.sample import timesteps

    steps = args.steps or STEPS[checkpoint.role]
    for nfe in steps:
        timesteps(checkpoint.model.schedule.T, nfe, checkpoint.sampling.get("t_init"))
    sources, targets = (side[: args.sources] for side in task.valid)
    print(f"{checkpoint.role}, corpus {task.name}: {len(sources)} valid sources, {args.samples} samples each")
    judge, why = bert_judge(args.bertscore)
    table, rows = Table(*COLUMNS), []
    copied = [[source] * min(SEEDS, args.samples) for source in sources]
    rows.append(row(table, "copy", 0, copied, sources, targets, 0.0, judge))
    for nfe in steps:
        began = time.perf_counter()
        bar, progress = rows_bar(f"{nfe} steps")
        with bar:
            texts = generate(
                checkpoint,
                sources,
                steps=nfe,
                samples=args.samples,
                seed=args.seed,
                clamp=args.clamp,
                batch_size=args.batch_size,
                precision=args.precision,
                progress=progress,
            )
        seconds = time.perf_counter() - began
        rows.append(row(table, checkpoint.role, nfe, texts, sources, targets, seconds, judge))
    print(why)
    settings = {key: getattr(args, key) for key in SETTINGS} | {"sources": len(sources), "split": "valid"}
    return {"settings": settings, "text_scores": rows, "bertscore": why}


def row(
    table: Table,
    name: str,
    nfe: int,
    texts: list[list[str]],
    sources: list[str],
    targets: list[str],
    seconds: float,
    judge: Any,
) -> dict[str, Any]:
    """One row of the table; `judge(hypotheses, references)` is BERTScore or None."""
    from dlmone_lite.evaluation.metrics import bleu, mbr

    found: dict[str, Any] = {"name": name, "nfe": nfe, **text_scores(texts, sources, targets)}
    found |= by_source(texts, targets)
    choice = len(texts[0]) > 1 and name != "copy"
    found["mbr"] = bleu([mbr(own[:CHOICE]) for own in texts], targets) if choice else None
    found["bertscore"] = judge([own[0] for own in texts], targets) if judge else None
    found["seconds"] = round(seconds, 2)
    scores = ("bleu", "mbr", "rouge_l", "bertscore", "dist_1", "self_bleu", "div_4")
    cells = [fixed(found[key]) for key in scores]
    ends = fixed(found["length"], 1), fixed(found["copies"]), fixed(seconds, 1)
    table.row(name, str(nfe) if nfe else "-", *cells, *ends)
    return found


def by_source(texts: list[list[str]], targets: list[str]) -> dict[str, list[float]]:
    """BLEU and self-BLEU of each source, for paired comparisons; their means are `bleu` and `self_bleu`."""
    from dlmone_lite.evaluation.metrics import bleu, self_bleu

    scores = {"bleu_by_source": [bleu(own, [target] * len(own)) for own, target in zip(texts, targets)]}
    if len(texts[0]) > 1:
        scores["self_bleu_by_source"] = [self_bleu([own]) for own in texts]
    return {name: [round(value, 4) for value in values] for name, values in scores.items()}


def bert_judge(wanted: str | None) -> tuple[Any, str]:
    """(BERTScore or None, what to say of it): it is asked for by a folder with the model, or `hub`."""
    from dlmone_lite.evaluation.metrics import DEBERTA, bertscore

    if not wanted:
        return None, "BERTScore was not asked for (--bertscore hub, or a folder with the model)"
    model = DEBERTA if wanted == "hub" else wanted

    def judge(hypotheses: list[str], references: list[str]) -> float:
        return bertscore(hypotheses, references, model=model)

    try:
        judge(["a"], ["a"])
    except InputError as error:
        return None, f"no BERTScore: {error}"
    return judge, f"BERTScore F1 by {model}"
