"""What several commands share: options and their types, tables, files, and how a result was made."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


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


def positive(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    try:
        if (value := int(text)) >= 1:
            return value
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, not {text!r}")


def count(text: str) -> int:
    """A whole number of at least 0, for argparse."""
    try:
        if (value := int(text)) >= 0:
            return value
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"must be a whole number of at least 0, not {text!r}")


def share(text: str) -> float:
    """A number in 0..1, for argparse."""
    try:
        if 0 <= (value := float(text)) <= 1:
            return value
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"must be a number from 0 to 1, not {text!r}")


def step_list(text: str) -> list[int]:
    """`1,4,16` as whole numbers of at least 1, for argparse."""
    return [positive(part) for part in text.split(",")]


def device_option(parser: argparse.ArgumentParser) -> None:
    """The option --device."""
    parser.add_argument("--device", help="cpu, cuda, cuda:1, ... (default: the GPU if there is one)")


def precision_option(parser: argparse.ArgumentParser, default: str) -> None:
    """The option --precision."""
    parser.add_argument(
        "--precision",
        choices=("auto", "float32", "bfloat16", "float16"),
        default=default,
        help=f"of matrix products; auto: what is faster on this machine (default {default})",
    )


# ---- tables and progress
# ---- files
# ---- worlds and provenance
