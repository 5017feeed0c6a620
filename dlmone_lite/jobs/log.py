"""The log of a training run: one JSON line for each update, which survives a kill."""

from __future__ import annotations

import json
from dataclasses import asdict
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlmone_lite.errors import InputError
from dlmone_lite.files import append, write_jsonl

if TYPE_CHECKING:
    from dlmone_lite.training.run import Step


class Log:
    """Step records as JSON lines, or nothing without a path.

    A run that `continues` first drops the lines after its own (stage, step); another starts an empty file.
    """

    def __init__(self, path: str | None, stage: int, step: int, continues: bool):
        self.path, self.stage = path, stage
        self.file: FileIO | None = None
        if path is None:
            return
        rows = read_steps(Path(path)) if continues else []
        write_jsonl(path, [row for row in rows if (row["stage"], row["step"]) <= (stage, step)])
        self.file = FileIO(path, "a")

    def write(self, step: Step) -> None:
        """Append one step."""
        if self.file is None:
            return
        try:
            append(self.file, (json.dumps({"stage": self.stage, **asdict(step)}) + "\n").encode())
        except OSError as error:
            raise InputError(
                f"the log {self.path} cannot be written ({error.strerror}); free some space"
            ) from error

    def close(self) -> None:
        """Close the file."""
        if self.file is not None:
            self.file.close()


def check_log(path: str | None) -> None:
    """Refuse a file that holds something else than the log of a run, because its content would be lost."""
    if path and Path(path).is_file() and Path(path).stat().st_size and not read_steps(Path(path)):
        raise InputError(f"{path} holds something else than the log of a run; choose another --log")


def read_steps(path: Path) -> list[dict[str, Any]]:
    """The rows of a log, if there is one; without a line that a kill cut off."""
    rows: list[dict[str, Any]] = []
    if not path.is_file():
        return rows
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            row = json.loads(line)
            rows.append({**row, "stage": int(row["stage"]), "step": int(row["step"])})
        except (ValueError, KeyError, TypeError):
            continue
    return rows
