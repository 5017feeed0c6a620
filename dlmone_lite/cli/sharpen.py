"""`sharpen`: a teacher that has learned what a teacher writes under the clamp, to be distilled for it."""

from __future__ import annotations

import argparse
import os

from dlmone_lite.cli.options import command, positive
from dlmone_lite.errors import InputError
from dlmone_lite.jobs import loop
from dlmone_lite.jobs.provenance import describe, finish, wrapper
from dlmone_lite.jobs.settings import changed, check_evaluation, listing, output, steps_and_settings
from dlmone_lite.jobs.stages import a_teacher
from dlmone_lite.jobs.state import claim, clean, resumed
from dlmone_lite.jobs.task import known_task
from dlmone_lite.training import processes

EXAMPLES = """--teacher runs/qqp-teacher.safetensors --corpus folder/qqp --out runs/qqp-sharp.safetensors
--teacher runs/my.safetensors --steps 500 --set samples=4 sources=1000 --out runs/sharp.safetensors"""
MORE = """
First the teacher writes some sentences for each training source, its x0_hat on the nearest embeddings at
each step (DiffuSeq's clamp); then a copy of it learns from those. What is distilled from the copy ends at
what the teacher writes with the clamp, where the teacher's own scores end at what it writes without; the
copy needs no clamp, and `distill` compares its students with it as it is. Embeddings stay. After many
updates it may repeat itself; each --eval-every it writes for some valid sources, without the clamp, and the
best is kept. Ctrl-C saves; --resume goes on to exactly the same numbers.
"""


def add(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    told = "teach a teacher its own clamped sentences"
    parser = command(commands, "sharpen", told, EXAMPLES, run, MORE)
    parser.add_argument("--teacher", metavar="NAME_OR_FILE", help="shipped checkpoint or .safetensors file")
    parser.add_argument("--out", metavar="FILE.safetensors", help="the sharpened teacher to write")
    parser.add_argument("--steps", type=positive, help="updates (default: see --settings)")
    parser.add_argument("--set", nargs="+", action="extend", metavar="NAME=VALUE", help="settings")
    parser.add_argument(
        "--keep",
        choices=("best", "last"),
        default="best",
        help="best: on valid sources the lowest TV to the truth, or of a corpus the highest BLEU among "
        "copies at most as repetitive as their teacher under the clamp (default); last: at the end",
    )
    loop.options(parser, eval_every=25, eval_steps=32)


def run(args: argparse.Namespace) -> int | None:
    """List the settings, start several processes, or sharpen."""
    from dlmone_lite.variants.sharpen import SharpenConfig

    if args.settings:
        print(listing("--set", SharpenConfig(), ("seed",)))
        return None
    if args.processes > 1 and "RANK" not in os.environ:
        return processes.launch(args.argv, args.processes)
    return sharpen(args)


def sharpen(args: argparse.Namespace) -> None:
    """Write the sentences, learn them, save."""
    from dlmone_lite.corpora.world import World
    from dlmone_lite.training.precision import pick_device
    from dlmone_lite.variants.sharpen import SharpenConfig, SharpenRun

    if args.teacher is None or args.out is None:
        raise InputError("sharpen needs --teacher and --out; see python -m dlmone_lite sharpen --help")
    loop.check_keep(args)
    out, device = output(args.out), processes.init(pick_device(args.device))
    named = World.load(args.world) if args.world else None
    teacher = a_teacher(args.teacher, device, named.name if named else None, "sharpen a teacher")
    task, base = known_task(args, teacher, args.teacher), SharpenConfig(seed=args.seed)
    config = changed(base, steps_and_settings(args.steps, args.set, base), teacher.model.schedule.T)
    check_evaluation(args, task, teacher.model.schedule.T)
    state = out.with_name(out.name + ".state")
    config = resumed(config, claim(state, args.resume))
    processes.barrier()  # all have looked, before one writes
    data, made = task.data()
    if args.keep == "best" and processes.is_main() and (aim := task.aim(teacher, args, within=0)):
        print(aim)
    made["teacher"] = {**describe(args.teacher), "command": teacher.provenance.get("command", "")}
    training = SharpenRun(teacher.model, data, config)
    training.origin = {"teacher": made["teacher"]["sha256"], "training data": made["data"]["train_sha256"]}
    wrap = wrapper(task, "teacher", {"clamp": 0})
    looped = loop.Loop(training, "sharpening", state, wrap, task, args, keep=args.keep)
    result = looped.train()
    if processes.is_main():
        finish(args, out, [training], looped.wrap(result, {**made, **looped.notes}), task, device)
        clean(state)
    processes.shutdown()
