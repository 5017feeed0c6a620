"""`sweep`: an experiment of many small distillations, resumable, one record a run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from dlmone_lite.cli.options import command, positive, process_count
from dlmone_lite.errors import InputError, nearest
from dlmone_lite.files import check_output, pack, read_records, recorded, shipped
from dlmone_lite.jobs.console import Table, fixed
from dlmone_lite.jobs.state import alone

FOLDER = Path("runs") / "lab"  # of the lab's teachers, which are trained where they are missing
EXAMPLES = """coefficients --list
stages --jobs 2 --out runs/stages.jsonl
clinic --summary"""
MORE = """Each run distils a small teacher of the world pocket, evaluates its student eight times a stage
against the exact truth, and is one line of FILE: settings, seed, scores, signs of degeneration, losses,
sentences. Runs that FILE already holds are not made again, so an interrupted sweep goes on where it was.
coefficients: one factor at a time and two grids, SiD alone and with its adversarial terms; stages: one stage,
two stages, and one as long as both; clinic: broken students, with several seeds; treatments: those students,
treated; cause: psi against the student's own exact score; divergences: score distillation in several forms,
with independent and with shared noise, beside a regression, progressive distillation and the teacher in a few
calls; noise: ranges of t and shared noise; healthy: the shipped student trained on. Past the paper, each with
--quick: teacher-free, embeddings, masked, spaces, several-calls, diversity, teachers, samplers, transfer,
anchors. --summary reads FILE, or the shipped records, and prints means and standard deviations over seeds;
for the clinic also how often the detectors are right."""


def add(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    summary = "many small distillations, one factor at a time"
    add = command(commands, "sweep", summary, EXAMPLES, run, MORE).add_argument
    add("name", help="coefficients, stages, clinic, treatments, cause, divergences, ...: see below")
    add("--out", metavar="FILE.jsonl", help="default: runs/sweep-NAME.jsonl")
    add("--jobs", type=process_count, default=2, help="processes, one core each (default 2)")
    add("--group", help="only the runs of this group, `base` or `teacher`, say")
    add("--limit", type=positive, metavar="N", help="make at most N runs now")
    add("--summary", action="store_true", help="print what the records say, and stop")
    add("--ship", action="store_true", help="put FILE's runs into data/runs, compressed, and stop")
    add("--quick", action="store_true", help="one seed and few updates: what a class can run in 3 minutes")
    add("--list", action="store_true", help="name the runs and whether they are done, and stop")


def run(args: argparse.Namespace) -> None:
    """Make the missing runs, or print, list or ship those that there are."""
    from dlmone_lite.beyond.catalogue import plan, quick_plan, sweep
    from dlmone_lite.lab.sweeps import execute

    path = Path(args.out or f"runs/{'quick' if args.quick else 'sweep'}-{args.name}.jsonl")
    specs = quick_plan(args.name) if args.quick else plan(args.name)
    if args.summary:
        return summary(args.name, Path(args.out) if args.out else None)
    if args.ship:
        if args.quick:
            raise InputError("quick runs are for a class; --ship is for whole sweeps, without --quick")
        if not (records := read_records(path)):
            raise InputError(f"{path} holds no run; make some without --ship")
        order = {spec.key: i for i, spec in enumerate(specs)}  # runs end in any order
        pack(sorted(records, key=lambda record: order.get(record["key"], len(order))), shipped(args.name))
        print(f"{len(records)} runs: {shipped(args.name)}")
        return
    if args.group:
        groups = dict.fromkeys(spec.group for spec in specs)
        specs = [spec for spec in specs if spec.group == args.group]
        if not specs:
            hint = f"{nearest(args.group, groups)}; {', '.join(groups)}"
            raise InputError(f"{args.name} has no group {args.group!r}{hint}")
    check_output(path)
    done = {record["key"] for record in read_records(path)}
    if args.list:
        for spec in specs:
            print(f"{'done' if spec.key in done else '-':4}  {spec.key}")
        return
    if args.limit:
        specs = [spec for spec in specs if spec.key not in done][: args.limit]
    table = Table(("run", -48), ("validity", 8), ("excess", 6), ("coverage", 8), ("seconds", 7), ("done", 9))

    def progress(record: dict[str, Any], finished: int, total: int) -> None:
        last = record.get("final", [{}])[0]
        scores = [fixed(last.get(key)) for key in ("validity", "tv_excess", "coverage")]
        table.row(record["key"], *scores, f"{record.get('seconds', 0):.0f}", f"{finished}/{total}")

    experiment = sweep(args.name)
    with alone(path):
        execute(specs, path, FOLDER, args.jobs, progress, experiment.make, experiment.prepare)
    print(f"{len(read_records(path))} runs in {path}")


def summary(name: str, path: Path | None) -> None:
    """Print each arm's scores at one step, mean and standard deviation over seeds."""
    from dlmone_lite.lab.lookup import group_by_arm, score, spread

    records = [record for record in (read_records(path) if path else recorded(name)) if record.get("final")]
    if not records:
        raise InputError(f"{path or name} holds no record with scores; make some without --summary")
    table = Table(("run", -48), ("seeds", 5), ("validity", 13), ("excess", 13), ("coverage", 13))
    for group in dict.fromkeys(record["spec"]["group"] for record in records):
        for arm, runs in group_by_arm(r for r in records if r["spec"]["group"] == group).items():
            values = [spread(list(map(score(key), runs))) for key in ("validity", "tv_excess", "coverage")]
            table.row(f"{group}/{arm}", str(len(runs)), *(f"{mean:.3f} ±{sd:.3f}" for mean, sd in values))
    if name == "clinic":
        detector_summary(records)


def detector_summary(records: list[dict[str, Any]]) -> None:
    """Print how often the detectors are right, on seeds other than those that they were tuned on."""
    from dlmone_lite.lab import detector_rates, patients

    mechanisms = {patient.name: patient.mechanism for patient in patients.PATIENTS}
    counts = detector_rates.right_diagnoses(detector_rates.with_seeds(records, range(1, 1000)), mechanisms)
    for arm, count in counts.items():
        print(f"{arm}  {mechanisms[arm]:20} named in {count}")
    right, runs = sum(c.right for c in counts.values()), sum(c.all for c in counts.values())
    print(f"named in all: {detector_rates.Count(right, runs)}")
    others = recorded("coefficients")
    print(f"false alarms at healthy looks of the sweep coefficients: {detector_rates.false_alarms(others)}")
    print(f"noticed, of its broken looks: {detector_rates.detections(others)}")
    timely = detector_rates.timely_warnings(others)
    print(f"warned at the first broken look or before, of its runs that break: {timely}")
