"""`distill`: a one-step student from a teacher, in one or two stages."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from dlmone_lite.cli.options import command, positive
from dlmone_lite.errors import InputError
from dlmone_lite.jobs import loop
from dlmone_lite.jobs.provenance import describe, finish
from dlmone_lite.jobs.settings import check_evaluation, listing, output
from dlmone_lite.jobs.stages import a_teacher, loop_of, plan, student_to_start
from dlmone_lite.jobs.state import clean
from dlmone_lite.jobs.task import known_task
from dlmone_lite.training import processes

if TYPE_CHECKING:
    from dlmone_lite.training.run import Run

EXAMPLES = """--teacher paraphrase-teacher --out runs/student.safetensors --set mu=1.0 b_d=0.5 b_g=0.5
--teacher paraphrase-teacher --stages 2 --steps2 1000 --set2 mu=0.5 b_d=0.9 b_g=0.1 --out two.safetensors"""
MORE = """
--warm-start N begins with N updates of a regression onto the teacher's own sentences (--set0 changes its
settings); with --stages 0 that is all, and --start begins other runs with its student. Stage two goes on
with the student, restarts the score estimator from the teacher, and has the settings of stage one, changed
by --set2 (its seed is one higher). Every evaluation of a stage also looks for signs of degeneration and
warns, with a cure to try. Ctrl-C saves and stops; --resume goes on to exactly the same numbers (on the same
machine). Exit code 3: the loss became NaN.
"""


def add(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    parser = command(commands, "distill", "distil a teacher into a one-step student", EXAMPLES, run, MORE)
    parser.add_argument("--teacher", metavar="NAME_OR_FILE", help="shipped checkpoint or .safetensors file")
    parser.add_argument("--out", metavar="FILE.safetensors", help="the student to write")
    told = "student to begin with (default: the teacher's weights)"
    parser.add_argument("--start", metavar="NAME_OR_FILE", help=told)
    told = "the teacher that students are compared with (--teacher)"
    parser.add_argument("--like", metavar="NAME_OR_FILE", help=told)
    parser.add_argument(
        "--stages", type=int, choices=(0, 1, 2), default=1, help="default 1; 0: the warm start alone"
    )
    parser.add_argument(
        "--out-stage1", metavar="FILE.safetensors", help="with --stages 2: also keep stage one's student"
    )
    parser.add_argument("--steps", type=positive, help="updates of stage one (default: see --settings)")
    parser.add_argument("--steps2", type=positive, help="updates of stage two (default: as stage one)")
    parser.add_argument(
        "--warm-start", type=positive, metavar="N", help="updates of a regression before stage one (none)"
    )
    parser.add_argument(
        "--set0", nargs="+", action="extend", metavar="NAME=VALUE", help="settings of the warm start"
    )
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
        help="best: on valid sources the lowest TV to the truth, or of a corpus the highest BLEU among "
        "students about as diverse as their teacher (default); last: at the end",
    )
    parser.add_argument("--out-last", metavar="FILE.safetensors", help="also keep the student at the end")
    loop.options(parser, eval_every=200, eval_steps=1)


def run(args: argparse.Namespace) -> int | None:
    """List the settings, start several processes, or distil."""
    from dlmone_lite.distill import DistillConfig
    from dlmone_lite.variants.warm_start import WarmStartConfig

    if args.settings:
        print(listing("--set, --set2", DistillConfig(), ("seed",)))
        print(listing("--set0", WarmStartConfig(), ("seed",)))
        return None
    if args.processes > 1 and "RANK" not in os.environ:
        return processes.launch(args.argv, args.processes)
    return distil(args)


def distil(args: argparse.Namespace) -> None:
    """Distil and save."""
    from dlmone_lite.corpora.world import World
    from dlmone_lite.training.precision import pick_device

    check_options(args)
    out, device = output(args.out), processes.init(pick_device(args.device))
    for also in filter(None, (args.out_stage1, args.out_last)):
        output(also)
    named = World.load(args.world) if args.world else None
    teacher = a_teacher(args.teacher, device, named.name if named else None, "distill a teacher")
    task = known_task(args, teacher, args.teacher)
    start = student_to_start(args, teacher, device)
    like = a_teacher(args.like, device, teacher.world, "--like takes a teacher") if args.like else teacher
    stages = plan(args, out, teacher.model.schedule.T, start)
    check_evaluation(args, task, min(stage.config.t_init for stage in stages))
    processes.barrier()  # all have looked, before one writes
    data, made = task.data()
    if args.stages and args.keep == "best" and processes.is_main() and (aim := task.aim(like, args)):
        print(aim)
    made["teacher"] = describe(args.teacher)
    if teacher.provenance.get("teacher"):  # a sharpened one: what made it is part of the student's making
        made["teacher"]["command"] = teacher.provenance["command"]
    made |= {"start": {**describe(args.start), "command": start.provenance["command"]}} if start else {}
    runs: list[Run] = []
    for stage, later in zip(stages, [*stages[1:], None]):
        if runs and stage.config.precision == "auto":  # what this machine does faster was measured once
            stage.config.precision = runs[-1].config.precision
        runs.append(stage.begin(teacher.model, data, runs, start.model if start else None))
        origin = {"teacher": made["teacher"]["sha256"], "training data": made["data"]["train_sha256"]}
        runs[-1].origin = origin | ({"start": made["start"]["sha256"]} if start else {})
        if later and later.state.is_file():  # this stage is over
            runs[-1].load(stage.state)
            continue
        looped = loop_of(args, stage, runs, task)
        result = looped.wrap(looped.train(), {**made, **looped.notes})
        if looped.notes.get("time_to"):
            break
        if later and stage.number == 1 and args.out_stage1 and processes.is_main():
            finish(args, Path(args.out_stage1), runs, result, task, device)
    if processes.is_main():
        if args.out_last:
            last = looped.wrap(runs[-1].result, {**made, "kept": "last", "kept_step": runs[-1].step})
            finish(args, Path(args.out_last), runs, last, task, device)
        finish(args, out, runs, result, task, device)
        for stage in stages:
            clean(stage.state)
    processes.shutdown()


def check_options(args: argparse.Namespace) -> None:
    """Refuse what cannot be meant, before anything is loaded."""
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
        loop.check_keep(args)
