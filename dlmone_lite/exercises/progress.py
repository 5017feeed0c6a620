"""Which exercises are solved: remembered in one small file, so that no restart loses them."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
from pathlib import Path

from dlmone_lite.errors import InputError
from dlmone_lite.exercises.kinds import numbers, of_notebook
from dlmone_lite.files import ROOT, write_bytes, write_text

VARIABLE = "DLMONE_PROGRESS"  # another place for the file


def place() -> Path:
    """Where the file lies: in the clone's runs/, which git ignores; delete it to begin anew."""
    return Path(os.environ.get(VARIABLE) or ROOT / "runs" / "progress.json")


def solved() -> dict[str, str]:
    """name -> day of the first right answer. A damaged file is put aside, not overwritten."""
    path = place()
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): str(day) for name, day in record["solved"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        aside = path.with_name(path.name + ".damaged")
        with contextlib.suppress(OSError, InputError):
            write_bytes(aside, path.read_bytes())
            path.unlink()
            print(f"{path} could not be read; it was moved to {aside.name}, and a new file is begun.")
        return {}


def remember(name: str) -> None:
    """Note that an exercise is solved. A disk that refuses costs the note, not the lesson."""
    days = solved()
    if name in days:
        return
    days[name] = datetime.date.today().isoformat()
    try:
        write_text(place(), json.dumps({"solved": days}, indent=1, sort_keys=True) + "\n")
    except InputError as error:
        print(f"({name} is not remembered: {error})")


def course() -> dict[str, tuple[str, ...]]:
    """Notebook -> the names of its exercises and questions, in order."""
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    titles = {path.stem[:2]: path.stem.replace("_", " ") for path in notebooks}
    return {titles.get(number, number): tuple(of_notebook(number)) for number in numbers()}


def progress() -> None:
    """Print how far the learner is, notebook by notebook; # is solved."""
    days, notebooks = solved(), course()
    width, total, done = max(map(len, notebooks)), sum(map(len, notebooks.values())), 0
    for title, names in notebooks.items():
        bar = "".join("#" if name in days else "." for name in names)
        done += bar.count("#")
        unsolved = [name for name in names if name not in days]
        left = f"open: {', '.join(unsolved)}" if 0 < len(unsolved) < len(names) else ""
        print(f"{title:{width}}  [{bar}] {bar.count('#')} of {len(names)}  {left}".rstrip())
    print(f"solved in the course so far: {done} of {total}")
