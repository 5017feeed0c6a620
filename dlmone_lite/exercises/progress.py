"""Which exercises are solved: remembered in one small file, so that no restart loses them."""

from __future__ import annotations

import datetime
import importlib
import json
import os
import pkgutil
from pathlib import Path

from dlmone_lite.files import ROOT

VARIABLE = "DLMONE_PROGRESS"  # another place for the file


def place() -> Path:
    """Where the file lies: in the clone's runs/, which git ignores; delete it to begin anew."""
    return Path(os.environ.get(VARIABLE) or ROOT / "runs" / "progress.json")


def solved() -> dict[str, str]:
    """name -> day of the first right answer. A damaged file is put aside, not overwritten."""
    path = place()
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): str(day) for name, day in found["solved"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        aside = path.with_name(path.name + ".damaged")
        try:
            os.replace(path, aside)
            print(f"{path} could not be read; it lies in {aside.name} now, and a new one is begun.")
        except OSError:
            pass
        return {}


def remember(name: str) -> None:
    """Note that an exercise is solved. A disk that refuses costs the note, not the lesson."""
    known = solved()
    if name in known:
        return
    known[name] = datetime.date.today().isoformat()
    path = place()
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps({"solved": known}, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        print(f"({name} is not remembered: {path} cannot be written, {error.strerror or error})")


def course() -> dict[str, tuple[str, ...]]:
    """Notebook -> the names of its exercises and questions, in order."""
    import dlmone_lite.exercises as package

    titles = {
        path.stem[:2]: path.stem.replace("_", " ") for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
    }
    numbers = sorted(m.name[2:] for m in pkgutil.iter_modules(package.__path__) if m.name.startswith("nb"))
    return {
        titles.get(number, number): tuple(
            exercise.name for exercise in importlib.import_module(f"{package.__name__}.nb{number}").EXERCISES
        )
        for number in numbers
    }


def progress() -> None:
    """Print how far the learner is, notebook by notebook; # is solved."""
    known, notebooks = solved(), course()
    width = max(map(len, notebooks))
    total = sum(map(len, notebooks.values()))
    done = 0
    for title, names in notebooks.items():
        bar = "".join("#" if name in known else "." for name in names)
        done += bar.count("#")
        open_ones = [name for name in names if name not in known]
        left = f"open: {', '.join(open_ones)}" if 0 < len(open_ones) < len(names) else ""
        print(f"{title:{width}}  [{bar}] {bar.count('#')} of {len(names)}  {left}".rstrip())
    print(f"solved in the course so far: {done} of {total}")
