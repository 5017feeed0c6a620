"""`scores`: the paper's table on QQP, Wiki-Auto and Quasar-T with our records beside it."""

from __future__ import annotations

import argparse
from pathlib import Path

from dlmone_lite.cli.options import command
from dlmone_lite.errors import InputError
from dlmone_lite.evaluation.published import REAL, measured, table, zero_shot
from dlmone_lite.jobs.console import markdown

EXAMPLES = "\n--records runs/real"
MORE = """Markdown, each of our rows with the record it comes from. A record is what `evaluate --corpus FOLDER
--checkpoint C --json FILE` writes; those in data/runs/real came with the kit. Published scores are on the
test split of the whole sets, ours on the valid split of what we trained on: compare ours with ours. A matrix
follows: each student on each task, where `evaluate --zero-shot` has measured it."""


def add(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    parser = command(commands, "scores", "the paper's table with ours beside it", EXAMPLES, run, MORE)
    parser.add_argument("--records", metavar="FOLDER", help="where the records lie (data/runs/real)")


def run(args: argparse.Namespace) -> None:
    """Print the table, and the matrix if there are records for it."""
    folder = Path(args.records) if args.records else REAL
    rows = measured(folder)
    if args.records and not rows:
        raise InputError(f"{folder} holds no record; `evaluate --corpus FOLDER --json FILE` writes one")
    headings, *cells = table(rows)
    print("\n".join(markdown(headings, cells)))
    matrix = zero_shot(rows)
    tasks = sorted({task for row in matrix.values() for task in row} | set(matrix))
    if tasks:
        headings, cells = ["BLEU, one step", *(f"on {task}" for task in tasks)], []
        for own in sorted(matrix):
            values = (f"{matrix[own][task]:.3f}" if task in matrix[own] else "" for task in tasks)
            cells.append([f"trained on {own}", *values])
        print("\n" + "\n".join(markdown(headings, cells)))
