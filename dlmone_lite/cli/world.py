"""`world`: a world's description, samples, exact targets, and files."""

from __future__ import annotations

import argparse
import random
from typing import TYPE_CHECKING

from dlmone_lite.cli.options import command, count, positive
from dlmone_lite.files import check_output, write_json
from dlmone_lite.jobs.console import tidy

if TYPE_CHECKING:
    from dlmone_lite.corpora.world import World

EXAMPLES = """paraphrase --sample 5
paraphrase --support "how can i learn french in a month ?" --json targets.json
my.grammar --build"""
MORE = """NAME is a shipped world or a .grammar file; a mistake in the file is reported with its line, what is
allowed but unwise as a warning. --json writes the exact targets of --support as [{"text": ..., "p": ...}].
--build writes train.jsonl, valid.jsonl and test.jsonl into a folder with the world's name beside its grammar
file."""


def add(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    add = command(commands, "world", "describe and check a world", EXAMPLES, run, MORE).add_argument
    add("name", metavar="NAME", help="shipped world or .grammar file")
    add("--sample", type=positive, metavar="N", help="print N random pairs")
    add("--seed", type=count, default=0, help="of --sample (default 0)")
    add("--support", metavar="SENTENCE", help="all right targets of this source, with probabilities")
    add("--json", metavar="FILE", help="write the targets of --support, or else the description")
    add("--build", action="store_true", help="write the splits")


def run(args: argparse.Namespace) -> None:
    """Print targets or samples, write the splits, or else describe the world."""
    from dlmone_lite.corpora.world import World

    check_output(args.json)
    world = World.load(args.name)
    if args.support is not None:
        targets = world.support(tidy(args.support))
        if args.json:
            write_json(args.json, [{"text": text, "p": p} for text, p in targets.items()])
        else:
            for text, p in targets.items():
                print(f"{p:.4f}  {text}")

    if args.sample:  # a source of any split, a target from its exact conditional distribution
        generator = random.Random(args.seed)
        sources = [source for split in ("train", "valid", "test") for source in world.split_sources(split)]
        for _ in range(args.sample):
            source = generator.choice(sources)
            print(f"{source}\n  -> {world.sample(source, generator)}")

    if args.build:
        print(f"written: train.jsonl, valid.jsonl and test.jsonl in {world.write_splits()}")
    if args.support is None and not args.sample and not args.build:
        describe(world, args.json)


def describe(world: World, path: str | None) -> None:
    """Print or write facts about the world, and the warnings of its own checks."""
    from dlmone_lite.corpora import world_report

    facts, warnings = world_report.describe(world), world_report.warnings(world)
    if path:
        write_json(path, {**facts, "warnings": warnings})
        return
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {number:g}" for key, number in value.items())
        print(f"{name.replace('_', ' '):20} {value}")
    for warning in warnings:
        print(f"warning: {warning}")
    if not warnings:
        print("no warnings")
