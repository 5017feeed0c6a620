"""pairs: references counted by hand, every pair drawn as often."""

from __future__ import annotations

import math

import pytest
import torch
from tiny import make_codec, make_pairs, make_world, rng

from dlmone_lite.corpora.pairs import PairedText, one_row_per_source
from dlmone_lite.errors import InputError

CUT = 6


@pytest.fixture
def codec(tmp_path):
    return make_codec(make_world(tmp_path))


@pytest.fixture
def pairs(tmp_path, codec):
    return make_pairs(make_world(tmp_path), codec)


def test_paired_text_counts_references(codec):
    s, other = "can a cat run here", "can a dog run there"
    a, b, c = "cat runs fast here", "cat runs quickly here", "dog runs fast there"
    pairs = PairedText([s, s, other, s, s], [a, b, c, a, a], codec)
    assert len(pairs) == 5
    batch, references, log_share = pairs.rows(torch.tensor([3, 2]))
    assert codec.sources(batch) == [s, other] and codec.decode(batch.ids) == [a, c]
    block = {text: codec.encode([s], [text]).ids[0, CUT:].tolist() for text in (a, b, c)}
    assert references[0].tolist() == [block[a], block[b]] and references[1, 0].tolist() == block[c]
    assert log_share.exp().tolist()[0] == pytest.approx([0.75, 0.25])
    assert log_share[1].tolist() == [0.0, -math.inf]  # a place that no reference fills
    with pytest.raises(InputError, match="2 sources and 1 targets"):
        PairedText([s, s], [a], codec)
    with pytest.raises(InputError, match="0 sources"):
        PairedText([], [], codec)


def test_draws_are_uniform_over_pairs(pairs):
    n = 7200
    counts = torch.bincount(pairs.draw(n, rng(1)), minlength=len(pairs)).double()
    assert len(pairs) == 36
    chi = float((counts - n / 36).square().sum() / (n / 36))
    assert chi < 35 + 4 * math.sqrt(2 * 35)
    assert torch.equal(pairs.draw(50, rng(2)), pairs.draw(50, rng(2)))


def test_one_row_per_source_names_every_source_once(codec, pairs):
    rows = one_row_per_source(pairs, 0, rng(1))
    assert sorted(pairs.group[rows].tolist()) == [0, 1, 2]
    assert len(one_row_per_source(pairs, 2, rng(1))) == 2 and len(one_row_per_source(pairs, 9, rng(1))) == 3
    orders = {tuple(one_row_per_source(pairs, 0, rng(seed)).tolist()) for seed in range(20)}
    assert orders != {tuple(rows.tolist())}
