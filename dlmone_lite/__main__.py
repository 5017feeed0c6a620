"""`python -m dlmone_lite COMMAND`; every command is a module of `cli`."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from dlmone_lite.cli import (
    assignment,
    bench,
    demo,
    distill,
    doctor,
    evaluate,
    generate,
    page,
    scores,
    sharpen,
    sweep,
    train,
    world,
)
from dlmone_lite.cli.options import check_files
from dlmone_lite.errors import Diverged, InputError
from dlmone_lite.training import processes

COMMANDS = (demo, generate, evaluate, train, sharpen, distill, world, sweep, scores, bench, page)
COMMANDS += (assignment, doctor)
ABOUT = "One-step diffusion language models: train a teacher, distil it, measure it against an exact truth."
EPILOG = """example: python -m dlmone_lite demo
Every command explains itself: python -m dlmone_lite COMMAND --help"""

OUT_OF_MEMORY = "there is not enough memory; choose fewer samples, a smaller batch_size or a smaller network"
LONGEST = 480  # characters of a message


class Parser(argparse.ArgumentParser):
    """A parser that reports a mistake in one line, like the rest of the program."""

    def error(self, message: str) -> NoReturn:
        """Raise the message that argparse would print after its usage."""
        raise InputError(f"{message}; see {self.prog} --help")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """End after --help."""
        sys.stdout.flush()
        super().exit(status, message)


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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a terminal cannot show must not stop the work
            stream.reconfigure(errors="backslashreplace")
    try:
        args = parser().parse_args(argv)
        args.argv = argv
        check_files(args)
        code = args.run(args) or 0
        sys.stdout.flush()  # here, where it is told in one line if nobody takes it
        return code
    except InputError as error:
        return _fail(error, 2)
    except KeyboardInterrupt as stop:
        print(f"stopped{': ' if str(stop) else ''}{stop}", file=sys.stderr)
        return 130
    except Diverged as error:
        return _fail(error, 3)
    except OSError as error:
        try:
            sys.stdout.flush()
        except OSError:  # drop the rest, because Python would try again at its end
            error.filename = "standard output"
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # the reader of a pipe has ended, as in `| head`
            return 1
        return _fail(f"{error.filename or 'a file'}: {error.strerror or error}; check path and disk", 2)
    except MemoryError:
        return _fail(OUT_OF_MEMORY, 2)
    except RuntimeError as error:
        if any(words in str(error) for words in ("out of memory", "can't allocate memory")):
            return _fail(OUT_OF_MEMORY, 2)
        if processes.one_of_several() and processes.is_exchange(error):
            return _fail("the exchange with another process failed; go on with --resume", 1)
        raise


def _fail(error: Exception | str, code: int) -> int:
    """Print the message as one short line on stderr, in the first of several processes; return the code."""
    if not processes.one_of_several() or os.environ["RANK"] == "0":
        line = " ".join(str(error).split())
        line = line if len(line) <= LONGEST else line[:LONGEST] + " ..."
        shown = (sign if sign.isprintable() else ascii(sign)[1:-1] for sign in line)
        print(f"error: {''.join(shown)}", file=sys.stderr)
    processes.abort()
    return code


if __name__ == "__main__":
    sys.exit(main())
