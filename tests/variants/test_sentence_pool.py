"""pool: shares read off a mean, the order of the sentences, and the noise that picks them."""

from __future__ import annotations

import pytest
import torch
from tiny import SHARES, make_codec, make_model, make_pairs, make_world, normal, rng

from dlmone_lite.corpora.pairs import one_row_per_source
from dlmone_lite.variants.sentence_pool import Pool, shares


@pytest.fixture
def codec(tmp_path):
    return make_codec(make_world(tmp_path))


@pytest.fixture
def pairs(codec, tmp_path):
    return make_pairs(make_world(tmp_path), codec)


def true_pool(codec, pairs, world, sources):
    """A pool that holds every right target once, its shares read off the true mean."""
    embedding = make_model(codec).embedding().detach()
    pool = Pool(one_row_per_source(pairs, 0, rng(0)), 6, codec.target_length, embedding.shape[1])
    for row in pool.rows.tolist():
        targets = list(world.support(codec.sources(pairs.batch[[row]])[0]).items())
        texts = [text for text, _ in targets] + [targets[0][0], targets[2][0]]  # two of them twice
        ids = codec.encode([sources[0]] * 6, texts).ids[:, codec.source_length :]
        p = torch.tensor([p for _, p in targets])
        mean = (p[:, None, None] * embedding[ids[:4]]).sum(0)
        pool.append(ids[None], mean[None], embedding)
    return pool, embedding


def test_shares_are_the_weights_that_make_the_mean():
    points = normal(3, 5, 40, seed=1)
    truth = torch.tensor([[0.5, 0.3, 0.2, 0, 0], [0.05, 0.9, 0, 0.05, 0], [0.2, 0.2, 0.2, 0.2, 0.2]])
    candidate = torch.ones(3, 5, dtype=torch.bool)
    candidate[0, 4] = False
    p = shares((truth[..., None] * points).sum(1), points, candidate)
    assert torch.allclose(p, truth, atol=0.01) and p[0, 4] == 0
    assert torch.allclose(p.sum(1), torch.ones(3))


def test_a_mean_outside_the_hull_gives_the_nearest_point():
    points = torch.eye(2)[None]  # the segment from (1, 0) to (0, 1)
    p = shares(torch.tensor([[2.0, 0.5]]), points, torch.ones(1, 2, dtype=torch.bool), iterations=20000)
    assert torch.allclose(p, torch.tensor([[1.0, 0.0]]), atol=0.01)


def test_noise_picks_each_sentence_as_often_as_it_should(codec, pairs, tmp_path):
    """The pushforward of a standard normal number is the world's exact conditional distribution."""
    world = make_world(tmp_path)
    pool, _ = true_pool(codec, pairs, world, codec.sources(pairs.batch))
    assert pool.full
    score = torch.special.ndtri((torch.arange(4000) + 0.5) / 4000)
    for i, row in enumerate(pool.rows.tolist()):
        picked = codec.decode(
            torch.cat(
                [
                    pairs.batch.ids[[row], : codec.source_length].expand(4000, -1),
                    pool.sentences_at(torch.full((4000,), i), score),
                ],
                1,
            )
        )
        truth = world.support(codec.sources(pairs.batch[[row]])[0])
        assert sorted(truth.values(), reverse=True) == pytest.approx(SHARES)
        assert {text: picked.count(text) / 4000 for text in truth} == pytest.approx(dict(truth), abs=0.01)


def test_sentences_stand_in_order_along_the_main_axis(codec, pairs, tmp_path):
    pool, embedding = true_pool(codec, pairs, make_world(tmp_path), codec.sources(pairs.batch))
    place = embedding[pool.ids].sum(2) @ pool.direction
    assert (place.diff(dim=1) >= 0).all() and float(pool.direction.norm()) == pytest.approx(1)
    sums, weight = embedding[pool.ids].sum(2), pool.share[..., None]

    def spread(direction):
        centred = (sums - (weight * sums).sum(1, keepdim=True)) @ direction
        return float((pool.share * centred.square()).sum())

    others = [torch.nn.functional.normalize(normal(embedding.shape[1], seed=s), dim=0) for s in range(50)]
    assert spread(pool.direction) >= max(map(spread, others))


def test_reading_again_keeps_sentences_and_order(codec, pairs, tmp_path):
    pool, embedding = true_pool(codec, pairs, make_world(tmp_path), codec.sources(pairs.batch))
    ids, before = pool.ids.clone(), pool.share.clone()
    other = before.flip(1) * (before > 0)
    other = other / other.sum(1, keepdim=True)
    mean = (other[..., None, None] * embedding[pool.ids]).sum(1)
    pool.refit_shares(slice(0, 3), mean, embedding)
    assert torch.equal(pool.ids, ids) and torch.allclose(pool.share, other, atol=0.02)
    assert not torch.allclose(before, other, atol=0.05)
