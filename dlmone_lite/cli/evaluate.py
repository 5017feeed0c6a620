"""`evaluate`: a checkpoint, or the exact oracle, against a world's truth and the field's scores."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from dlmone_lite.cli.evaluate_corpus import corpus_scores
from dlmone_lite.cli.options import command, count, device_option, positive, precision_option, step_list
from dlmone_lite.errors import InputError
from dlmone_lite.files import check_output, write_json
from dlmone_lite.jobs.console import Table, fixed, rows_bar, with_error
from dlmone_lite.jobs.corpus_task import SEEDS
from dlmone_lite.jobs.provenance import command_line, environment
from dlmone_lite.jobs.task import known_task, reference

if TYPE_CHECKING:
    from dlmone_lite.checkpoints.checkpoint import Checkpoint
    from dlmone_lite.corpora.world import World

SETTINGS = ("sources", "samples", "split", "seed", "clamp", "batch_size", "precision")
WORLD_COLUMNS = [("", -8), ("NFE", 5), ("validity", 13), ("TV", 13), ("floor", 6), ("excess", 6)]
WORLD_COLUMNS += [("coverage", 13), ("distinct (truth)", 16), ("seconds", 8)]
FIELD_COLUMNS = [
    ("", -8),
    ("NFE", 5),
    ("BLEU", 6),
    ("ROUGE-L", 7),
    ("dist-1", 6),
    ("self-BLEU", 9),
    ("div-4", 6),
]
STEPS = {"teacher": [64, 256], "student": [1, 2, 4]}
EXAMPLES = """--checkpoint paraphrase-teacher --steps 64,256 --json teacher.json
--checkpoint runs/student.safetensors --sources 64 --samples 256
--exact paraphrase --steps 16,64,256
--floor paraphrase-teacher --draws 512 --json floor.json
--checkpoint runs/qqp.safetensors --corpus data/qqp --sources 256 --samples 10 --steps 10,100"""
MORE = """
World scores, averaged over sources (± standard error): validity (share of right sentences), TV (distance
to the exact distribution), floor (TV that as many true samples have), excess = sqrt(TV^2 - floor^2),
coverage (different right sentences over the number that true samples show). The field's scores (BLEU,
ROUGE-L, dist-1, self-BLEU, div-4) use the first three samples of each source and the split's references;
beside them stand copying the source and true samples. Last, the detectors of degeneration: what they see in
the outputs, compared with as many true samples. --exact puts the world's exact denoiser in place
of a network. --floor gives a teacher's loss above the exact Bayes loss for each tenth of t. --corpus, for a
network trained on real text: the field's scores alone (div-4 of three samples, MBR of ten), beside copying.
"""


def add(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    parser = command(
        commands, "evaluate", "measure a checkpoint against the exact truth", EXAMPLES, run, MORE
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--checkpoint", metavar="C", help="name of a shipped checkpoint, or a .safetensors file"
    )
    what.add_argument("--exact", metavar="WORLD", help="the exact denoiser of this world")
    what.add_argument("--floor", metavar="TEACHER", help="a teacher's loss above the Bayes loss")
    parser.add_argument(
        "--embeddings", metavar="C", help="with --exact: whose embeddings (default <world>-teacher)"
    )
    parser.add_argument("--world", help="name or .grammar file (default: the checkpoint's)")
    parser.add_argument("--corpus", help="where a corpus lies; then DiffuSeq's scores, on its valid split")
    parser.add_argument(
        "--zero-shot", action="store_true", help="with --corpus: also one that the network never saw"
    )
    parser.add_argument(
        "--bertscore", metavar="FOLDER", help="with --corpus: BERTScore by this model, or by the hub's: hub"
    )
    parser.add_argument(
        "--steps", type=step_list, help="NFE, as 64,256 (default: teacher 64,256; student 1,2,4)"
    )
    parser.add_argument("--sources", type=positive, default=64, help="sources (default 64)")
    parser.add_argument("--samples", type=positive, help="samples a source (default 256; of a corpus 10)")
    parser.add_argument("--split", choices=("train", "valid", "test"), default="test")
    parser.add_argument("--draws", type=positive, default=256, help="with --floor: targets a decile (256)")
    parser.add_argument(
        "--clamp", action="store_true", help="a teacher's x0_hat on its nearest embedding at each step"
    )
    parser.add_argument("--batch-size", type=positive, default=512, help="rows at a time (default 512)")
    parser.add_argument("--seed", type=count, default=0)
    parser.add_argument("--json", metavar="FILE", help="write everything there")
    precision_option(parser, "float32")
    device_option(parser)


def run(args: argparse.Namespace) -> None:
    """Measure, print, write."""
    from dlmone_lite.checkpoints import zoo
    from dlmone_lite.corpora.world import World
    from dlmone_lite.evaluation.bayes_floor import perfect
    from dlmone_lite.training.precision import pick_device, resolve_precision

    check_output(args.json)
    if args.embeddings and not args.exact:
        raise InputError("--embeddings belongs to --exact; leave it out")
    began, device = time.perf_counter(), pick_device(args.device)
    args.samples = args.samples or (10 if args.corpus else 256)
    if args.corpus and (args.world or args.exact or args.floor):
        raise InputError("--corpus has no exact truth; leave --world, --exact and --floor out")
    if (args.zero_shot or args.bertscore) and not args.corpus:
        raise InputError("--zero-shot and --bertscore belong to --corpus; say which corpus")
    named = World.load(args.exact or args.world) if args.exact or args.world else None
    origin = args.checkpoint or args.floor or args.embeddings or f"{named.name}-teacher"
    checkpoint = zoo.load(origin, device, named.name if named else None)
    task = named or known_task(args, checkpoint, origin, args.zero_shot)
    if args.clamp and checkpoint.role == "student":
        raise InputError("--clamp belongs to a teacher's sampler; a student has no such step")
    if args.exact and args.precision != "float32":
        raise InputError("the exact denoiser needs --precision float32; leave the option out")
    args.precision = resolve_precision(
        args.precision, checkpoint.model.words.device, checkpoint.model.config.width
    )
    result: dict[str, Any] = {"command": command_line(args.argv), "checkpoint": origin, "world": task.name}
    result |= {"trained_on": checkpoint.world} if args.zero_shot else {}
    result |= {"role": "exact" if args.exact else checkpoint.role, "provenance": checkpoint.provenance}
    world = named or getattr(task, "world", None)
    if args.corpus:
        result |= corpus_scores(checkpoint, task, args)
    elif args.floor:
        result["floor"] = floor(checkpoint, world, args)
    else:
        subject = perfect(checkpoint, world) if args.exact else checkpoint
        result |= scores(subject, world, args, "exact" if args.exact else checkpoint.role)
    result |= {**environment(device), "seconds": round(time.perf_counter() - began, 2)}
    if args.json:
        write_json(args.json, result)


def scores(checkpoint: Checkpoint, world: World, args: argparse.Namespace, name: str) -> dict[str, Any]:
    """Both tables, one row for each number of steps."""
    from dlmone_lite.evaluation.measure import held_out_sources
    from dlmone_lite.sample import timesteps

    steps = args.steps or STEPS[checkpoint.role]
    for nfe in steps:  # refuse too many now, not after the first row's minutes
        timesteps(checkpoint.model.schedule.T, nfe, checkpoint.sampling.get("t_init"))
    sources = held_out_sources(world, args.sources, args.split)
    references = reference(world, args.split, sources)
    print(f"{name}, world {world.name}: {args.sources} {args.split} sources, {args.samples} samples each")
    rows, texts = world_table(checkpoint, world, sources, steps, args, name)
    texts = {
        "copy": [[source] * SEEDS for source in sources],
        "truth": truth(world, sources, args.seed),
        **texts,
    }
    settings = {key: getattr(args, key) for key in SETTINGS}
    result = {"settings": settings, "world_scores": rows, "field_scores": field_table(texts, references)}
    print()
    for row in rows:
        print(f"{name} {row['nfe']}: {'; '.join(row['failures']) or 'no detector fires'}")
    return result


def world_table(
    checkpoint: Checkpoint,
    world: World,
    sources: list[str],
    steps: list[int],
    args: argparse.Namespace,
    name: str,
) -> tuple[list[dict[str, float]], dict[str, list[list[str]]]]:
    """The world scores for each number of steps, and `<name> <steps>` -> the first samples of each source."""
    from dlmone_lite.evaluation.metrics import world_metrics
    from dlmone_lite.generation import generate

    table = Table(*WORLD_COLUMNS)
    rows, first = [], {}
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
        m = {"nfe": nfe, **world_metrics(texts, [world.support(source) for source in sources])}
        m |= examined(texts, world, sources, args.seed)
        m["seconds"] = round(time.perf_counter() - began, 2)
        table.row(
            name,
            str(nfe),
            *(with_error(m[key], m[f"{key}_se"]) for key in ("validity", "tv")),
            *(fixed(m[key]) for key in ("tv_floor", "tv_excess")),
            with_error(m["coverage"], m["coverage_se"]),
            f"{m['distinct']:.1f} ({m['distinct_truth']:.1f})",
            f"{m['seconds']:.1f}",
        )
        rows.append(m)
        first[f"{name} {nfe}"] = [hypotheses[:SEEDS] for hypotheses in texts]
    return rows, first


def examined(texts: list[list[str]], world: World, sources: list[str], seed: int) -> dict[str, Any]:
    """The signs of degeneration that outputs show, and the failures they amount to; as many true samples
    tell what is usual."""
    from dlmone_lite.evaluation.degeneration import diagnose, signs

    if len(sources) < 2 or len(texts[0]) < 2:  # too few to tell
        return {"signs": {}, "failures": []}
    seen, usual = (signs(own, sources) for own in (texts, truth(world, sources, seed, len(texts[0]))))
    return {"signs": seen.as_dict(), "failures": [str(finding) for finding in diagnose(seen, usual)]}


def field_table(
    texts: dict[str, list[list[str]]], references: list[str]
) -> dict[str, dict[str, float | None]]:
    """The field's scores of each entry, printed and returned."""
    print()
    from dlmone_lite.evaluation.measure import field_scores

    table, scored = Table(*FIELD_COLUMNS), {}
    for name, hypotheses in texts.items():
        scored[name] = field_scores(hypotheses, references)
        who, _, nfe = name.partition(" ")
        table.row(who, nfe or "-", *(fixed(value) for value in scored[name].values()))
    return scored


def truth(world: World, sources: list[str], seed: int, samples: int = SEEDS) -> list[list[str]]:
    """Fresh draws from the exact conditional: what a perfect model would score."""
    import random

    generator = random.Random(f"{world.name} truth {seed}")
    return [[world.sample(source, generator) for _ in range(samples)] for source in sources]


def floor(checkpoint: Checkpoint, world: World, args: argparse.Namespace) -> dict[str, Any]:
    """Table of the loss above the Bayes loss by tenths of t."""
    from dlmone_lite.evaluation.bayes_floor import loss_by_decile

    if checkpoint.role != "teacher":
        raise InputError(
            f"--floor compares a teacher's loss with the Bayes loss; this is a {checkpoint.role}"
        )
    sigma_0 = float(checkpoint.provenance.get("config", {}).get("sigma_0", 0.0))
    result = loss_by_decile(checkpoint, world, args.draws, args.seed, args.split, sigma_0)
    print(f"squared error per element, {args.draws} draws of {args.split} sources in each tenth of t")
    table = Table(("t", -11), ("Bayes", 15), ("teacher", 15), ("above", 15), ("above/Bayes", 12))
    for row in result["deciles"]:
        cells = [f"{row[key]:.4f} ±{row[f'{key}_se']:.4f}" for key in ("bayes", "teacher", "excess")]
        ratio = "-" if row["ratio"] is None else f"{row['ratio']:.1%}"
        table.row(f"{row['t_from']}-{row['t_to']}", *cells, ratio)
    print(f"a dash: Bayes loss below 5% of the embeddings' variance ({result['embedding_variance']:.2f})")
    return result
