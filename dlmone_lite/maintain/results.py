"""The results as tables from the records in `data/runs`: worlds, stages, laboratory, speed, real text.

A table yields rows of cells, the headings first. The files that show it say what its columns mean.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from statistics import fmean, median
from typing import Any

from dlmone_lite.beyond.catalogue import PAST_THE_PAPER
from dlmone_lite.corpora.tables import read_jsonl
from dlmone_lite.evaluation import published
from dlmone_lite.evaluation.published import TASKS, network
from dlmone_lite.files import read_records, record_kind, shipped
from dlmone_lite.lab.lookup import group_by_arm, select, spread

Record = dict[str, Any]
Rows = Iterator[list[str]]
ROLES = {"exact": 0, "teacher": 1, "student": 2}
STAGES = ("warm start (regression)", "stage 1 (score distillation)", "stage 2 (score distillation)")
# Sweep: the groups of runs that say most.
LABORATORY = {"coefficients": ["base", "t", "start"], "stages": ["stages"]}
LABORATORY |= {"healthy": ["healthy"], "noise": ["teacher", "healthy", "band"]}
REAL_SCORES = ("bleu", "bleu_tight", "bleu_rest", "copies", "self_bleu", "div_4", "mbr", "rouge_l", "dist_1")
ENDINGS = ("student", "student-sharp")  # of the teacher; of its sharpened copy, with clamped scores


def load(folder: Path) -> dict[str, list[Record]]:
    """{kind: its records by world, role and file name} of a folder and those in it; [] for any other kind."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.json"))]
    records = [record for record in records if isinstance(record, dict)]
    records.sort(key=lambda r: (r.get("world", ""), ROLES.get(r.get("role", r.get("made")), 9)))
    by_kind: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_kind[record_kind(record)].append(record)
    return by_kind


def cell(value: float | None, error: float | None = None, digits: int = 3) -> str:
    """A number, with its error where there is one; empty for None."""
    if value is None:
        return ""
    return f"{value:.{digits}f}" + (f" ± {error:.{digits}f}" if error is not None else "")


def signed(value: float, digits: int) -> str:
    """With its sign; what is rounded to zero is +0."""
    return f"{round(value, digits) + 0.0:+.{digits}f}"


def first_seed(name: str) -> str:
    """The name without `-seed1`, `-seed2`, ..., which mark further training seeds."""
    return re.sub(r"-seed\d+$", "", name)


def _scores(m: Record) -> list[str]:
    """Validity, TV, excess and coverage of one evaluation, with standard errors over sources."""
    validity, tv, coverage = (cell(m[key], m[f"{key}_se"]) for key in ("validity", "tv", "coverage"))
    return [validity, tv, cell(m["tv_excess"]), coverage]


def _over_seeds(scores: Sequence[Record]) -> list[str]:
    """Validity, excess and coverage as mean ± standard deviation over training seeds."""
    return [cell(*spread([m[key] for m in scores])) for key in ("validity", "tv_excess", "coverage")]


def worlds(evaluations: Sequence[Record]) -> Rows:
    """Every evaluation against a world's truth, below the row of as many true samples; first seeds only."""
    yield "world network NFE samples validity TV excess coverage BLEU self-BLEU".split()
    told = set()
    for record in evaluations:
        world, field, settings = record["world"], record["field_scores"], record["settings"]
        samples = f"{settings['sources']} x {settings['samples']}"
        if (world, samples) not in told:
            told.add((world, samples))
            floor, text = cell(record["world_scores"][0]["tv_floor"]), field["truth"]
            scores = [samples, "1", floor, "0", "1", cell(text["bleu"]), cell(text["self_bleu"])]
            yield [world, "the truth itself", "", *scores]

        exact = record["role"] == "exact"
        if not exact and network(record) != first_seed(network(record)):
            continue
        for m in record["world_scores"]:
            name = "exact denoiser" if exact else f"`{network(record)}`"
            text = field.get(f"{record['role']} {m['nfe']}", {})
            scores = [samples, *_scores(m), cell(text.get("bleu")), cell(text.get("self_bleu"))]
            yield [world, name, str(m["nfe"]), *scores]


def seeds(evaluations: Sequence[Record]) -> Rows:
    """Networks that were trained several times, mean ± standard deviation over training seeds."""
    groups: dict[tuple[str, str, int], list[Record]] = defaultdict(list)
    for record in evaluations:
        for m in record["world_scores"] if record["role"] != "exact" else []:
            groups[record["world"], first_seed(network(record)), m["nfe"]].append(m)
    yield ["world", "network", "NFE", "seeds", "validity", "excess", "coverage"]
    for (world, name, nfe), scores in groups.items():
        if len(scores) > 1:
            yield [world, f"`{name}`", str(nfe), str(len(scores)), *_over_seeds(scores)]


def stages(folder: Path) -> Rows:
    """The first evaluation in each log of a distillation, and the last of each of its stages."""
    yield ["run", "stage", "NFE", "updates", "samples", "validity", "TV", "excess", "coverage"]
    for path in sorted(folder.glob("*.jsonl")):
        steps = [step for step in read_jsonl(path, need=()) if step.get("evaluation")]
        last = {step["stage"]: step for step in steps}
        for step in [*steps[:1], *last.values()]:
            m, stage = step["evaluation"], STAGES[step["stage"]]
            samples = f"{m['sources']} x {m['samples']}"
            yield [path.stem, stage, str(m["nfe"]), str(step["step"]), samples, *_scores(m)]


def laboratory(folder: Path) -> Rows:
    """The sweeps' most telling arms at one step, each group below the students that its runs begin with."""
    yield ["world", "runs", "NFE", "seeds", "validity", "excess", "coverage"]
    for sweep, groups in LABORATORY.items():
        records = read_records(folder / shipped(sweep).name)
        for group in groups if records else []:
            runs = select(records, group)
            world = runs[0]["spec"].get("world", "pocket")
            starts = {run["spec"]["stages"][0].get("rho", 0.0): run["evaluations"][0] for run in runs}
            for rho, start in sorted(starts.items()):
                scores = [cell(start[key]) for key in ("validity", "tv_excess", "coverage")]
                noise = f" (rho {rho:g})" if len(starts) > 1 else ""
                yield [world, f"{group}: where every run starts{noise}", "1", "", *scores]
            for arm, runs in group_by_arm(runs).items():
                finals = [next(m for m in run["final"] if m["nfe"] == 1) for run in runs]
                yield [world, f"{group}: {arm}", "1", str(len(runs)), *_over_seeds(finals)]


def divergences(folder: Path) -> Rows:
    """Every way to a one-step student, and those without training, by the number of calls."""
    keys = ("validity", "right_excess", "tv_excess", "coverage")
    yield "kind network NFE seeds validity wrong right excess coverage seconds".split()
    for arm, runs in group_by_arm(read_records(folder / shipped("divergences").name)).items():
        seconds = f"{fmean(run['seconds'] for run in runs):.0f}"
        for nfe in [m["nfe"] for m in runs[0]["final"]]:
            finals = [m for run in runs for m in run["final"] if m["nfe"] == nfe]
            validity, right, excess, covered = (cell(*spread([m[key] for m in finals])) for key in keys)
            wrong = cell(1 - fmean(m["validity"] for m in finals))
            head = [runs[0]["spec"]["group"], arm, str(nfe), str(len(finals))]
            yield [*head, validity, wrong, right, excess, covered, seconds]


def past_the_paper(folder: Path) -> Rows:
    """Every arm of the sweeps past the paper, with the fewest calls and with the most."""
    yield ["sweep", "runs", "NFE", "seeds", "validity", "excess", "coverage"]
    for sweep in PAST_THE_PAPER:
        groups: dict[str, list[Record]] = defaultdict(list)
        for record in read_records(folder / shipped(sweep).name):
            groups[record["spec"]["group"]].append(record)
        for group, records in groups.items():
            for arm, runs in group_by_arm(records).items():
                whole = [run for run in runs if run["final"]]  # the others diverged
                calls = [m["nfe"] for m in whole[0]["final"]]
                for nfe in sorted({min(calls), max(calls)}):
                    finals = [next(m for m in run["final"] if m["nfe"] == nfe) for run in whole]
                    yield [sweep, f"{group}: {arm}", str(nfe), str(len(finals)), *_over_seeds(finals)]


def above_bayes(floors: Sequence[Record]) -> Rows:
    """By how much a teacher's loss exceeds the exact Bayes loss, in each tenth of t where that is told."""
    yield ["world", "network", "t", "above"]
    for record in floors:
        for row in record["floor"]["deciles"]:
            if row["ratio"] is not None:
                where = f"{row['t_from']}..{row['t_to']}"
                yield [record["world"], f"`{network(record)}`", where, f"{row['ratio']:.1%}"]


def speed(benches: Sequence[Record]) -> Rows:
    """Median milliseconds of the teacher at its most steps and of the student, for a batch."""
    yield ["teacher", "student", "batch", "NFE", "ms", "NFE", "ms", "factor", "device"]
    for record in benches:
        most = max(b["teacher_nfe"] for b in record["batches"])
        for b in (b for b in record["batches"] if b["teacher_nfe"] == most):
            names = [f"`{record['teacher']}`", f"`{record['student']}`", str(b["batch"])]
            teacher = [str(most), cell(median(b["teacher_ms"]), digits=1)]
            student = [str(record["student_nfe"]), cell(median(b["student_ms"]), digits=2)]
            yield [*names, *teacher, *student, f"{b['ratio']:.0f}", record["device"]]


def equal_quality(benches: Sequence[Record], evaluations: Sequence[Record]) -> Rows:
    """How much faster a student's one call is than the least calls of its teacher that score as well."""
    yield ["student", "score", "of its call", "teacher's calls", "their score", "batch 1", "batch 64"]
    scored: dict[str, dict[int, Record]] = defaultdict(dict)  # by network and number of calls
    for record in evaluations:
        if record.get("trained_on", record.get("world")) != record.get("world"):
            continue
        rows = record.get("world_scores") or [r for r in record["text_scores"] if r["name"] != "copy"]
        scored[network(record)] |= {row["nfe"]: row for row in rows}
    for record in benches:
        one, many = scored[record["student"]].get(1, {}), scored[record["teacher"]]
        for key, sign in {"validity": 1, "tv_excess": -1, "bleu": 1}.items():
            if key not in one:
                continue
            calls = min((n for n, row in many.items() if sign * row[key] >= sign * one[key]), default=0)
            cells = [f"`{record['student']}`", key.removeprefix("tv_"), cell(one[key])]
            cells += [str(calls), cell(many[calls][key])] if calls else ["none does", ""]
            ratios = {b["batch"]: b["ratio"] for b in record["batches"] if b["teacher_nfe"] == calls}
            yield [*cells, *(f"{ratios[n]:.3g}" if n in ratios else "" for n in (1, 64))]


def training_speed(benches: Sequence[Record]) -> Rows:
    """How fast the networks of a preset train, beside plain baselines."""
    yield ["preset", "network", "precision", "batch", "positions a second", "share of peak", "device"]
    for record in benches:
        batch = f"{record['rows']} x {record['length']}"
        for row in record["training"]:
            rate, share = f"{row['positions'] / row['seconds']:.0f}", f"{row['share_of_peak']:.0%}"
            cells = [record["preset"], f"`{row['name']}`", row["precision"], batch, rate, share]
            yield [*cells, record["device"]]


def times(making: Sequence[Record]) -> Rows:
    """Networks that were trained until they reached a goal, with the stage that reached it."""
    yield ["world", "network", "seed", "reached in", "goal", "update", "seconds", "on test", "device"]
    for record in making:
        if goal := record.get("time_to"):
            stage = STAGES[len(record["stages"]) - 1] if record["made"] == "student" else "training"
            cells = [record["made"], str(record["seed"]), stage, f"{goal['validity']:g}", str(goal["step"])]
            test = cell(record["metrics"]["validity"])
            yield [record["world"], *cells, f"{goal['seconds']:.0f}", test, record["device"]]


# ---- tables of real text, from the rows of `published.measured`


def real(rows: Sequence[Record]) -> Rows:
    """The paper's table with ours beside it, of each network's first training seed."""
    yield from published.table([row for row in rows if "-seed" not in row["network"]], REAL_SCORES)


def kept(rows: Sequence[Record]) -> Rows:
    """BLEU of each student at one step over its teacher's at its best number of steps, `NFE`, for every
    training seed; and how far self-BLEU and copies are above the teacher's."""
    yield ["task", "student", "NFE", "sources", "BLEU ratio", "95% interval", "self-BLEU", "copies"]
    for task, ending in product(TASKS, ENDINGS):
        for name in published.seeds(rows, f"{task}-{ending}"):
            if ratio := published.ratio(rows, task, name, f"{task}-teacher"):
                interval = f"{ratio['low']:.2f} to {ratio['high']:.2f}"
                numbers = [str(ratio["nfe"]), str(ratio["sources"]), f"{ratio['bleu']:.2f}", interval]
                apart = [signed(ratio[key], 2) for key in ("self_bleu", "copies")]
                yield [TASKS[task], f"`{name}`", *numbers, *apart]
