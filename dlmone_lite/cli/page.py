"""`page`: one HTML file that shows the idea in a browser, without an installation."""

from __future__ import annotations

import argparse
from pathlib import Path

from dlmone_lite.cli.options import command
from dlmone_lite.files import check_output, write_text

EXAMPLES = """
--out runs/one-step.html
--world question --out runs/question.html"""
MORE = """The file needs no server and no network: put it on any web space, or open it. It holds a world's
teacher and student, which run in the browser, exact posterior weights under a noise slider, and the recorded
runs of the degeneration atlas."""


def add(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    summary = "one HTML file with both networks, for a browser"
    add = command(commands, "page", summary, EXAMPLES, run, MORE).add_argument
    add("--world", default="paraphrase", help="a shipped world (default paraphrase)")
    add("--out", metavar="FILE.html", default="runs/page.html", help="default: runs/page.html")


def run(args: argparse.Namespace) -> None:
    """Write the page."""
    from dlmone_lite.checkpoints import zoo
    from dlmone_lite.corpora.world import World
    from dlmone_lite.page.build import page

    path, world = Path(args.out), World.load(args.world)
    check_output(path)
    networks = (zoo.load(f"{world.name}-{role}", "cpu", world.name) for role in ("teacher", "student"))
    write_text(path, page(world, *networks))
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB; open it in a browser")
