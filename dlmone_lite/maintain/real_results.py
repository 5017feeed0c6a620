"""The README's results on real text: the paper's table, what students keep of teachers, what made them."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

from dlmone_lite.jobs.console import markdown

ENDINGS = ("student", "student-single", "student-alone")  # two stages, one as long, SiD alone


def lines(folder: Path) -> list[str]:
    """The paper's table with ours beside it, of each network's first training seed, if there is any of ours;
    below it what is told of pairs of networks, and of further seeds."""
    from dlmone_lite.evaluation.published import measured, table

    if not (rows := measured(folder)):
        return []
    headings, *cells = table([row for row in rows if "-seed" not in row["network"]])
    said = "On real text (`evaluate --corpus`, `scores`): published scores are on the test split of the "
    said += "whole sets, ours on the valid split of the slices that we trained on, teachers clamped. Where a "
    said += "command below has no `--keep last`, the student was chosen in its run by other sources (for "
    said += "Wiki-Auto, which has 146, by the same), and the one at its end is named `-last`. There, `real/` "
    said += "holds the slices, a folder each. Scores are means over all *samples* (sources x samples a "
    said += "source), but div-4 looks at three of a source at most, MBR at ten."
    told = kept(rows) + stages(rows)
    return ["", said, "", *markdown(headings, cells), *([""] if told else []), *told]


def signed(value: float, digits: int) -> str:
    """With its sign; what is rounded to zero is +0."""
    return f"{round(value, digits) + 0.0:+.{digits}f}"


def kept(rows: list[dict[str, Any]]) -> list[str]:
    """A line for each student: its BLEU over its teacher's, with what an interval covers, and the same of
    further training seeds."""
    from dlmone_lite.evaluation.published import TASKS, ratio, seeds

    told = []
    for task, ending in product(TASKS, ENDINGS):
        names = seeds(rows, f"{task}-{ending}")
        found = [ratio(rows, task, name, f"{task}-teacher") for name in names]
        if not (found := [one for one in found if one]):
            continue
        first, *others = found
        line = f"- {TASKS[task]}: `{names[0]}` at one step has {first['bleu']:.2f} ({first['low']:.2f} to "
        line += f"{first['high']:.2f} with other sources) of the teacher's BLEU at {first['nfe']} steps, "
        line += f"self-BLEU {signed(first['self_bleu'], 2)}, on {first['sources']} sources"
        own = (row for row in rows if (row["task"], row["network"]) == (task, names[0]))
        line += moment(next(own)["provenance"])
        for other in others:
            line += f"; another training seed {other['bleu']:.2f}, {signed(other['self_bleu'], 2)}"
        told.append(line + ".")
    return told


def moment(made: dict[str, Any]) -> str:
    """At which update of its last stage a student was kept, of how many; nothing where that is not told."""
    stages = made.get("stages", ())
    if not stages or "kept_step" not in made:
        return ""
    where = " of its second stage" if len(stages) > 1 else ""
    return f", kept at update {made['kept_step']} of {stages[-1]['steps']}{where}"


def stages(rows: list[dict[str, Any]]) -> list[str]:
    """A line for each task: BLEU of two stages over one as long, of the students kept (each run's best) and,
    where they are recorded (`distill --out-last`), of those at the ends of both runs."""
    from dlmone_lite.evaluation.published import TASKS, by_seed, difference

    told = []
    kinds = {"": "two stages over one as long", "-last": "the same at the ends of both runs"}
    for task, (which, what) in product(TASKS, kinds.items()):
        pair = [f"{task}-{ending}{which}" for ending in ENDINGS[:2]]
        if apart := difference(rows, task, *pair):
            first, *again = zip(*(by_seed(rows, task, *pair, score) for score in ("bleu", "self_bleu")))
            line = f"- {TASKS[task]}: {what}, BLEU {signed(apart[0], 3)} ± {apart[1]:.3f} with other sources"
            line += f", self-BLEU {signed(first[1], 2)}"
            for bleu, own in again:
                line += f"; another training seed {signed(bleu, 3)}, {signed(own, 2)}"
            told.append(line + ".")
    return told


def behind(folder: Path) -> list[str]:
    """The commands behind the records: training, sharpening, warm start, distillation, evaluation."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    made = [record["provenance"] for record in found]
    students = [network for network in made if "teacher" in network]
    commands = [network["command"] for network in made if "teacher" not in network]
    commands += [network["teacher"]["command"] for network in students if "command" in network["teacher"]]
    commands += [network["start"]["command"] for network in students if "start" in network]
    commands += [network["command"] for network in students]
    return [*dict.fromkeys(commands), *(record["command"] for record in found)]
