"""What a command reads and prints: typed sentences, aligned tables, numbers with errors, progress bars."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

Progress = Callable[[int, int], None]


class Table:
    """Aligned rows, each printed at once. Columns: (heading, width); width < 0 aligns left."""

    def __init__(self, *columns: tuple[str, int]):
        self.widths = [width for _, width in columns]
        self.row(*(heading for heading, _ in columns))

    def row(self, *cells: str) -> None:
        """Print one row."""
        pairs = zip(cells, self.widths, strict=True)
        aligned = (cell.ljust(-width) if width < 0 else cell.rjust(width) for cell, width in pairs)
        print("  ".join(aligned).rstrip(), flush=True)


def fixed(value: float | None, digits: int = 3) -> str:
    """A number with fixed digits; a dash for None and nan."""
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def with_error(value: float, error: float) -> str:
    """`0.912 ±0.010`; without the error if that is nan."""
    return fixed(value) if math.isnan(error) else f"{value:.3f} ±{error:.3f}"


def rows_bar(title: str) -> tuple[Any, Progress]:
    """A tqdm bar over rows, silent unless stderr is a terminal, and the callback that moves it."""
    from tqdm import tqdm

    bar = tqdm(desc=title, unit="row", disable=None, leave=False, file=sys.stderr)

    def move(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return bar, move


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as a Markdown table; the first two columns are words, the others numbers."""
    line = ["|---|---|" + "---:|" * (len(headings) - 2)]
    return [f"| {' | '.join(headings)} |", *line, *(f"| {' | '.join(row)} |" for row in rows)]


def tidy(sentence: str) -> str:
    """A typed sentence as the worlds are written: lower case, with punctuation as words of its own."""
    return " ".join(re.sub(r"([.,?!;:])", r" \1 ", sentence.lower()).split())
