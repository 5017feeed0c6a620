"""corpora: every origin gives src and trg; every mistake in a file is one line with the file and its line."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from dlmone_lite.corpora.real_text import counted, fitting, load
from dlmone_lite.corpora.tables import read_jsonl
from dlmone_lite.corpora.word_pieces import WordPieces
from dlmone_lite.errors import InputError
from dlmone_lite.files import write_jsonl
from dlmone_lite.text import Codec

PAIRS = {"src": ["how are you ?", "où est-ce ?"], "trg": ["how do you do ?", "where is it ?"]}


def put(folder, name, text):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def lines(*rows):
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)


def complaint(function, *arguments, **named):
    """The InputError's text; it must be a single line, for the command line prints it as one."""
    with pytest.raises(InputError) as caught:
        function(*arguments, **named)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("pair", [("src", "trg"), ("source", "target"), ("question1", "question2")])
@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv"])
def test_every_form_gives_src_and_trg(tmp_path, suffix, pair):
    rows = list(zip(PAIRS["src"], PAIRS["trg"]))
    if suffix == ".jsonl":
        text = lines(*({"id": 7, pair[1]: t, pair[0]: s} for s, t in rows))
    else:
        mark = "," if suffix == ".csv" else "\t"
        text = "".join(mark.join(f'"{field}"' for field in ("7", t, s)) + "\r\n" for s, t in rows)
        text = mark.join(("id", pair[1], pair[0])) + "\r\n" + text
    data = load(put(tmp_path, "pairs" + suffix, text))
    assert data.column_names == ["src", "trg"] and data.to_dict() == PAIRS


def test_folder_holds_its_splits(tmp_path):
    put(tmp_path, "train.jsonl", lines({"src": "a", "trg": "b"}))
    put(tmp_path, "test.csv", "src,trg\nc,d\n")
    assert load(str(tmp_path))["src"] == ["a"]
    assert load(tmp_path, "test")["trg"] == ["d"]
    message = complaint(load, tmp_path, "valid")
    assert "no valid.jsonl" in message and "test.csv, train.jsonl" in message
    (tmp_path / "empty").mkdir()
    assert "no data file" in complaint(load, tmp_path / "empty")


def test_columns_by_name_win_over_the_guess(tmp_path):
    path = put(tmp_path, "a.jsonl", lines({"src": "no", "trg": "no", "simple": "s", "complex": "c"}))
    assert load(path, columns=("complex", "simple")).to_dict() == {"src": ["c"], "trg": ["s"]}
    assert "a.jsonl:1: no column 'simpel' (did you mean 'simple'?)" in complaint(
        load, path, columns=("complex", "simpel")
    )
    for wrong in [("src", "src"), ("src",), ("src", "trg", "id"), "src"]:
        assert "two different names" in complaint(load, path, columns=wrong)


@pytest.mark.parametrize("label", ["label", "is_duplicate"])
def test_question_pairs_keep_the_paraphrases(tmp_path, label):
    rows = [("a", "b", 1), ("", "d", 0), ("e", "f", 1)]  # a pair that is dropped may be empty, as Quora's are
    put(tmp_path, "q.jsonl", lines(*({"question1": q, "question2": p, label: y} for q, p, y in rows)))
    put(tmp_path, "q.csv", f"question1,question2,{label}\n" + "".join(f"{q},{p},{y}\n" for q, p, y in rows))
    for name in ("q.jsonl", "q.csv"):
        assert load(tmp_path / name).to_dict() == {"src": ["a", "e"], "trg": ["b", "f"]}
    none = put(tmp_path, "n.csv", f"question1,question2,{label}\na,b,0\n")
    assert "nothing is left" in complaint(load, none)


def test_a_label_beside_src_is_only_a_label(tmp_path):
    assert len(load(put(tmp_path, "a.jsonl", lines({"src": "a", "trg": "b", "label": 0})))) == 1


GOOD = {"src": "a", "trg": "b"}
BROKEN = {
    "bytes.jsonl": (lines(GOOD).encode() + b'{"src": "\xff", "trg": "b"}\n', ":2: not UTF-8"),
    "empty.jsonl": ("", "empty file"),
    "blank.jsonl": ("\n \n", "empty file"),
    "header.csv": ("src,trg\n", "empty file"),
    "none.csv": ("", "empty file"),
    "json.jsonl": (lines(GOOD, "", '{"src": "a", "trg": }'), ":3: broken JSON (Expecting value, column 21)"),
    "half.jsonl": (lines(GOOD) + '{"src": "a"', ":2: broken JSON"),
    "list.jsonl": (lines(GOOD, ["a", "b"]), ":2: not a JSON object"),
    "nosrc.jsonl": (lines({"text": "a", "trg": "b"}), ":1: no column 'src', only text, trg"),
    "notrg.jsonl": (lines({"src": "a"}), ":1: no column 'trg', only src"),
    "nothing.jsonl": (lines({}), ":1: no column 'src', only none"),
    "later.jsonl": (lines(GOOD, GOOD, {"src": "a", "tgt": "b"}), ":3: no column 'trg' (did you mean 'tgt'?)"),
    "nosrc.csv": ("source,trg\na,b\n", ":2: no column 'src'"),
    "void.jsonl": (lines(GOOD, {"src": " ", "trg": "b"}), ":2: 'src' is empty"),
    "void.csv": ("src,trg\na,b\n\nc,\n", ":4: 'trg' is empty"),
    "long.csv": ('src,trg\n"a\nz",b\n"c",""\n', ":4: 'trg' is empty"),  # a row over two lines still counts
    "number.jsonl": (lines(GOOD, {"src": "a", "trg": 3}), ":2: 'trg' is int"),
    "null.jsonl": (lines({"src": None, "trg": "b"}), ":1: 'src' is NoneType"),
    "half_pair.jsonl": (lines({"src": "\ud83d", "trg": "b"}), ":1: 'src' holds half a surrogate"),
    "twice.jsonl": (
        lines(GOOD, '{"src": "a", "trg": "b", "src": "c"}'),
        ":2: column 'src' stands there twice",
    ),
    "twice.csv": ("src,trg,trg\na,b,c\n", ":1: column 'trg' stands there twice"),
    "short.csv": ("src,trg\na,b\nc\n", ":3: 1 fields for 2 columns"),
    "wide.csv": ("src,trg\na,b,c\n", ":2: 3 fields for 2 columns"),
    "quote.csv": ('src,trg\na,b\nc,"d\n', ":3: broken table"),
    "notes.txt": ("a\tb\n", "unknown kind '.txt'"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_mistakes_name_the_file_and_the_line(tmp_path, name):
    text, expected = BROKEN[name]
    path = put(tmp_path, name, text)
    message = complaint(load, path)
    assert message.startswith(str(path)) and expected in message


def test_byte_order_mark_and_unicode_line_breaks_are_text(tmp_path):
    path = put(tmp_path, "a.jsonl", b"\xef\xbb\xbf" + '{"src": "a\u2028b", "trg": "c\x85d"}\r\n'.encode())
    assert load(path).to_dict() == {"src": ["a\u2028b"], "trg": ["c\x85d"]}
    table = put(tmp_path, "a.csv", b'\xef\xbb\xbfsrc,trg\r\n"a\r\nz",b\r\n')
    assert load(table)["src"] == ["a\r\nz"]


def test_missing_file_and_unknown_name(tmp_path):
    assert "no file, folder or corpus" in complaint(load, tmp_path / "no.jsonl")
    assert "did you mean 'wiki_auto'?" in complaint(load, "wiki-auto")
    assert "cannot be read" in complaint(read_jsonl, tmp_path / "no.jsonl")
    assert "cannot be read" in complaint(read_jsonl, tmp_path)


def test_read_jsonl_checks_what_is_needed_and_keeps_the_rest(tmp_path):
    rows = [{"src": "a", "k": 3, "hypotheses": ["x", "y"]}, {"src": "b"}]
    path = put(tmp_path, "in.txt", lines(*rows))
    assert read_jsonl(path) == rows == read_jsonl(str(path), need=())
    assert ":1: no column 'trg'" in complaint(read_jsonl, path, need=("src", "trg"))
    assert "empty file" in complaint(read_jsonl, put(tmp_path, "e.jsonl", "\n"))


def test_write_jsonl_round_trip_and_atomic(tmp_path):
    path = tmp_path / "out.jsonl"
    rows = [{"src": "où \u2028 ça ?", "trg": "…"}, {"src": "b", "n": [1.5, None]}]
    write_jsonl(path, rows)
    assert read_jsonl(path) == rows and "où" in path.read_text(encoding="utf-8")

    def failing():
        yield {"src": "new"}
        raise RuntimeError("stopped half way")

    with pytest.raises(RuntimeError):
        write_jsonl(path, failing())
    with pytest.raises(TypeError):
        write_jsonl(path, [{"src": object()}])
    assert read_jsonl(path) == rows, "the old file must survive a failed write"
    assert os.listdir(tmp_path) == ["out.jsonl"], "no temporary file may stay behind"
    write_jsonl(path, [{"src": "new"}])
    assert read_jsonl(path) == [{"src": "new"}]


def test_write_jsonl_says_why_it_cannot(tmp_path):
    assert "is a folder" in complaint(write_jsonl, tmp_path, [])
    write_jsonl(tmp_path / "made" / "out.jsonl", [{"src": "a"}])
    assert (tmp_path / "made" / "out.jsonl").read_text(encoding="utf-8") == '{"src": "a"}\n'
    put(tmp_path, "file", "")
    assert "could not be written" in complaint(write_jsonl, tmp_path / "file" / "out.jsonl", [])


# What the hub would answer, by (repository, config, split); the column names are those of the real sets.
QQP = {"question1": ["a", "b", "c"], "question2": ["A", "B", " "], "label": [1, 0, 1], "idx": [0, 1, 2]}
ASSET = {"gem_id": ["x", "y", "z"], "source": ["a", "b", "c"], "target": ["A", "", ""],
         "references": [["no"], ["B", "BB"], []]}  # fmt: skip
SHELF = {
    ("nyu-mll/glue", "qqp", "train"): QQP,
    ("nyu-mll/glue", "qqp", "validation"): QQP,
    ("GEM/wiki_auto_asset_turk", None, "test_asset"): ASSET,
}


@pytest.fixture
def hub(monkeypatch):
    """A hub that is reachable and holds the two sets; `asked` counts the questions whether it is there."""
    import datasets
    import huggingface_hub

    asked = []
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda self, name, timeout: asked.append(name))
    monkeypatch.setattr(
        datasets,
        "load_dataset",
        lambda name, config, split: datasets.Dataset.from_dict(SHELF[name, config, split]),
    )
    return SimpleNamespace(asked=asked, datasets=datasets, api=huggingface_hub.HfApi)


def test_hub_sets_become_src_and_trg(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for split in ("train", "valid"):
        assert load("qqp", split).to_dict() == {"src": ["a"], "trg": ["A"]}
    assert load("wiki_auto", "test").to_dict() == {"src": ["a", "b"], "trg": ["A", "B"]}
    assert hub.asked == ["nyu-mll/glue"] * 2 + ["GEM/wiki_auto_asset_turk"]


def test_a_local_folder_wins_over_the_hub(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "qqp").mkdir()
    put(tmp_path / "qqp", "train.jsonl", lines({"src": "mine", "trg": "own"}))
    assert load("qqp")["src"] == ["mine"] and not hub.asked


def test_hub_mistakes(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "train, valid on the hub, not 'test'" in complaint(load, "qqp", "test")
    assert "leave the argument out" in complaint(load, "qqp", columns=("question1", "question2"))
    assert "pass its path" in complaint(load, "quasar_t")
    assert not hub.asked


@pytest.mark.parametrize("name", ["qqp", "wiki_auto"])
def test_no_hub_is_one_line_with_the_local_way(hub, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)

    def refuse(*_, **__):
        raise ConnectionError("Max retries exceeded\nwith url: ...")

    monkeypatch.setattr(hub.api, "dataset_info", refuse)
    message = complaint(load, name, "valid")
    assert message.startswith(name) and "ConnectionError" in message and "put valid.jsonl" in message
    # Told to stay offline, the hub is not asked: a cached copy loads, and no copy is the same one line.
    monkeypatch.setattr(hub.datasets.config, "HF_HUB_OFFLINE", True)
    if name == "qqp":
        assert load(name, "valid")["src"] == ["a"]
    monkeypatch.setattr(hub.datasets, "load_dataset", refuse)
    assert complaint(load, name, "valid") == message


def test_import_is_light():
    code = "import sys, dlmone_lite.corpora.real_text, dlmone_lite.evaluation.metrics as m; m.copy_rate(['a'], ['a'])"
    code += "; print(*{'datasets', 'nltk', 'rouge_score', 'torch', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


# ---- what fits

ODD = [
    "plain words",
    "\x00\x01\u200b",
    "🙂 smiles 🙂",
    "word " * 2000,
    "line\rfeed\r\nmixed",
    "plain words",
    "x",
]


def test_every_row_is_accounted_for():
    rows = [{"src": src, "trg": trg} for src in ODD for trg in ODD]
    codec = Codec(WordPieces.learn(ODD[:1] + ODD[4:], 60), 12, 12)
    sources, targets, counts = fitting(rows, codec)
    assert counts["rows"] == len(rows) == sum(n for name, n in counts.items() if name != "rows")
    assert counts["kept"] == len(sources) == len(set(zip(sources, targets, strict=True))) > 0
    assert min(counts.values()) > 0, "each kind is among them"
    assert max(len(codec.vocabulary.ids(text)) for text in sources + targets) < 12
    codec.encode(sources, targets)  # nothing that was kept is refused later


def test_nothing_that_fits_is_one_line():
    codec = Codec(WordPieces.learn(["a b"], 20), 3, 3)
    said = complaint(fitting, [{"src": "a b a b", "trg": "a"}, {"src": "\x00", "trg": "a"}], codec)
    assert said.startswith("none of 2 rows can be used (1 empty, 1 long source)")


TSV = {
    "speech over two rows": ('a1\tb1\na2\t"come in ,\na3\tb3\na4\the said ."\na5\tb5\n', 5),
    "speech on the left": ('a1\tb1\n"come in\tb2\nhe said"\tb3\na4\tb4\n', 4),
    "inches": ('a1\t"\na2\tb2\na3\t"\na4\tb4\n', 4),
    "a title in quotes": ('a1\t"hamlet" is a play\na2\tb2\n', 2),
    "never closed": ('a1\tb1\na2\t"come in\na3\tb3\n', 3),
}


@pytest.mark.parametrize(("text", "rows"), TSV.values(), ids=list(TSV))
def test_a_quote_in_a_tsv_is_a_character(tmp_path, text, rows):
    table = load(put(tmp_path, "a.tsv", "src\ttrg\n" + text))
    assert len(table) == rows and not any("\n" in field for row in table for field in row.values())


def test_a_tsv_field_in_quotes_is_read_as_it_was_written(tmp_path):
    table = load(put(tmp_path, "a.tsv", 'src\ttrg\n"yes"\t"say ""no"" ."\r\n'))
    assert table.to_dict() == {"src": ["yes"], "trg": ['say "no" .']}


def test_long_fields_other_endings_and_other_names(tmp_path):
    long = "very long article " * 9000
    assert load(put(tmp_path, "a.csv", f'src,trg\n"{long}",b\n'))["src"] == [long]
    assert load(put(tmp_path, "A.JSONL", lines(GOOD)))["src"] == [GOOD["src"]]
    assert load(put(tmp_path, "b.ndjson", '{"input": "x", "output": "y"}\n')).to_dict() == {
        "src": ["x"], "trg": ["y"],
    }  # fmt: skip
    packed = put(tmp_path, "c.csv.gz", gzip.compress(b"src,trg\na,b\n"))
    assert load(packed).to_dict() == {"src": ["a"], "trg": ["b"]}


@pytest.mark.parametrize("extra", ["9" * 4301, "-" + "9" * 4301, "1e999", "NaN", "1" + "0" * 5000 + ".0"])
def test_a_number_that_nobody_asked_for_does_not_matter(tmp_path, extra):
    assert len(load(put(tmp_path, "a.jsonl", f'{{"src": "a", "trg": "b", "x": {extra}}}\n'))) == 1


@pytest.mark.parametrize("extra", ["[" * 100_000 + "]" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000])
def test_json_nested_too_deeply_is_one_line(tmp_path, extra):
    said = complaint(load, put(tmp_path, "a.jsonl", f'{{"src": "a", "trg": "b", "x": {extra}}}\n'))
    assert ":1: broken JSON (nested too deeply)" in said


def test_half_a_surrogate_pair_is_refused_in_any_field(tmp_path):
    path = put(tmp_path, "a.jsonl", lines(GOOD) + '{"src": "a", "trg": "b", "note": ["\\ud83d"]}\n')
    assert ":2: 'note' holds half a surrogate" in complaint(load, path)


def test_a_name_longer_than_any_file_is_one_line():
    assert "cannot be read" in complaint(load, "n" * 300)


LABEL_WORDS = [("0", "1"), ("0.0", "1.0"), ("False", "True"), (" 0", " 1"), ("no", "yes"), ("00", "01")]


@pytest.mark.parametrize("head", ["label", "is_duplicate", "Is_Duplicate", "duplicate"])
@pytest.mark.parametrize("words", LABEL_WORDS)
def test_a_label_is_understood_in_any_spelling(tmp_path, head, words):
    text = f"question1,question2,{head}\na,b,{words[1]}\nc,d,{words[0]}\ne,f,{words[1]}\n"
    rows, dropped = counted(put(tmp_path, "q.csv", text))
    assert rows["src"] == ["a", "e"] and dropped == {"no paraphrase": 1}
    _, _, counts = fitting(rows, Codec(WordPieces.learn(["a b e f"], 40), 4, 4), dropped)
    assert counts["rows"] == 3 == sum(n for name, n in counts.items() if name != "rows")


@pytest.mark.parametrize("value", [0, 0.0, False])
def test_labels_in_json(tmp_path, value):
    rows = [
        {"question1": "a", "question2": "b", "label": value},
        {"question1": "c", "question2": "d", "label": 1},
    ]
    assert load(put(tmp_path, "q.jsonl", lines(*rows)))["src"] == ["c"]


@pytest.mark.parametrize("value", [None, -1, "", "maybe", 0.5, [1]])
def test_a_label_that_says_nothing_is_refused(tmp_path, value):
    row = {"question1": "a", "question2": "b", "is_duplicate": value}
    said = complaint(load, put(tmp_path, "q.jsonl", lines(row)))
    assert ":1: 'is_duplicate' is " in said and "a label is 1" in said


@pytest.mark.parametrize(
    "change", [lambda data: data[:-9], lambda data: data[:12] + b"xx" + data[14:], lambda data: b"no"]
)
def test_a_damaged_gz_file_is_one_line(tmp_path, change):
    packed = gzip.compress(b"src,trg\n" + b"some words,other words\n" * 20)
    assert "damaged .gz file" in complaint(load, put(tmp_path, "a.csv.gz", change(packed)))
