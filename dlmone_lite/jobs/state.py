"""What keeps a training run safe: a deferred Ctrl-C, one run at a time, and rules for its saved state."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

from dlmone_lite.errors import InputError
from dlmone_lite.files import clear_half_files, hidden
from dlmone_lite.training import processes

Config = TypeVar("Config")
# Of the files beside a checkpoint while its run is unfinished.
ENDINGS = [f"{stage}.state{best}" for stage in (".warm", "", ".stage2") for best in ("", ".best")]


class Stopper:
    """Turns the first Ctrl-C or SIGTERM into a flag, because no update is cut in half; the second stops."""

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
        note = b"\nfinishing this step, then saving; once more to stop at once\n"
        os.write(2, note)  # print may not be re-entered


@contextlib.contextmanager
def alone(out: Path) -> Iterator[None]:
    """Keep other runs from `out` while the block lasts; InputError if one is at work on it."""
    if not processes.is_main():
        yield
        return
    from filelock import FileLock, Timeout

    lock = FileLock(hidden(out, "lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise InputError(f"another run is at work on {out}; wait for it, or choose another --out") from error
    except (OSError, NotImplementedError) as error:  # a disk that knows no locks must not stop the work
        print(f"note: {out} cannot be locked ({error}); start no second run on it", file=sys.stderr)
    try:
        for ending in ("", *ENDINGS):
            clear_half_files(out.with_name(out.name + ending))
        yield
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def claim(state: Path, resume: bool) -> dict[str, Any] | None:
    """The saved configuration under --resume, None without a state; an unfinished run is not overwritten."""
    if not state.is_file():
        if resume:
            print(f"note: there is no {state}; starting anew", file=sys.stderr)
        return None
    if not resume:
        raise InputError(f"{state} holds an unfinished run; go on with --resume, or delete it to start anew")
    from dlmone_lite.files import read_tensors

    try:
        config = json.loads(read_tensors(state)[1]["training_state"])["config"]
        return {str(name): value for name, value in config.items()}
    except (KeyError, TypeError, AttributeError, RecursionError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{state} holds no training state; delete it and start anew") from error


def resumed(config: Config, saved: dict[str, Any] | None) -> Config:
    """The configuration to continue with: the command line's, with the precision that "auto" chose before."""
    if saved is None:
        return config
    if getattr(config, "precision", None) == "auto" and "precision" in saved:
        config = replace(config, precision=saved["precision"])
    for name, value in asdict(config).items():
        if name in saved and saved[name] != value:
            print(f"note: {name} was {saved[name]}, goes on with {value}", file=sys.stderr)
    return config


def state_of(out: Path, stage: str = "") -> Path:
    """The file of the training state of a run that writes `out`; a stage of several has its name in it."""
    return out.with_name(f"{out.name}{stage}.state")


def best_of(state: Path) -> Path:
    """The file of the best network of an unfinished run."""
    return state.with_name(state.name + ".best")


def clean(state: Path) -> None:
    """Remove the training state of a finished run."""
    for path in (state, best_of(state)):
        path.unlink(missing_ok=True)


def finished(states: Sequence[Path]) -> bool:
    """Whether a kill left states of a run of several stages that had ended.

    The first state is removed first, and only when everything is written; it is never missing before.
    """
    there = [state.is_file() for state in states]
    return any(there) and not there[0]
