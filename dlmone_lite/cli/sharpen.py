"""`sharpen`: a teacher that has learned what a teacher writes under the clamp, to be distilled for it."""

from __future__ import annotations

import argparse

from dlmone_lite.cli import options
from dlmone_lite.errors import InputError
from dlmone_lite.jobs.records import Changes, Source
from dlmone_lite.jobs.settings import listing, output
from dlmone_lite.jobs.state import alone
from dlmone_lite.jobs.teachers import sharpen_teacher

EXAMPLES = """--teacher runs/qqp-teacher.safetensors --corpus folder/qqp --out runs/qqp-sharp.safetensors
--teacher runs/my.safetensors --steps 500 --set samples=4 sources=1000 --out runs/sharp.safetensors"""
MORE = """First the teacher writes some sentences for each training source, its x0_hat on the nearest
embeddings at each step (DiffuSeq's clamp); then a copy of it learns from those. What is distilled from the
copy ends at what the teacher writes with the clamp, where the teacher's own scores end at what it writes
without; the copy needs no clamp, and `distill` compares its students with it as it is. Embeddings stay. After
many updates it may repeat itself; each --eval-every it writes for some valid sources, without the clamp, and
the best is kept. Ctrl-C saves; --resume goes on to exactly the same numbers."""


def add(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    summary = "teach a teacher its own clamped sentences"
    parser = options.command(commands, "sharpen", summary, EXAMPLES, run, MORE)
    options.source_options(parser, "the sharpened teacher to write")
    parser.add_argument("--steps", type=options.positive, help="updates (default: see --settings)")
    options.settings_option(parser, "--set", "settings")
    options.keep_option(parser, "copies at most as repetitive as their teacher under the clamp")
    options.training_options(parser, eval_every=25, eval_steps=32)


def run(args: argparse.Namespace) -> int | None:
    """List the settings, start several processes, or sharpen."""
    from dlmone_lite.variants.sharpen import SharpenConfig

    if args.settings:
        print(listing("--set", SharpenConfig(), ("seed",)))
        return None
    if (code := options.launched(args)) is not None:
        return code
    if args.teacher is None or args.out is None:
        raise InputError("sharpen needs --teacher and --out; see python -m dlmone_lite sharpen --help")
    options.check_keep(args)
    out, device = output(args.out), options.join_processes(args)
    source = Source(args.teacher, args.world, args.corpus)
    records = options.training_records(args, out, device, args.keep)
    with alone(out):
        sharpen_teacher(source, Changes(args.steps, args.set), *records)
    return None
