"""`distill`: a one-step student from a teacher, in one or two stages."""

from __future__ import annotations

import argparse

from dlmone_lite.cli import options
from dlmone_lite.errors import InputError
from dlmone_lite.jobs.records import Changes, Distillation, Source
from dlmone_lite.jobs.settings import listing, output
from dlmone_lite.jobs.stages import distil
from dlmone_lite.jobs.state import alone

EXAMPLES = """--teacher paraphrase-teacher --out runs/student.safetensors --set mu=1.0 b_d=0.5 b_g=0.5
--teacher paraphrase-teacher --stages 2 --steps2 1000 --set2 mu=0.5 b_d=0.9 b_g=0.1 --out two.safetensors"""
MORE = """--warm-start N begins with N updates of a regression onto the teacher's own sentences (--set0
changes its settings); with --stages 0 that is all, and --start begins other runs with its student. Stage two
goes on with the student, restarts the score estimator from the teacher, and has the settings of stage one,
changed by the recipe and by --set2 (its seed is one higher). Every evaluation of a stage also looks for signs
of degeneration and warns, with a cure to try. Ctrl-C saves and stops; --resume goes on to exactly the same
numbers (on the same machine). Exit code 3: the loss became NaN."""


def add(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    summary = "distil a teacher into a one-step student"
    parser = options.command(commands, "distill", summary, EXAMPLES, run, MORE)
    add = parser.add_argument
    options.source_options(parser, "the student to write")
    add("--start", metavar="NAME_OR_FILE", help="student to begin with (default: the teacher's weights)")
    add("--like", metavar="NAME_OR_FILE", help="the teacher that students are compared with (--teacher)")
    add("--recipe", default="dlmone", help="dlmone (default), sida; classroom, pocket, text: the kit's own")
    add("--stages", type=int, choices=(0, 1, 2), default=1, help="default 1; 0: the warm start alone")
    add("--out-stage1", metavar="FILE.safetensors", help="with --stages 2: also keep stage one's student")
    add("--steps", type=options.positive, help="updates of stage one (default: see --settings)")
    add("--steps2", type=options.positive, help="updates of stage two (default: as stage one)")
    warm = "updates of a regression before stage one (none)"
    add("--warm-start", type=options.positive, metavar="N", help=warm)
    options.settings_option(parser, "--set0", "settings of the warm start")
    options.settings_option(parser, "--set", "settings of stage one")
    options.settings_option(parser, "--set2", "what stage two changes")
    options.keep_option(parser, "students about as diverse as their teacher")
    add("--out-last", metavar="FILE.safetensors", help="also keep the student at the end")
    options.training_options(parser, eval_every=200, eval_steps=1)


def run(args: argparse.Namespace) -> int | None:
    """List the settings, start several processes, or distil."""
    from dlmone_lite.variants.recipes import RECIPES
    from dlmone_lite.variants.warm_start import WarmStartConfig

    if args.recipe not in RECIPES:
        raise InputError(f"there is no recipe {args.recipe!r}; known: {', '.join(RECIPES)}")
    if args.settings:
        print(listing("--set, --set2", RECIPES[args.recipe].first, ("seed",)))
        print(listing("--set0", WarmStartConfig(), ("seed",)))
        return None
    if (code := options.launched(args)) is not None:
        return code
    check_options(args)
    out, device = output(args.out), options.join_processes(args)
    for other in filter(None, (args.out_stage1, args.out_last)):
        output(other)

    source = Source(args.teacher, args.world, args.corpus)
    warm_start = Changes(args.warm_start, args.set0, "--set0") if args.warm_start else None
    first, second = Changes(args.steps, args.set), Changes(args.steps2, args.set2, "--set2")
    kept = ("recipe", "stages", "start", "like", "out_stage1", "out_last")
    same = {name: getattr(args, name) for name in kept}
    wanted = Distillation(source=source, warm_start=warm_start, first=first, second=second, **same)
    with alone(out):
        distil(wanted, *options.training_records(args, out, device, args.keep))
    return None


def check_options(args: argparse.Namespace) -> None:
    """Refuse options that contradict each other, before anything is loaded."""
    if args.teacher is None or args.out is None:
        raise InputError("distill needs --teacher and --out; see python -m dlmone_lite distill --help")
    if args.set0 and not args.warm_start:
        raise InputError("--set0 belongs to a warm start; add --warm-start N")
    if args.stages == 0 and not args.warm_start:
        raise InputError("--stages 0 is a warm start alone; add --warm-start N, or ask for a stage")
    if args.start and args.warm_start:
        raise InputError("--start is a student that had its warm start; leave one of the two options out")
    if args.stages < 2 and (args.steps2 or args.set2 or args.out_stage1):
        raise InputError("--steps2, --set2 and --out-stage1 belong to a second stage; add --stages 2")
    if args.out_last and (args.keep == "last" or not args.stages):
        raise InputError("--out-last is what --out holds here already; leave it out")
    if args.like and not args.corpus:
        raise InputError("--like belongs to --corpus; a world's students are compared with its truth")
    if args.stages:
        options.check_keep(args)
