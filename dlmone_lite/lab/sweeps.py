"""The experiments as lists of runs, and the file their records go to: finished runs are never made again."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dlmone_lite.errors import InputError, nearest
from dlmone_lite.files import read_records
from dlmone_lite.lab import exact_psi, patients
from dlmone_lite.lab.experiment import STARTS, Spec, beginning, distil

Progress = Callable[[dict[str, Any], int, int], None]  # (record, runs done, runs in all)

ALONE = {"b_d": 0.0, "b_g": 0.0}  # SiD without its adversarial terms
FACTORS: dict[str, tuple[dict[str, Any], ...]] = {
    "t": ({"t_max": 300}, {"t_max": 1490}, {"t_max": 1976}, {"t_min": 1000, "t_max": 1976}),
    "psi": ({"lr_psi": 1e-3}, {"lr_psi": 0.012}, {"psi_steps": 5}),
    "t_init": ({"t_init": 1000}, {"t_init": 1800}),
}
B_D, B_G = (0.0, 0.1, 0.5, 1.0, 3.0), (0.0, 0.05, 0.2, 0.5, 1.5)
EARLY = "from the start:"  # arms of `treatments` in which the patient never falls ill, perhaps
MUS, RATES = (0.5, 0.8, 1.0, 1.2, 1.5), (3e-4, 1e-3, 2e-3, 3e-3, 6e-3)


def _named(changes: Mapping[str, Any]) -> str:
    return ",".join(f"{name}={value:g}" for name, value in changes.items()) or "base"


def _both(group: str, changes: dict[str, Any], seed: int, **where: Any) -> Iterator[Spec]:
    """SiD alone and with the adversarial terms, under the same changes."""
    for kind, terms in (("alone", ALONE), ("adversarial", {})):
        arm = " ".join([kind, *([_named(changes)] if changes else []), *map(str, where.values())])
        yield Spec(group, arm, ({**terms, **changes},), seed=seed, **where)


def coefficients() -> Iterator[Spec]:
    """One factor at a time, SiD alone and adversarial, and two full grids; the most telling ones first.

    One factor at a time over b_d, b_g, mu and lr are rows of the grids. lr is of both networks there.
    """
    for seed in range(6):
        yield from _both("base", {}, seed)
    for seed in range(2):
        for group, values in FACTORS.items():
            for changes in values:
                yield from _both(group, changes, seed)
        for b_d in B_D:
            for b_g in B_G:
                changes = {"b_d": b_d, "b_g": b_g}
                yield Spec("b_d x b_g", _named(changes), (changes,), seed=seed)
        if seed == 0:
            yield from _mu_and_lr(seed)
    for seed in range(3):
        yield from _both("start", {}, seed, start="teacher")
        for teacher in ("early", "exact"):
            yield from _both("teacher", {}, seed, teacher=teacher)
        for length in (16, 32):
            yield from _both("length", {}, seed, length=length)
    yield from _mu_and_lr(1)


def _mu_and_lr(seed: int) -> Iterator[Spec]:
    for mu in MUS:
        for lr in RATES:
            yield from _both("mu x lr", {"mu": mu, "lr": lr, "lr_psi": lr}, seed)


def stages(seeds: int = 5, steps: int = 400) -> Iterator[Spec]:
    """One stage, two stages, and one as long as both; psi restarted or not; even and uneven coefficients.

    Each stage has a learning rate that falls to 0; without the restart of psi only that starts again.
    """
    uneven = {"b_d": 0.9, "b_g": 0.1}
    one = {"steps": steps}
    kept = {"restart": False, "psi_warmup": 0}
    late, slow = {"lr_psi": 3e-4}, {"lr": 1e-3}
    arms: dict[str, tuple[dict[str, Any], ...]] = {
        "one stage": (one,),
        "one stage, twice as long": ({"steps": 2 * steps},),
        "two stages": (one, one),
        "two stages, uneven": (one, {**one, **uneven}),
        "psi not restarted": (one, {**one, **kept}),
        "psi not restarted, uneven": (one, {**one, **uneven, **kept}),
        "two stages, slower": (one, {**one, **slow}),
        "psi not restarted, slower": (one, {**one, **slow, **kept}),
        "late psi, twice as long": ({"steps": 2 * steps, **late},),
        "late psi, two stages": ({**one, **late}, {**one, **late}),
        "alone, one stage": ({**one, **ALONE},),
        "alone, twice as long": ({"steps": 2 * steps, **ALONE},),
        "alone, two stages": ({**one, **ALONE}, {**one, **ALONE}),
    }
    for seed in range(seeds):
        for arm, plan in arms.items():
            yield Spec("stages", arm, plan, seed=seed)


def clinic_runs() -> Iterator[Spec]:
    """The clinic's patients, and the same runs with seeds by which no detector was tuned."""
    for seed in (0, 3, 4, 5, 6):
        yield from (patient.spec(seed) for patient in patients.PATIENTS)


def causes() -> Iterator[Spec]:
    """Runs to be examined on the way: the base, and psi slower and faster."""
    for seed in range(3):
        yield from _both("base", {}, seed)
    for changes in FACTORS["psi"][:2]:
        yield from _both("psi", changes, 0)


def treatments(seeds: int = 3) -> Iterator[Spec]:
    """Every patient, treated in several ways; and the run that broke it, with the advice from the start."""
    for seed in range(seeds):
        for one in patients.PATIENTS:
            where = {"length": one.length, "seed": seed}
            for name, changes in patients.treatments(one).items():
                yield Spec(one.name, name, (changes,), start=one.name, **where)
        for one in patients.PATIENTS:
            where = {"length": one.length, "seed": seed}
            for name, changes in patients.prevention(one).items():
                yield Spec(one.name, f"{EARLY} {name}", (changes,), **where)


def classroom(seeds: int = 3, steps: int = 400) -> Iterator[Spec]:
    """The conclusions once more, with the classroom's network in the world paraphrase: at the rates of the
    pocket world, and at a third of them, for the network is four times as wide."""
    one, slow = {"steps": steps}, {"lr": 1e-3, "lr_psi": 1e-3}
    slower = {**one, **slow}
    groups: dict[str, dict[str, tuple[dict[str, Any], ...]]] = {
        "classroom": {"alone": ({**one, **ALONE},), "adversarial": (one,)},
        "classroom, slower": {"alone": ({**slower, **ALONE},), "adversarial": (slower,)},
        "classroom, stages": {
            "twice as long": ({**slower, "steps": 2 * steps},),
            "two stages, slower": (slower, {**slower, "lr": 3e-4}),
        },
    }
    for group, arms in groups.items():
        for seed in range(seeds):
            for arm, plan in arms.items():
                yield Spec(group, arm, plan, seed=seed, world="paraphrase")


def _ready(spec: Spec, folder: Path) -> None:
    """Patients lie ready; what others begin with is made."""
    if spec.start in STARTS:
        beginning(spec, folder)


def _treated(folder: Path, spec: Spec) -> dict[str, Any]:
    return _distilled(folder, spec) if spec.start in STARTS else patients.recover(folder, spec)


def _distilled(folder: Path, spec: Spec) -> dict[str, Any]:
    return distil(spec, folder)[0]


@dataclass(frozen=True)
class Sweep:
    """An experiment: its runs, in order, and what makes the record of one."""

    specs: Callable[[], Iterator[Spec]]
    make: Callable[[Path, Spec], dict[str, Any]] = _distilled
    prepare: Callable[[Spec, Path], object] = beginning


SWEEPS = {
    "coefficients": Sweep(coefficients),
    "stages": Sweep(stages),
    "clinic": Sweep(clinic_runs, patients.make),
    "treatments": Sweep(treatments, _treated, _ready),
    "classroom": Sweep(classroom),
    "cause": Sweep(causes, exact_psi.examine),
}


def sweep(name: str) -> Sweep:
    """An experiment by name; InputError for an unknown one."""
    if name not in SWEEPS:
        raise InputError(f"there is no sweep {name!r}{nearest(name, SWEEPS)}; known: {', '.join(SWEEPS)}")
    return SWEEPS[name]


def plan(name: str) -> list[Spec]:
    """The runs of a sweep; InputError for an unknown one."""
    return list(sweep(name).specs())


def execute(
    specs: Sequence[Spec],
    path: Path,
    folder: Path,
    jobs: int,
    progress: Progress | None = None,
    make: Callable[[Path, Spec], dict[str, Any]] = _distilled,
    prepare: Callable[[Spec, Path], object] = beginning,
) -> list[dict[str, Any]]:
    """Make the runs that `path` lacks in `jobs` processes; each record is one more line of it.

    What they begin with is made once, before, in `folder`, by `prepare`.
    """
    finished = read_records(path)
    lines = "".join(json.dumps(record) + "\n" for record in finished)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(lines, encoding="utf-8")
    os.replace(temporary, path)
    done = {record["key"] for record in finished}
    missing = [spec for spec in specs if spec.key not in done]
    for spec in {(spec.world, spec.teacher, spec.start, spec.length): spec for spec in missing}.values():
        prepare(spec, folder)
    context = multiprocessing.get_context("spawn")  # a forked torch may hang
    with context.Pool(jobs, initializer=_one_thread) as pool, path.open("a", encoding="utf-8") as file:
        for record in pool.imap_unordered(partial(make, folder), missing):
            file.write(json.dumps(record, allow_nan=False) + "\n")
            file.flush()
            finished.append(record)
            if progress:
                progress(record, len(finished), len(done) + len(missing))
    return finished


def _one_thread() -> None:
    """A worker uses one core, and leaves Ctrl-C to its parent."""
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
