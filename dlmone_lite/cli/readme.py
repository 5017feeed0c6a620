"""`python -m dlmone_lite.cli.readme`: the README's picture, and its results from the records in `data/runs`.

It is for those who train new checkpoints, and so no command of `python -m dlmone_lite`. `picture` or `table`
does one of the two. The table stands between two marks in README.md; a test compares it with the records.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dlmone_lite.errors import InputError

ROOT = Path(__file__).resolve().parent.parent.parent
README, RUNS, PICTURE = ROOT / "README.md", ROOT / "data" / "runs", ROOT / "data" / "figures" / "duel.png"
BEGIN, END = "<!-- results: written by python -m dlmone_lite.cli.readme -->", "<!-- end of results -->"
CALLS, SAMPLES = 64, 256
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


def _markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as a Markdown table; the first two columns are words, the others numbers."""
    line = ["|---|---|" + "---:|" * (len(headings) - 2)]
    return [f"| {' | '.join(headings)} |", *line, *(f"| {' | '.join(row)} |" for row in rows)]


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
    from dlmone_lite.atlas import by_arm, of, score, spread
    from dlmone_lite.records import read_records

    rows = []
    for sweep, group in (("coefficients", "base"), ("stages", "stages")):
        runs = of(read_records(folder / f"sweep-{sweep}.jsonl"), group)
        for arm, same in by_arm(runs).items():
            values = [
                spread([score(key)(run) for run in same]) for key in ("validity", "tv_excess", "coverage")
            ]
            rows.append(["pocket", f"{group}: {arm}", "1", str(len(same)), *(_cell(*v) for v in values)])
    if not rows:
        return []
    said = "In the laboratory, a healthy student trained on (`sweep coefficients`, `sweep stages`), mean ± "
    said += "standard deviation:"
    return ["", said, "", *_markdown(SEEDS, rows)]


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
    lines = _markdown(HEADINGS, rows) if rows else []
    if seeds := _seed_rows([record for record in measured if record["role"] != "exact"]):
        lines += ["", "Over several training seeds, mean ± standard deviation:", "", *_markdown(SEEDS, seeds)]
    lines += _laboratory(folder)
    others = [_above_bayes(record) for record in floors] + [line for r in timed for line in _speed(r)]
    others += _times(raced)
    commands = [f"    {record['command']}" for record in measured + floors + timed + raced]
    return "\n".join([*lines, *([""] if others else []), *others, "", "Made by:", "", *commands])


def split(text: str) -> tuple[str, str, str]:
    """README text before, between and after the marks; InputError when they are not there once each."""
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise InputError(f"README.md needs the lines {BEGIN} and {END}, once each; put them back")
    before, rest = text.split(BEGIN)
    inside, after = rest.split(END)
    return before, inside.strip(), after


def write_table() -> None:
    """Put the table of today's records into the README."""
    before, _, after = split(README.read_text(encoding="utf-8"))
    README.write_text(f"{before}{BEGIN}\n{table()}\n{END}{after}", encoding="utf-8", newline="\n")
    print(f"written: the results in {README.name}")


def write_picture() -> None:
    """Draw the duel of the shipped paraphrase networks, on the question and seed of the `demo` command."""
    from dlmone_lite import figures_00, zoo
    from dlmone_lite.generate import generate, held_out_sources
    from dlmone_lite.metrics import tv_floor
    from dlmone_lite.worlds import World

    world = World.load("paraphrase")
    source = held_out_sources(world, 1)[0]
    support = world.support(source)
    lanes, scores = [], []
    for role, steps in (("teacher", CALLS), ("student", 1)):
        checkpoint = zoo.load(f"paraphrase-{role}")
        figures_00.run_lane(checkpoint, source, 1, seed=0)  # the first call is slower
        tries = [figures_00.run_lane(checkpoint, source, steps, seed=0) for _ in range(5)]
        lanes.append(min(tries, key=lambda lane: lane.seconds))
        samples = generate(checkpoint, [source], steps=steps, samples=SAMPLES)[0]
        scores.append(figures_00.score(role, steps, lanes[-1].seconds, samples, support))
    fig = figures_00.whole_duel(source, *lanes, support, scores, tv_floor(support, SAMPLES))
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(PICTURE, dpi=120, metadata={"Software": None}, pil_kwargs={"optimize": True})
    print(f"written: {PICTURE.relative_to(ROOT)}")


def main(argv: Sequence[str] | None = None) -> int:
    """Write both, or the one that is named."""
    parser = argparse.ArgumentParser(prog="python -m dlmone_lite.cli.readme", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("picture", "table"), help="default: both")
    what = parser.parse_args(argv).what
    try:
        if what != "table":
            write_picture()
        if what != "picture":
            write_table()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
