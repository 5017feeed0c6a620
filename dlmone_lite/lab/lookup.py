"""The degeneration atlas: recorded runs of the laboratory, found by their coefficients."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from statistics import fmean, stdev
from typing import Any

from dlmone_lite.errors import InputError
from dlmone_lite.lab.experiment import BASE
from dlmone_lite.lab.sweeps import B_D, B_G, MUS, RATES

Record = Mapping[str, Any]
KNOBS = ("b_d", "b_g", "mu", "lr")
STOPS = {"b_d": B_D, "b_g": B_G, "mu": MUS, "lr": RATES}  # what the two grids recorded
GRIDS = ("base", "b_d x b_g", "mu x lr")


def settings(record: Record) -> dict[str, float]:
    """The coefficients of a run's first stage."""
    merged = {**asdict(BASE), **record["spec"]["stages"][0]}
    return {knob: merged[knob] for knob in KNOBS}


def of(records: Iterable[Record], group: str, start: str = "") -> list[Record]:
    """The records of one group whose arm begins with `start`."""
    return [r for r in records if r["spec"]["group"] == group and r["spec"]["arm"].startswith(start)]


def by_arm(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Records of the same arm, its seeds, together."""
    arms: dict[str, list[Record]] = {}
    for record in records:
        arms.setdefault(record["spec"]["arm"], []).append(record)
    return arms


def score(name: str, nfe: int = 1) -> Callable[[Record], float]:
    """Reads a score, or a sign, of a run's end at `nfe` evaluations."""

    def read(record: Record) -> float:
        end = next(seen for seen in record["final"] if seen["nfe"] == nfe)
        return end[name] if name in end else end["signs"][name]

    return read


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation (0 of a single value)."""
    return fmean(values), stdev(values) if len(values) > 1 else 0.0


def table(
    records: Sequence[Record], rows: str, columns: str, read: Callable[[Record], float]
) -> tuple[list[float], list[float], list[list[float]]]:
    """(row values, column values, means over seeds; nan where no run is) of two of the `KNOBS`."""
    cells: dict[tuple[float, float], list[float]] = {}
    for record in records:
        knobs = settings(record)
        cells.setdefault((knobs[rows], knobs[columns]), []).append(read(record))
    down, across = sorted({row for row, _ in cells}), sorted({column for _, column in cells})
    means = [
        [fmean(cells[row, column]) if (row, column) in cells else math.nan for column in across]
        for row in down
    ]
    return down, across, means


def _place(knobs: Mapping[str, float]) -> list[float]:
    """Coordinates in which one step of a slider is about 1."""
    return [
        3 * math.log10(knobs["b_d"] + 0.05),
        3 * math.log10(knobs["b_g"] + 0.02),
        4 * knobs["mu"],
        3 * math.log10(knobs["lr"]),
    ]


class Atlas:
    """Recorded runs on the two grids, by b_d, b_g, mu and lr."""

    def __init__(self, records: Iterable[Record]):
        cells: dict[tuple[float, ...], list[Record]] = {}
        for record in records:
            if record["spec"]["group"] in GRIDS:
                cells.setdefault(tuple(settings(record).values()), []).append(record)
        if not cells:
            raise InputError(
                "the records hold no run on the atlas' grids; make them with: sweep coefficients"
            )
        self.cells = cells

    def nearest(self, **knobs: float) -> tuple[dict[str, float], list[Record]]:
        """The recorded coefficients nearest to these, and the runs with them, all seeds."""
        wanted = _place(knobs)
        cell = min(self.cells, key=lambda cell: math.dist(_place(dict(zip(KNOBS, cell))), wanted))
        return dict(zip(KNOBS, cell)), self.cells[cell]


def curves(records: Sequence[Record], name: str) -> tuple[list[int], list[list[float]]]:
    """(updates, one list of a score per run) of records with the same looks."""
    steps = [seen["step"] for seen in records[0]["evaluations"]]
    return steps, [[seen[name] for seen in record["evaluations"]] for record in records]
