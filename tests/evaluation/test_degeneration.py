"""degeneration: every sign on constructed outputs, beside healthy ones."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
import torch
from tiny import random_table

from dlmone_lite.corpora.world import World
from dlmone_lite.errors import InputError
from dlmone_lite.evaluation.degeneration import (
    ADVICE,
    RULES,
    EarlyWarning,
    Signs,
    broken_off,
    diagnose,
    grip,
    margin,
    repeats,
    signs,
    variety,
)

SOURCES = ["can a cat run here", "can a dog run there", "can a fish run inside"]
HEALTHY = [[f"{animal} runs {how} {place}" for how in ("fast", "quickly") for _ in range(2)]
           for animal, place in (("cat", "here"), ("dog", "there"), ("fish", "inside"))]  # fmt: skip


@pytest.mark.parametrize(
    ("sentence", "looped"),
    [
        ("in in spain", True),
        ("a b a b", True),
        ("x to be or not to be or not", True),
        ("a b c d e a b c d e", False),  # five words: a sentence said twice is no loop
        ("the cat and the dog", False),
        ("a b [PAD] [PAD] c", False),
        ("again", False),
        ("", False),
    ],
)
def test_repetition(sentence: str, looped: bool) -> None:
    assert repeats(sentence) is looped


@pytest.mark.parametrize(
    ("sentence", "broken"), [("", True), ("a [PAD] b", True), ("[UNK]", True), ("a b", False)]
)
def test_broken_off(sentence: str, broken: bool) -> None:
    assert broken_off(sentence) is broken


def test_variety_counts_equally_frequent_sentences() -> None:
    assert variety(["a"] * 8) == 1 and variety(["a", "b", "c", "d"] * 2) == pytest.approx(4)
    assert (
        variety(["a", "a", "b", "b", "c"], least=2) == pytest.approx(2) and variety(["a", "b"], least=2) == 0
    )
    assert variety(["a"] * 7 + ["b"]) == pytest.approx(math.exp(-7 / 8 * math.log(7 / 8) + math.log(8) / 8))


def test_grip_is_lost_when_the_source_is_ignored() -> None:
    swapped = [HEALTHY[1], HEALTHY[2], HEALTHY[0]]
    ignoring = [[text for own in HEALTHY for text in own]] * 3
    assert grip(HEALTHY, SOURCES) == pytest.approx(1) and grip(ignoring, SOURCES) == pytest.approx(0)
    assert grip(swapped, SOURCES) < 0
    assert math.isnan(grip([["a b"], ["a b"]], ["one way", "one way"])), "no word tells the sources apart"


def test_margin_is_one_on_a_word_and_nothing_between_two() -> None:
    table = random_table(20, 8)
    assert margin(table[:5], table) == pytest.approx(1, abs=1e-3)
    first = torch.cdist(table[:1], table).argsort()[0, 1]
    assert margin((table[:1] + table[first]) / 2, table) == pytest.approx(0, abs=1e-4)


def test_signs_of_healthy_and_of_broken_outputs() -> None:
    healthy = signs(HEALTHY, SOURCES, margin=0.9)
    assert (healthy.repetition, healthy.empty, healthy.copy, healthy.margin) == (0, 0, 0, 0.9)
    assert healthy.variety == healthy.modes == pytest.approx(2) and math.isnan(healthy.lag)
    assert signs([["here here"] * 4] * 3, SOURCES).repetition == 1
    assert signs([["", "here", "here", "here"]] * 3, SOURCES).empty == 0.25
    assert signs([[source] * 4 for source in SOURCES], SOURCES).copy == 1
    assert signs([[texts[0]] * 4 for texts in HEALTHY], SOURCES).variety == 1


@pytest.mark.parametrize("texts", [HEALTHY[:1], [["a"], ["b"], ["c"]], HEALTHY[:2]])
def test_too_few_outputs_are_refused(texts: list[list[str]]) -> None:
    with pytest.raises(InputError, match="two or more"):
        signs(texts, SOURCES[: len(texts)] if len(texts) != 2 else SOURCES)


USUAL = Signs(0.01, 0.0, 0.0, 0.4, 6.0, 5.0, margin=0.8, discriminator=0.69)
FAILING = {
    "empty collapse": {"empty": 0.5},
    "repetition loop": {"repetition": 0.4},
    "copying": {"copy": 0.5},
    "condition ignored": {"grip": 0.1},
    "strong adversary": {"margin": 0.5},
    "off the words": {"margin": 0.5, "discriminator": math.nan},
    "mode collapse": {"modes": 2.0},
    "late psi": {"regret": 0.6},
}


@pytest.mark.parametrize("mechanism", RULES)
def test_each_failure_is_named_and_what_is_usual_is_not(mechanism: str) -> None:
    (finding,) = diagnose(replace(USUAL, **FAILING[mechanism]), USUAL)
    assert finding.mechanism == mechanism and ADVICE[mechanism][1] in str(finding)
    assert diagnose(USUAL, USUAL) == []


def test_the_first_finding_is_the_cause_of_the_others() -> None:
    silent = replace(USUAL, empty=1.0, grip=0.0, modes=1.0)
    named = [finding.mechanism for finding in diagnose(silent, USUAL)]
    assert named == ["empty collapse", "condition ignored", "mode collapse"]


def test_a_sign_that_is_nan_never_fires() -> None:
    nothing = Signs(*[math.nan] * 6)
    assert diagnose(nothing, USUAL) == [] and diagnose(replace(USUAL, modes=1.0), nothing) == []


def test_the_usual_margin_is_that_of_the_first_check_without_a_finding() -> None:
    warning = EarlyWarning(replace(USUAL, margin=math.nan))
    assert [f.mechanism for f in warning.check(replace(USUAL, modes=0.1, margin=0.2))] == ["mode collapse"]
    assert warning.check(USUAL) == [] and warning.usual.margin == USUAL.margin
    assert [f.mechanism for f in warning.check(replace(USUAL, margin=0.4))] == ["strong adversary"]
    assert warning.usual.margin == USUAL.margin


@pytest.mark.parametrize(("sources", "samples"), [(2, 2), (4, 3), (8, 3), (16, 4)])
def test_the_truth_itself_raises_no_alarm_from_few_samples(sources: int, samples: int) -> None:
    """Two draws of the exact distribution, compared; at most one alarm in forty."""
    world, alarms = World.load("paraphrase"), 0
    for seed in range(40):
        rng = random.Random(seed)
        chosen = rng.sample(sorted(world.split_sources("valid")), sources)
        one, two = ([[world.sample(s, rng) for _ in range(samples)] for s in chosen] for _ in range(2))
        alarms += bool(diagnose(signs(one, chosen), signs(two, chosen)))
    assert alarms <= 1


def test_enough_samples_find_a_collapse() -> None:
    world = World.load("paraphrase")
    for seed in range(10):
        rng = random.Random(seed)
        chosen = rng.sample(sorted(world.split_sources("valid")), 32)
        right = [[world.sample(s, rng) for _ in range(16)] for s in chosen]
        one_each = [[world.sample(s, rng)] * 16 for s in chosen]
        found = diagnose(signs(one_each, chosen), signs(right, chosen))
        assert [finding.mechanism for finding in found] == ["mode collapse"]
