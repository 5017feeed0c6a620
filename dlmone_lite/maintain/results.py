"""The README's results as Markdown, from the records in `data/runs`: worlds, laboratory, speed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from dlmone_lite.files import RUNS
from dlmone_lite.jobs.console import markdown
from dlmone_lite.maintain import real_results

EMPTY = (
    "No record is in `data/runs` yet. "
    "`python -m dlmone_lite evaluate --checkpoint NAME --json data/runs/NAME.json` makes one."
)
HEADINGS = ("world", "network", "NFE", "samples", "validity", "TV", "excess", "coverage", "BLEU", "self-BLEU")
SEEDS = ("world", "network", "NFE", "seeds", "validity", "excess", "coverage")
ORDER = {"exact": 0, "teacher": 1, "student": 2}


def records(folder: Path = RUNS) -> list[dict[str, Any]]:
    """What `evaluate`, `bench`, `train` and `distill` wrote there, by world, role and file name."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    kept = [record for record in found if isinstance(record, dict)]
    return sorted(kept, key=lambda record: (record.get("world", ""), ORDER.get(record.get("role", ""), 9)))


def _cell(value: float | None, error: float | None = None, digits: int = 3) -> str:
    """A number, with its standard error where there is one."""
    if value is None:
        return ""
    return f"{value:.{digits}f}" + (f" ± {error:.{digits}f}" if error is not None else "")


def _name(record: dict[str, Any]) -> str:
    """The network that was evaluated: a shipped checkpoint's name, or that of its file."""
    return Path(record["checkpoint"]).name.removesuffix(".safetensors")


def _first_seed(name: str) -> str:
    """The name without `-seed1`, `-seed2`, ...: what they are further seeds of."""
    return re.sub(r"-seed\d+$", "", name)


def _samples(record: dict[str, Any]) -> str:
    return f"{record['settings']['sources']} x {record['settings']['samples']}"


def _truth(record: dict[str, Any]) -> list[str]:
    """The row of true samples: what a perfect model would score."""
    first, field = record["world_scores"][0], record["field_scores"]["truth"]
    exact = [_samples(record), "1", _cell(first["tv_floor"]), "0", "1"]
    return [record["world"], "the truth itself", "", *exact, _cell(field["bleu"]), _cell(field["self_bleu"])]


def _rows(record: dict[str, Any]) -> list[list[str]]:
    """A row for each number of steps of one evaluation."""
    who = "exact denoiser" if record["role"] == "exact" else f"`{_name(record)}`"
    rows = []
    for m in record["world_scores"]:
        field = record["field_scores"].get(f"{record['role']} {m['nfe']}", {})
        scores = [_cell(m[key], m[f"{key}_se"]) for key in ("validity", "tv")]
        scores += [_cell(m["tv_excess"]), _cell(m["coverage"], m["coverage_se"])]
        scores += [_cell(field.get("bleu")), _cell(field.get("self_bleu"))]
        rows.append([record["world"], who, str(m["nfe"]), _samples(record), *scores])
    return rows


def _seed_rows(found: list[dict[str, Any]]) -> list[list[str]]:
    """For networks trained several times: mean ± standard deviation over the training seeds, by NFE."""
    from statistics import fmean, stdev

    groups: dict[tuple[str, str, int], list[dict[str, float]]] = {}
    for record in found:
        for m in record["world_scores"]:
            groups.setdefault((record["world"], _first_seed(_name(record)), m["nfe"]), []).append(m)
    rows = []
    for (world, name, nfe), measured in groups.items():
        if len(measured) > 1:
            values = [[m[key] for m in measured] for key in ("validity", "tv_excess", "coverage")]
            cells = [_cell(fmean(numbers), stdev(numbers)) for numbers in values]
            rows.append([world, f"`{name}`", str(nfe), str(len(measured)), *cells])
    return rows


def _above_bayes(record: dict[str, Any]) -> str:
    """A line on a teacher's loss above the exact Bayes loss."""
    parts = [
        f"{row['ratio']:.1%} for t in {row['t_from']}..{row['t_to']}"
        for row in record["floor"]["deciles"]
        if row["ratio"] is not None
    ]
    where = "where the Bayes loss exceeds 5% of the embeddings' variance"
    return f"- Loss of `{_name(record)}` above the exact Bayes loss, {where}: {', '.join(parts)}."


def _speed(record: dict[str, Any]) -> list[str]:
    """A line for each batch size of one `bench`."""
    from statistics import median

    lines = []
    for b in record["batches"]:
        slow = f"`{record['teacher']}` at {record['teacher_nfe']} NFE {median(b['teacher_ms']):.1f} ms"
        quick = f"`{record['student']}` at {record['student_nfe']} NFE {median(b['student_ms']):.2f} ms"
        where = f"- Batch {b['batch']} on {record['device']}"
        lines.append(f"{where}: {slow}, {quick}, a factor of {b['ratio']:.0f}.")
    return lines


def _training(record: dict[str, Any]) -> str:
    """A line on one `bench --preset`."""
    ours, *rest = record["training"]
    rate = f"{ours['positions'] / ours['seconds']:.0f} positions a second in {ours['precision']}"
    peak = record["matmul_flops"][ours["precision"]] / 1e9
    faster = ", ".join(
        f"{row['seconds'] / ours['seconds']:.2f} times `{row['name']}`"
        for row in rest
        if not row["name"].startswith("dlmone_lite")
    )
    how = ", blocks compiled" if ours["name"].endswith("compiled") else ""
    return (
        f"- Training at preset `{record['preset']}`, {record['rows']} rows of {record['length']} on "
        f"{record['device']}: {rate}{how}, {ours['share_of_peak']:.0%} of the machine's {peak:.0f} GFLOP/s "
        f"of matrix products; {faster} in float32."
    )


def _times(found: list[dict[str, Any]]) -> list[str]:
    """A line for each kind of network that was trained against the clock (`--time-to`), over its seeds."""
    groups: dict[tuple[str, str, float], list[dict[str, Any]]] = {}
    for record in found:
        groups.setdefault((record["world"], record["made"], record["time_to"]["validity"]), []).append(record)
    lines = []
    for (world, made, goal), timed in groups.items():
        seconds = ", ".join(f"{record['time_to']['seconds']:.0f}" for record in timed)
        tested = ", ".join(_cell(record["metrics"]["validity"]) for record in timed)
        where = f"on {timed[0]['device']}, {len(timed)} seeds"
        lines.append(
            f"- Seconds of training until a {made} of {world} reaches validity {goal:g} on valid sources, "
            f"{where}: {seconds} (on test sources then {tested})."
        )
    return lines


def _laboratory(folder: Path) -> list[str]:
    """A table of the sweeps' most telling arms, one step, over their seeds."""
    from dlmone_lite.files import read_records
    from dlmone_lite.lab.lookup import group_by_arm, score, select, spread

    rows = []
    groups = {"coefficients": ["base"], "stages": ["stages"]}
    groups["classroom"] = ["classroom", "classroom, slower", "classroom, stages"]
    for sweep, group in ((sweep, group) for sweep, names in groups.items() for group in names):
        runs = select(read_records(folder / f"sweep-{sweep}.jsonl.gz"), group)
        for arm, same in group_by_arm(runs).items():
            world = same[0]["spec"].get("world", "pocket")
            values = [
                spread([score(key)(run) for run in same]) for key in ("validity", "tv_excess", "coverage")
            ]
            rows.append([world, f"{group}: {arm}", "1", str(len(same)), *(_cell(*v) for v in values)])
    if not rows:
        return []
    said = (
        "In the laboratory, a healthy student trained on (`sweep coefficients`, `stages`, `classroom`), mean "
    )
    said += "± standard deviation:"
    return ["", said, "", *markdown(SEEDS, rows)]


def table(folder: Path = RUNS) -> str:
    """The README's results: tables of evaluations, lists of the rest, the commands behind them."""
    found = records(folder)
    measured = [record for record in found if "world_scores" in record]
    timed = [record for record in found if "batches" in record]
    floors = [record for record in found if "floor" in record]
    raced = [record for record in found if record.get("time_to")]
    if not measured and not timed:
        return EMPTY
    rows: list[list[str]] = []
    for record in measured:
        if not any(row[0] == record["world"] and row[3] == _samples(record) for row in rows):
            rows.append(_truth(record))
        if record["role"] == "exact" or _name(record) == _first_seed(_name(record)):
            rows += _rows(record)
    lines = markdown(HEADINGS, rows) if rows else []
    if seeds := _seed_rows([record for record in measured if record["role"] != "exact"]):
        lines += ["", "Over several training seeds, mean ± standard deviation:", "", *markdown(SEEDS, seeds)]
    lines += _laboratory(folder) + real_results.lines(folder / "real")
    trained = [record for record in found if "training" in record]
    others = [_above_bayes(record) for record in floors] + [line for r in timed for line in _speed(r)]
    others += [_training(record) for record in trained] + _times(raced)
    commands = [f"    {record['command']}" for record in measured + floors + timed + trained + raced]
    commands += [f"    {command}" for command in real_results.behind(folder / "real")]
    return "\n".join([*lines, *([""] if others else []), *others, "", "Made by:", "", *commands])
