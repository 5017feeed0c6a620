"""Sweeps: each is a list of runs, and a file keeps their records, so that no finished run is repeated."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any

from dlmone_lite.corpora.pocket import POCKET
from dlmone_lite.distill import DistillConfig
from dlmone_lite.errors import InputError
from dlmone_lite.files import append, read_records, write_text
from dlmone_lite.lab import divergences, exact_psi, patients
from dlmone_lite.lab.experiment import BASE, STARTS, Spec, run_experiment, start_networks
from dlmone_lite.lab.patients import SID_ALONE
from dlmone_lite.schedule import Schedule
from dlmone_lite.variants.recipes import RECIPES

Record = dict[str, Any]
Progress = Callable[[Record, int, int], None]  # (record, finished runs, all runs)
Changes = dict[str, Any]  # of one stage, to `BASE`
Arms = dict[str, tuple[Changes, ...]]  # the stages of each arm

FACTORS: Arms = {
    "t": ({"t_max": 300}, {"t_max": 1490}, {"t_max": 1976}, {"t_min": 1000, "t_max": 1976}),
    "psi": ({"lr_psi": 1e-3}, {"lr_psi": 0.012}, {"psi_steps": 5}),
    "t_init": ({"t_init": 1000}, {"t_init": 1800}),
}
B_D, B_G = (0.0, 0.1, 0.5, 1.0, 3.0), (0.0, 0.05, 0.2, 0.5, 1.5)
EARLY = "from the start:"  # prefix of the arms in `treatments` that follow the advice from the first update
MUS, RATES = (0.5, 0.8, 1.0, 1.2, 1.5), (3e-4, 1e-3, 2e-3, 3e-3, 6e-3)


def _arm_name(changes: Mapping[str, Any]) -> str:
    return ",".join(f"{name}={value:g}" for name, value in changes.items())


def _both_kinds(group: str, changes: Changes, seed: int, **where: Any) -> Iterator[Spec]:
    """Two runs with the same changes: SiD alone, and with the adversarial terms."""
    for kind, terms in (("alone", SID_ALONE), ("adversarial", {})):
        arm = " ".join([kind, *([_arm_name(changes)] if changes else []), *map(str, where.values())])
        yield Spec(group, arm, ({**terms, **changes},), seed=seed, **where)


def coefficients() -> Iterator[Spec]:
    """One factor at a time, for SiD alone and with the adversarial terms, and two full grids.

    The most informative runs come first. In the grid of mu and lr, lr is the rate of both networks.
    """
    for seed in range(6):
        yield from _both_kinds("base", {}, seed)
    for seed in range(2):
        for group, values in FACTORS.items():
            for changes in values:
                yield from _both_kinds(group, changes, seed)
        for b_d in B_D:
            for b_g in B_G:
                changes = {"b_d": b_d, "b_g": b_g}
                yield Spec("b_d x b_g", _arm_name(changes), (changes,), seed=seed)
        if seed == 0:
            yield from _mu_and_lr(seed)
    for seed in range(3):
        yield from _both_kinds("start", {}, seed, start="teacher")
        for teacher in ("early", "exact"):
            yield from _both_kinds("teacher", {}, seed, teacher=teacher)
        for length in (16, 32):
            yield from _both_kinds("length", {}, seed, length=length)
    yield from _mu_and_lr(1)


def _mu_and_lr(seed: int) -> Iterator[Spec]:
    for mu in MUS:
        for lr in RATES:
            yield from _both_kinds("mu x lr", {"mu": mu, "lr": lr, "lr_psi": lr}, seed)


def stages(seeds: int = 5, steps: int = 400) -> Iterator[Spec]:
    """One stage, two stages, and one stage as long as both; psi restarted or not; even and uneven weights.

    The learning rate falls to 0 in each stage. Two stages and a long one give theta as many updates, because
    psi's warm-up, in which theta rests, is counted. A stage without the restart of psi restarts only this
    rate and what the optimisers remember. The last two arms start as the paper's student does.
    """
    one, long = {"steps": steps}, {"steps": 2 * steps - BASE.psi_warmup}
    uneven, slow, kept = {"b_d": 0.9, "b_g": 0.1}, {"lr": 1e-3}, {"restart": False}
    arms: Arms = {
        "one stage": (one,),
        "one stage, twice as long": (long,),
        "one stage, slower from half": ({**long, "halfway": slow},),
        "two stages": (one, one),
        "psi not restarted": (one, {**one, **kept}),
        "two stages, uneven": (one, {**one, **uneven}),
        "two stages, slower": (one, {**one, **slow}),
        "psi not restarted, slower": (one, {**one, **slow, **kept}),
        "alone, twice as long": ({**long, **SID_ALONE},),
        "alone, two stages": ({**one, **SID_ALONE}, {**one, **SID_ALONE}),
    }
    paper = {"t_max": PAPER_T}
    cold: Arms = {
        "from the teacher, twice as long": ({**long, **paper},),
        "from the teacher, two stages": ({**one, **paper}, {**one, **paper}),
    }
    for spec in _with_seeds("stages", {**arms, **cold}, seeds):
        yield replace(spec, start="teacher") if spec.arm in cold else spec


def _with_seeds(group: str, arms: Arms, seeds: int, world: str = POCKET) -> Iterator[Spec]:
    """Every arm with every seed; all arms of one seed come before the next seed."""
    for seed in range(seeds):
        for arm, plan in arms.items():
            yield Spec(group, arm, plan, seed=seed, world=world)


def clinic_runs() -> Iterator[Spec]:
    """The clinic's patients (seed 0), and the same runs with seeds that did not tune the detectors."""
    for seed in (0, 3, 4, 5, 6):
        yield from (patient.spec(seed) for patient in patients.PATIENTS)


def causes() -> Iterator[Spec]:
    """The runs that `exact_psi` examines: the base, and a slower and a faster psi."""
    for seed in range(3):
        yield from _both_kinds("base", {}, seed)
    for changes in FACTORS["psi"][:2]:
        yield from _both_kinds("psi", changes, 0)


def treatments(seeds: int = 3) -> Iterator[Spec]:
    """Every treatment of every patient, and the patients' own runs with the advice from the first update."""
    for seed in range(seeds):
        for one in patients.PATIENTS:
            for name, changes in patients.treatments(one).items():
                yield Spec(one.name, name, (changes,), start=one.name, length=one.length, seed=seed)
        for one in patients.PATIENTS:
            for name, changes in patients.prevention(one).items():
                yield Spec(one.name, f"{EARLY} {name}", (changes,), length=one.length, seed=seed)


PAPER_T = 1977  # the upper end of t in SiD's code
RANGES = {"t to 1000": {"t_max": 1000}, "the paper's t": {"t_max": PAPER_T}}
NOISES = {"independent noise": {"rho": 0.0}, "shared noise": {"rho": 1.0}}
BANDS = (0.3, 1, 3, 7, 20)  # sigma/alpha; between two of them lies a band of late t


def noise(seeds: int = 3) -> Iterator[Spec]:
    """What the range of t and the noise between positions do to three objectives, from the teacher and from a
    healthy student; and which t decide the shares of the modes."""
    kinds = {"alone": SID_ALONE, "adversarial": {}, "reverse KL": {**SID_ALONE, "divergence": "reverse_kl"}}
    schedule = Schedule()
    for seed in range(seeds):
        for (kind, terms), (where, times) in itertools.product(kinds.items(), RANGES.items()):
            for name, rho in NOISES.items():
                yield Spec(
                    "teacher",
                    f"{kind}, {where}, {name}",
                    ({**terms, **times, **rho, "steps": 600},),
                    seed=seed,
                    start="teacher",
                )
            yield Spec(
                "healthy", f"{kind}, {where}", ({**terms, **times, "rho": 1.0},), seed=seed, start="student"
            )
        recipe = _whole(RECIPES["pocket"].first, keep=0.0, late_weight=1.0)
        bands = {f"{low:g} to {high:g}": (low, high) for low, high in itertools.pairwise(BANDS)}
        for band, (low, high) in {"none": (1, 1), **bands}.items():
            late = {"late_from": schedule.at_ratio(low), "late_to": schedule.at_ratio(high)}
            share = {"late_share": recipe["late_share"] * (band != "none")}
            yield Spec("band", band, ({**recipe, **late, **share},), seed=seed, start="teacher")


def healthy(seeds: int = 3, steps: int = 300) -> Iterator[Spec]:
    """The shipped student of the world paraphrase trained on: by the default recipe, without its adversary,
    with SiDA's ratio, and by the divergence that made it."""
    same = {"rho": 1.0, "t_init": RECIPES["classroom"].first.t_init, "steps": steps, "precision": "bfloat16"}
    default, sida = (_whole(RECIPES[name].first, **same) for name in ("dlmone", "sida"))
    arms: Arms = {
        "the default recipe": (default,),
        "without its adversary": ({**default, **SID_ALONE},),
        "SiDA's ratio": (sida,),
        "reverse KL": ({**default, **SID_ALONE, "divergence": "reverse_kl"},),
    }
    for spec in _with_seeds("healthy", arms, seeds, world="paraphrase"):
        yield replace(spec, start="student")


def _whole(config: DistillConfig, **changes: Any) -> Changes:
    """A whole configuration as the changes of a stage, which has a seed of its own."""
    return {name: value for name, value in asdict(replace(config, **changes)).items() if name != "seed"}


def _experiment(folder: Path, spec: Spec) -> Record:
    return run_experiment(spec, folder)[0]


def _treatment(folder: Path, spec: Spec) -> Record:
    return _experiment(folder, spec) if spec.start in STARTS else patients.recover(spec)


def _prepare_treatment(spec: Spec, folder: Path) -> None:
    """Make the first networks of a run unless it starts with a patient, which is shipped."""
    if spec.start in STARTS:
        start_networks(spec, folder)


@dataclass(frozen=True)
class Sweep:
    """An experiment: its runs in order, the function that makes a run's record, and that for its networks."""

    specs: Callable[[], Iterator[Spec]]
    make: Callable[[Path, Spec], Record] = _experiment
    prepare: Callable[[Spec, Path], object] = start_networks


SWEEPS = {
    "coefficients": Sweep(coefficients),
    "stages": Sweep(stages),
    "clinic": Sweep(clinic_runs, patients.make),
    "treatments": Sweep(treatments, _treatment, _prepare_treatment),
    "noise": Sweep(noise),
    "healthy": Sweep(healthy),
    "cause": Sweep(causes, exact_psi.examine),
    "divergences": Sweep(divergences.divergences, divergences.compare, divergences.prepare),
}


def execute(
    specs: Sequence[Spec],
    path: Path,
    folder: Path,
    jobs: int,
    progress: Progress | None = None,
    make: Callable[[Path, Spec], Record] = _experiment,
    prepare: Callable[[Spec, Path], object] = start_networks,
) -> list[Record]:
    """Make the runs that are missing in `path` in `jobs` processes, and append one line for each record.

    First, `prepare` makes the networks with which the runs start, once for all, in `folder`.
    """
    records = read_records(path)
    write_text(path, "".join(json.dumps(record) + "\n" for record in records))  # without a line cut by a kill
    done = {record["key"] for record in records}
    missing = [spec for spec in specs if spec.key not in done]
    for spec in {(spec.world, spec.teacher, spec.start, spec.length): spec for spec in missing}.values():
        prepare(spec, folder)

    context = multiprocessing.get_context("spawn")  # a forked torch may hang
    with context.Pool(jobs, initializer=_one_thread) as pool, FileIO(path, "a") as file:
        for record in pool.imap_unordered(partial(make, folder), missing):
            keep(file, record)
            records.append(record)
            if progress:
                progress(record, len(records), len(done) + len(missing))
    return records


def keep(file: FileIO, record: Record) -> None:
    """Write a record as a line; where the disk is full, keep it elsewhere and say where."""
    line = (json.dumps(record, allow_nan=False) + "\n").encode()
    try:
        append(file, line)
    except OSError as error:
        with tempfile.NamedTemporaryFile(suffix=".jsonl", delete=False) as kept:
            kept.write(line)
        raise InputError(
            f"{file.name} cannot be written ({error.strerror}); the finished run is in {kept.name}: "
            "free some space, append that line, and give the same command again"
        ) from error


def _one_thread() -> None:
    """Let a worker use one core, and leave Ctrl-C to its parent."""
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
