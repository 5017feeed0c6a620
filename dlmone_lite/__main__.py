"""`python -m dlmone_lite COMMAND`; every command is a module of `cli`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from dlmone_lite.cli import (
    bench,
    demo,
    distill,
    doctor,
    evaluate,
    generate,
    scores,
    sharpen,
    sweep,
    train,
    world,
)
from dlmone_lite.errors import InputError
from dlmone_lite.training import processes

COMMANDS = (demo, generate, evaluate, train, sharpen, distill, world, sweep, scores, bench, doctor)
ABOUT = "One-step diffusion language models: train a teacher, distil it, measure it against an exact truth."
EPILOG = """example: python -m dlmone_lite demo
Every command explains itself: python -m dlmone_lite COMMAND --help"""


class Parser(argparse.ArgumentParser):
    """A parser that reports a mistake in one line, like the rest of the program."""

    def error(self, message: str) -> NoReturn:
        """Raise the message that argparse would print after its usage."""
        raise InputError(f"{message}; see {self.prog} --help")


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    plain = argparse.RawDescriptionHelpFormatter
    top = Parser(prog="python -m dlmone_lite", description=ABOUT, epilog=EPILOG, formatter_class=plain)
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=Parser)
    for command in COMMANDS:
        command.add(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Exit code: 0 done, 1 `doctor` found a problem, 2 bad input, 3 training diverged, 130 stopped by Ctrl-C.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        args = parser().parse_args(argv)
        args.argv = argv
        return args.run(args) or 0
    except InputError as error:
        return _fail(error, 2)
    except KeyboardInterrupt as stop:
        print(f"stopped{': ' if str(stop) else ''}{stop}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe has ended, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except RuntimeError as error:  # by name, because importing `Diverged` would import torch
        if type(error).__name__ != "Diverged":
            raise
        return _fail(error, 3)


def _fail(error: Exception, code: int) -> int:
    """Print the message as one line on stderr, in the first of several processes; return the exit code."""
    if os.environ.get("RANK", "0") == "0":
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    processes.abort()
    return code


if __name__ == "__main__":
    sys.exit(main())
