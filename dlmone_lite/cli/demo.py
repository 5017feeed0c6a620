"""`demo`: one sentence, a teacher in many steps against its student in one."""

from __future__ import annotations

import argparse
import random
import time
from typing import TYPE_CHECKING

from dlmone_lite.cli.options import command, count, device_option, positive
from dlmone_lite.errors import InputError
from dlmone_lite.evaluation import metrics
from dlmone_lite.jobs.console import Table, fixed, tidy
from dlmone_lite.jobs.task import exact_draws

if TYPE_CHECKING:
    from dlmone_lite.corpora.world import World

Support = dict[str, float] | None  # None of a source outside the world
TEACHER_STEPS, STUDENT_STEPS, FULL = (1, 4, 16, 64, 256), (1, 2, 4), 2000
COLUMNS = [("", -8), ("NFE", 5), ("ms", 8), ("valid", 6), ("distinct", 8), ("coverage", 8), ("TV", 5)]
EXAMPLES = """
"how can i learn french in a month ?" --seed 3
--world paraphrase --full --samples 64"""
MORE = """The table gives, for each: network evaluations (NFE), milliseconds for one sentence, the sentence,
and over K more samples how many are right (valid), how many different right ones there are and their share of
what as many true samples would show (coverage), and the distance of their distribution to the exact truth
(TV)."""


def add(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    summary = "a teacher in many steps against its student in one"
    parser = command(commands, "demo", summary, EXAMPLES, run, MORE)
    add = parser.add_argument
    add("sentence", nargs="?", metavar="SENTENCE", help="source (default: one held out from training)")
    add("--world", default="paraphrase", help="name or .grammar file (default paraphrase)")
    add("--teacher", metavar="NAME_OR_FILE", help="default: <world>-teacher")
    add("--student", metavar="NAME_OR_FILE", help="default: <world>-student")
    add("--full", action="store_true", help=f"the teacher in {FULL} steps as well")
    add("--seed", type=count, default=0, help="of the noise (default 0)")
    add("--samples", type=positive, default=32, metavar="K", help="samples for the scores (default 32)")
    device_option(parser)


def run(args: argparse.Namespace) -> None:
    """Print the duel, row by row."""
    print(f"The world {args.world!r}: a teacher in many steps, its student in one.", flush=True)
    from dlmone_lite.checkpoints import zoo
    from dlmone_lite.corpora.world import World
    from dlmone_lite.evaluation.measure import held_out_sources
    from dlmone_lite.generation import generate
    from dlmone_lite.training.precision import pick_device

    world, device = World.load(args.world), pick_device(args.device)
    teacher = zoo.load(args.teacher or f"{world.name}-teacher", device, world.name)
    student = zoo.load(args.student or f"{world.name}-student", device, world.name)
    if (teacher.role, student.role) != ("teacher", "student"):
        raise InputError(f"the demo needs a teacher and a student, got a {teacher.role} and a {student.role}")
    source = tidy(args.sentence) if args.sentence is not None else held_out_sources(world, 1)[0]
    teacher.codec.encode([source])  # raises for an unknown word, before anything is printed
    support = exact_targets(world, source, args.samples)
    table = Table(*COLUMNS, ("sentence", -40))
    if support is not None:
        first, *texts = exact_draws(world, [source], args.samples + 1, random.Random(args.seed))[0]
        table.row("truth", "-", "-", *scores(texts, support), first)
    for checkpoint, steps in ((teacher, TEACHER_STEPS), (student, STUDENT_STEPS)):
        for nfe in (*steps, FULL) if args.full and checkpoint is teacher else steps:
            generate(checkpoint, [source], steps=min(nfe, 4), seed=args.seed)  # a size's first call is slower
            began = time.perf_counter()
            sentence = generate(checkpoint, [source], steps=nfe, seed=args.seed)[0][0]
            milliseconds = f"{1000 * (time.perf_counter() - began):.1f}"
            seed, cells = args.seed + 1, [checkpoint.role, str(nfe), milliseconds]
            texts = generate(checkpoint, [source], steps=nfe, samples=args.samples, seed=seed)[0]
            table.row(*cells, *scores(texts, support), sentence or "(empty)")
    print("SiD matches distributions, not trajectories: the same seed need not mean the same sentence.")


def exact_targets(world: World, source: str, samples: int) -> Support:
    """Print and return the exact distribution of a source's targets; None for a source outside the world."""
    print(f"source: {source}")
    try:
        support = world.support(source)
    except InputError as error:
        print(f"note: {error}; so its truth is not known, and only the sentences are shown", flush=True)
        return None
    where = "a training source" if source in set(world.split_sources("train")) else "held out from training"
    distinct, floor = metrics.expected_distinct(support, samples), metrics.tv_floor(support, samples)
    show = f"{samples} true samples show {distinct:.1f}, at TV {floor:.2f}"
    print(f"{where}; {len(support)} right sentences; {show}", flush=True)
    return support


def scores(texts: list[str], support: Support) -> list[str]:
    """The cells valid, distinct, coverage, TV."""
    if support is None:
        return ["-", str(len(set(texts))), "-", "-"]
    right = str(len(set(texts) & set(support)))
    shares = (measure(texts, support) for measure in (metrics.coverage, metrics.total_variation))
    return [f"{metrics.validity(texts, support):.0%}", right, *(fixed(share, 2) for share in shares)]
