"""The splits of a corpus: no valid pair is a training pair, and every row is accounted for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dlmone_lite.corpora.corpus import Corpus
from dlmone_lite.errors import InputError

ROWS = [{"src": f"what is thing {i} ?", "trg": f"tell me of {i}"} for i in range(40)]
MORE = [{"src": f"who was man {i} ?", "trg": f"of man {i}"} for i in range(5)]


def put(path: Path, rows: list[dict[str, str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def sides(corpus: Corpus) -> tuple[set[str], set[str]]:
    return set(corpus.train[0]["src"]), set(corpus.valid[0]["src"])


def test_one_file_holds_out_a_tenth_of_its_sources(tmp_path: Path) -> None:
    twice = [*ROWS, *({**row, "trg": "another"} for row in ROWS)]
    corpus = Corpus(str(put(tmp_path / "pairs.jsonl", twice)))
    train, valid = sides(corpus)
    assert not train & valid and len(train | valid) == 40 and 1 <= len(valid) <= 12
    assert len(corpus.train[0]) == 2 * len(train) and len(corpus.valid[0]) == 2 * len(valid)
    assert corpus.train[1] == {"held out as valid": 2 * len(valid)} and corpus.name == "pairs"
    turned = Corpus(str(put(tmp_path / "turned.jsonl", twice[::-1] + MORE)))
    assert sides(turned)[1] >= valid, "a source stays where it is, whatever the order and the other rows"


def test_foreign_text_is_all_valid(tmp_path: Path) -> None:
    path = put(tmp_path / "pairs.jsonl", ROWS)
    assert len(Corpus(str(path), foreign=True).valid[0]) == 40


@pytest.mark.parametrize("name", ["valid", "validation", "dev", "val"])
def test_training_rows_are_left_out_of_valid(tmp_path: Path, name: str) -> None:
    put(tmp_path / "train.jsonl", ROWS)
    respelled = [{"src": row["src"].upper(), "trg": " " + row["trg"]} for row in ROWS[:3]]
    put(tmp_path / f"{name}.jsonl", [*respelled, *MORE])
    for place in (tmp_path, tmp_path / "train.jsonl"):
        corpus = Corpus(str(place))
        assert corpus.valid[0].to_list() == MORE and corpus.valid[1] == {"training rows": 3}
        assert len(corpus.train[0]) == 40 and corpus.name == tmp_path.name


def test_a_valid_split_of_training_rows_is_replaced(tmp_path: Path) -> None:
    put(tmp_path / "train.jsonl", ROWS), put(tmp_path / "valid.jsonl", ROWS)
    train, valid = sides(Corpus(str(tmp_path)))
    assert train and valid and not train & valid


def test_what_cannot_be_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a single source"):
        Corpus(str(put(tmp_path / "one.jsonl", ROWS[:1] * 3))).train  # noqa: B018
    put(tmp_path / "folder" / "train.jsonl", ROWS)
    with pytest.raises(InputError, match=r"no valid.jsonl in this folder; it holds train.jsonl"):
        Corpus(str(tmp_path / "folder")).train  # noqa: B018


def test_a_folder_with_valid_alone_can_be_measured(tmp_path: Path) -> None:
    put(tmp_path / "valid.jsonl", MORE)
    corpus = Corpus(str(tmp_path))
    assert corpus.valid[0].to_list() == MORE and len(corpus.train[0]) == 0
