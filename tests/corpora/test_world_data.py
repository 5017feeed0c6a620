"""The shipped worlds: sampling reaches their supports, the data is what the grammars say, nothing leaks."""

from __future__ import annotations

import errno
import itertools
import os
import random
import re
from collections import Counter

import pets
import pytest

from dlmone_lite.corpora import world as worlds
from dlmone_lite.corpora import world_report
from dlmone_lite.corpora.tables import read_jsonl
from dlmone_lite.corpora.world import SPLITS, World
from dlmone_lite.errors import InputError
from dlmone_lite.files import read_bytes

NAMES = ["paraphrase", "question", "simplify"]


@pytest.fixture(scope="module", params=NAMES)
def world(request: pytest.FixtureRequest) -> World:
    return World.load(request.param)


@pytest.fixture(scope="module")
def supports(world: World) -> dict[str, dict[str, float]]:
    return {source: world.support(source) for split in worlds.SPLITS for source in world.split_sources(split)}


def rows(world: World, split: str) -> list[tuple[str, str]]:
    return [(row["src"], row["trg"]) for row in read_jsonl(world.split_path(split), need=("src", "trg"))]


def chi_square_z(counts: Counter, probabilities: dict[str, float]) -> float:
    """Standard score of Pearson's statistic (Wilson-Hilferty); above 4 the counts are not from these."""
    n, k = sum(counts.values()), len(probabilities) - 1
    statistic = sum((counts[x] - n * p) ** 2 / (n * p) for x, p in probabilities.items())
    return ((statistic / k) ** (1 / 3) - (1 - 2 / (9 * k))) / (2 / (9 * k)) ** 0.5


def test_supports_are_what_sampling_reaches(world: World, supports: dict[str, dict[str, float]]) -> None:
    generator, wrong = random.Random(1), []
    for frame in world.frames.values():
        meaning = generator.choice([m for m in world.meanings() if m.frame == frame.name])
        source = generator.choice(list(world.sources(meaning)))
        drawn = Counter(world.sample(source, generator) for _ in range(2000))
        assert set(drawn) == set(supports[source])
        assert chi_square_z(drawn, supports[source]) < 4
        wrong.append(chi_square_z(drawn, dict.fromkeys(drawn, 1 / len(drawn))))
    assert min(wrong) > 4  # the check has power: no frame's targets are equally likely


def test_supports_sum_to_one_in_falling_order(supports: dict[str, dict[str, float]]) -> None:
    for support in supports.values():
        values = list(support.values())
        assert sum(values) == pytest.approx(1, abs=1e-12)
        assert values == sorted(values, reverse=True)


def test_support_is_a_copy(world: World) -> None:
    source = world.split_sources("test")[0]
    world.support(source).clear()
    assert len(world.support(source)) >= 6


def test_shipped_worlds_have_no_warning(world: World) -> None:
    assert World.names() == NAMES
    assert world_report.warnings(world) == []


def test_sizes(world: World, supports: dict[str, dict[str, float]]) -> None:
    about = world_report.describe(world)
    assert about["frames"] == 8 and 3000 <= len(supports) <= 3500
    assert sum(about["sources"].values()) == len(supports)
    assert sum(about["meanings"].values()) == len(world.meanings())
    assert about["target_length"]["median"] <= 8
    for source, support in supports.items():
        assert len(source.split()) <= world.max_source == 11
        assert all(len(target.split()) <= world.max_target == 11 for target in support)
        assert 6 <= len(support) <= 8 and min(support.values()) >= 0.04
    for frame in world.frames.values():
        assert len(frame.slots) == 2 and 4 <= len(frame.sources) <= 6 and 5 <= len(frame.targets) <= 6


def test_right_targets_differ_clearly(world: World, supports: dict[str, dict[str, float]]) -> None:
    """At most one pair of a source's right targets differs in a single word: its synonym."""
    for frame in world.frames.values():
        source = next(iter(world.sources(next(m for m in world.meanings() if m.frame == frame.name))))
        pairs = itertools.combinations([set(target.split()) for target in supports[source]], 2)
        assert sum(len(one - two) <= 1 and len(two - one) <= 1 for one, two in pairs) <= 1, source


def test_articles_and_repetitions(supports: dict[str, dict[str, float]]) -> None:
    for sentence in {text for source, support in supports.items() for text in (source, *support)}:
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", sentence), sentence
        assert not re.search(r"\b(\w+) \1\b|[.,?!] [.,?!]", sentence), sentence
        assert re.search(r"[.?]$", sentence), sentence


def test_shared_vocabulary_is_the_union() -> None:
    words = [World.load(name).vocabulary() for name in NAMES]
    vocabulary = worlds.shared_vocabulary()
    assert vocabulary.words[3:] == list(dict.fromkeys(itertools.chain.from_iterable(words)))
    assert sorted(vocabulary.words[3:]) == sorted(set().union(*words))
    assert 250 <= len(vocabulary) <= 353  # with the three special tokens
    for ours in words:  # transfer between worlds needs words in common
        others = set().union(*(theirs for theirs in words if theirs is not ours))
        assert len(set(ours) & others) > 0.6 * len(ours)


@pytest.mark.parametrize("split", worlds.SPLITS)
def test_shipped_data_is_what_the_grammar_says(world: World, split: str) -> None:
    assert read_bytes(world.split_path(split)) == world.split_text(split).encode()


def test_train_pairs(world: World, supports: dict[str, dict[str, float]]) -> None:
    pairs = rows(world, "train")
    assert len(pairs) == 48_000
    assert all(target in supports[source] for source, target in pairs)
    draws = Counter(source for source, _ in pairs)
    assert set(draws) == set(world.split_sources("train"))
    assert max(draws.values()) - min(draws.values()) <= 1 and min(draws.values()) >= 8


@pytest.mark.parametrize("split", ["valid", "test"])
def test_held_out_pairs(world: World, supports: dict[str, dict[str, float]], split: str) -> None:
    pairs, distinct = rows(world, split), len(world.split_sources(split))
    assert len(pairs) == 1000 and all(target in supports[source] for source, target in pairs)
    assert len({source for source, _ in pairs[:distinct]}) == distinct  # every source once, then again


def test_nothing_held_out_is_in_train(world: World) -> None:
    said = {split: {source for source, _ in rows(world, split)} for split in worlds.SPLITS}
    meant = {split: {m for text in texts for m in world.meanings_of(text)} for split, texts in said.items()}
    for one, two in (("train", "valid"), ("train", "test"), ("valid", "test")):
        assert not said[one] & said[two] and not meant[one] & meant[two]
    assert 0.08 < len(meant["test"]) / len(world.meanings()) < 0.16
    fillers = {split: {value for m in meant[split] for value in m.values} for split in worlds.SPLITS}
    assert fillers["valid"] | fillers["test"] <= fillers["train"]  # new combinations, no new parts
    assert {m.frame for m in meant["test"]} <= {m.frame for m in meant["train"]}


def test_split_sources_speak_for_their_meanings(world: World) -> None:
    for split in worlds.SPLITS:
        for source in world.split_sources(split):
            assert {world.split_of(meaning) for meaning in world.meanings_of(source)} == {split}


def test_seed_changes_the_draws(world: World) -> None:
    assert list(world.pairs("test", 20, seed=1)) == list(world.pairs("test", 20, seed=1))
    assert list(world.pairs("test", 20, seed=1)) != list(world.pairs("test", 20, seed=2))


def test_splits_are_written_all_or_none(tmp_path, monkeypatch):
    """A full disk at any of the three leaves the old ones, and so does a folder in the way of one."""
    grammar = tmp_path / "pets.grammar"
    grammar.write_text(pets.GRAMMAR, encoding="utf-8")
    world = World.load(grammar)
    world.write_splits(pairs=50)
    old = {split: world.split_path(split).read_bytes() for split in SPLITS}
    fsync = os.fsync
    for full_at in (1, 2, 3):
        calls = []

        def full(descriptor, calls=calls, full_at=full_at):
            calls.append(descriptor)
            if len(calls) == full_at:
                raise OSError(errno.ENOSPC, "No space left on device")
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(InputError, match="No space left.*what was there before is intact"):
            world.write_splits(pairs=60)
        assert {split: world.split_path(split).read_bytes() for split in SPLITS} == old
    monkeypatch.setattr(os, "fsync", fsync)

    world.split_path("valid").unlink()
    world.split_path("valid").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        world.write_splits(pairs=60)
    assert world.split_path("train").read_bytes() == old["train"]
    assert not [path for path in world.folder.iterdir() if path.name.endswith(".tmp")]
