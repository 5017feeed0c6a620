"""The exceptions that a person should ever see: bad input, and training that went wrong."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input: one line that says what was wrong and what to do."""


class Diverged(RuntimeError):
    """A loss, a gradient or a weight became NaN or infinite; what was good before is kept."""


def nearest(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` with the known word most like `word`, or nothing when none is."""
    match = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {match[0]!r}?)" if match else ""
