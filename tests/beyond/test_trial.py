"""What the experiments share: scores against the exact truth, and records."""

from __future__ import annotations

import math
import random
from collections import Counter
from pathlib import Path

import pytest
import torch
from tiny import make_codec, make_model, make_world

from dlmone_lite.beyond import trial
from dlmone_lite.checkpoints.checkpoint import Checkpoint
from dlmone_lite.corpora.pocket import lab_world
from dlmone_lite.generation import generate

SUPPORT = {"a b": 0.5, "a c": 0.5}


def slips(words: int, slip: float, text: list[str], target: list[str]) -> float:
    """p(text | target) of a writer that replaces each word with probability `slip` by any of `words`."""
    keep = 1 - slip + slip / words
    return math.prod(keep if a == b else slip / words for a, b in zip(text, target, strict=True))


def test_the_parts_of_the_kl_are_those_of_the_slipping_truth() -> None:
    texts = ["a b"] * 60 + ["a c"] * 30 + ["a"] * 10
    cross, entropy = trial.kl_parts(texts, SUPPORT, words=4, length=3, slip=0.1)
    p = {}
    for text in ("a b", "a c", "a"):
        own = [*text.split(), "", ""][:3]
        p[text] = sum(q * slips(4, 0.1, own, [*t.split(), ""]) for t, q in SUPPORT.items())
    counts = Counter(texts)
    assert cross == pytest.approx(-sum(n / 100 * math.log(p[text]) for text, n in counts.items()))
    plain = -sum(n / 100 * math.log(n / 100) for n in counts.values())
    assert entropy == pytest.approx(plain + 2 / 200)


def test_the_kl_of_true_samples_is_nearly_nothing_and_grows_with_every_fault() -> None:
    world, dice = lab_world(), random.Random(0)
    sources = trial.sources_of("pocket")
    good = [[world.sample(source, dice) for _ in range(trial.SAMPLES)] for source in sources]
    one = [[own[0]] * trial.SAMPLES for own in good]
    wrong = [[" ".join(own[0].split()[:-1])] * 40 + own[40:] for own in good]
    scores = {
        name: trial.score_texts(own, "pocket")
        for name, own in (("good", good), ("one", one), ("wrong", wrong))
    }
    assert abs(scores["good"]["kl"]) < 0.1 < scores["one"]["kl"] < scores["wrong"]["kl"]
    assert scores["one"]["entropy"] == 0 and scores["one"]["validity"] == 1
    assert scores["good"]["perplexity"] == pytest.approx(math.exp(scores["good"]["cross_entropy"]))


def test_noise_as_loud_as_in_training_is_the_students_own_sampler(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    codec = make_codec(world)
    student = Checkpoint(make_model(codec), codec, "tiny", "student", {"t_init": 1490, "rho": 1.0})
    sources = world.split_sources("train")[:3]
    same = generate(student, sources, samples=5, seed=3)
    chunk = 3 * 1_000_003  # `generate` seeds its first chunk so
    assert trial.louder(student, sources, 5, chunk, 1.0) == same
    assert trial.louder(student, sources, 5, chunk, 3.0) != same


def test_an_untrained_network_has_the_teachers_words_alone(tmp_path: Path) -> None:
    teacher = make_model(make_codec(make_world(tmp_path)))
    before = torch.get_rng_state()
    one, other = trial.untrained(teacher, 1), trial.untrained(teacher, 2)
    assert torch.equal(one.words, teacher.words) and torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(one.up.weight, teacher.up.weight)
    assert not torch.equal(one.up.weight, other.up.weight)
