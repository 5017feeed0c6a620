"""`doctor`: checks a classroom machine and says what to do; it runs even where torch is missing or broken."""

from __future__ import annotations

import argparse
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict

from dlmone_lite.cli.doctor import installed, kit_files, machine
from dlmone_lite.cli.doctor.checks import NOTE, OK, PROBLEM, Check, guarded, note
from dlmone_lite.cli.options import command
from dlmone_lite.files import check_output, write_json
from dlmone_lite.jobs.provenance import command_line

EXAMPLES = """
--json doctor.json"""
MORE = """
One line a check: ok, note (the course works all the same) or problem, and what to do. Nothing is changed
or installed; the network is not needed and not touched. Exit code 0: no problem, 1: there is one.
"""
# In this order; those of the second list stand on torch.
FIRST: dict[str, Callable[[], list[Check]]] = {
    "python": installed.python,
    "packages": installed.packages,
    "extras": installed.extras,
    "jupyter": installed.jupyter,
    "kernel": installed.kernel,
    "widgets": installed.widgets,
    "browser test": installed.browser,
    "runs/": machine.runs,
    "memory": machine.memory,
    "torch": machine.torch,
}
ON_TORCH: dict[str, Callable[[], list[Check]]] = {
    "gpu": machine.gpu,
    "worlds": kit_files.worlds,
    "checkpoints": kit_files.checkpoints,
    "one sentence": machine.sentence,
    "product": machine.product,
}


def add(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    parser = command(commands, "doctor", "check this machine and say what to do", EXAMPLES, run, MORE)
    parser.add_argument("--json", metavar="FILE", help="write the findings there")


def run(args: argparse.Namespace) -> int:
    """Print each finding when it is known, then their sum; the exit code."""
    check_output(args.json)
    began, found = time.perf_counter(), []
    print("Nothing is changed, and the network is not needed and not touched.", flush=True)
    for check in checkup():
        found.append(check)
        print(check, flush=True)
    verdicts, seconds = Counter(check.verdict for check in found), time.perf_counter() - began
    advice = "do what the arrows say, then run doctor again" if verdicts[PROBLEM] else "this machine is ready"
    summary = f"{plural(verdicts[PROBLEM], PROBLEM)}, {plural(verdicts[NOTE], NOTE)}, {verdicts[OK]} ok"
    if args.json:
        write_json(
            args.json,
            {
                "command": command_line(args.argv),
                "platform": platform.platform(),
                "ready": not verdicts[PROBLEM],
                "summary": summary,
                "seconds": round(seconds, 1),
                "checks": [asdict(check) for check in found],
            },
        )
    print(f"{summary} in {seconds:.0f} s: {advice}")
    return 1 if verdicts[PROBLEM] else 0


def checkup() -> Iterator[Check]:
    """All findings, one after the other; without torch, what stands on it is named as not checked."""
    broken = False
    for name, check in FIRST.items():
        for finding in guarded(name, check):
            broken |= name == "torch" and finding.verdict == PROBLEM
            yield finding
    for name, check in ON_TORCH.items():
        waiting = note(name, "not checked, for it needs torch", "repair torch, then run doctor again")
        yield from waiting if broken else guarded(name, check)


def plural(number: int, word: str) -> str:
    """`1 note`, `2 notes`, `no note`."""
    return f"{number or 'no'} {word}{'s' * (number > 1)}"
