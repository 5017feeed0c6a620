"""The splits of a corpus of real text: pairs to train on, and others to measure with."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dlmone_lite.corpora.real_text import counted, split_file
from dlmone_lite.errors import InputError

if TYPE_CHECKING:
    from datasets import Dataset

Split = tuple["Dataset", dict[str, int]]  # rows, and {reason: number} of those left out
HELD_OUT = 0.1  # share of the sources that become valid where there is no valid split


class Corpus:
    """A folder, a file or a data set of the hub, by its `place`.

    No valid pair is a training pair. Where that leaves none, as in a single file, a tenth of the sources are
    the valid split, chosen by their hashes; in `foreign` text, which no network at hand was trained on, all
    rows are.
    """

    def __init__(self, place: str, foreign: bool = False):
        self.place, self.foreign = home(place), foreign

    @property
    def name(self) -> str:
        """`qqp` of `folder/qqp`, `folder/qqp.csv` or the hub's `qqp`."""
        path = Path(self.place)
        name = path.name.split(".")[0] if path.is_file() else path.resolve().name
        return os.fsencode(name).decode("utf-8", errors="replace")  # whatever the shell's encoding is

    @property
    def train(self) -> Split:
        """The training pairs."""
        return self._splits[0]

    @property
    def valid(self) -> Split:
        """The valid pairs."""
        return counted(self.place, "valid") if self.foreign else self._splits[1]

    @cached_property
    def _splits(self) -> tuple[Split, Split]:
        if not Path(self.place).is_file():
            rows, dropped = counted(self.place, "valid")  # first, because a mistake is more likely there
            try:
                train = counted(self.place, "train")
            except InputError:
                if Path(self.place).is_dir() and not has_split(Path(self.place), "train"):
                    return (rows.select([]), {}), (rows, dropped)  # only to measure with
                raise
            known = {key(row) for row in train[0]}
            new = [i for i, row in enumerate(rows) if key(row) not in known]
            if new:
                known_rows = {"training rows": len(rows) - len(new)} if len(new) < len(rows) else {}
                return train, (rows.select(new), {**dropped, **known_rows})
        return held_out(*counted(self.place, "train"), self.place)


def held_out(rows: Dataset, dropped: dict[str, int], place: str) -> tuple[Split, Split]:
    """(train, valid): rows by the hash of their source, so that all rows of a source are on one side."""
    hashes = [hashlib.sha256(key(row)[0].encode()).digest() for row in rows]
    chosen = {value for value in hashes if value[0] < 256 * HELD_OUT} or {min(hashes)}
    if chosen == set(hashes):
        chosen = {min(hashes)}
    parts: list[list[int]] = [[], []]
    for i, value in enumerate(hashes):
        parts[value in chosen].append(i)
    if not parts[0]:
        raise InputError(f"{place} has a single source; it needs two at least, to hold one out as valid")
    train, valid = parts
    return (rows.select(train), {**dropped, "held out as valid": len(valid)}), (rows.select(valid), {})


def key(row: Mapping[str, str]) -> tuple[str, str]:
    """What makes two rows the same pair: the words of both sides, in lower case."""
    source, target = (" ".join(row[side].lower().split()) for side in ("src", "trg"))
    return source, target


def has_split(folder: Path, split: str) -> bool:
    """Whether a folder has a file for that split."""
    with contextlib.suppress(InputError):
        return bool(split_file(folder, split))
    return False


def home(place: str) -> str:
    """The folder of a `train` file that has its valid split beside it; else the place itself."""
    path = Path(place)
    with contextlib.suppress(OSError):
        if path.is_file() and path.name.lower().split(".")[0] == "train" and has_split(path.parent, "valid"):
            return str(path.parent)
    return place
