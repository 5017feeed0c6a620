"""Selection of recorded runs by group, arm or coefficients; the degeneration atlas of notebook 06."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from statistics import fmean, stdev
from typing import Any

from dlmone_lite.errors import InputError
from dlmone_lite.evaluation.intervals import Paired, paired
from dlmone_lite.lab.experiment import BASE
from dlmone_lite.lab.sweeps import B_D, B_G, MUS, RATES

Record = Mapping[str, Any]
KNOBS = ("b_d", "b_g", "mu", "lr")
STOPS = {"b_d": B_D, "b_g": B_G, "mu": MUS, "lr": RATES}  # the values in the two grids of runs
GRIDS = ("base", "b_d x b_g", "mu x lr")


def settings(record: Record) -> dict[str, float]:
    """The coefficients of a run's first stage."""
    merged = {**asdict(BASE), **record["spec"]["stages"][0]}
    return {knob: merged[knob] for knob in KNOBS}


def select(records: Iterable[Record], group: str, start: str = "") -> list[Record]:
    """The records of one group whose arm begins with `start`."""
    specs = ((record, record["spec"]) for record in records)
    return [record for record, spec in specs if spec["group"] == group and spec["arm"].startswith(start)]


def group_by_arm(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Arm -> its records, which differ in their seeds."""
    arms: dict[str, list[Record]] = {}
    for record in records:
        arms.setdefault(record["spec"]["arm"], []).append(record)
    return arms


def score(name: str, nfe: int = 1) -> Callable[[Record], float]:
    """A function that returns a score, or a sign, of a record's final evaluation at `nfe`."""

    def score_of(record: Record) -> float:
        final = next(evaluation for evaluation in record["final"] if evaluation["nfe"] == nfe)
        return final[name] if name in final else final["signs"][name]

    return score_of


def ends(records: Iterable[Record], names: Sequence[str], nfe: int = 1) -> dict[str, dict[str, list[float]]]:
    """Arm -> score -> its final values at `nfe`, in the order of the seeds; without runs that diverged."""
    arms = group_by_arm(record for record in records if record["final"])
    runs = {arm: sorted(own, key=lambda record: record["spec"]["seed"]) for arm, own in arms.items()}
    return {arm: {name: list(map(score(name, nfe), own)) for name in names} for arm, own in runs.items()}


def difference(records: Iterable[Record], a: str, b: str, name: str, nfe: int = 1) -> Paired:
    """The paired difference of a score between arms a and b, over their common seeds; InputError for fewer
    than two."""
    values = {}
    for arm in (a, b):
        runs = [r for r in records if r["spec"]["arm"] == arm and r["final"]]
        values[arm] = {record["spec"]["seed"]: score(name, nfe)(record) for record in runs}
    seeds = sorted(values[a].keys() & values[b].keys())
    return paired([values[a][seed] for seed in seeds], [values[b][seed] for seed in seeds])


def by_calls(runs: Sequence[Record]) -> list[dict[str, float]]:
    """Means over runs of every score at every number of calls, with standard errors `<score>_se`."""
    rows = []
    for i, first in enumerate(runs[0]["final"]):
        row = {"nfe": first["nfe"]}
        for name in (name for name, value in first.items() if type(value) is float and name[-3:] != "_se"):
            mean, deviation = spread([run["final"][i][name] for run in runs])
            row |= {name: mean, f"{name}_se": deviation / len(runs) ** 0.5}
        rows.append(row)
    return rows


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation; the latter is 0 for a single value."""
    return fmean(values), stdev(values) if len(values) > 1 else 0.0


def grid(
    records: Sequence[Record], rows: str, columns: str, score_of: Callable[[Record], float]
) -> tuple[list[float], list[float], list[list[float]]]:
    """(row values, column values, means over seeds) of a score over two of the `KNOBS`; nan without a run."""
    cells: dict[tuple[float, float], list[float]] = {}
    for record in records:
        knobs = settings(record)
        cells.setdefault((knobs[rows], knobs[columns]), []).append(score_of(record))

    down, across = sorted({row for row, _ in cells}), sorted({column for _, column in cells})
    means = []
    for row in down:
        values = [cells.get((row, column), [math.nan]) for column in across]
        means.append([fmean(value) for value in values])
    return down, across, means


def _position(knobs: Mapping[str, float]) -> list[float]:
    """Coordinates of a setting; neighbouring values of a slider are about 1 apart."""
    b_d, b_g, lr = map(math.log10, (knobs["b_d"] + 0.05, knobs["b_g"] + 0.02, knobs["lr"]))
    return [3 * b_d, 3 * b_g, 4 * knobs["mu"], 3 * lr]


class Atlas:
    """The recorded runs of the two grids, by b_d, b_g, mu and lr; InputError if there is none."""

    def __init__(self, records: Iterable[Record]):
        cells: dict[tuple[float, ...], list[Record]] = {}
        for record in records:
            if record["spec"]["group"] in GRIDS:
                cells.setdefault(tuple(settings(record).values()), []).append(record)
        if not cells:
            text = "the records hold no run on the atlas' grids; make them with: sweep coefficients"
            raise InputError(text)
        self.cells = cells

    def nearest(self, **knobs: float) -> tuple[dict[str, float], list[Record]]:
        """The recorded coefficients nearest to `knobs`, and the runs of all seeds with them."""
        target = _position(knobs)
        cell = min(self.cells, key=lambda cell: math.dist(_position(dict(zip(KNOBS, cell))), target))
        return dict(zip(KNOBS, cell)), self.cells[cell]


def curves(records: Sequence[Record], name: str) -> tuple[list[int], list[list[float]]]:
    """(updates, the values of a score in each run) of records that were evaluated at the same updates."""

    def course(record: Record, key: str) -> list[Any]:
        return [evaluation[key] for evaluation in record["evaluations"]]

    return course(records[0], "step"), [course(record, name) for record in records]
