"""`train`: a teacher for a world or a corpus, with everything that made it recorded in its checkpoint."""

from __future__ import annotations

import argparse
from dataclasses import replace

from dlmone_lite.cli import options
from dlmone_lite.jobs.records import Changes, Job
from dlmone_lite.jobs.settings import listing, output, shape_of
from dlmone_lite.jobs.state import alone
from dlmone_lite.jobs.task import new_task
from dlmone_lite.jobs.teachers import train_teacher

FIXED_BY_WORLD = ("vocab_size", "length", "source_length")  # fields of a shape that follow from the data
EXAMPLES = """--world paraphrase --out runs/teacher.safetensors --eval-every 1000 --log runs/teacher.jsonl
--world paraphrase --steps 2000 --set lr=1e-3 loss=mse --set-model depth=3 --time-to .9 --eval-every 250
--corpus folder/with/train.jsonl/and/valid.jsonl --preset lite --eval-every 500 --out runs/qqp.safetensors"""
MORE = """--processes N shares every batch among N processes, a GPU each if there are: the numbers stay those
of one. Ctrl-C saves the state and stops; the same command with --resume goes on to exactly the same numbers
(on the same machine). FILE.state is removed when the run is done. Exit code 3: the loss became NaN."""


def add(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    parser = options.command(commands, "train", "train a teacher", EXAMPLES, run, MORE)
    add = parser.add_argument
    add("--out", metavar="FILE.safetensors", help="default: runs/<name>-teacher.safetensors")
    add("--steps", type=options.positive, help="updates (default: see --settings)")
    add("--preset", default="classroom", help="shape of the network (default classroom)")
    options.settings_option(parser, "--set", "training settings")
    options.settings_option(parser, "--set-model", "shape settings")
    add("--pieces", type=options.positive, default=8192, metavar="N", help="word pieces of a corpus (8192)")
    add("--tokenizer", metavar="FOLDER", help="take BERT's pieces from there (or bert-base-uncased)")
    marks = "accents and vowel signs in word pieces of a corpus (default keep; BERT's pieces have none)"
    add("--accents", choices=("keep", "strip"), default="keep", help=marks)
    options.training_options(parser, eval_every=0, eval_steps=32)


def run(args: argparse.Namespace) -> int | None:
    """Start several processes, list the settings, or train."""
    if (code := options.launched(args)) is not None:
        return code

    from dlmone_lite.model import preset, sized
    from dlmone_lite.teacher import RECIPES

    # The classroom's recipe, or DiffuSeq's published one for the preset `paper`.
    recipe = replace(RECIPES.get(args.preset, RECIPES["classroom"]), seed=args.seed)
    fixed = ("vocab_size",) if args.corpus else FIXED_BY_WORLD
    if args.settings:
        shape = preset(args.preset)
        print(listing("--set", recipe, ("seed",)), listing("--set-model", shape, fixed), sep="\n")
        return None
    device, shape = options.join_processes(args), shape_of(args.preset, args.set_model, fixed)
    task = new_task(args.world, args.corpus, shape, args.pieces, args.tokenizer, args.accents == "keep")
    out = output(args.out or f"runs/{task.name}-teacher.safetensors")
    job = Job(task, *options.training_records(args, out, device))
    with alone(out):
        train_teacher(job, sized(shape, task.codec), recipe, Changes(args.steps, args.set), args.preset)
    return None
