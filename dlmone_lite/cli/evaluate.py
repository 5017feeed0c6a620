"""`evaluate`: a checkpoint, or the exact oracle, against a world's truth and the field's scores."""

from __future__ import annotations

import argparse
import random
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dlmone_lite.cli.evaluate_corpus import evaluate_corpus
from dlmone_lite.cli.options import command, count, device_option, positive, step_list
from dlmone_lite.errors import InputError
from dlmone_lite.files import check_output, write_json
from dlmone_lite.jobs.console import Table, fixed, with_error
from dlmone_lite.jobs.corpus_task import SEEDS
from dlmone_lite.jobs.provenance import command_line, environment
from dlmone_lite.jobs.sampling import Sampling, check_clamp, check_steps, sample_texts
from dlmone_lite.jobs.task import WorldTask, exact_draws, references, task_of

if TYPE_CHECKING:
    from dlmone_lite.checkpoints.checkpoint import Checkpoint
    from dlmone_lite.corpora.world import World

WORLD_COLUMNS = [("", -8), ("NFE", 5), ("validity", 13), ("TV", 13), ("floor", 6), ("excess", 6)]
WORLD_COLUMNS += [("coverage", 13), ("distinct (truth)", 16), ("seconds", 8)]
FIELD_COLUMNS = [("", -8), ("NFE", 5), ("BLEU", 6), ("ROUGE-L", 7), ("dist-1", 6), ("self-BLEU", 9)]
FIELD_COLUMNS += [("div-4", 6)]
STEPS = {"teacher": [64, 256], "student": [1, 2, 4]}
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
    option = parser.add_argument
    option("--embeddings", metavar="C", help="with --exact: whose embeddings (default <world>-teacher)")
    option("--world", help="name or .grammar file (default: the checkpoint's)")
    option("--corpus", help="where a corpus lies; then DiffuSeq's scores, on its valid split")
    option("--zero-shot", action="store_true", help="with --corpus: also one that the network never saw")
    judge = "with --corpus: BERTScore by this model, or by the hub's: hub"
    option("--bertscore", metavar="FOLDER", help=judge)
    option("--steps", type=step_list, help="NFE, as 64,256 (default: teacher 64,256; student 1,2,4)")
    option("--sources", type=positive, default=64, help="sources (default 64)")
    option("--samples", type=positive, help="samples a source (default 256; of a corpus 10)")
    option("--split", choices=("train", "valid", "test"), default="test")
    option("--draws", type=positive, default=256, help="with --floor: targets a decile (256)")
    option("--clamp", action="store_true", help="a teacher's x0_hat on its nearest embedding at each step")
    option("--batch-size", type=positive, default=512, help="rows at a time (default 512)")
    option("--seed", type=count, default=0)
    option("--json", metavar="FILE", help="write everything there")
    precisions = ("auto", "float32", "bfloat16", "float16")
    products = "of matrix products; auto: what is faster on this machine (default float32)"
    option("--precision", choices=precisions, default="float32", help=products)
    device_option(parser)


def run(args: argparse.Namespace) -> None:
    """Measure, print, write."""
    from dlmone_lite.training.precision import pick_device

    check_options(args)
    began, device = time.perf_counter(), pick_device(args.device)
    record = {"command": command_line(args.argv), **evaluate(args, device), **environment(device)}
    if args.json:
        write_json(args.json, {**record, "seconds": round(time.perf_counter() - began, 2)})


def check_options(args: argparse.Namespace) -> None:
    """Refuse options that contradict each other, before anything is loaded."""
    check_output(args.json)
    if args.embeddings and not args.exact:
        raise InputError("--embeddings belongs to --exact; leave it out")
    if args.corpus and (args.world or args.exact or args.floor):
        raise InputError("--corpus has no exact truth; leave --world, --exact and --floor out")
    if (args.zero_shot or args.bertscore) and not args.corpus:
        raise InputError("--zero-shot and --bertscore belong to --corpus; say which corpus")


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

    role = "exact" if args.exact else checkpoint.role
    record = {"checkpoint": origin, "world": task.name}
    record |= {"trained_on": checkpoint.world} if args.zero_shot else {}
    record |= {"role": role, "provenance": checkpoint.provenance}
    if args.corpus:
        return record | evaluate_corpus(checkpoint, task, args, sampling)
    if args.floor:
        return record | evaluate_floor(checkpoint, task.world, args)
    checkpoint = perfect(checkpoint, task.world) if args.exact else checkpoint
    return record | evaluate_world(checkpoint, task.world, args, sampling, role)


def evaluate_world(
    checkpoint: Checkpoint, world: World, args: argparse.Namespace, sampling: Sampling, name: str
) -> dict[str, Any]:
    """Print both tables, a row for each number of steps; return the scores."""
    from dlmone_lite.evaluation.measure import held_out_sources
    from dlmone_lite.evaluation.metrics import world_metrics

    steps, split = args.steps or STEPS[checkpoint.role], args.split
    check_steps(checkpoint, steps)
    sources = held_out_sources(world, args.sources, split)
    targets = references(world, split, sources)
    print(f"{name}, world {world.name}: {args.sources} {split} sources, {sampling.samples} samples each")

    # Copies and true samples are entries of the second table only.
    table, rows = Table(*WORLD_COLUMNS), []
    texts = {"copy": [[source] * SEEDS for source in sources], "truth": truth(world, sources, sampling.seed)}
    for nfe in steps:
        began = time.perf_counter()
        samples = sample_texts(checkpoint, sources, nfe, sampling, f"{nfe} steps")
        scores = {"nfe": nfe, **world_metrics(samples, [world.support(source) for source in sources])}
        scores |= degeneration(samples, world, sources, sampling.seed)
        rows.append({**scores, "seconds": round(time.perf_counter() - began, 2)})
        world_row(table, name, rows[-1])
        texts[f"{name} {nfe}"] = [own[:SEEDS] for own in samples]
    field = field_table(texts, targets)
    print()
    for scores in rows:
        print(f"{name} {scores['nfe']}: {'; '.join(scores['failures']) or 'no detector fires'}")
    settings = {"sources": args.sources, "split": split, **asdict(sampling)}
    return {"kind": "evaluation", "settings": settings, "world_scores": rows, "field_scores": field}


def world_row(table: Table, name: str, scores: dict[str, Any]) -> None:
    """Print the scores of one number of steps."""
    means = ("validity", "tv", "coverage")
    validity, tv, coverage = (with_error(scores[key], scores[f"{key}_se"]) for key in means)
    cells = [validity, tv, fixed(scores["tv_floor"]), fixed(scores["tv_excess"]), coverage]
    distinct = f"{scores['distinct']:.1f} ({scores['distinct_truth']:.1f})"
    table.row(name, str(scores["nfe"]), *cells, distinct, f"{scores['seconds']:.1f}")


def degeneration(texts: list[list[str]], world: World, sources: list[str], seed: int) -> dict[str, Any]:
    """The signs of degeneration in the outputs, and the failures that they indicate.

    As many true samples give the usual signs. With one source, or one sample of each, there are no signs.
    """
    from dlmone_lite.evaluation.degeneration import diagnose, signs

    if len(sources) < 2 or len(texts[0]) < 2:
        return {"signs": {}, "failures": []}
    current = signs(texts, sources)
    usual = signs(truth(world, sources, seed, len(texts[0])), sources)
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
