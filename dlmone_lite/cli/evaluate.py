"""`evaluate`: a checkpoint, or the exact oracle, against a world's truth and the field's scores."""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from dlmone_lite.cli.options import command, count, device_option, positive, step_list
from dlmone_lite.errors import InputError
from dlmone_lite.evaluation.metrics import DEBERTA, bertscore, bleu, mbr, self_bleu, tight, world_metrics
from dlmone_lite.evaluation.published import SCORES
from dlmone_lite.files import check_output, write_json
from dlmone_lite.jobs.console import Table, fixed, with_error
from dlmone_lite.jobs.corpus_task import SEEDS, CorpusTask, text_scores
from dlmone_lite.jobs.provenance import command_line, environment
from dlmone_lite.jobs.sampling import Sampling, check_clamp, check_steps, sample_texts
from dlmone_lite.jobs.task import WorldTask, exact_draws, references, task_of

if TYPE_CHECKING:
    from dlmone_lite.checkpoints.checkpoint import Checkpoint
    from dlmone_lite.corpora.world import World

Judge = Callable[[list[str], list[str]], float]  # (hypotheses, references) -> BERTScore
CANDIDATES = 10  # samples of a source among which MBR chooses
WORLD_COLUMNS = [("", -8), ("NFE", 5), ("validity", 13), ("TV", 13), ("floor", 6), ("excess", 6)]
WORLD_COLUMNS += [("coverage", 13), ("distinct (truth)", 16), ("seconds", 8)]
FIELD_COLUMNS = [("", -8), ("NFE", 5), ("BLEU", 6), ("ROUGE-L", 7), ("dist-1", 6), ("self-BLEU", 9)]
FIELD_COLUMNS += [("div-4", 6)]
CORPUS_COLUMNS = [("", -8), ("NFE", 5), ("BLEU", 6), ("tight", 6), ("rest", 6), ("MBR", 6)]
CORPUS_COLUMNS += [("ROUGE-L", 7), ("BERTScore", 9)]
CORPUS_COLUMNS += [("dist-1", 6), ("self-BLEU", 9), ("div-4", 6), ("words", 6), ("copies", 6), ("seconds", 8)]
WORLD_STEPS = {"teacher": [64, 256], "student": [1, 2, 4]}
CORPUS_STEPS = {"teacher": [10, 100, 500, 2000], "student": [1, 2, 4, 8]}
EXAMPLES = """--checkpoint paraphrase-teacher --steps 64,256 --json teacher.json
--checkpoint runs/student.safetensors --sources 64 --samples 256
--exact paraphrase --steps 16,64,256
--floor paraphrase-teacher --draws 512 --json floor.json
--checkpoint runs/qqp.safetensors --corpus data/qqp --sources 256 --samples 10 --steps 10,100"""
MORE = """World scores, averaged over sources (± standard error): validity (share of right sentences), TV
(distance to the exact distribution), floor (TV that as many true samples have), excess = sqrt(TV^2 -
floor^2), coverage (different right sentences over the number that true samples show). The field's scores
(BLEU, ROUGE-L, dist-1, self-BLEU, div-4) use the first three samples of each source and the split's
references; beside them stand copying the source and true samples. Last, the detectors of degeneration: what
they see in the outputs, compared with as many true samples. --exact puts the world's exact denoiser in place
of a network. --floor gives a teacher's loss above the exact Bayes loss for each tenth of t. --corpus, for a
network trained on real text: the field's scores alone (div-4 of three samples, MBR of ten), beside
copying."""


def add(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    summary = "measure a checkpoint against the exact truth"
    parser = command(commands, "evaluate", summary, EXAMPLES, run, MORE)
    what = parser.add_mutually_exclusive_group(required=True).add_argument
    what("--checkpoint", metavar="C", help="name of a shipped checkpoint, or a .safetensors file")
    what("--exact", metavar="WORLD", help="the exact denoiser of this world")
    what("--floor", metavar="TEACHER", help="a teacher's loss above the Bayes loss")
    add = parser.add_argument
    add("--embeddings", metavar="C", help="with --exact: whose embeddings (default <world>-teacher)")
    add("--world", help="name or .grammar file (default: the checkpoint's)")
    add("--corpus", help="where a corpus lies; then DiffuSeq's scores, on its valid split")
    add("--zero-shot", action="store_true", help="with --corpus: also one that the network never saw")
    add("--bertscore", metavar="FOLDER", help="with --corpus: BERTScore by this model, or by the hub's: hub")
    add("--steps", type=step_list, help="NFE, as 64,256 (default: teacher 64,256; student 1,2,4)")
    add("--sources", type=positive, default=64, help="sources (default 64)")
    add("--samples", type=positive, help="samples a source (default 256; of a corpus 10)")
    add("--split", choices=("train", "valid", "test"), default="test")
    add("--draws", type=positive, default=256, help="with --floor: targets a decile (256)")
    add("--clamp", action="store_true", help="a teacher's x0_hat on its nearest embedding at each step")
    add("--batch-size", type=positive, default=512, help="rows at a time (default 512)")
    add("--seed", type=count, default=0)
    add("--json", metavar="FILE", help="write everything there")
    precisions = ("auto", "float32", "bfloat16", "float16")
    products = "of matrix products; auto: what is faster on this machine (default float32)"
    add("--precision", choices=precisions, default="float32", help=products)
    device_option(parser)


def run(args: argparse.Namespace) -> None:
    """Measure, print, write."""
    from dlmone_lite.training.precision import pick_device

    check_output(args.json)
    if args.embeddings and not args.exact:
        raise InputError("--embeddings belongs to --exact; leave it out")
    if args.corpus and (args.world or args.exact or args.floor):
        raise InputError("--corpus has no exact truth; leave --world, --exact and --floor out")
    if (args.zero_shot or args.bertscore) and not args.corpus:
        raise InputError("--zero-shot and --bertscore belong to --corpus; say which corpus")
    began, device = time.perf_counter(), pick_device(args.device)
    record = {"command": command_line(args.argv), **evaluate(args, device), **environment(device)}
    if args.json:
        write_json(args.json, {**record, "seconds": round(time.perf_counter() - began, 2)})


def evaluate(args: argparse.Namespace, device: str) -> dict[str, Any]:
    """Load the network and measure it on its task; return the record."""
    from dlmone_lite.checkpoints import zoo
    from dlmone_lite.corpora.world import World
    from dlmone_lite.evaluation.bayes_floor import perfect
    from dlmone_lite.training.precision import resolve_precision

    world = World.load(args.exact or args.world) if args.exact or args.world else None
    origin = args.checkpoint or args.floor or args.embeddings or f"{world.name}-teacher"
    checkpoint = zoo.load(origin, device, world.name if world else None)
    if world:
        task = WorldTask(world, checkpoint.codec)
    else:
        task = task_of(checkpoint, origin, None, args.corpus, args.zero_shot)
    check_clamp(checkpoint, args.clamp)
    if args.exact and args.precision != "float32":
        raise InputError("the exact denoiser needs --precision float32; leave the option out")
    model = checkpoint.model
    precision = resolve_precision(args.precision, model.words.device, model.config.width)
    samples = args.samples or (10 if args.corpus else 256)
    sampling = Sampling(samples, args.seed, args.clamp, args.batch_size, precision)

    record = {"checkpoint": origin, "world": task.name}
    record |= {"trained_on": checkpoint.world} if args.zero_shot else {}
    record |= {"role": "exact" if args.exact else checkpoint.role, "provenance": checkpoint.provenance}
    if args.floor:
        return record | evaluate_floor(checkpoint, task.world, args)
    if args.exact:
        checkpoint = perfect(checkpoint, task.world)
    steps = args.steps or (CORPUS_STEPS if args.corpus else WORLD_STEPS)[checkpoint.role]
    check_steps(checkpoint, steps)
    if args.corpus:
        return record | evaluate_corpus(checkpoint, task, steps, sampling, args)
    return record | evaluate_world(checkpoint, task.world, steps, sampling, args)


# ---- a world


def evaluate_world(
    checkpoint: Checkpoint, world: World, steps: list[int], sampling: Sampling, args: argparse.Namespace
) -> dict[str, Any]:
    """Print both tables, a row for each number of steps; return the scores."""
    from dlmone_lite.evaluation.measure import held_out_sources

    name = "exact" if args.exact else checkpoint.role
    sources = held_out_sources(world, args.sources, args.split)
    targets = references(world, args.split, sources)
    print(f"{name}, world {world.name}: {args.sources} {args.split} sources, {sampling.samples} samples each")

    # Copies and true samples are entries of the second table only.
    table, rows = Table(*WORLD_COLUMNS), []
    texts = {"copy": [[source] * SEEDS for source in sources], "truth": truth(world, sources, sampling.seed)}
    for nfe in steps:
        began = time.perf_counter()
        samples = sample_texts(checkpoint, sources, nfe, sampling, f"{nfe} steps")
        scores = {"nfe": nfe, **world_metrics(samples, [world.support(source) for source in sources])}
        scores |= degeneration(samples, world, sources, sampling.seed)
        rows.append({**scores, "seconds": round(time.perf_counter() - began, 2)})
        texts[f"{name} {nfe}"] = [own[:SEEDS] for own in samples]

        means = ("validity", "tv", "coverage")
        validity, tv, coverage = (with_error(scores[key], scores[f"{key}_se"]) for key in means)
        cells = [validity, tv, fixed(scores["tv_floor"]), fixed(scores["tv_excess"]), coverage]
        distinct = f"{scores['distinct']:.1f} ({scores['distinct_truth']:.1f})"
        table.row(name, str(nfe), *cells, distinct, f"{rows[-1]['seconds']:.1f}")

    field = field_table(texts, targets)
    print()
    for scores in rows:
        print(f"{name} {scores['nfe']}: {'; '.join(scores['failures']) or 'no detector fires'}")
    settings = {"sources": args.sources, "split": args.split, **asdict(sampling)}
    return {"kind": "evaluation", "settings": settings, "world_scores": rows, "field_scores": field}


def degeneration(texts: list[list[str]], world: World, sources: list[str], seed: int) -> dict[str, Any]:
    """The signs of degeneration in the outputs, and the failures that they indicate.

    As many true samples give the usual signs. With one source, or one sample of each, there are no signs.
    """
    from dlmone_lite.evaluation.degeneration import diagnose, signs

    if len(sources) < 2 or len(texts[0]) < 2:
        return {"signs": {}, "failures": []}
    current = signs(texts, sources)
    usual = signs(truth(world, sources, seed, len(texts[0])), sources)
    if usual.modes and current.error["modes"] > usual.modes / 4:
        print(f"note: {len(texts)} sources of {len(texts[0])} samples are too few to tell a mode collapse")
    return {"signs": current.as_dict(), "failures": [str(finding) for finding in diagnose(current, usual)]}


def field_table(texts: dict[str, list[list[str]]], targets: list[str]) -> dict[str, dict[str, float | None]]:
    """The field's scores of each entry, printed and returned."""
    from dlmone_lite.evaluation.measure import field_scores

    print()
    table, scores = Table(*FIELD_COLUMNS), {}
    for entry, hypotheses in texts.items():
        scores[entry] = field_scores(hypotheses, targets)
        name, _, nfe = entry.partition(" ")
        table.row(name, nfe or "-", *(fixed(value) for value in scores[entry].values()))
    return scores


def truth(world: World, sources: list[str], seed: int, samples: int = SEEDS) -> list[list[str]]:
    """Fresh draws from the exact conditional distribution: the samples of a perfect model."""
    return exact_draws(world, sources, samples, random.Random(f"{world.name} truth {seed}"))


def evaluate_floor(checkpoint: Checkpoint, world: World, args: argparse.Namespace) -> dict[str, Any]:
    """The table of a teacher's loss above the Bayes loss by tenths of t, printed and returned."""
    from dlmone_lite.evaluation.bayes_floor import loss_by_decile

    if (role := checkpoint.role) != "teacher":
        raise InputError(f"--floor compares a teacher's loss with the Bayes loss; this is a {role}")
    sigma_0 = float(checkpoint.provenance.get("config", {}).get("sigma_0", 0.0))
    result = loss_by_decile(checkpoint, world, args.draws, args.seed, args.split, sigma_0)
    print(f"squared error per element, {args.draws} draws of {args.split} sources in each tenth of t")
    table = Table(("t", -11), ("Bayes", 15), ("teacher", 15), ("above", 15), ("above/Bayes", 12))
    for row in result["deciles"]:
        cells = [f"{row[key]:.4f} ±{row[f'{key}_se']:.4f}" for key in ("bayes", "teacher", "excess")]
        ratio = "-" if row["ratio"] is None else f"{row['ratio']:.1%}"
        table.row(f"{row['t_from']}-{row['t_to']}", *cells, ratio)
    print(f"a dash: Bayes loss below 5% of the embeddings' variance ({result['embedding_variance']:.2f})")
    return {"kind": "floor", "floor": result}


# ---- a corpus: DiffuSeq's scores, beside those of copying the source


def evaluate_corpus(
    checkpoint: Checkpoint, task: CorpusTask, steps: list[int], sampling: Sampling, args: argparse.Namespace
) -> dict[str, Any]:
    """Print a row for copying the source and one for each number of steps; return them for a record.

    Scores are means over all samples of each source, except three. div-4, which falls with the number of
    samples, takes three of them. MBR is the BLEU of the sample among the first ten, DiffuSeq's number, that
    agrees best with the others. BERTScore takes the first sample; None without its package or its weights.
    """
    role = checkpoint.role
    sources, targets = (side[: args.sources] for side in task.valid)
    print(f"{role}, corpus {task.name}: {len(sources)} valid sources, {sampling.samples} samples each")
    print(task.about_valid())
    judge, note = bert_judge(args.bertscore)

    table, rows = Table(*CORPUS_COLUMNS), []
    texts = [[source] * min(SEEDS, sampling.samples) for source in sources]
    for nfe in (0, *steps):  # 0: the source, copied
        began = time.perf_counter()
        if nfe:
            texts = sample_texts(checkpoint, sources, nfe, sampling, f"{nfe} steps")
        seconds = time.perf_counter() - began
        scores = {"name": role if nfe else "copy", "nfe": nfe, **text_scores(texts, sources, targets)}
        scores |= more_scores(texts, sources, targets, judge, choose=nfe > 0)
        rows.append({**scores, "seconds": round(seconds, 2)})
        printed = (*SCORES[:2], "bleu_rest", *SCORES[2:])
        ends = fixed(scores["length"], 1), fixed(scores["copies"]), fixed(seconds, 1)
        table.row(scores["name"], str(nfe or "-"), *(fixed(scores[key]) for key in printed), *ends)
    print("tight: BLEU of text as DiffuSeq spells it, 'rome?'; rest: BLEU of the outputs that are no copies")
    print("ROUGE-L compares words, of scripts without spaces characters; an [UNK] is never right")
    print(note)
    settings = {"sources": len(sources), "split": "valid", **asdict(sampling)}
    found = {"kind": "corpus-evaluation", "settings": settings, "unknown": task.unknown}
    return {**found, "text_scores": rows, "bertscore": note}


def more_scores(
    texts: list[list[str]], sources: list[str], targets: list[str], judge: Judge | None, choose: bool
) -> dict[str, Any]:
    """What `text_scores` lacks: scores of each source, for paired comparisons; BLEU of what is no copy,
    and of all as DiffuSeq spells it; MBR if `choose`; BERTScore.

    The means of `bleu_by_source` and `self_bleu_by_source` are `bleu` and `self_bleu`.
    """
    rows = list(zip(texts, sources, targets, strict=True))
    bleus = [bleu(own, [target] * len(own)) for own, _, target in rows]
    flat = [(text, source, target) for own, source, target in rows for text in own]
    rest = [(text, target) for text, source, target in flat if text.split() != source.split()]
    scores: dict[str, Any] = {"bleu_by_source": [round(value, 4) for value in bleus]}
    scores["bleu_rest"] = bleu(*zip(*rest)) if rest else None
    scores["bleu_tight"] = bleu([tight(text) for text, *_ in flat], [tight(target) for *_, target in flat])
    several = len(texts[0]) > 1
    if several:
        scores["self_bleu_by_source"] = [round(self_bleu([own]), 4) for own in texts]
    best = [mbr(own[:CANDIDATES]) for own in texts] if several and choose else None
    scores["mbr"] = bleu(best, targets) if best else None
    return {**scores, "bertscore": judge([own[0] for own in texts], targets) if judge else None}


def bert_judge(model: str | None) -> tuple[Judge | None, str]:
    """(BERTScore or None, a note on it), by the model in a folder, or on the hub if `model` is "hub"."""
    if not model:
        return None, "BERTScore was not asked for (--bertscore hub, or a folder with the model)"
    model = DEBERTA if model == "hub" else model
    judge = partial(bertscore, model=model)
    try:
        judge(["a"], ["a"])
    except InputError as error:
        return None, f"no BERTScore: {error}"
    return judge, f"BERTScore F1 by {model}"
