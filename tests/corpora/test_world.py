"""Worlds: exact probabilities against values computed by hand, splits, a learner's own world."""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from pathlib import Path

import pytest

from dlmone_lite.corpora import world as worlds
from dlmone_lite.corpora.world import Meaning, World
from dlmone_lite.errors import InputError
from dlmone_lite.files import digest

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


def make(folder: Path, text: str) -> World:
    path = folder / "any.grammar"
    path.write_text(text, encoding="utf-8")
    return World.load(path)


# ---- exact probabilities


def test_tiny_world_by_hand(tmp_path: Path) -> None:
    world = make(tmp_path, TINY)
    assert (world.name, world.about, world.max_source) == ("tiny", "say it twice", 15)
    paris = Meaning("go", (("city", "paris"),))
    assert world.meanings() == [paris, Meaning("go", (("city", "new york"),))]
    assert list(world.sources(paris).items()) == [  # most likely first
        ("the way to paris , fast ?", 3 / 4 * 3 / 4),
        ("how do i go to paris ?", 1 / 4),
        ("the way to paris , quickly ?", 3 / 4 * 1 / 4),
    ]
    expected = [("to paris !", 3 / 4), ("go to paris fast .", 3 / 16), ("go to paris quickly .", 1 / 16)]
    for source in world.sources(paris):
        assert list(world.support(source).items()) == expected
    assert world.vocabulary() == sorted("! , . ? do fast go how i new paris quickly the to way york".split())


def test_words_used_twice_are_drawn_twice(tmp_path: Path) -> None:
    world = make(tmp_path, TINY + "  target * 4 {fast} and {fast} .\n")
    support = world.support("how do i go to paris ?")
    assert support["fast and quickly ."] == support["quickly and fast ."] == 1 / 2 * 3 / 4 * 1 / 4
    assert support["fast and fast ."] == 1 / 2 * 9 / 16


def test_equal_strings_merge(tmp_path: Path) -> None:
    text = "world m\nwords x\n  a\n  a b\nwords y\n  c\n  b c\nframe f\n  source s\n  target {x} {y}\n"
    assert make(tmp_path, text).support("s") == {"a b c": 0.5, "a b b c": 0.25, "a c": 0.25}


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


def test_shared_source_mixes_over_meanings(tmp_path: Path) -> None:
    world = make(tmp_path, AMBIGUOUS)
    # p(hello | one) = 1, p(hello | other) = 1/4, so p(one | hello) = 4/5
    assert world.meanings_of("hello .") == {Meaning("one", ()): 0.8, Meaning("other", ()): 0.2}
    assert world.support("hello .") == pytest.approx({"both .": 0.5, "first .": 0.4, "second .": 0.1})
    drawn = Counter(world.sample("hello .", random.Random(i)) for i in range(4000))
    assert drawn["first ."] == pytest.approx(1600, abs=150)


@pytest.mark.parametrize("split", ["valid", "test"])
def test_source_of_a_held_out_meaning_is_held_out(tmp_path: Path, split: str) -> None:
    world = make(tmp_path, AMBIGUOUS)
    world.split_of = lambda meaning: split if meaning.frame == "other" else "train"
    assert world.split_sources("train") == []
    assert world.split_sources(split) == ["hello .", "good day ."]


# ---- a learner's own world


OWN = TINY + "".join(
    f"frame f{i}\n  source {word} in {{city}} ?\n  target i {word} in {{city}} .\n"
    for i, word in enumerate("live work stay sit run eat drink cook read write".split())
)


def test_own_world_by_path(tmp_path: Path) -> None:
    own = make(tmp_path, OWN)
    assert own.write_splits(pairs=100) == tmp_path / "tiny" == own.folder
    assert sorted(path.name for path in own.folder.iterdir()) == ["test.jsonl", "train.jsonl", "valid.jsonl"]
    train = worlds.load_split(own, "train")
    assert train.column_names == ["src", "trg"] and len(train) == 100
    assert all(row["trg"] in own.support(row["src"]) for row in train)
    assert len(worlds.load_split(tmp_path / "any.grammar", "test")) == 1000
    own.write_splits(tmp_path / "elsewhere", pairs=100)
    assert (tmp_path / "elsewhere/train.jsonl").read_bytes() == (own.folder / "train.jsonl").read_bytes()


def test_load_split_of_a_shipped_world() -> None:
    lines = World.load("question").split_text("valid").splitlines()
    assert list(worlds.load_split("question", "valid")) == [json.loads(line) for line in lines]


def test_a_compressed_split_is_read_and_stays_compressed(tmp_path: Path) -> None:
    own = make(tmp_path, OWN)
    own.write_splits(pairs=100)
    plain, packed = own.folder / "train.jsonl", own.folder / "train.jsonl.gz"
    text, sha256 = plain.read_bytes(), digest(plain)
    packed.write_bytes(gzip.compress(b"an older split"))
    assert own.split_path("train") == plain  # the plain file wins
    plain.unlink()
    own.write_splits(pairs=100)
    assert own.split_path("train") == packed and not plain.exists()
    assert gzip.decompress(packed.read_bytes()) == text and digest(packed) == sha256
    first = packed.read_bytes()
    own.write_splits(pairs=100)
    assert packed.read_bytes() == first  # no time of day in it
    assert worlds.load_split(own, "train")[99] == json.loads(text.splitlines()[99])
    packed.write_bytes(gzip.compress(b'{"src": "hello ."}\n'))
    with pytest.raises(InputError, match=r"train\.jsonl\.gz:1: no column 'trg'"):
        worlds.load_split(own, "train")


def test_unknown_names(tmp_path: Path) -> None:
    known = r"known: paraphrase, question, simplify; or give the path of a \.grammar file"
    with pytest.raises(InputError, match=rf"\"pharaphrase\" \(did you mean 'paraphrase'\?\); {known}"):
        World.load("pharaphrase")
    with pytest.raises(InputError, match=f"no world .*; {known}"):
        World.load(tmp_path)  # a folder is no grammar file
    world = make(tmp_path, TINY)
    with pytest.raises(InputError, match=r"no split \"tset\" \(did you mean 'test'\?\); choose one of"):
        world.split_sources("tset")
    with pytest.raises(InputError, match="any.grammar --build"):
        worlds.load_split(world, "test")
    with pytest.raises(InputError, match=r'no source "how do i go to rome \?"; the nearest is "how do'):
        world.support("how do i go to rome ?")
    world.split_of = lambda meaning: "train"
    with pytest.raises(InputError, match="world tiny has no valid source; add frames or fillers"):
        world.write_splits()
    assert not world.folder.exists()  # nothing half-written
