"""`distill`: a one-step student from a teacher, in one or two stages."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from dlmone_lite.cli import loop, record
from dlmone_lite.cli.common import command, positive
from dlmone_lite.cli.settings import changed, listing
from dlmone_lite.cli.train import (
    check_evaluation,
    evaluator,
    finish,
    output,
    steps_and_settings,
    training_data,
    wrapper,
)
from dlmone_lite.errors import InputError

if TYPE_CHECKING:
    from dlmone_lite.checkpoint import Checkpoint
    from dlmone_lite.distill import DistillConfig, DistillRun
    from dlmone_lite.worlds import World

EXAMPLES = """--teacher paraphrase-teacher --out runs/student.safetensors --set mu=1.0 b_d=0.5 b_g=0.5
--teacher paraphrase-teacher --stages 2 --steps2 1000 --set2 mu=0.5 b_d=0.9 b_g=0.1 --out two.safetensors"""
MORE = """
Stage two goes on with the student, restarts the score estimator from the teacher, and has the settings
of stage one without its warm start by regression, changed by --set2 (its seed is one higher). Ctrl-C
saves and stops; --resume goes on to exactly the same numbers (on the same machine). Exit code 3: the
loss became NaN.
"""


def add(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    parser = command(commands, "distill", "distil a teacher into a one-step student", EXAMPLES, run, MORE)
    parser.add_argument("--teacher", metavar="NAME_OR_FILE", help="shipped checkpoint or .safetensors file")
    parser.add_argument("--out", metavar="FILE.safetensors", help="the student to write")
    parser.add_argument("--stages", type=int, choices=(1, 2), default=1, help="default 1")
    parser.add_argument(
        "--out-stage1", metavar="FILE.safetensors", help="with --stages 2: also keep stage one's student"
    )
    parser.add_argument("--steps", type=positive, help="updates of stage one (default: see --settings)")
    parser.add_argument("--steps2", type=positive, help="updates of stage two (default: as stage one)")
    parser.add_argument(
        "--set", nargs="+", action="extend", metavar="NAME=VALUE", help="settings of stage one"
    )
    parser.add_argument(
        "--set2", nargs="+", action="extend", metavar="NAME=VALUE", help="what stage two changes"
    )
    parser.add_argument(
        "--keep",
        choices=("best", "last"),
        default="best",
        help="best: lowest TV to the truth at an evaluation on valid sources (default); last: at the end",
    )
    loop.options(parser, eval_every=200, eval_steps=1)


def run(args: argparse.Namespace) -> None:
    """Distil and save."""
    from dlmone_lite import zoo
    from dlmone_lite.checkpoint import pick_device
    from dlmone_lite.distill import DistillConfig, DistillRun
    from dlmone_lite.worlds import World

    if args.settings:
        print(listing("--set, --set2", DistillConfig(), ("seed",)))
        return
    check_options(args)
    out, device = output(args.out), pick_device(args.device)
    if args.out_stage1:
        output(args.out_stage1)
    named = World.load(args.world) if args.world else None
    teacher = zoo.load(args.teacher, device, named.name if named else None)
    if teacher.role != "teacher":
        raise InputError(f"{args.teacher} is a {teacher.role}; distill a teacher")
    world = named or World.load(teacher.world)
    configs, states = plan(args, out, teacher.model.schedule.T)
    check_evaluation(args, world, min(config.t_init for config in configs))
    data, made = training_data(world, teacher.codec)
    made["teacher"] = describe(args.teacher)
    runs = [DistillRun(teacher.model, data, configs[0])]
    if args.stages == 2 and states[1].is_file():  # stage one is over
        runs[0].load(states[0])
        reached = False
    else:
        task = stage(args, runs, states[0], teacher, world)
        result = task.wrap(task.train(), {**made, **task.notes})
        reached = bool(task.notes.get("time_to"))
        if args.stages == 2 and args.out_stage1:
            finish(args, Path(args.out_stage1), runs, result, world, device)
    if args.stages == 2 and not reached:
        if configs[1].precision == "auto":
            configs[1].precision = runs[0].config.precision  # what this machine does faster was measured once
        runs.append(runs[0].second_stage(configs[1]))
        task = stage(args, runs, states[1], teacher, world)
        result = task.wrap(task.train(), {**made, **task.notes})
    finish(args, out, runs, result, world, device)
    for state in states:
        record.clean(state)


def check_options(args: argparse.Namespace) -> None:
    """Refuse what cannot be meant, before anything is loaded."""
    if args.teacher is None or args.out is None:
        raise InputError("distill needs --teacher and --out; see python -m dlmone_lite distill --help")
    if args.stages == 1 and (args.steps2 or args.set2 or args.out_stage1):
        raise InputError("--steps2, --set2 and --out-stage1 belong to a second stage; add --stages 2")
    if args.keep == "best" and not args.eval_every:
        raise InputError("--keep best needs evaluations; give --eval-every a number, or --keep last")


def plan(args: argparse.Namespace, out: Path, T: int) -> tuple[list[DistillConfig], list[Path]]:
    """Configuration and state file of each stage."""
    from dlmone_lite.distill import DistillConfig

    base = DistillConfig(seed=args.seed)
    one = changed(base, steps_and_settings(args.steps, args.set, base), T)
    states = [out.with_name(f"{out.name}.state")]
    configs = [record.resumed(one, record.claim(states[0], args.resume))]
    if args.stages == 2:
        states.append(out.with_name(f"{out.name}.stage2.state"))
        two = {
            "seed": args.seed + 1,
            "regression": 0,
            **steps_and_settings(args.steps2, args.set2, base, "--set2"),
        }
        configs.append(record.resumed(changed(one, two, T), record.claim(states[1], args.resume)))
    return configs, states


def describe(name_or_file: str) -> dict[str, str]:
    """The teacher as provenance: its name and its file's hash."""
    from dlmone_lite import zoo
    from dlmone_lite.checkpoint import digest

    path = Path(name_or_file) if name_or_file.endswith(zoo.SUFFIX) else zoo.path_of(name_or_file)
    return {"name": path.name.removesuffix(zoo.SUFFIX), "sha256": digest(path)}


def stage(
    args: argparse.Namespace, runs: list[DistillRun], state: Path, teacher: Checkpoint, world: World
) -> loop.Loop:
    """The loop of the last of `runs`."""
    sampling = {"t_init": runs[-1].config.t_init}
    return loop.Loop(
        runs[-1],
        f"stage {len(runs)}",
        state,
        wrapper(teacher.codec, world, "student", sampling),
        evaluator(args, teacher.codec, world, sampling),
        args,
        len(runs),
        args.keep,
        seconds_before=sum(run.seconds for run in runs[:-1]),
    )
