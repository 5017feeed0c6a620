"""`python -m dlmone_lite.maintain.write_results`: the tables in README and RESULTS.md, and commands.sh.

It is for those who train new checkpoints. A table stands between two marks, `<!-- table NAME -->` and
`<!-- end -->`; what it means is written around it by hand. `picture` draws the README's picture as well.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from dlmone_lite.errors import InputError
from dlmone_lite.evaluation.published import measured
from dlmone_lite.files import DATA, ROOT, RUNS, replacing, write_text
from dlmone_lite.jobs.console import markdown
from dlmone_lite.maintain import results
from dlmone_lite.maintain.results import STAGES, Record

Table = list[list[str]]  # rows of cells, the headings first

README, REPORT, SCRIPT = ROOT / "README.md", DATA / "RESULTS.md", RUNS / "commands.sh"
PICTURE = DATA / "figures" / "duel.png"
CALLS, SAMPLES = 64, 256
MARKED = re.compile(r"(<!-- table ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
# The README's rows by the table they come from; of rows that begin alike the last is meant.
HEADLINES = {
    "worlds": [f"paraphrase, `paraphrase-teacher`, {nfe}" for nfe in (64, 8, 4)],
    "stages": [f"paraphrase-student-cold, {STAGES[2]}, 1"],
    "real": ["QQP, qqp-teacher, 100", "QQP, qqp-student, 1"],  # the teachers at their best
}
HEADLINES["worlds"] += [f"paraphrase, `paraphrase-student`, {nfe}" for nfe in (1, 4)]
HEADLINES["worlds"] += ["paraphrase, `paraphrase-student-warm`, 1"]
HEADLINES["real"] += ["Wiki-Auto, wiki_auto-teacher, 8", "Wiki-Auto, wiki_auto-student, 1"]
HEADLINES["real"] += ["Quasar-T, quasar_t-teacher, 4", "Quasar-T, quasar_t-student, 1"]
COLUMNS = ("samples", "validity", "excess", "BLEU", "self-BLEU", "copies")
HEAD = """#!/usr/bin/env bash
# The commands behind the records in data/runs, one a line, in an order in which they can run.
# Written by `python -m dlmone_lite.maintain.write_results`. All of them take days of one core, so copy the
# lines you need. Networks without a folder are those of data/checkpoints; real/ holds the slices of QQP,
# Wiki-Auto and Quasar-T, a folder each, which are not part of the kit.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
"""


def tables(folder: Path = RUNS) -> dict[str, Table]:
    """Every table of RESULTS.md by the name in its mark."""
    records = results.load(folder)
    evaluations, rows = records["evaluation"], measured(folder / "real")
    found = {
        "worlds": results.worlds(evaluations),
        "seeds": results.seeds(evaluations),
        "stages": results.stages(folder),
        "divergences": results.divergences(folder),
        "laboratory": results.laboratory(folder),
        "beyond": results.past_the_paper(folder),
        "real": results.real(rows),
        "kept": results.kept(rows),
        "speed": results.speed(records["speed"]),
        "equal": results.equal_quality(records["speed"], [*evaluations, *records["corpus-evaluation"]]),
        "training-speed": results.training_speed(records["training-speed"]),
        "bayes": results.above_bayes(records["floor"]),
        "times": results.times(records["making"]),
    }
    return {name: list(rows) for name, rows in found.items()}


def headline(full: Mapping[str, Table]) -> Table:
    """The README's table, each row a part of a row of another table; InputError where one is not recorded."""
    rows = [["task or run", "network or stage", "NFE", *COLUMNS]]
    for name, keys in HEADLINES.items():
        headings, *body = full[name]
        for key in keys:
            matching = [row for row in body if ", ".join(row[:3]) == key]
            if not matching:
                raise InputError(f"no record gives the row {key} of the table {name}; evaluate it")
            cells = dict(zip(headings, matching[-1], strict=True))
            rows.append([*matching[-1][:3], *(cells.get(column, "") for column in COLUMNS)])
    return rows


def fill(text: str, full: Mapping[str, Table]) -> str:
    """The text with each marked table written anew; InputError if it has no mark, or one without a table."""
    names = [name for _, name, _ in MARKED.findall(text)]
    if not names or not set(names) <= set(full):
        known = ", ".join(full)
        raise InputError(f"marks <!-- table NAME --> and <!-- end --> are missing or wrong; names: {known}")
    texts = {name: "\n".join(markdown(full[name][0], full[name][1:])) for name in names}
    return MARKED.sub(lambda mark: f"{mark[1]}\n{texts[mark[2]]}\n\n{mark[3]}", text)


def generated(folder: Path = RUNS) -> dict[Path, str]:
    """Each written file with its text; in README and RESULTS.md only the tables are new."""
    full = tables(folder)
    full["headline"] = headline(full)
    texts = {path: fill(path.read_text(encoding="utf-8"), full) for path in (README, REPORT)}
    return {**texts, SCRIPT: script(folder)}


def networks(records: Sequence[Record]) -> list[str]:
    """The commands that made the evaluated networks: teachers, sharpened copies, warm starts, students."""
    made = [record["provenance"] for record in records if record.get("provenance")]
    students = [network for network in made if "teacher" in network]
    commands = [network["command"] for network in made if "teacher" not in network]
    commands += [network["teacher"]["command"] for network in students if "command" in network["teacher"]]
    commands += [network["start"]["command"] for network in students if "start" in network]
    return list(dict.fromkeys([*commands, *(network["command"] for network in students)]))


def script(folder: Path) -> str:
    """The whole script, a comment above each group of commands."""
    by_kind = results.load(folder)
    real = by_kind["corpus-evaluation"]
    order = ("evaluation", "floor", "speed", "training-speed", "making")
    worlds = [record for kind in order for record in by_kind[kind]]
    sweeps = [path.name.split(".")[0] for path in sorted(folder.glob("sweep-*.jsonl.gz"))]
    groups = {
        "Worlds: the networks": networks(worlds),
        "Worlds: evaluations, floors, speed, times to a goal": [record["command"] for record in worlds],
        "The laboratory's sweeps": [f"python -m dlmone_lite {name.replace('-', ' ', 1)}" for name in sweeps],
        "Real text: the networks": networks(real),
        "Real text: evaluations": [record["command"] for record in real],
    }
    parts = [f"# {title}\n" + "\n".join(commands) + "\n" for title, commands in groups.items() if commands]
    return "\n".join([HEAD, *parts])


def write_picture() -> None:
    """Draw the duel of the shipped paraphrase networks, on the question and seed of the `demo` command."""
    from dlmone_lite.checkpoints import zoo
    from dlmone_lite.evaluation import duel
    from dlmone_lite.evaluation.measure import held_out_sources
    from dlmone_lite.evaluation.metrics import tv_floor
    from dlmone_lite.figures import nb00
    from dlmone_lite.generation import generate

    world, *pair = zoo.course("paraphrase")
    (source,) = held_out_sources(world, 1)
    support, lanes, scores = world.support(source), [], []
    for checkpoint, steps in zip(pair, (CALLS, 1)):
        duel.run_lane(checkpoint, source, 1, seed=0)  # the first call is slower
        tries = [duel.run_lane(checkpoint, source, steps, seed=0) for _ in range(5)]
        lanes.append(min(tries, key=lambda lane: lane.seconds))
        samples = generate(checkpoint, [source], steps=steps, samples=SAMPLES)[0]
        scores.append(duel.score_samples(checkpoint.role, steps, lanes[-1].seconds, samples, support))
    fig = nb00.whole_duel(source, *lanes, support, scores, tv_floor(support, SAMPLES))
    with replacing(PICTURE) as file:
        fig.savefig(file, format="png", dpi=120, metadata={"Software": None}, pil_kwargs={"optimize": True})
    print(f"written: {PICTURE.relative_to(ROOT)}")


def main(argv: Sequence[str] | None = None) -> int:
    """Write the three texts and, if asked, the picture."""
    parser = argparse.ArgumentParser(prog="python -m dlmone_lite.maintain.write_results", description=__doc__)
    parser.add_argument("picture", nargs="?", choices=("picture",), help="draw data/figures/duel.png too")
    picture = parser.parse_args(argv).picture
    try:
        for path, text in generated().items():
            write_text(path, text)
            print(f"written: {path.name}")
        if picture:
            write_picture()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
