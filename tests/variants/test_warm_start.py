"""warmstart: the teacher's shares read off its mean, the pairing of noise and sentences, and the run."""

from __future__ import annotations

import pytest
import torch
from tiny import make_codec, make_model, make_pairs, make_world, rng, same_weights

from dlmone_lite.errors import InputError
from dlmone_lite.exact import ExactDenoiser
from dlmone_lite.training.seeds import generator_at
from dlmone_lite.variants.warm_start import WarmStartConfig, WarmStartRun


@pytest.fixture
def codec(tmp_path):
    return make_codec(make_world(tmp_path))


@pytest.fixture
def pairs(codec, tmp_path):
    return make_pairs(make_world(tmp_path), codec)


def make_run(codec, pairs, **changes):
    settings = {"steps": 4, "batch_size": 16, "sources": 0, "samples": 5, "nfe": 3, "precision": "float32"}
    return WarmStartRun(make_model(codec), pairs, WarmStartConfig(**{**settings, **changes}))


def test_a_perfect_teachers_mean_tells_the_shares_better_than_counting(codec, pairs, tmp_path):
    """Under the exact denoiser, x0_hat averaged early in the path is E[x0 | source]; counting is rougher."""
    world = make_world(tmp_path)
    run = make_run(codec, pairs, samples=48, nfe=12)
    exact = ExactDenoiser(world.support, codec, run.phi.embedding(), run.phi.schedule)
    run.phi.forward = lambda x_t, t, batch: exact(x_t, t, batch)
    list(run.prepare())
    read, counted = [], []
    for row, ids, share in zip(run.pool.rows.tolist(), run.pool.ids, run.pool.share):
        truth = world.support(codec.sources(pairs.batch[[row]])[0])
        texts = [codec.vocabulary.text(sentence) for sentence in ids.tolist()]
        assert set(texts) == set(truth), "every sentence is found, and no wrong one"
        mine = {t: sum(float(p) for text, p in zip(texts, share) if text == t) for t in truth}
        read.append(sum(abs(mine[t] - p) for t, p in truth.items()) / 2)
        counted.append(sum(abs(texts.count(t) / len(texts) - p) for t, p in truth.items()) / 2)
    assert max(read) < 0.06 and sum(read) < 0.6 * sum(counted)


def test_the_student_tells_the_shares_that_it_has_learned(codec, pairs):
    """A student that draws its borders elsewhere than the pool: reading again moves the pool's to them."""
    run = make_run(codec, pairs, samples=4)
    list(run.prepare())
    run.pool.share.copy_(torch.tensor([0.4, 0.3, 0.2, 0.1]).expand(3, 4))
    run.pool.ids.copy_(torch.randint(3, 9, (1, 4, codec.target_length), generator=rng(3)).expand(3, -1, -1))
    edges, cut, table = torch.tensor([0.25, 0.375, 0.5]), codec.source_length, run.phi.embedding()

    def learned(x_t, t, batch):
        score = x_t[:, cut] @ run.pool.direction / run.phi.schedule(1490)[1]
        place = torch.searchsorted(edges, torch.special.ndtr(score))
        return torch.cat([x_t[:, :cut], table[run.pool.ids[0, place]]], 1)

    run.ema.model.forward = learned
    ids = run.pool.ids.clone()
    run.refit_shares(rng(0))
    expected = torch.tensor([0.25, 0.125, 0.125, 0.5]).expand(3, 4)
    assert torch.allclose(run.pool.share, expected, atol=0.01) and torch.equal(run.pool.ids, ids)


def test_the_shares_are_refitted_once(codec, pairs, monkeypatch):
    seen = []
    monkeypatch.setattr(WarmStartRun, "refit_shares", lambda self, generator: seen.append(self.step))
    for reread_at, expected in ((0.5, [2]), (0.0, []), (1.0, [])):
        run = make_run(codec, pairs, reread_at=reread_at)
        list(run.prepare())
        list(run)
        assert seen == expected
        seen.clear()


def test_the_run_learns_its_pool(codec, pairs):
    run = make_run(codec, pairs, steps=150, batch_size=32, lr=5e-3, lr_muon=0.02)
    with pytest.raises(InputError, match="no sentences yet; exhaust prepare"):
        run.advance()
    assert [done for done in run.prepare()] == [(3, 3)] and list(run.prepare()) == []
    assert torch.allclose(run.pool.share.sum(1), torch.ones(3))
    values = [step.losses["regression"] for step in run]
    assert sum(values[-10:]) < 0.7 * sum(values[:10])
    teacher = make_model(codec)
    assert same_weights(run.phi, teacher) and torch.equal(run.theta.words, teacher.words)
    assert not same_weights(run.result, teacher)


@pytest.mark.parametrize("stop", ["in the pool", "in training"])
def test_a_resumed_warm_start_equals_an_uninterrupted_one(codec, pairs, tmp_path, stop):
    whole, first, second = (make_run(codec, pairs, samples=4) for _ in range(3))
    for run in (whole, first, second):
        run.rows_per_call = 4  # one source at a time
    assert [done for done, _ in whole.prepare()] == [1, 2, 3]
    steps = list(whole)
    if stop == "in the pool":
        next(first.prepare())
    else:
        list(first.prepare())
        first.advance()
    first.save(tmp_path / "state.safetensors")
    second.load(tmp_path / "state.safetensors")
    list(second.prepare())
    again = list(second)
    assert [s.losses for s in again] == [s.losses for s in steps[-len(again) :]]
    assert same_weights(second.result, whole.result)


def test_the_noise_that_decides_is_the_first_targets(codec, pairs):
    run = make_run(codec, pairs, batch_size=64, keep=0.0)
    list(run.prepare())
    seen = {}
    sentences_at = run.pool.sentences_at

    def recorded(source, score):
        seen["score"] = score
        return sentences_at(source, score)

    run.pool.sentences_at = recorded
    assert set(run.advance().losses) == {"regression"}
    generator = generator_at(run.config.seed, 1)
    torch.randint(3, (64,), generator=generator)
    z = torch.randn((64, codec.length, 8), generator=generator)
    assert torch.allclose(seen["score"], z[:, codec.source_length] @ run.pool.direction)


def test_kept_rows_are_denoising_with_noise_of_their_own(codec, pairs):
    """Below t_init the student sees alpha x + sigma z, x drawn without regard to z; the rest sees sigma z."""
    run = make_run(codec, pairs, batch_size=256, keep=0.5)
    list(run.prepare())
    seen, forward, sentences_at = {}, run.theta.forward, run.pool.sentences_at

    def recorded(source, score):
        seen["score"], seen["ids"] = score, sentences_at(source, score)
        return seen["ids"]

    run.pool.sentences_at = recorded
    run.theta.forward = lambda x, t, batch: seen.update(x=x, t=t) or forward(x, t, batch)
    losses = run.advance().losses
    assert set(losses) == {"regression", "denoising"}
    cut, (kept, rest) = codec.source_length, (slice(0, 128), slice(128, 256))
    assert (seen["t"][rest] == 1490).all() and seen["t"][kept].max() <= 1303 and seen["t"][kept].min() < 200
    words = run.phi.embedding()[seen["ids"]]
    alpha, sigma = run.phi.schedule.like(seen["t"], words)
    noise = (seen["x"][:, cut:] - alpha * words) / sigma
    assert noise[kept].std() == pytest.approx(1, abs=0.02)
    along = noise[:, 0] @ run.pool.direction
    assert torch.corrcoef(torch.stack([along[kept], seen["score"][kept]]))[0, 1].abs() < 0.3
    along = seen["x"][rest, cut] @ run.pool.direction / sigma[rest, 0, 0]
    assert torch.allclose(along, seen["score"][rest], atol=1e-5)
