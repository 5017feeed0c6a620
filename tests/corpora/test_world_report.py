"""Sizes and warnings of small worlds, computed by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlmone_lite.corpora import world_report
from dlmone_lite.corpora.world import World

TINY = """\
# a world small enough to compute by hand
world tiny
about  say it twice  # a comment
slot city
  paris
  new york
words fast
  fast * 3
  quickly
frame go
  source how do i go to {city} ?
  source * 3 the way to {city} , {fast} ?
  target go to {city} {fast} .
  target * 3 to {city} !
"""


AMBIGUOUS = """\
world two
frame one
  source hello .
  target first .
  target both .
frame other
  source hello .
  source * 3 good day .
  target second .
  target both .
"""


def make(folder: Path, text: str) -> World:
    path = folder / "any.grammar"
    path.write_text(text, encoding="utf-8")
    return World.load(path)


def test_describe_by_hand(tmp_path: Path) -> None:
    world = make(tmp_path, TINY)
    world.split_of = lambda meaning: "test" if meaning.values[0][1] == "paris" else "train"
    assert world_report.describe(world) == {
        "name": "tiny",
        "about": "say it twice",
        "frames": 1,
        "words": 16,
        "meanings": {"train": 1, "valid": 0, "test": 1},
        "sources": {"train": 3, "valid": 0, "test": 3},
        "targets_per_source": {"min": 3, "median": 3, "max": 3},
        "source_length": {"min": 7, "median": 7.5, "max": 8},
        "target_length": {"min": 3, "median": 5, "max": 6},
    }


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (TINY, "frame go: 3 right targets, under 6; add targets"),
        (TINY + "  target {fast} {fast} {fast} {fast} {fast} .\n", "frame go: 35 right targets, over 24;"),
        (TINY + "  target * 60 x\n", 'frame go: "go to new york quickly ." has p 0.004, under 0.02; raise'),
        (AMBIGUOUS, '"hello ." belongs to 2 meanings (one and other); reword one of them'),
        (TINY + "  target the way to {city} , fast ?\n", '"the way to paris , fast ?" is its own right'),
        (TINY + "slot empty\n  x\n", "empty is never used; remove it"),
        (TINY, "no meaning in valid; add frames or fillers"),
        (TINY, 'city "paris" is held out but never in train; use it in more frames'),
    ],
)
def test_warnings(tmp_path: Path, text: str, warning: str) -> None:
    world = make(tmp_path, text)
    world.split_of = lambda meaning: "test" if ("city", "paris") in meaning.values else "train"
    assert sum(line.startswith(warning) for line in world_report.warnings(world)) == 1
