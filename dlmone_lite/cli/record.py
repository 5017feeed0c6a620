"""What keeps a training run safe: deferred Ctrl-C, a log that survives a kill, rules for its saved state."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from dlmone_lite.errors import InputError

if TYPE_CHECKING:
    from dlmone_lite.training import Step

Config = TypeVar("Config")


class Stopper:
    """Turns the first Ctrl-C (or SIGTERM) into a flag: no update is cut in half. The second stops at once."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stopper:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        os.write(
            2, b"\nfinishing this step, then saving; once more to stop at once\n"
        )  # print may not be re-entered


class Log:
    """Step records as JSON lines; a run that `goes_on` first drops what lies after its own (stage, step)."""

    def __init__(self, path: str | None, stage: int, step: int, goes_on: bool):
        self.path, self.stage = path, stage
        self.file: TextIO | None = None
        if path is None:
            return
        from dlmone_lite.corpora import write_jsonl

        kept = []
        if goes_on:
            kept = [row for row in self._rows() if (row["stage"], row["step"]) <= (stage, step)]
        write_jsonl(path, kept)
        self.file = open(path, "a", encoding="utf-8", newline="\n")

    def _rows(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        if not Path(self.path).is_file():
            return found
        for line in Path(self.path).read_text(encoding="utf-8").split("\n"):
            try:
                row = json.loads(line)
                found.append({**row, "stage": int(row["stage"]), "step": int(row["step"])})
            except (ValueError, KeyError, TypeError):  # the line that a kill cut off
                continue
        return found

    def write(self, step: Step) -> None:
        """Append one step."""
        if self.file is None:
            return
        try:
            self.file.write(json.dumps({"stage": self.stage, **asdict(step)}) + "\n")
            self.file.flush()
        except OSError as error:
            raise InputError(
                f"the log {self.path} cannot be written ({error.strerror}); free some space"
            ) from error

    def close(self) -> None:
        """Close the file."""
        if self.file is not None:
            with contextlib.suppress(OSError):  # a full disk was reported when it was written to
                self.file.close()


def claim(state: Path, resume: bool) -> dict[str, Any] | None:
    """The saved configuration under --resume, None without a state; an unfinished run is not overwritten."""
    if not state.is_file():
        if resume:
            print(f"note: there is no {state}; starting anew", file=sys.stderr)
        return None
    if not resume:
        raise InputError(f"{state} holds an unfinished run; go on with --resume, or delete it to start anew")
    from dlmone_lite.checkpoint import read_tensors

    try:
        return json.loads(read_tensors(state)[1]["training_state"])["config"]
    except (KeyError, json.JSONDecodeError) as error:
        raise InputError(f"{state} holds no training state; delete it and start anew") from error


def resumed(config: Config, saved: dict[str, Any] | None) -> Config:
    """The configuration to go on with: the command line's, but the precision that "auto" found before."""
    if saved is None:
        return config
    if getattr(config, "precision", None) == "auto" and "precision" in saved:
        config = replace(config, precision=saved["precision"])
    for name, value in asdict(config).items():
        if name in saved and saved[name] != value:
            print(f"note: {name} was {saved[name]}, goes on with {value}", file=sys.stderr)
    return config


def clean(state: Path) -> None:
    """Remove the training state of a finished run."""
    for path in (state, best_of(state)):
        path.unlink(missing_ok=True)


def best_of(state: Path) -> Path:
    """Where the best network of an unfinished run is kept."""
    return state.with_name(state.name + ".best")
