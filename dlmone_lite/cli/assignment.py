"""`assignment`: the exercises of a notebook for nbgrader."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from dlmone_lite.cli.options import command
from dlmone_lite.files import check_output, write_text

EXAMPLES = """
04 --out source/dlmone/04.ipynb"""
MORE = """The notebook holds the solutions. `nbgrader generate_assignment` replaces them with stubs, and
`nbgrader autograde` runs the course's own checks. The graders' environment needs this kit installed."""


def add(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    summary = "the exercises of a notebook, for nbgrader"
    add = command(commands, "assignment", summary, EXAMPLES, run, MORE).add_argument
    add("notebook", help="its number, 00 to 11")
    add("--out", metavar="FILE.ipynb", help="default: runs/assignment-NN.ipynb")


def run(args: argparse.Namespace) -> None:
    """Write the assignment."""
    from dlmone_lite.exercises.assignment import assignment

    made = assignment(args.notebook)
    path = Path(args.out or f"runs/assignment-{args.notebook}.ipynb")
    check_output(path)
    write_text(path, json.dumps(made, indent=1, ensure_ascii=False) + "\n")
    points = [cell["metadata"]["nbgrader"].get("points", 0) for cell in made["cells"] if cell["metadata"]]
    print(f"{path}: {sum(map(bool, points))} exercises and questions, {sum(points)} points")
