"""What the checks of `doctor` share: their verdict, what becomes of an error, and asking another program.

Standard library only, so that it works on a machine where everything else is broken.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dlmone_lite.errors import InputError

OK, NOTE, PROBLEM = "ok", "note", "problem"
PATIENCE = 60.0  # seconds for another program; importing torch for the first time after a boot can be slow


@dataclass(frozen=True)
class Check:
    """One finding: ok, note (the course works without it) or problem; the latter two say what to do."""

    name: str
    verdict: str
    text: str
    cure: str = ""

    def __post_init__(self) -> None:
        if self.verdict not in (OK, NOTE, PROBLEM) or bool(self.cure) == (self.verdict == OK):
            raise ValueError(f"a note or problem has a cure, ok has none: {self}")

    def __str__(self) -> str:
        first = f"{self.verdict:7}  {self.name:14} {' '.join(self.text.split())}"
        return first + (f"\n{'':24} -> {' '.join(self.cure.split())}" if self.cure else "")


def good(name: str, text: str) -> list[Check]:
    """A check that found nothing wrong."""
    return [Check(name, OK, text)]


def note(name: str, text: str, cure: str) -> list[Check]:
    """Something to know; the course works all the same."""
    return [Check(name, NOTE, text, cure)]


def problem(name: str, text: str, cure: str) -> list[Check]:
    """Something that will fail in class."""
    return [Check(name, PROBLEM, text, cure)]


def guarded(name: str, check: Callable[[], list[Check]]) -> list[Check]:
    """The findings of a check; whatever it raises is a problem too, so that the others still run."""
    try:
        return check()
    except InputError as error:  # ours: "what is wrong; what to do"
        text, _, cure = str(error).rpartition("; ")
        return problem(name, text or cure, cure)
    except ModuleNotFoundError as error:
        return problem(name, f"not checked, {error}", "python -m pip install -r requirements.txt")
    except Exception as error:
        cure = "cure the other problems first; if this stays, restore the kit's files with: git checkout -- ."
        return problem(name, f"the check failed with {type(error).__name__}: {error}", cure)


def ask(
    command: Sequence[str], cwd: Path | None = None, env: dict[str, str] | None = None
) -> tuple[bool, str]:
    """Whether a program succeeds, with what it printed, or else the last line of its complaint.

    What may crash the interpreter is tried in another one.
    """
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE,
            cwd=cwd,
            env=env,
        )
    except subprocess.TimeoutExpired:
        return False, f"no answer within {PATIENCE:g} s"
    except OSError as error:
        return False, f"{command[0]} does not start ({error.strerror})"
    if done.returncode == 0:
        return True, done.stdout.strip()
    if done.returncode < 0:
        return False, f"{command[0]} crashed (signal {-done.returncode})"
    lines = done.stderr.strip().splitlines()
    return False, lines[-1] if lines else f"{command[0]} ended with exit code {done.returncode}"
