"""Options that several commands share, their types, and the records that are made of them."""

from __future__ import annotations

import argparse
import contextlib
import os
import textwrap
from collections.abc import Callable
from pathlib import Path

from dlmone_lite.errors import InputError
from dlmone_lite.files import DATA, is_stream
from dlmone_lite.jobs.records import Evaluation, Keeping, Making
from dlmone_lite.jobs.state import ENDINGS
from dlmone_lite.training import processes


def command(
    commands: argparse._SubParsersAction, name: str, summary: str, example: str, run: Callable, more: str
) -> argparse.ArgumentParser:
    """A sub-command with its help: a summary, more about it, and example lines."""
    epilog = "".join(f"example: python -m dlmone_lite {name} {line}\n" for line in example.splitlines())
    parser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.\n\n{textwrap.fill(more.strip(), 100)}",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


# ---- types of options


def _number(kind: type, least: float, most: float, what: str) -> Callable[[str], int | float]:
    """A type for argparse: a number in least..most; the message of another says `what` it must be."""

    def parse(text: str) -> int | float:
        try:
            if least <= (value := kind(text)) <= most:
                return value
        except ValueError:
            pass
        raise argparse.ArgumentTypeError(f"must be {what}, not {text!r}")

    return parse


MOST_PROCESSES = max(8, 4 * (os.cpu_count() or 1))
positive = _number(int, 1, 10**6, "a whole number from 1 to 10^6")
count = _number(int, 0, 2**63 - 1, "a whole number of at least 0 and below 2^63")
process_count = _number(int, 1, MOST_PROCESSES, f"a whole number from 1 to {MOST_PROCESSES} on this machine")
share = _number(float, 0, 1, "a number from 0 to 1")


def step_list(text: str) -> list[int]:
    """`1,4,16` as whole numbers of at least 1, for argparse."""
    return [positive(part) for part in text.split(",")]


# ---- options of several commands


def device_option(parser: argparse.ArgumentParser) -> None:
    """The option --device."""
    parser.add_argument("--device", help="cpu, cuda, cuda:1, ... (default: the GPU if there is one)")


def settings_option(parser: argparse.ArgumentParser, option: str, text: str) -> None:
    """An option that takes name=value texts."""
    parser.add_argument(option, nargs="+", action="extend", metavar="NAME=VALUE", help=text)


def source_options(parser: argparse.ArgumentParser, out: str) -> None:
    """The options --teacher and --out of what is made from a teacher."""
    parser.add_argument("--teacher", metavar="NAME_OR_FILE", help="shipped checkpoint or .safetensors file")
    parser.add_argument("--out", metavar="FILE.safetensors", help=out)


def keep_option(parser: argparse.ArgumentParser, which: str) -> None:
    """The option --keep; `which` describes among which networks of a corpus the best is chosen."""
    text = f"best: on valid sources the lowest TV to the truth, or of a corpus the highest BLEU among {which}"
    parser.add_argument(
        "--keep", choices=("best", "last"), default="best", help=f"{text} (default); last: at the end"
    )


def training_options(parser: argparse.ArgumentParser, eval_every: int, eval_steps: int) -> None:
    """The options that `train`, `sharpen` and `distill` share."""
    add = parser.add_argument
    corpus = "a folder of JSONL, CSV or TSV, a file, or qqp, wiki_auto (the hub's)"
    add("--world", help="name of a shipped world, or a .grammar file")
    add("--corpus", help=corpus)
    add("--seed", type=count, default=0, help="of weights, batches and noise (default 0)")
    add("--resume", action="store_true", help="go on where FILE.state stands, to the same numbers")
    add("--save-every", type=positive, default=500, metavar="N", help="state every N steps (500)")
    add("--log", metavar="FILE.jsonl", help="one JSON line a step: losses, norms, lr, evaluation")

    every = f"evaluate on held-out valid sources every N steps; 0: never (default {eval_every})"
    steps = f"network evaluations (NFE, {eval_steps})"
    goal = "stop when that validity is reached; reports training seconds without evaluation"
    add("--eval-every", type=count, default=eval_every, metavar="N", help=every)
    add("--eval-sources", type=positive, default=32, metavar="N", help="sources of it (32)")
    add("--eval-samples", type=positive, default=16, metavar="N", help="samples a source (16)")
    add("--eval-steps", type=positive, default=eval_steps, metavar="N", help=steps)
    add("--time-to", type=share, metavar="V", help=goal)

    add("--settings", action="store_true", help="list what can be set, with defaults, and stop")
    add("--json", metavar="FILE", help="write there what the checkpoint says of its making")
    add("--half", action="store_true", help="store the weights in half the size, as float16")
    several = "train in N processes, a GPU each if there are"
    add("--processes", type=process_count, default=1, metavar="N", help=several)
    device_option(parser)


# ---- files

# The options that name files, by what a command does with them; a test asks that none is missing.
OUTPUTS = "out out_stage1 out_last output json log".split()
INPUTS = "checkpoint teacher student start like input world corpus name records tokenizer bertscore".split()
SPLITS = ("train.", "valid.", "validation.", "dev.", "val.", "test.", "vocab", "tokenizer")


def check_files(args: argparse.Namespace) -> None:
    """Refuse an output that is an input, or another output, under whatever name."""
    taken = {}
    for option in INPUTS:
        for path in _files_of(getattr(args, option, None)):
            taken[_identity(path)] = f"the file of --{option}"
    for option in OUTPUTS:
        if not (given := getattr(args, option, None)) or is_stream(given):
            continue
        states = ENDINGS if given.endswith(".safetensors") else []
        for path in [given, *(given + state for state in states)]:
            other = taken.setdefault(_identity(Path(path)), f"the file of --{option}")
            if other != f"the file of --{option}":
                name = option.replace("_", "-")
                raise InputError(f"--{name} {given} would overwrite {other}; choose another name")


def _files_of(given: str | None) -> list[Path]:
    """The files that an input stands for: itself, the splits in a folder, or those of a shipped name."""
    if not given:
        return []
    path, worlds = Path(given), DATA / "worlds"
    shipped = [DATA / "checkpoints" / f"{given}.safetensors", worlds / f"{given}.grammar"]
    folders = [path, path.parent / path.stem, worlds / given]
    try:
        within = [file for folder in folders if folder.is_dir() for file in folder.iterdir()]
        return [path, *shipped, *(file for file in within if file.name.lower().startswith(SPLITS))]
    except (OSError, ValueError):  # such as a name that no file can have; reading it will say so
        return [path]


def _identity(path: Path) -> tuple[int, int] | str:
    """What two names of the same file have in common."""
    with contextlib.suppress(OSError):
        found = path.stat()
        return found.st_dev, found.st_ino
    return os.path.realpath(path)


# ---- from the options of training to records


def launched(args: argparse.Namespace) -> int | None:
    """The exit code of the command in --processes N; None if this process does the work."""
    if args.processes > 1 and not processes.one_of_several():
        return processes.launch(args.argv, args.processes)
    return None


def join_processes(args: argparse.Namespace) -> str:
    """Join the other processes, if there are any; return the device of this one."""
    from dlmone_lite.training.precision import pick_device

    return processes.init(pick_device(args.device))


def check_keep(args: argparse.Namespace) -> None:
    """Refuse --keep best without evaluations to choose by."""
    if args.keep == "best" and not args.eval_every:
        raise InputError("--keep best needs evaluations; give --eval-every a number, or --keep last")


def training_records(
    args: argparse.Namespace, out: Path, device: str, keep: str = "last"
) -> tuple[Evaluation, Keeping, Making]:
    """The records of the options that `training_options` declares."""
    evaluation = Evaluation(
        args.eval_every, args.eval_sources, args.eval_samples, args.eval_steps, args.time_to
    )
    keeping = Keeping(out, keep, args.half, args.save_every, args.resume, args.log, args.json)
    return evaluation, keeping, Making(args.argv, args.seed, device)
