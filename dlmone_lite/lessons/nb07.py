"""Notebook 07: which of a run's looks is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def best_look(rows: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """(stage, step) of the lowest TV after the warm start, the earliest among equals."""
    counted = [row for row in rows if row["stage"]]
    best = min(counted, key=lambda row: (row["tv"], row["stage"], row["step"]))
    return best["stage"], best["step"]
