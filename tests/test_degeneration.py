"""degeneration: every sign on outputs made for it, healthy ones beside them."""

from __future__ import annotations

import math

import pytest
import torch
from tiny import make_codec, make_model, make_pairs, make_world, normal, random_table, rng

from dlmone_lite.degeneration import broken_off, grip, lag, margin, repeats, signs, variety
from dlmone_lite.distill import DistillConfig, DistillRun
from dlmone_lite.errors import InputError
from dlmone_lite.sample import anchor

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
    assert variety(["a", "a", "b", "b", "c"], least=2) == pytest.approx(2) and variety(["a", "b"], least=2) == 0
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
def test_too_little_to_look_at_is_refused(texts: list[list[str]]) -> None:
    with pytest.raises(InputError, match="two or more"):
        signs(texts, SOURCES[: len(texts)] if len(texts) != 2 else SOURCES)


def test_lag_written_out(tmp_path) -> None:
    world = make_world(tmp_path)
    codec = make_codec(world)
    config = DistillConfig(precision="float32", t_min=900)
    run = DistillRun(make_model(codec), make_pairs(world, codec), config)
    assert math.isnan(lag(run)), "psi is the teacher: there is no gap to divide by"
    run.psi.load_state_dict(make_model(codec, seed=1).state_dict())
    generator = rng(9_000_011)
    batch = run.data.batch[run.data.draw(16, generator)]
    clean = run.phi.embed(batch.ids)
    z, noise = torch.randn(clean.shape, generator=generator), torch.randn(clean.shape, generator=generator)
    t = torch.randint(900, config.t_max + 1, (16,), generator=generator)
    with torch.no_grad():
        x_g = run.generate(batch, clean, z)
        x_t = anchor(run.phi.schedule.diffuse(x_g, t, noise), clean, batch)
        f_phi, f_psi = (network(x_t, t, batch)[:, 6:] for network in (run.phi, run.psi))
    gap = f_phi - f_psi
    assert lag(run, rows=16) == pytest.approx(
        float((gap * (f_psi - x_g[:, 6:])).sum() / (gap**2).sum()), rel=1e-5
    )


def test_a_psi_that_knows_the_student_has_no_lag(tmp_path) -> None:
    """The student says one thing per row, whatever the noise: then its exact posterior mean is that thing."""
    world = make_world(tmp_path)
    codec = make_codec(world)
    run = DistillRun(make_model(codec), make_pairs(world, codec), DistillConfig(precision="float32"))
    said = normal(1, codec.length, 8, seed=5)
    run.generate = lambda batch, clean, z: said.expand(len(batch), -1, -1)
    run.psi = lambda x_t, t, batch: said.expand(len(batch), -1, -1)
    assert lag(run) == pytest.approx(0, abs=1e-6)
    run.psi = lambda x_t, t, batch: said.expand(len(batch), -1, -1) + 0.1 * (run.phi(x_t, t, batch) - said)
    assert lag(run) == pytest.approx(1 / 9, rel=1e-3), "a tenth of the way back to the teacher"
