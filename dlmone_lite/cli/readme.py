"""`python -m dlmone_lite.cli.readme`: the README's picture, and its results from the records in `data/runs`.

It is for those who train new checkpoints, and so no command of `python -m dlmone_lite`. `picture` or `table`
does one of the two. The table stands between two marks in README.md; a test compares it with the records.
"""

from __future__ import annotations

import argparse
import json
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
HEADINGS = ("world", "network", "NFE", "validity", "TV", "coverage", "distinct", "BLEU", "self-BLEU")
ORDER = {"exact": 0, "teacher": 1, "student": 2}


def records(folder: Path = RUNS) -> list[dict[str, Any]]:
    """What `evaluate` and `bench` wrote into the folder, by world, role and file name."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    kept = [record for record in found if isinstance(record, dict)]
    return sorted(kept, key=lambda record: (record.get("world", ""), ORDER.get(record.get("role", ""), 9)))


def _cell(value: float | None, error: float | None = None, digits: int = 3) -> str:
    """A number, with its standard error where there is one."""
    if value is None:
        return ""
    return f"{value:.{digits}f}" + (f" ± {error:.{digits}f}" if error is not None else "")


def _truth(record: dict[str, Any]) -> list[str]:
    """The row of true samples: what a perfect model would score."""
    first, field = record["world_scores"][0], record["field_scores"]["truth"]
    exact = ["1", _cell(first["tv_floor"]), "1", _cell(first["distinct_truth"], None, 1)]
    return [record["world"], "the truth itself", "", *exact, _cell(field["bleu"]), _cell(field["self_bleu"])]


def _rows(record: dict[str, Any]) -> list[list[str]]:
    """A row for each number of steps of one evaluation."""
    who = "exact denoiser" if record["role"] == "exact" else f"`{record['checkpoint']}`"
    rows = []
    for m in record["world_scores"]:
        field = record["field_scores"].get(f"{record['role']} {m['nfe']}", {})
        scores = [_cell(m[key], m[f"{key}_se"]) for key in ("validity", "tv", "coverage")]
        scores += [_cell(m["distinct"], None, 1), _cell(field.get("bleu")), _cell(field.get("self_bleu"))]
        rows.append([record["world"], who, str(m["nfe"]), *scores])
    return rows


def _markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as a Markdown table; the first two columns are words, the others numbers."""
    line = ["|---|---|" + "---:|" * (len(HEADINGS) - 2)]
    return [f"| {' | '.join(HEADINGS)} |", *line, *(f"| {' | '.join(row)} |" for row in rows)]


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


def table(folder: Path = RUNS) -> str:
    """The README's results: a table of evaluations, a list of benchmarks, the commands behind them."""
    found = records(folder)
    measured = [record for record in found if "world_scores" in record]
    timed = [record for record in found if "batches" in record]
    if not measured and not timed:
        return EMPTY
    rows: list[list[str]] = []
    for record in measured:
        if not any(row[0] == record["world"] for row in rows):
            rows.append(_truth(record))
        rows += _rows(record)
    lines = _markdown(rows) if rows else []
    if timed:
        lines += ["", *(line for record in timed for line in _speed(record))]
    commands = [f"    {record['command']}" for record in measured + timed]
    return "\n".join([*lines, "", "Made by:", "", *commands])


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
