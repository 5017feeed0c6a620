"""`generate`: sentences for the sources of a JSON-lines file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlmone_lite.cli.options import command, count, device_option, positive
from dlmone_lite.errors import InputError
from dlmone_lite.files import check_output
from dlmone_lite.jobs.sampling import Sampling, check_clamp, sample_texts

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
    """Read, generate, write."""
    from dlmone_lite.checkpoints import zoo
    from dlmone_lite.files import write_jsonl
    from dlmone_lite.training.precision import pick_device

    check_output(args.output)
    checkpoint = zoo.load(args.checkpoint, pick_device(args.device))
    check_clamp(checkpoint, args.clamp)
    rows = read(args.input, checkpoint.codec)
    sources, steps = [row["src"] for row in rows], args.steps or STEPS[checkpoint.role]
    sampling = Sampling(args.samples, args.seed, args.clamp, args.batch_size)
    texts = sample_texts(checkpoint, sources, steps, sampling, "generating")
    write_jsonl(args.output, ({**row, "hyps": hyps} for row, hyps in zip(rows, texts, strict=True)))
    print(f"{len(rows)} sources, {args.samples} sentences each: {args.output}")


def read(path: str, codec: Codec) -> list[dict[str, Any]]:
    """The rows of a file; InputError with the line for a source that the model cannot take."""
    from dlmone_lite.corpora.tables import read_rows, text_field

    rows = []
    for where, row in read_rows(Path(path), None):
        if "hyps" in row:
            raise InputError(
                f"{where}: the row has a field 'hyps' already; rename it, it would be overwritten"
            )
        source = text_field(row, "src", where)
        try:
            codec.encode([source])
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
        rows.append(row)
    return rows
