"""The results on real text as tables, from the records in `data/runs/real`."""

from __future__ import annotations

from itertools import product
from typing import Any

from dlmone_lite.evaluation.published import SCORES, TASKS, by_seed, difference, ratio, seeds, table
from dlmone_lite.maintain.results import Table

Rows = list[dict[str, Any]]  # of `published.measured`
ENDINGS = ("student", "student-single", "student-alone")  # two stages, one as long, SiD alone


def signed(value: float, digits: int) -> str:
    """With its sign; what is rounded to zero is +0."""
    return f"{round(value, digits) + 0.0:+.{digits}f}"


def scores(rows: Rows) -> Table:
    """The paper's table with ours beside it, of each network's first training seed."""
    return table([row for row in rows if "-seed" not in row["network"]], (*SCORES, "copies"))


def kept(rows: Rows) -> Table:
    """BLEU of each student at one step over its teacher's at `NFE` steps, for every training seed."""
    headings = ["task", "student", "NFE", "sources", "BLEU ratio", "95% interval", "self-BLEU", "kept at"]
    cells = [headings]
    for task, ending in product(TASKS, ENDINGS):
        for name in seeds(rows, f"{task}-{ending}"):
            if not (quotient := ratio(rows, task, name, f"{task}-teacher")):
                continue
            own = next(row for row in rows if (row["task"], row["network"]) == (task, name))
            interval = f"{quotient['low']:.2f} to {quotient['high']:.2f}"
            numbers = [str(quotient["nfe"]), str(quotient["sources"]), f"{quotient['bleu']:.2f}", interval]
            more = [signed(quotient["self_bleu"], 2), moment(own["provenance"])]
            cells.append([TASKS[task], f"`{name}`", *numbers, *more])
    return cells


def moment(provenance: dict[str, Any]) -> str:
    """The update of its last stage at which a student was kept, of how many; empty if no record says it."""
    stages = provenance.get("stages", ())
    if not stages or "kept_step" not in provenance:
        return ""
    return f"{provenance['kept_step']} of {stages[-1]['steps']}"


def two_stages(rows: Rows) -> Table:
    """Two stages less one as long, for the students kept and for those at the ends of both runs."""
    cells = [["task", "students", "BLEU", "self-BLEU", "BLEU, self-BLEU of another training seed"]]
    for task, which in product(TASKS, ("", "-last")):
        pair = [f"{task}-{ending}{which}" for ending in ENDINGS[:2]]
        if not (apart := difference(rows, task, *pair)):
            continue
        (_, own), *others = zip(*(by_seed(rows, task, *pair, score) for score in ("bleu", "self_bleu")))
        again = "; ".join(f"{signed(bleu, 3)}, {signed(self_bleu, 2)}" for bleu, self_bleu in others)
        bleu = f"{signed(apart[0], 3)} ± {apart[1]:.3f}"
        cells.append([TASKS[task], "at the end" if which else "kept", bleu, signed(own, 2), again])
    return cells
