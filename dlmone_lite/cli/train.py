"""`train`: a teacher for a world or a corpus, with everything that made it recorded in its checkpoint."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from dlmone_lite.cli.options import command, positive
from dlmone_lite.errors import InputError
from dlmone_lite.jobs import loop
from dlmone_lite.jobs.provenance import finish, wrapper
from dlmone_lite.jobs.settings import changed, check_evaluation, listing, output, settings, steps_and_settings
from dlmone_lite.jobs.state import claim, clean, resumed
from dlmone_lite.jobs.task import corpus_options, new_task
from dlmone_lite.training import processes

if TYPE_CHECKING:
    from dlmone_lite.model import ModelConfig
    from dlmone_lite.teacher import TeacherConfig

FOLLOWS = ("vocab_size",)  # from the task, as do a world's lengths
FIXED_MODEL = (*FOLLOWS, "length", "source_length")
EXAMPLES = """--world paraphrase --out runs/teacher.safetensors --eval-every 1000 --log runs/teacher.jsonl
--world paraphrase --steps 2000 --set lr=1e-3 loss=mse --set-model depth=3 --time-to .9 --eval-every 250
--corpus folder/with/train.jsonl/and/valid.jsonl --preset lite --eval-every 500 --out runs/qqp.safetensors"""
MORE = """
--processes N shares every batch among N processes, a GPU each if there are: the numbers stay those of one.
Ctrl-C saves the state and stops; the same command with --resume goes on to exactly the same numbers (on
the same machine). FILE.state is removed when the run is done. Exit code 3: the loss became NaN.
"""


def add(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    parser = command(commands, "train", "train a teacher", EXAMPLES, run, MORE)
    parser.add_argument("--out", metavar="FILE.safetensors", help="default: runs/<name>-teacher.safetensors")
    parser.add_argument("--steps", type=positive, help="updates (default: see --settings)")
    parser.add_argument("--preset", default="classroom", help="shape of the network (default classroom)")
    parser.add_argument("--set", nargs="+", action="extend", metavar="NAME=VALUE", help="training settings")
    parser.add_argument(
        "--set-model", nargs="+", action="extend", metavar="NAME=VALUE", help="shape settings"
    )
    corpus_options(parser)
    loop.options(parser, eval_every=0, eval_steps=32)


def run(args: argparse.Namespace) -> int | None:
    """Train and save."""
    if args.processes > 1 and "RANK" not in os.environ:
        return processes.launch(args.argv, args.processes)

    from dlmone_lite.checkpoints.checkpoint import network
    from dlmone_lite.model import preset, sized
    from dlmone_lite.teacher import TeacherRun
    from dlmone_lite.training.precision import pick_device
    from dlmone_lite.training.seeds import seed_weights

    if args.settings:
        print(
            listing("--set", recipe(args), ("seed",))
            + "\n"
            + listing("--set-model", preset(args.preset), FOLLOWS if args.corpus else FIXED_MODEL)
        )
        return
    device, task = processes.init(pick_device(args.device)), new_task(args, shape_of(args))
    out = output(args.out or f"runs/{task.name}-teacher.safetensors")
    shape, base = sized(shape_of(args), task.codec), recipe(args)
    config = changed(base, steps_and_settings(args.steps, args.set, base), shape.T)
    check_evaluation(args, task, shape.T)
    state = out.with_name(out.name + ".state")
    config = resumed(config, claim(state, args.resume))
    processes.barrier()  # all have looked, before one writes
    data, made = task.data()
    seed_weights(args.seed)
    training = TeacherRun(network(shape).to(device), data, config)
    training.origin = {"training data": made["data"]["train_sha256"]}
    looped = loop.Loop(training, "teacher", state, wrapper(task, "teacher", {}), task, args)
    made.update(preset=args.preset)
    result = looped.train()
    if processes.is_main():
        finish(args, out, [training], looped.wrap(result, {**made, **looped.notes}), task, device)
        clean(state)
    processes.shutdown()


def recipe(args: argparse.Namespace) -> TeacherConfig:
    """The settings that go with the preset: the classroom's, or DiffuSeq's published ones for `paper`."""
    from dlmone_lite.teacher import RECIPES

    return replace(RECIPES.get(args.preset, RECIPES["classroom"]), seed=args.seed)


# ---- shared with `distill`


def shape_of(args: argparse.Namespace) -> ModelConfig:
    """The network's shape: preset and --set-model; the lengths only where a corpus leaves them open."""
    from dlmone_lite.model import preset

    fixed = FOLLOWS if args.corpus else FIXED_MODEL
    shape = preset(args.preset, **settings(args.set_model, preset(args.preset), "--set-model", fixed))
    for name in ("embed_dim", "width", "depth", "heads", "expand"):
        if getattr(shape, name) < 1:
            raise InputError(f"--set-model {name} must be at least 1, not {getattr(shape, name)}")
    if shape.width % shape.heads:
        raise InputError(f"--set-model: width {shape.width} is no multiple of heads {shape.heads}")
    if not 2 <= shape.source_length <= shape.length - 2:
        told = f"of length {shape.length}, source_length {shape.source_length}"
        raise InputError(f"--set-model: {told} leaves no room for a word and its end on either side")
    return shape
