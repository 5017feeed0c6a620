"""The log of a training run: one JSON line for each update, which survives a kill."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from dlmone_lite.errors import InputError

if TYPE_CHECKING:
    from dlmone_lite.training.run import Step


class Log:
    """Step records as JSON lines; a run that `goes_on` first drops what lies after its own (stage, step)."""

    def __init__(self, path: str | None, stage: int, step: int, goes_on: bool):
        self.path, self.stage = path, stage
        self.file: TextIO | None = None
        if path is None:
            return
        from dlmone_lite.files import write_jsonl

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
