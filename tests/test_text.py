"""text: the layout by hand, words in and out, and word pieces beside those of `transformers`."""

from __future__ import annotations

import pytest
import torch

from dlmone_lite.corpora.word_pieces import WordPieces
from dlmone_lite.errors import InputError
from dlmone_lite.text import PAD, SEP, SPECIALS, UNK, Batch, Codec, Vocabulary

WORDS = ["a", "cat", "dog", "runs", "new", "york", "?"]


@pytest.fixture
def vocabulary():
    return Vocabulary(WORDS)


@pytest.fixture
def codec(vocabulary):
    return Codec(vocabulary, source_length=4, target_length=5)


def test_ids_by_hand(vocabulary):
    assert (PAD, UNK, SEP) == (0, 1, 2) and vocabulary.words[:3] == SPECIALS
    assert len(vocabulary) == 10
    assert vocabulary.ids("a cat runs ?") == [3, 4, 6, 9]
    assert vocabulary.ids("  A   Cat\tRUNS ? ") == [3, 4, 6, 9]
    assert vocabulary.ids("") == []
    assert vocabulary.ids_of(["a cat", "", "runs"]) == [[3, 4], [], [6]]
    # A saved list starts with the specials; they keep their places.
    assert Vocabulary(vocabulary.words).words == vocabulary.words


def test_text_stops_at_the_first_separator(vocabulary):
    assert vocabulary.text([3, 4, SEP, 5, SEP]) == "a cat"
    assert vocabulary.text([3, PAD, 4, UNK, SEP, PAD]) == "a [PAD] cat [UNK]"  # errors stay visible
    assert vocabulary.text([SEP, 3]) == "" and vocabulary.text([]) == ""
    assert vocabulary.text([3, 4]) == "a cat"  # no separator at all


def test_unknown_words_name_the_nearest(vocabulary):
    with pytest.raises(InputError, match=r"'yrok' \(did you mean 'york'\?\) in 'new yrok'"):
        vocabulary.ids("new yrok")
    with pytest.raises(InputError) as caught:
        vocabulary.ids("zzzzzz")
    assert "did you mean" not in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(InputError, match="pad"):
        vocabulary.ids("a [PAD]")  # specials are no words to type
    with pytest.raises(InputError, match="twice"):
        Vocabulary(["a", "b", "a"])


def test_layout_by_hand(codec):
    batch = codec.encode(["a cat", "new york dog"], ["dog runs a cat", "a"])
    assert codec.length == 9
    assert batch.ids.tolist() == [[3, 4, SEP, PAD, 5, 6, 3, 4, SEP], [7, 8, 5, SEP, 3, SEP, PAD, PAD, PAD]]
    assert batch.target.tolist() == [[False] * 4 + [True] * 5] * 2  # [PAD] after the target is a target
    assert codec.decode(batch.ids) == ["dog runs a cat", "a"]
    assert codec.sources(batch) == ["a cat", "new york dog"]


def test_without_targets_the_block_is_to_be_filled(codec):
    batch = codec.encode(["a cat"])
    assert batch.ids.tolist() == [[3, 4, SEP, PAD] + [PAD] * 5]
    assert batch.target.tolist() == [[False] * 4 + [True] * 5]


def test_lengths_at_the_limit(codec):
    codec.encode(["a a a"], ["a a a a"])  # one place is the separator's
    with pytest.raises(InputError, match="source has 4 words, at most 3 fit"):
        codec.encode(["a a a a"])
    with pytest.raises(InputError, match="target has 5 words, at most 4 fit"):
        codec.encode(["a"], ["a a a a a"])
    for sources, targets in [([" "], None), (["a"], [""])]:
        with pytest.raises(InputError, match="sentence is empty"):
            codec.encode(sources, targets)
    with pytest.raises(InputError, match="at least one"):
        codec.encode([])


@pytest.mark.parametrize("targets", [[], ["a"], ["a", "a", "a"]])
def test_every_source_has_its_target(codec, targets):
    with pytest.raises(InputError, match=f"2 sources and {len(targets)} targets"):
        codec.encode(["a", "cat"], targets)


def test_batch_rows_stay_together():
    ids = torch.arange(12).view(4, 3)
    batch = Batch(ids, ids % 2 == 0)
    twice = batch.repeat(2)
    assert len(twice) == 8 and twice.ids[:, 0].tolist() == [0, 0, 3, 3, 6, 6, 9, 9]
    for index in (slice(1, 3), torch.tensor([3, 0, 0]), [2, 1], torch.tensor([True, False, False, True])):
        part = batch[index]
        assert torch.equal(part.ids, ids[index]) and torch.equal(part.target, part.ids % 2 == 0)
    moved = batch.to("meta")
    assert moved.ids.device.type == moved.target.device.type == "meta" and len(moved) == 4


# ---- word pieces

LINES = ["The heron's nest, again!", "a herd of herons nested", "Nesting is what nests are for"] * 4


@pytest.fixture(scope="module")
def pieces() -> WordPieces:
    return WordPieces.learn(LINES, 60)


def test_pieces_cut_what_they_have_learned_and_join_it_again(pieces):
    assert pieces.words[:3] == SPECIALS and len(pieces) <= 60
    assert any(piece.startswith("##") for piece in pieces.words)
    for line in LINES[:3]:
        ids = pieces.ids(line)
        again = pieces.text([*ids, SEP, PAD])
        assert UNK not in ids and again.replace(" ", "") == line.lower().replace(" ", "")
    assert pieces.ids("herons NESTED") == pieces.ids("Herons  nested")
    assert pieces.ids("") == [] and UNK in pieces.ids("ξένος")


def test_the_same_pieces_come_back_from_their_list(pieces):
    again = WordPieces(pieces.words)
    assert again.words == pieces.words and again.ids(LINES[0]) == pieces.ids(LINES[0])
    assert WordPieces.learn(LINES, 60).words == pieces.words, "learning has no chance in it"


def test_pieces_are_those_of_berts_tokenizer(pieces, tmp_path):
    """The outside oracle is transformers' BertTokenizerFast with the same list, its specials elsewhere."""
    from transformers import BertTokenizerFast

    words = [*pieces.words[3:20], "[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", *pieces.words[20:]]
    (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    oracle = BertTokenizerFast(str(tmp_path / "vocab.txt"))
    oracle.save_pretrained(tmp_path / "bert")
    ours = WordPieces.of_bert(str(tmp_path / "bert"))
    hard = [*LINES[:3], "Überall\tnests\u200b, naïve?!", "日本 herons", "a" * 120, "\x00\ufffd x 🙂", ""]
    for line, ids in zip(hard, ours.ids_of(hard), strict=True):
        assert [ours.words[i] for i in ids] == oracle.tokenize(line), line
        assert ids == ours.ids(line), "many at once are cut as one"


@pytest.mark.parametrize("at_once", [1, 5, 12, 100])
def test_many_sentences_are_cut_in_parts(pieces, at_once, monkeypatch):
    monkeypatch.setattr("dlmone_lite.corpora.word_pieces.CHUNK", at_once)
    assert pieces.ids_of(LINES) == [pieces.ids(line) for line in LINES] and pieces.ids_of([]) == []


def test_no_tokenizer_is_one_line(tmp_path):
    with pytest.raises(InputError, match="neither a folder nor to be had from the hub .*let the corpus make"):
        WordPieces.of_bert(str(tmp_path / "absent"))


def test_the_codec_takes_pieces(pieces):
    codec = Codec(pieces, 24, 24)
    batch = codec.encode([LINES[0]], [LINES[1]])
    assert codec.decode(batch.ids) == ["a herd of herons nested"]
    with pytest.raises(InputError, match="at most 3 fit"):
        Codec(pieces, 4, 24).encode([LINES[0]])
