"""`generate`: sentences for the sources of a JSON-lines file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from dlmone_lite.cli.options import command, count, device_option, positive
from dlmone_lite.errors import InputError
from dlmone_lite.files import check_output, write_jsonl
from dlmone_lite.jobs.console import rows_bar
from dlmone_lite.jobs.sampling import check_clamp

if TYPE_CHECKING:
    from dlmone_lite.text import Codec

STEPS = {"teacher": 64, "student": 1}
EXAMPLES = """--checkpoint paraphrase-student --input data/worlds/paraphrase/test.jsonl --output out.jsonl
--checkpoint paraphrase-teacher --input my.jsonl --output out.jsonl --steps 256 --samples 3 --seed 1"""
MORE = """
Every input line is an object with a "src" (lower-case words of the vocabulary, separated by spaces). The
output keeps each line's fields and adds "hyps", a list of K sentences. Texts depend on seed and batch
size.
"""


def add(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    parser = command(commands, "generate", "generate from a checkpoint, JSONL to JSONL", EXAMPLES, run, MORE)
    option = parser.add_argument
    option("--checkpoint", required=True, metavar="NAME_OR_FILE", help="shipped name or .safetensors file")
    option("--input", required=True, metavar="FILE.jsonl")
    option("--output", required=True, metavar="FILE.jsonl")
    option("--steps", type=positive, help="network evaluations, NFE (default: student 1, teacher 64)")
    option("--samples", type=positive, default=1, help="sentences for each source (default 1)")
    option("--seed", type=count, default=0)
    option("--batch-size", type=positive, default=512, help="rows at a time (default 512)")
    option("--clamp", action="store_true", help="a teacher's x0_hat on its nearest embedding at each step")
    device_option(parser)


def run(args: argparse.Namespace) -> None:
    """Read, generate, write each source's line when its sentences are there."""
    from dlmone_lite.checkpoints import zoo
    from dlmone_lite.corpora.tables import read_rows, text_field
    from dlmone_lite.generation import stream
    from dlmone_lite.training.precision import pick_device

    check_output(args.output)
    checkpoint = zoo.load(args.checkpoint, pick_device(args.device))
    check_clamp(checkpoint, args.clamp)
    places, rows, sources = [], [], []
    for where, row in read_rows(Path(args.input), None):
        if "hyps" in row:
            raise InputError(f"{where}: the row has 'hyps' already, which would be lost; rename that field")
        places.append(where)
        rows.append(row)
        sources.append(text_field(row, "src", where))

    bar, progress = rows_bar("generating")
    how = {"samples": args.samples, "seed": args.seed, "clamp": args.clamp, "batch_size": args.batch_size}
    how |= {"steps": args.steps or STEPS[checkpoint.role], "precision": "float32", "progress": progress}
    try:
        texts = stream(checkpoint, sources, **how)
    except InputError:
        name_the_row(checkpoint.codec, places, sources)
        raise
    with bar:
        write_jsonl(args.output, ({**row, "hyps": hyps} for row, hyps in zip(rows, texts, strict=True)))
    print(f"{len(rows)} sources, {args.samples} sentences each: {args.output}")


def name_the_row(codec: Codec, places: list[str], sources: list[str]) -> None:
    """InputError with the line of the first source that the model cannot take, if there is one."""
    for where, source in zip(places, sources, strict=True):
        try:
            codec.encode([source])
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
