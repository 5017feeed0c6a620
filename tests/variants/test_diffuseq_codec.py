"""layout: DiffuSeq's row by hand; nothing is lost on the way there and back."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny import same_weights

from dlmone_lite.checkpoints import checkpoint
from dlmone_lite.checkpoints.checkpoint import Checkpoint, network
from dlmone_lite.corpora.pairs import PairedText
from dlmone_lite.corpora.real_text import fitting
from dlmone_lite.corpora.word_pieces import WordPieces
from dlmone_lite.errors import InputError
from dlmone_lite.generation import generate
from dlmone_lite.model import preset, sized
from dlmone_lite.teacher import DIFFUSEQ, TeacherRun
from dlmone_lite.text import PAD, SEP, Vocabulary
from dlmone_lite.variants.diffuseq_codec import DiffuSeqCodec

LINES = ["a heron nests here", "here nests a heron", "two herons"]


@pytest.fixture(scope="module")
def codec() -> DiffuSeqCodec:
    return DiffuSeqCodec(WordPieces.learn(LINES * 3, 60), 0, 16)


def test_the_row_by_hand(codec):
    words = codec.vocabulary
    left, right = words.ids("two herons"), words.ids("a heron")
    batch = codec.encode(["two herons"], ["a heron"])
    row = [codec.cls, *left, SEP, SEP, codec.cls, *right, SEP]
    assert batch.ids.tolist() == [row + [PAD] * (16 - len(row))]
    begin = len(left) + 3
    assert batch.target.tolist() == [[i >= begin for i in range(16)]]
    assert codec.decode(batch.ids) == ["a heron"] and codec.sources(batch) == ["two herons"]


def test_what_is_to_be_generated_is_padding(codec):
    batch = codec.encode(LINES[:2])
    assert (batch.ids[batch.target] == PAD).all() and codec.sources(batch) == LINES[:2]
    assert codec.decode(batch.ids) == [" ".join(["[PAD]"] * int(n)) for n in batch.target.sum(1)]
    assert codec.decode(torch.full((1, 16), PAD)) == [""], "a row without a source has no target"


def test_what_does_not_fit_is_refused_and_counted(codec):
    with pytest.raises(InputError, match="pair 1 has .* together at most 11 fit"):
        codec.encode(["a heron " * 4], ["two herons " * 4])
    rows = [{"src": a, "trg": b} for a in ("a heron", "heron " * 12) for b in ("two", "two " * 11)]
    _, _, counts = fitting(rows, codec)
    assert counts["kept"] == 1 and counts["long target"] == 1 and counts["long source"] == 2
    with pytest.raises(InputError, match="empty"):
        codec.encode(["a"], ["\x00"])


def test_it_needs_cls_and_no_block():
    with pytest.raises(InputError, match="needs a vocabulary with the piece"):
        DiffuSeqCodec(Vocabulary(["a"]), 0, 16)
    with pytest.raises(InputError, match="source_length must be 0"):
        DiffuSeqCodec(WordPieces.learn(LINES, 40), 8, 16)


def test_a_teacher_learns_writes_and_comes_back_in_this_layout(codec, tmp_path):
    torch.manual_seed(0)
    small = {"embed_dim": 8, "width": 24, "depth": 1, "heads": 3, "dropout": 0.0}
    model = network(sized(preset("paper", **small), codec))
    data = PairedText(LINES, LINES[::-1], codec)
    config = replace(DIFFUSEQ, steps=2, batch_size=3, precision="float32", warmup=1)
    run = TeacherRun(model, data, config)
    list(run)
    made = Checkpoint(run.result, codec, "herons", "teacher")
    checkpoint.save(tmp_path / "h.safetensors", made)
    again = checkpoint.load(tmp_path / "h.safetensors")
    assert type(again.codec) is DiffuSeqCodec and same_weights(again.model, made.model)
    texts = generate(again, LINES, steps=3, samples=2, clamp=True, seed=1)
    assert texts == generate(made, LINES, steps=3, samples=2, clamp=True, seed=1) and len(texts[0]) == 2
