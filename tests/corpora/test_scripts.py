"""Text of all scripts, odd signs and long words: what comes back, what is [UNK], what scores say of it."""

from __future__ import annotations

import pytest

from dlmone_lite.corpora.word_pieces import WordPieces
from dlmone_lite.errors import InputError
from dlmone_lite.evaluation.metrics import rouge_l

SCRIPTS = {
    "German": "er möchte schöne bären zählen",
    "Vietnamese": "tôi muốn mua bánh mì",
    "Hindi": "मैं हिंदी किताब पढ़ता हूँ",
    "Thai": "น้ำ ที่ นี่ ดี",
    "Japanese": "がっこう で パン を かう",
    "Korean": "안녕 하세요 학교",
    "Arabic": "كَتَبَ الوَلَدُ",
    "Hebrew": "שָׁלוֹם",
    "Polish": "że łódź ówczesna",
    "Persian": "می\u200cخواهم",
    "Greek": "ποιος είναι ο καιρός",
    "emoji": "👨\u200d👩\u200d👧 ❤️ 👍🏽",
}


@pytest.mark.parametrize("text", SCRIPTS.values(), ids=list(SCRIPTS))
def test_text_of_every_script_comes_back_and_is_right(text: str) -> None:
    pieces = WordPieces.learn([text] * 3, 400)
    assert pieces.text(pieces.ids(text)) == pieces.spelled(text) == text and 1 not in pieces.ids(text)
    assert rouge_l([text], [text]) == pytest.approx(1)
    assert rouge_l([text], ["entirely different words"]) == 0


def test_composed_and_decomposed_letters_are_one_text() -> None:
    pieces = WordPieces.learn(["bären"], 60)
    assert pieces.ids("ba\u0308ren") == pieces.ids("bären") and pieces.words.count("ä") == 1
    stripped = WordPieces.learn(["bären"], 60, accents=False)
    assert stripped.text(stripped.ids("bären")) == "baren"


def test_rouge_counts_words_as_the_package_does_where_it_can() -> None:
    from rouge_score.rouge_scorer import RougeScorer

    pairs = [("how can i learn it ?", "how do i learn that_one"), ("it costs $5 , b2 !", "it costs 5 b2")]
    for one, other in pairs:
        expected = RougeScorer(["rougeL"]).score(other, one)["rougeL"].fmeasure
        assert rouge_l([one], [other]) == pytest.approx(expected)
    assert rouge_l(["我爱北京 3"], ["他去上海 3"]) == pytest.approx(1 / 5), "the digit alone is common"
    assert rouge_l(["er mag bären"], ["er mag baren"]) == pytest.approx(2 / 3)


def test_a_word_without_pieces_is_unknown_and_spelled_as_it_is() -> None:
    pieces = WordPieces.learn(["plain words only"], 60)
    url = "x" * 101
    for text in ("ποιος", "🙂", url):
        assert pieces.ids(text) == [1] and pieces.text(pieces.ids(text)) == "[UNK]"
        assert pieces.spelled(f"Plain {text}!") == f"plain {text} !"


@pytest.mark.parametrize("name", ["[SEP]", "[PAD]", "[UNK]", "[CLS]"])
def test_a_special_token_in_a_text_is_text(name: str) -> None:
    pieces = WordPieces.learn(["a [ sep ] [ pad ] [ unk ] [ cls ] b"] * 3, 80)
    text = f"a {name}b {name}"
    spelled = f"a [ {name[1:-1].lower()} ] b [ {name[1:-1].lower()} ]"
    for ids in (pieces.ids(text), pieces.ids_of([text])[0]):
        assert pieces.text(ids) == pieces.spelled(text) == spelled and not {0, 1, 2} & set(ids)


@pytest.mark.parametrize("size", [6, 40, 300, 1000])
def test_the_number_of_pieces_is_obeyed(size: int) -> None:
    """Letters too: 300 of them take 600 pieces, and the most frequent stay where there are fewer."""
    letters = [chr(0x4E00 + i) for i in range(300)]
    pieces = WordPieces.learn([" ".join(letters[: i + 1]) for i in range(300)], size)
    assert len(pieces) <= size
    kept = sum(1 not in pieces.ids(letter) for letter in letters)
    assert kept == min(300, (size - 4) // 2) and 1 not in pieces.ids(letters[0])


def test_too_few_pieces_are_refused() -> None:
    with pytest.raises(InputError, match="at least 6, not 5"):
        WordPieces.learn(["a"], 5)
