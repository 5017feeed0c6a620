"""What several commands share: options and their types, tables, files, and how a result was made."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shlex
import sys
import textwrap
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlmone_lite.errors import InputError

if TYPE_CHECKING:
    from dlmone_lite.text import Codec
    from dlmone_lite.worlds import World

Progress = Callable[[int, int], None]


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


class Table:
    """Aligned rows, each printed when it is known. Columns: (heading, width); width < 0 aligns left."""

    def __init__(self, *columns: tuple[str, int]):
        self.widths = [width for _, width in columns]
        self.row(*(heading for heading, _ in columns))

    def row(self, *cells: str) -> None:
        """Print one row at once."""
        aligned = (
            cell.ljust(-width) if width < 0 else cell.rjust(width)
            for cell, width in zip(cells, self.widths, strict=True)
        )
        print("  ".join(aligned).rstrip(), flush=True)


def fixed(value: float | None, digits: int = 3) -> str:
    """A number with fixed digits; a dash where there is none."""
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def with_error(value: float, error: float) -> str:
    """`0.912 ±0.010`, without the error where it is not known."""
    return fixed(value) if math.isnan(error) else f"{value:.3f} ±{error:.3f}"


def rows_bar(title: str) -> tuple[Any, Progress]:
    """A tqdm bar over rows (silent unless stderr is a terminal) and the callback that moves it."""
    from tqdm import tqdm

    bar = tqdm(desc=title, unit="row", disable=None, leave=False, file=sys.stderr)

    def move(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return bar, move


# ---- files


def check_output(path: str | Path | None) -> None:
    """Make the folder of an output file; say at once, not after an hour, that it cannot be written."""
    if path is None:
        return
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"the folder {path.parent} cannot be made ({error.strerror}); choose another"
        ) from error
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file in it")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"the folder {path.parent} is not writable; choose another")


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON whole or not at all; numbers that JSON lacks (nan) become null."""
    path = Path(path)
    text = json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f"{path} could not be written ({error.strerror}); choose another place") from error
    print(f"written: {path}")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# ---- worlds and provenance


def codec_of(world: World) -> Codec:
    """The layout of a world's sentences; the shared vocabulary if it has all of this world's words."""
    from dlmone_lite.text import Codec, Vocabulary
    from dlmone_lite.worlds import shared_vocabulary

    words, vocabulary = world.vocabulary(), shared_vocabulary()
    if not set(words) <= set(vocabulary.words):
        vocabulary = Vocabulary(words)
    return Codec(vocabulary, world.max_source + 1, world.max_target + 1)  # + 1 for [SEP]


def split_pairs(world: World, split: str) -> tuple[Path, list[str], list[str]]:
    """(file, sources, targets) of a split on disk."""
    from dlmone_lite.corpora import read_jsonl

    path = world.folder / f"{split}.jsonl"
    if not path.is_file():
        raise InputError(
            f"{path} is missing; write it with: python -m dlmone_lite world {world.path} --build"
        )
    rows = read_jsonl(path, need=("src", "trg"))
    return path, [row["src"] for row in rows], [row["trg"] for row in rows]


def command_line(argv: Sequence[str]) -> str:
    """The command as it would be typed."""
    return "python -m dlmone_lite " + shlex.join(argv)


def environment(device: str) -> dict[str, Any]:
    """Device, versions and date of a result."""
    from importlib.metadata import PackageNotFoundError, version

    import torch

    try:
        ours = version("dlmone_lite")
    except PackageNotFoundError:  # used from a checkout
        ours = "not installed"
    name = (
        torch.cuda.get_device_name(device)
        if device.startswith("cuda")
        else f"{torch.get_num_threads()} threads"
    )
    return {
        "device": f"{device} ({name})",
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "dlmone_lite": ours},
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as a Markdown table; the first two columns are words, the others numbers."""
    line = ["|---|---|" + "---:|" * (len(headings) - 2)]
    return [f"| {' | '.join(headings)} |", *line, *(f"| {' | '.join(row)} |" for row in rows)]
