"""The records of the laboratory's runs: JSON lines, measurements at four digits."""

from __future__ import annotations

import json
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
    """The finished runs of a sweep; a line that a kill cut off is left out."""
    records = []
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                records.append(json.loads(line))
            except json.JSONDecodeError:
                continue
    return records


def recorded(name: str) -> list[dict[str, Any]]:
    """The shipped records of a sweep."""
    path = RUNS / f"sweep-{name}.jsonl"
    if not path.is_file():
        raise InputError(f"{path} is missing; restore it with: git checkout -- {path}")
    return read_records(path)
