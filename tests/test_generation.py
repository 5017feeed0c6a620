"""generate: text out of checkpoints, equal for equal seeds, in order; measurement of a known answer."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from tiny import SOURCES, ExactModel, make_codec, make_model, make_world, rng

from dlmone_lite import sample
from dlmone_lite.checkpoints.checkpoint import Checkpoint
from dlmone_lite.errors import InputError
from dlmone_lite.evaluation.measure import held_out_sources, measure
from dlmone_lite.evaluation.metrics import tv_floor, world_metrics
from dlmone_lite.generation import generate, generate_batch


@pytest.fixture
def world(tmp_path):
    return make_world(tmp_path)


@pytest.fixture
def codec(world):
    return make_codec(world)


@pytest.fixture
def oracle(world, codec):
    """A checkpoint whose network is the exact denoiser: its texts are right ones."""
    return Checkpoint(ExactModel(world, codec), codec, "tiny", "teacher")


@pytest.fixture
def student(codec):
    return Checkpoint(make_model(codec).eval(), codec, "tiny", "student", {"t_init": 1490})


def test_samples_stand_with_their_source(world, oracle):
    texts = generate(oracle, SOURCES, steps=20, samples=5)
    assert [len(row) for row in texts] == [5, 5, 5]
    for source, row in zip(SOURCES, texts, strict=True):
        assert set(row) <= set(world.support(source))
    assert any(len(set(row)) > 1 for row in texts)
    back = generate(oracle, SOURCES[::-1], steps=20, samples=5)
    for source, row in zip(SOURCES[::-1], back, strict=True):
        assert set(row) <= set(world.support(source))


def test_texts_depend_on_the_seed_alone(student):
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = generate(student, SOURCES, steps=2, samples=4, seed=3)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    done = []
    again = generate(student, SOURCES, steps=2, samples=4, seed=3, progress=lambda i, n: done.append((i, n)))
    assert again == first and done == [(12, 12)]
    assert generate(student, SOURCES, steps=2, samples=4, seed=4) != first
    # Samples of one source differ, for each row has its own noise.
    assert all(len(set(row)) > 1 for row in first)


def test_chunks_cover_every_row_with_their_own_noise(student):
    done = []
    texts = generate(
        student, [SOURCES[0]], samples=11, seed=1, batch_size=4, progress=lambda i, n: done.append((i, n))
    )
    assert done == [(4, 11), (8, 11), (11, 11)] and len(texts) == 1 and len(texts[0]) == 11
    whole = generate(student, [SOURCES[0]], samples=4, seed=1)
    assert texts[0][:4] == whole[0]  # the first chunk is a run of its own
    assert texts[0][:4] != texts[0][4:8]  # the next one does not repeat its noise


def note(calls, t, x_t, x0_hat):
    calls.append(t)


def test_generation_is_the_named_samplers(oracle, student):
    for made, steps in [(oracle, 7), (student, 1), (student, 3)]:
        model, batch = made.model, made.codec.encode(SOURCES)
        with torch.no_grad():
            clean = model.embed(batch.ids)
            if made is student:
                x = sample.student(
                    model, model.schedule, batch, clean, t_init=1490, steps=steps, generator=rng(5)
                )
            else:
                x = sample.ancestral(model, model.schedule, batch, clean, steps=steps, generator=rng(5))
        calls = []
        trace = partial(note, calls)
        found = generate_batch(made, batch, steps=steps, generator=rng(5), trace=trace)
        assert torch.equal(found, x) and len(calls) == steps  # steps is the NFE
        assert not found.requires_grad
        seeded = generate_batch(made, batch, steps=steps, generator=rng(4 * 1_000_003))
        texts = generate(made, SOURCES, steps=steps, seed=4)
        assert texts == [[text] for text in made.codec.decode(model.round(seeded))]


def test_clamping_rounds_inside_the_loop(codec):
    made = Checkpoint(make_model(codec, output="linear").eval(), codec, "tiny", "teacher")
    batch, seen = codec.encode(SOURCES), []
    x = generate_batch(
        made, batch, steps=4, generator=rng(), clamp=True, trace=lambda t, x_t, x0_hat: seen.append(x0_hat)
    )
    table = made.model.embedding().detach()
    for x0_hat in [*seen, x]:
        assert torch.cdist(x0_hat.flatten(0, 1), table).min(1).values.max() < 1e-2
    free = generate_batch(made, batch, steps=4, generator=rng())
    assert torch.cdist(free.flatten(0, 1), table).min(1).values.max() > 0.1


def test_mistakes_are_named(student, oracle):
    with pytest.raises(InputError, match="samples must be at least 1, got 0"):
        generate(student, SOURCES, samples=0)
    for made in (student, oracle):
        with pytest.raises(InputError, match="steps must be at least 1, got 0"):
            generate(made, SOURCES, steps=0)
    with pytest.raises(InputError, match="between 1 and 1490"):
        generate(student, SOURCES, steps=1491)
    with pytest.raises(InputError, match="'cta'.*did you mean 'cat'"):
        generate(student, ["can a cta run here"])
    with pytest.raises(InputError, match="at least one"):
        generate(student, [])


def test_held_out_sources(world):
    known = world.split_sources("train")
    some = held_out_sources(world, 5, "train")
    assert some == held_out_sources(world, 5, "train") and len(set(some)) == 5 and set(some) <= set(known)
    assert held_out_sources(world, 5, "train", seed=1) != some
    assert set(held_out_sources(world, len(known), "train")) == set(known)
    assert set(held_out_sources(world, 1)) <= set(world.split_sources("test"))
    for count in (0, len(known) + 1):
        with pytest.raises(InputError, match=f"tiny has {len(known)} train sources, asked for {count}"):
            held_out_sources(world, count, "train")


def test_measuring_the_truth(world, oracle):
    """The exact denoiser is valid everywhere and as far from the truth as samples of the truth are."""
    result = measure(oracle, world, steps=60, sources=4, samples=60, split="train", seed=2)
    assert (result["nfe"], result["sources"], result["samples"]) == (60, 4, 60)
    assert result["validity"] == 1.0 and result["seconds"] > 0
    support = world.support(SOURCES[0])  # all sources have the same probabilities
    assert result["tv_floor"] == pytest.approx(tv_floor(support, 60))
    assert result["tv"] < 2.5 * result["tv_floor"]
    chosen = held_out_sources(world, 4, "train")
    texts = generate(oracle, chosen, steps=60, samples=60, seed=2)
    expected = world_metrics(texts, [world.support(source) for source in chosen])
    assert {k: v for k, v in result.items() if k in expected} == expected


def test_measuring_nonsense(world, student):
    result = measure(student, world, steps=1, sources=3, samples=10, split="train")
    assert result["validity"] < 0.2 and result["tv"] > 0.8  # untrained weights
    assert math.isclose(result["nfe"], 1)
