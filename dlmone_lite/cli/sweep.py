"""`sweep`: an experiment of many small distillations, resumable, one record a run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from dlmone_lite.cli.common import Table, check_output, command, fixed, positive

FOLDER = Path("runs") / "lab"  # teachers of the lab, made anew where they are missing
EXAMPLES = """coefficients --list
stages --jobs 2 --out runs/stages.jsonl"""
MORE = """
Each run distils a small teacher of the world pocket, evaluates its student eight times a stage against the
exact truth, and is one line of FILE: settings, seed, scores, signs of degeneration, losses, sentences. Runs
that FILE already holds are not made again, so an interrupted sweep goes on where it was. coefficients: one
factor at a time and two grids, SiD alone and with its adversarial terms; stages: one stage, two stages, and
one as long as both.
"""


def add(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    parser = command(commands, "sweep", "many small distillations, one factor at a time", EXAMPLES, run, MORE)
    parser.add_argument("name", help="coefficients or stages")
    parser.add_argument("--out", metavar="FILE.jsonl", help="default: runs/sweep-NAME.jsonl")
    parser.add_argument("--jobs", type=positive, default=2, help="processes, one core each (default 2)")
    parser.add_argument("--group", help="only the runs of this group, `base` or `teacher`, say")
    parser.add_argument("--limit", type=positive, metavar="N", help="make at most N runs now")
    parser.add_argument(
        "--list", action="store_true", help="name the runs and whether they are done, and stop"
    )


def run(args: argparse.Namespace) -> None:
    """Make the missing runs."""
    from dlmone_lite.errors import InputError, nearest
    from dlmone_lite.records import read_records
    from dlmone_lite.sweeps import execute, plan, sweep

    path = Path(args.out or f"runs/sweep-{args.name}.jsonl")
    specs = plan(args.name)
    groups = list(dict.fromkeys(spec.group for spec in specs))
    if args.group:
        if args.group not in groups:
            raise InputError(
                f"{args.name} has no group {args.group!r}{nearest(args.group, groups)}; {', '.join(groups)}"
            )
        specs = [spec for spec in specs if spec.group == args.group]
    check_output(path)
    done = {record["key"] for record in read_records(path)}
    if args.list:
        for spec in specs:
            print(f"{'done' if spec.key in done else '-':4}  {spec.key}")
        return
    if args.limit:
        specs = [spec for spec in specs if spec.key not in done][: args.limit]
    table = Table(("run", -48), ("validity", 8), ("excess", 6), ("coverage", 8), ("seconds", 7), ("done", 9))

    def told(record: dict[str, Any], finished: int, total: int) -> None:
        last = record["final"][0]
        scores = [fixed(last[key]) for key in ("validity", "tv_excess", "coverage")]
        table.row(record["key"], *scores, f"{record['seconds']:.0f}", f"{finished}/{total}")

    FOLDER.mkdir(parents=True, exist_ok=True)
    execute(specs, path, FOLDER, args.jobs, told, sweep(args.name).make)
    print(f"{len(read_records(path))} runs in {path}")
