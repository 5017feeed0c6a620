"""`train`: a teacher for a world or a corpus, with everything that made it recorded in its checkpoint."""

from __future__ import annotations

import argparse
import copy
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlmone_lite import parallel
from dlmone_lite.cli import loop, record
from dlmone_lite.cli.common import (
    check_output,
    command,
    command_line,
    environment,
    positive,
    write_json,
)
from dlmone_lite.cli.settings import changed, listing, settings
from dlmone_lite.cli.tasks import Task, corpus_options, new_task
from dlmone_lite.errors import InputError

if TYPE_CHECKING:
    from dlmone_lite.checkpoint import Checkpoint
    from dlmone_lite.model import ModelConfig
    from dlmone_lite.teacher import TeacherConfig
    from dlmone_lite.training import Run

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
        return parallel.launch(args.argv, args.processes)

    from dlmone_lite.bert import network
    from dlmone_lite.checkpoint import pick_device
    from dlmone_lite.model import preset, sized
    from dlmone_lite.teacher import TeacherRun
    from dlmone_lite.training import seed_weights

    if args.settings:
        print(
            listing("--set", recipe(args), ("seed",))
            + "\n"
            + listing("--set-model", preset(args.preset), FOLLOWS if args.corpus else FIXED_MODEL)
        )
        return
    device, task = parallel.begin(pick_device(args.device)), new_task(args, shape_of(args))
    out = output(args.out or f"runs/{task.name}-teacher.safetensors")
    shape, base = sized(shape_of(args), task.codec), recipe(args)
    config = changed(base, steps_and_settings(args.steps, args.set, base), shape.T)
    check_evaluation(args, task, shape.T)
    state = out.with_name(out.name + ".state")
    config = record.resumed(config, record.claim(state, args.resume))
    parallel.wait()  # all have looked, before one writes
    data, made = task.data()
    seed_weights(args.seed)
    training = TeacherRun(network(shape).to(device), data, config)
    training.origin = {"training data": made["data"]["train_sha256"]}
    looped = loop.Loop(training, "teacher", state, wrapper(task, "teacher", {}), task, args)
    made.update(preset=args.preset)
    result = looped.train()
    if parallel.leads():
        finish(args, out, [training], looped.wrap(result, {**made, **looped.notes}), task, device)
        record.clean(state)
    parallel.end()


def recipe(args: argparse.Namespace) -> TeacherConfig:
    """The settings that go with the preset: the classroom's, or DiffuSeq's published ones for `paper`."""
    from dlmone_lite.teacher import RECIPES

    return replace(RECIPES.get(args.preset, RECIPES["classroom"]), seed=args.seed)


# ---- shared with `distill`


def output(path: str) -> Path:
    """The checkpoint to write, refused now if it could not be written or found again later."""
    if not path.endswith(".safetensors"):
        raise InputError(f"{path}: a checkpoint's name ends in .safetensors; give it that ending")
    check_output(path)
    return Path(path)


def steps_and_settings(
    steps: int | None, pairs: list[str] | None, config: Any, option: str = "--set"
) -> dict[str, Any]:
    """What --steps and --set change."""
    chosen = settings(pairs, config, option, ("seed",))
    return chosen if steps is None else {**chosen, "steps": steps}


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


def wrapper(task: Task, role: str, sampling: dict[str, int]) -> loop.Wrap:
    """A function that makes a checkpoint of a network and its provenance."""
    from dlmone_lite.checkpoint import Checkpoint

    def wrap(network: Any, provenance: dict[str, Any]) -> Checkpoint:
        return Checkpoint(network, task.codec, task.name, role, sampling, provenance)

    return wrap


def describe(name_or_file: str) -> dict[str, str]:
    """The teacher as provenance: its name and its file's hash."""
    from dlmone_lite import zoo
    from dlmone_lite.checkpoint import digest

    path = Path(name_or_file) if name_or_file.endswith(zoo.SUFFIX) else zoo.path_of(name_or_file)
    return {"name": path.name.removesuffix(zoo.SUFFIX), "sha256": digest(path)}


def check_evaluation(args: argparse.Namespace, task: Task, longest: int) -> None:
    """Refuse now what would fail at the first evaluation; samplers take at most `longest` steps."""
    check_output(args.log)
    check_output(args.json)
    if args.eval_steps > longest:
        raise InputError(f"--eval-steps is at most {longest} here, not {args.eval_steps}")
    if args.time_to is not None and not args.eval_every:
        raise InputError("--time-to looks at evaluations; give --eval-every a number")
    if args.time_to is not None and parallel.world() > 1:
        raise InputError("--time-to is for one process; leave it out under torchrun")
    if args.time_to is not None and args.corpus:
        raise InputError("--time-to waits for a validity, which a corpus does not have; leave it out")
    if args.eval_every and not task.held_out("valid"):
        raise InputError(f"world {task.name} has no valid source; use --eval-every 0, or add fillers")


def finish(
    args: argparse.Namespace, out: Path, runs: list[Run], made: Checkpoint, task: Task, device: str
) -> None:
    """Measure a finished network on the test split, complete its provenance, save it, say so.

    `runs` are the stages that led to it.
    """
    from dlmone_lite.checkpoint import save

    argv = [word for word in args.argv if word != "--resume"]
    if args.half:  # what is measured is what will be stored
        made.model = copy.deepcopy(made.model)
        for weights in made.model.state_dict().values():
            weights.copy_(weights.half())
    metrics = task.measure(made, args, "test") if task.held_out("test") else {}
    steps, seconds = sum(run.step for run in runs), sum(run.seconds for run in runs)
    made.provenance = {
        "command": command_line(argv),
        "seed": args.seed,
        "steps": steps,
        "seconds": round(seconds, 2),
        "tokens": sum(run.tokens for run in runs),
        "config": asdict(runs[-1].config),
        "stages": [
            {"steps": run.step, "seconds": round(run.seconds, 2), "config": asdict(run.config)}
            for run in runs
        ],
        **made.provenance,
        "metrics": metrics,
        **environment(device),
    }
    save(out, made, args.half)
    if metrics:
        print(f"{metrics['split']}: {task.told(metrics)} at {metrics['nfe']} NFE")
    print(f"{made.role} after {steps} steps, {seconds:.0f} s of training: {out}")
    if args.json:
        write_json(args.json, {"world": task.name, "made": made.role, **made.provenance})
