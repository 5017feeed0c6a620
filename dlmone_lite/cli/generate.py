"""`generate`: sentences for the sources of a JSON-lines file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlmone_lite.cli.options import command, count, device_option, positive
from dlmone_lite.errors import InputError
from dlmone_lite.files import check_output
from dlmone_lite.jobs.console import rows_bar

if TYPE_CHECKING:
    from dlmone_lite.text import Codec

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
    parser.add_argument(
        "--checkpoint", required=True, metavar="NAME_OR_FILE", help="shipped name or .safetensors file"
    )
    parser.add_argument("--input", required=True, metavar="FILE.jsonl")
    parser.add_argument("--output", required=True, metavar="FILE.jsonl")
    parser.add_argument(
        "--steps", type=positive, help="network evaluations, NFE (default: student 1, teacher 64)"
    )
    parser.add_argument("--samples", type=positive, default=1, help="sentences for each source (default 1)")
    parser.add_argument("--seed", type=count, default=0)
    parser.add_argument("--batch-size", type=positive, default=512, help="rows at a time (default 512)")
    parser.add_argument(
        "--clamp", action="store_true", help="a teacher's x0_hat on its nearest embedding at each step"
    )
    device_option(parser)


def run(args: argparse.Namespace) -> None:
    """Read, generate, write."""
    from dlmone_lite.checkpoints import zoo
    from dlmone_lite.files import write_jsonl
    from dlmone_lite.generation import generate
    from dlmone_lite.training.precision import pick_device

    check_output(args.output)
    checkpoint = zoo.load(args.checkpoint, pick_device(args.device))
    if args.clamp and checkpoint.role == "student":
        raise InputError("--clamp belongs to a teacher's sampler; a student has no such step")
    rows = read(args.input, checkpoint.codec)
    bar, progress = rows_bar("generating")
    with bar:
        hypotheses = generate(
            checkpoint,
            [row["src"] for row in rows],
            steps=args.steps or default_steps(checkpoint.role),
            samples=args.samples,
            seed=args.seed,
            clamp=args.clamp,
            batch_size=args.batch_size,
            progress=progress,
        )
    write_jsonl(args.output, ({**row, "hyps": hyps} for row, hyps in zip(rows, hypotheses, strict=True)))
    print(f"{len(rows)} sources, {args.samples} sentences each: {args.output}")


def default_steps(role: str) -> int:
    """Network evaluations where none were asked for."""
    return 1 if role == "student" else 64


def read(path: str, codec: Codec) -> list[dict[str, Any]]:
    """The rows of a file whose sources the model can take; otherwise an InputError with the line."""
    from dlmone_lite.files import read_jsonl

    rows = read_jsonl(path)
    text = Path(path).read_bytes().decode("utf-8-sig")
    lines = [number for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    for number, row in zip(lines, rows, strict=True):
        try:
            codec.encode([row["src"]])
        except InputError as error:
            raise InputError(f"{path}:{number}: {error}") from error
    return rows
