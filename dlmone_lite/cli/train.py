"""`train`: a teacher for a world, with everything that made it recorded in its checkpoint."""

from __future__ import annotations

import argparse
import copy
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlmone_lite.cli import loop, record
from dlmone_lite.cli.common import (
    check_output,
    codec_of,
    command,
    command_line,
    environment,
    positive,
    split_pairs,
    write_json,
)
from dlmone_lite.cli.settings import changed, listing, settings
from dlmone_lite.errors import InputError

if TYPE_CHECKING:
    from dlmone_lite.checkpoint import Checkpoint
    from dlmone_lite.model import ModelConfig
    from dlmone_lite.teacher import PairedText
    from dlmone_lite.training import Run
    from dlmone_lite.worlds import World

FIXED_MODEL = ("vocab_size", "length", "source_length")  # follow from the world
EXAMPLES = """--world paraphrase --out runs/teacher.safetensors --eval-every 1000 --log runs/teacher.jsonl
--world paraphrase --steps 2000 --set lr=1e-3 loss=mse --set-model depth=3 --time-to .9 --eval-every 250"""
MORE = """
Ctrl-C saves the state and stops; the same command with --resume goes on to exactly the same numbers (on
the same machine). FILE.state is removed when the run is done. Exit code 3: the loss became NaN.
"""


def add(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    parser = command(commands, "train", "train a teacher", EXAMPLES, run, MORE)
    parser.add_argument("--out", metavar="FILE.safetensors", help="default: runs/<world>-teacher.safetensors")
    parser.add_argument("--steps", type=positive, help="updates (default: see --settings)")
    parser.add_argument("--preset", default="classroom", help="shape of the network (default classroom)")
    parser.add_argument("--set", nargs="+", action="extend", metavar="NAME=VALUE", help="training settings")
    parser.add_argument(
        "--set-model", nargs="+", action="extend", metavar="NAME=VALUE", help="shape settings"
    )
    loop.options(parser, eval_every=0, eval_steps=32)


def run(args: argparse.Namespace) -> None:
    """Train and save."""

    from dlmone_lite.bert import network
    from dlmone_lite.checkpoint import pick_device
    from dlmone_lite.model import preset
    from dlmone_lite.teacher import TeacherConfig, TeacherRun
    from dlmone_lite.training import seed_weights
    from dlmone_lite.worlds import World

    if args.settings:
        print(
            listing("--set", TeacherConfig(), ("seed",))
            + "\n"
            + listing("--set-model", preset(args.preset), FIXED_MODEL)
        )
        return
    if args.world is None:
        raise InputError(f"train needs --world; shipped: {', '.join(World.names())}, or a .grammar file")
    world, device = World.load(args.world), pick_device(args.device)
    out = output(args.out or f"runs/{world.name}-teacher.safetensors")
    shape = model_config(args, codec := codec_of(world))
    config = changed(
        TeacherConfig(seed=args.seed), steps_and_settings(args.steps, args.set, TeacherConfig()), shape.T
    )
    check_evaluation(args, world, shape.T)
    state = out.with_name(out.name + ".state")
    config = record.resumed(config, record.claim(state, args.resume))
    data, made = training_data(world, codec)
    seed_weights(args.seed)
    training = TeacherRun(network(shape).to(device), data, config)
    training.origin = {"training data": made["data"]["train_sha256"]}
    task = loop.Loop(
        training,
        "teacher",
        state,
        wrapper(codec, world, "teacher", {}),
        evaluator(args, codec, world, {}),
        args,
    )
    network = task.train()
    made.update(task.notes, preset=args.preset)
    finish(args, out, [training], task.wrap(network, made), world, device)
    record.clean(state)


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


def model_config(args: argparse.Namespace, codec: Any) -> ModelConfig:
    """The network's shape: preset, --set-model, and what the world's sentences need."""
    from dlmone_lite.model import preset, sized

    base = preset(args.preset)
    changes = settings(args.set_model, base, "--set-model", FIXED_MODEL)
    shape = sized(preset(args.preset, **changes), codec)
    for name in ("embed_dim", "width", "depth", "heads", "expand"):
        if getattr(shape, name) < 1:
            raise InputError(f"--set-model {name} must be at least 1, not {getattr(shape, name)}")
    if shape.width % shape.heads:
        raise InputError(f"--set-model: width {shape.width} is no multiple of heads {shape.heads}")
    return shape


def training_data(world: World, codec: Any) -> tuple[PairedText, dict[str, Any]]:
    """The train split as ids, and what the checkpoint should say about it."""
    from dlmone_lite.checkpoint import digest
    from dlmone_lite.teacher import PairedText

    path, sources, targets = split_pairs(world, "train")
    return PairedText(sources, targets, codec), {
        "data": {"pairs": len(sources), "train_sha256": digest(path)}
    }


def wrapper(codec: Any, world: World, role: str, sampling: dict[str, int]) -> loop.Wrap:
    """A function that makes a checkpoint of a network and its provenance."""
    from dlmone_lite.checkpoint import Checkpoint

    def wrap(network: Any, provenance: dict[str, Any]) -> Checkpoint:
        return Checkpoint(network, codec, world.name, role, sampling, provenance)

    return wrap


def check_evaluation(args: argparse.Namespace, world: World, longest: int) -> None:
    """Refuse now what would fail at the first evaluation; samplers take at most `longest` steps."""
    check_output(args.log)
    check_output(args.json)
    if args.eval_steps > longest:
        raise InputError(f"--eval-steps is at most {longest} here, not {args.eval_steps}")
    if args.time_to is not None and not args.eval_every:
        raise InputError("--time-to looks at evaluations; give --eval-every a number")
    if args.eval_every and not world.split_sources("valid"):
        raise InputError(f"world {world.name} has no valid source; use --eval-every 0, or add fillers")


def evaluator(
    args: argparse.Namespace, codec: Any, world: World, sampling: dict[str, int], split: str = "valid"
) -> Any:
    """A function network -> world metrics on a few sources of a held-out split; with t_init a student's, and
    with signs of degeneration if there is enough to see any."""
    from dlmone_lite.generate import measure

    sources = min(args.eval_sources, len(world.split_sources(split)))
    wrap = wrapper(codec, world, "student" if "t_init" in sampling else "teacher", sampling)

    enough = "t_init" in sampling and split == "valid" and sources > 1 and args.eval_samples > 1

    def evaluate(network: Any) -> dict[str, Any]:
        return measure(
            wrap(network, {}),
            world,
            steps=args.eval_steps,
            sources=sources,
            samples=args.eval_samples,
            split=split,
            with_signs=enough,
        )

    return evaluate if sources else lambda network: {}


def finish(
    args: argparse.Namespace, out: Path, runs: list[Run], made: Checkpoint, world: World, device: str
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
    metrics = evaluator(args, made.codec, world, made.sampling, "test")(made.model)
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
        "metrics": {"split": "test", **metrics},
        **environment(device),
    }
    save(out, made, args.half)
    if metrics:
        print(
            f"test: validity {metrics['validity']:.3f} ±{metrics['validity_se']:.3f}, TV {metrics['tv']:.3f} "
            f"(floor {metrics['tv_floor']:.3f}), coverage {metrics['coverage']:.2f} at {metrics['nfe']} NFE"
        )
    print(f"{made.role} after {steps} steps, {seconds:.0f} s of training: {out}")
    if args.json:
        write_json(args.json, {"world": world.name, "made": made.role, **made.provenance})
