"""The commands behind the records, as a shell script."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dlmone_lite.files import RUNS
from dlmone_lite.maintain.results import load

HEAD = """#!/usr/bin/env bash
# The commands behind the records in data/runs, one a line, in an order in which they can run.
# Written by `python -m dlmone_lite.maintain.write_results`. All of them take days of one core, so copy the
# lines you need. Networks without a folder are those of data/checkpoints; real/ holds the slices of QQP,
# Wiki-Auto and Quasar-T, a folder each, which are not part of the kit.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
"""


def networks(records: Sequence[dict[str, Any]]) -> list[str]:
    """The commands that made the evaluated networks: teachers, sharpened copies, warm starts, students."""
    made = [record["provenance"] for record in records if record.get("provenance")]
    students = [network for network in made if "teacher" in network]
    commands = [network["command"] for network in made if "teacher" not in network]
    commands += [network["teacher"]["command"] for network in students if "command" in network["teacher"]]
    commands += [network["start"]["command"] for network in students if "start" in network]
    commands += [network["command"] for network in students]
    return list(dict.fromkeys(commands))


def script(folder: Path = RUNS) -> str:
    """The whole script, a comment above each group of commands."""
    by_kind = load(folder)
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
