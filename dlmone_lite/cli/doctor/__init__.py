"""`doctor`: check a classroom machine and say what to do, even where torch is missing or broken."""

from __future__ import annotations

import argparse
import platform
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict

from dlmone_lite.cli.doctor import installed, kit
from dlmone_lite.cli.doctor.installed import NOTE, OK, PROBLEM, Finding, guarded
from dlmone_lite.cli.options import command
from dlmone_lite.files import check_output, write_json
from dlmone_lite.jobs.provenance import command_line

EXAMPLES = """
--json doctor.json"""
MORE = """
One line a check: ok, note (the course works all the same) or problem, and what to do. Nothing is changed
or installed; the network is not needed and not touched. Exit code 0: no problem, 1: there is one.
"""
# The checks in their order; those of WITH_TORCH are left out where torch cannot be imported.
WITHOUT_TORCH = {
    "python": installed.python,
    "packages": installed.packages,
    "kernel": installed.kernel,
    "widgets": installed.widgets,
    "browser test": installed.browser,
    "torch": kit.torch,
}
WITH_TORCH = {"worlds": kit.worlds, "checkpoints": kit.checkpoints, "one sentence": kit.sentence}


def add(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    parser = command(commands, "doctor", "check this machine and say what to do", EXAMPLES, run, MORE)
    parser.add_argument("--json", metavar="FILE", help="write the findings there")


def run(args: argparse.Namespace) -> int:
    """Print each finding as soon as its check is done, then a summary; return the exit code."""
    check_output(args.json)
    start = time.perf_counter()
    print("Nothing is changed, and the network is not needed and not touched.", flush=True)
    rows = []
    for name, finding in checkup():
        rows.append({"name": name, **asdict(finding)})
        print(finding.line(name), flush=True)

    number, seconds = Counter(row["verdict"] for row in rows), time.perf_counter() - start
    summary = f"{plural(number[PROBLEM], PROBLEM)}, {plural(number[NOTE], NOTE)}, {number[OK]} ok"
    if args.json:
        record = {
            "command": command_line(args.argv),
            "platform": platform.platform(),
            "ready": not number[PROBLEM],
            "summary": summary,
            "seconds": round(seconds, 1),
            "checks": rows,
        }
        write_json(args.json, record)
    advice = "do what the arrows say, then run doctor again" if number[PROBLEM] else "this machine is ready"
    print(f"{summary} in {seconds:.0f} s: {advice}")
    return 1 if number[PROBLEM] else 0


def checkup() -> Iterator[tuple[str, Finding]]:
    """(name of the check, finding) of every check in turn."""
    broken = False
    for name, check in WITHOUT_TORCH.items():
        for finding in guarded(check):
            broken |= name == "torch" and finding.verdict == PROBLEM
            yield name, finding

    skipped = Finding(NOTE, "not checked, because it needs torch", "repair torch, then run doctor again")
    for name, check in WITH_TORCH.items():
        for finding in [skipped] if broken else guarded(check):
            yield name, finding


def plural(number: int, word: str) -> str:
    """`1 note`, `2 notes`, `no note`."""
    return f"{number or 'no'} {word}{'s' * (number > 1)}"
