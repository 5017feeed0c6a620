"""The records of the laboratory's runs: JSON lines, measurements at four digits."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dlmone_lite.errors import InputError

RUNS = Path(__file__).resolve().parent.parent / "data" / "runs"


def rounded(value: Any, digits: int = 4) -> Any:
    """A record with its measurements at four significant digits, which is more than they are worth."""
    if isinstance(value, float):
        return float(f"{value:.{digits}g}")
    if isinstance(value, dict):
        return {key: rounded(item, digits) for key, item in value.items()}
    return [rounded(item, digits) for item in value] if isinstance(value, list | tuple) else value


def read_records(path: Path) -> list[dict[str, Any]]:
    """The finished runs of a sweep, of a .gz as well; a line that a kill cut off is left out."""
    records = []
    if path.is_file():
        data = path.read_bytes()
        text = gzip.decompress(data) if path.suffix == ".gz" else data
        for line in text.decode("utf-8").splitlines():
            try:
                records.append(json.loads(line))
            except json.JSONDecodeError:
                continue
    return records


def pack(records: Iterable[dict[str, Any]], path: Path) -> None:
    """Write records as JSON lines, compressed; the same records are the same bytes."""
    lines = "".join(json.dumps(record) + "\n" for record in records)
    path.write_bytes(gzip.compress(lines.encode(), mtime=0))


def shipped(name: str) -> Path:
    """Where the records of a sweep lie in the kit."""
    return RUNS / f"sweep-{name}.jsonl.gz"


def recorded(name: str) -> list[dict[str, Any]]:
    """The shipped records of a sweep."""
    path = shipped(name)
    if not path.is_file():
        raise InputError(f"{path} is missing; restore it with: git checkout -- {path}")
    return read_records(path)
