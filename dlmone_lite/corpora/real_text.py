"""Text pairs through Hugging Face `datasets`: QQP, Wiki-Auto, Quasar-T by name, JSONL, CSV or TSV by path.

The result always has two string columns, `src` and `trg`, without empty entries. A mistake in a local file
raises an InputError that names the file and its line.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlmone_lite.corpora.tables import DELIMITERS, ending, read_table, text_field
from dlmone_lite.errors import InputError, nearest

if TYPE_CHECKING:
    from datasets import Dataset

    from dlmone_lite.text import Codec

GUESSES = [("src", "trg"), ("source", "target"), ("question1", "question2"), ("anchor", "positive")]
GUESSES += [("input", "output")]
# Columns that say of a pair of questions whether it is a paraphrase, and the words with which they say it.
LABELS = {"label", "is_duplicate", "duplicate", "is_paraphrase", "paraphrase"}
YES, NO = {"true", "yes"}, {"false", "no"}
UNEQUAL = "no paraphrase"  # what became of a row that its label drops
# The names under which a folder's file or the hub's data set may hold our splits.
SPLITS = {"train": ("train",), "valid": ("valid", "validation", "dev", "val"), "test": ("test",)}
ASSET = {"train": "train", "valid": "validation", "test": "test_asset"}
# name: (repository without a loading script, config, our splits -> its own, (source, target) columns)
HUB: dict[str, tuple[str, str | None, dict[str, str], tuple[str, str]] | None] = {
    # GLUE hides the labels of the test split, so its paraphrases are unknown.
    "qqp": ("nyu-mll/glue", "qqp", {"train": "train", "valid": "validation"}, ("question1", "question2")),
    "wiki_auto": ("GEM/wiki_auto_asset_turk", None, ASSET, ("source", "target")),
    "quasar_t": None,  # no copy loads without a script
}


def load(name_or_path: str | Path, split: str = "train", columns: Sequence[str] | None = None) -> Dataset:
    """One split of a corpus as a `datasets.Dataset` with the columns `src` and `trg`.

    A path takes precedence over a name. A folder holds `<split>.jsonl` (or .csv, .tsv, each also as .gz); a
    file ignores `split`. `columns` names a file's source and target columns; without it they are guessed.
    Question pairs with a label keep only the paraphrases. Raises InputError.
    """
    return counted(name_or_path, split, columns)[0]


def counted(
    name_or_path: str | Path, split: str = "train", columns: Sequence[str] | None = None
) -> tuple[Dataset, dict[str, int]]:
    """(what `load` gives, {reason: rows}) of the rows that were left out, all by their label."""
    path, name = Path(name_or_path), str(name_or_path)
    try:
        if path.is_dir():
            return _load_file(split_file(path, split), columns)
        if path.exists():
            if not path.is_file():
                raise InputError(
                    f"{path} is no file, so it can be read only once; write its rows into a file"
                )
            return _load_file(path, columns)
    except OSError as e:  # such as a name that is too long for any file
        raise InputError(f"{name[:80]}: cannot be read ({e.strerror}); check the path") from e
    if name not in HUB:
        corpora = ", ".join(HUB)
        raise InputError(f"no file, folder or corpus {name!r}{nearest(name, HUB)}; known corpora: {corpora}")
    if columns is not None:
        raise InputError(f"columns are for files; those of {name} are known, leave the argument out")
    return _load_hub(name, split)


def split_file(folder: Path, split: str) -> Path:
    """The file of a folder that holds a split, by any of its known names; InputError if there is none."""
    files = sorted(file for file in folder.iterdir() if ending(file) in DELIMITERS)
    for name in SPLITS.get(split, (split,)):
        for kind in DELIMITERS:
            for file in files:
                if file.name.lower().removesuffix(".gz") == name + kind:
                    return file
    listed = ", ".join(file.name for file in files) or "no data file"
    raise InputError(f"{folder}: no {split}.jsonl in this folder; it holds {listed}")


def _load_file(path: Path, columns: Sequence[str] | None) -> tuple[Dataset, dict[str, int]]:
    if columns is not None and (isinstance(columns, str) or len(columns) != 2 or columns[0] == columns[1]):
        raise InputError(f"columns must be two different names, source and target, not {columns!r}")
    pairs: dict[str, list[str]] = {"src": [], "trg": []}
    dropped = 0
    for place, row in read_table(path):
        columns = columns or next((pair for pair in GUESSES if set(pair) <= set(row)), GUESSES[0])
        if columns[0] == "question1" and not paraphrase(row, place):
            dropped += 1
            continue
        for name, column in zip(pairs, columns, strict=True):
            pairs[name].append(text_field(row, column, place))
    if not pairs["src"]:
        raise InputError(f"{path}: every pair is labelled 0, not a paraphrase; nothing is left to load")
    from datasets import Dataset

    return Dataset.from_dict(pairs), {UNEQUAL: dropped} if dropped else {}


def paraphrase(row: Mapping[str, Any], where: str) -> bool:
    """What the row's label says of its pair, True without a label; InputError if it says nothing clear."""
    for name, value in row.items():
        if re.sub(r"[^a-z]+", "_", name.strip().lower()) not in LABELS:
            continue
        word = str(value).strip().lower()
        if word in YES | NO:
            return word in YES
        with contextlib.suppress(ValueError):
            if float(word) in (0, 1):
                return float(word) == 1
        raise InputError(f"{where}: {name!r} is {value!r}; a label is 1 for a paraphrase, 0 for none")
    return True


def _load_hub(name: str, split: str) -> tuple[Dataset, dict[str, int]]:
    """A corpus from the hub; on failure an InputError that names the local alternative."""
    local = f'put {split}.jsonl with lines {{"src": ..., "trg": ...}} in a folder and pass its path'
    if (entry := HUB[name]) is None:
        raise InputError(f"{name} has no copy on the hub that loads without a script; {local}")
    repository, config, splits, (source, target) = entry
    if split not in splits:
        raise InputError(f"{name} has the splits {', '.join(splits)} on the hub, not {split!r}; or {local}")
    import datasets
    from huggingface_hub import HfApi

    try:
        if not datasets.config.HF_HUB_OFFLINE:  # fail at once: load_dataset would retry for half a minute
            HfApi().dataset_info(repository, timeout=10)
        rows = datasets.load_dataset(repository, config, split=splits[split])
    except Exception as e:  # connection errors come from several HTTP libraries, with no common base
        raise InputError(f"{name} cannot be loaded from the hub ({type(e).__name__}); {local}") from e
    every = len(rows)
    if "label" in rows.column_names:
        rows = rows.filter(lambda row: row["label"] == 1)
    dropped = {UNEQUAL: every - len(rows)} if len(rows) < every else {}
    if "references" in rows.column_names:  # some evaluation splits have their targets there
        rows = rows.map(lambda row: {target: row[target] or next(iter(row["references"]), "")})
    rows = rows.select_columns([source, target]).rename_columns({source: "src", target: "trg"})
    return rows.filter(lambda row: all(text and text.strip() for text in row.values())), dropped


def fitting(
    rows: Iterable[Mapping[str, str]], codec: Codec, dropped: Mapping[str, int] | None = None
) -> tuple[list[str], list[str], dict[str, int]]:
    """(sources, targets, counts) of the distinct pairs that fit the codec's layout; InputError if none does.

    counts: rows = kept + repeated + empty + long source + long target + those `dropped` before, by reason. A
    row that fails several tests counts for the first one; a pair is empty if a side has no piece.
    """
    counts = dict.fromkeys(("rows", "kept", "repeated", "empty", "long source", "long target"), 0)
    counts |= dropped or {}
    counts["rows"] = sum(counts.values())
    kept: dict[tuple[str, str], None] = {}
    for row in rows:
        pair = row["src"], row["trg"]
        sizes = [len(codec.vocabulary.ids(text)) for text in pair]
        counts["rows"] += 1
        if pair in kept:
            counts["repeated"] += 1
        elif not all(sizes):
            counts["empty"] += 1
        elif long := codec.misfit(*sizes):
            counts[long] += 1
        else:
            kept[pair] = None
    counts["kept"] = len(kept)
    if not kept:
        reasons = ", ".join(f"{n} {reason}" for reason, n in counts.items() if n and reason != "rows")
        raise InputError(
            f"none of {counts['rows']} rows can be used ({reasons}); take longer blocks, or other text"
        )
    return [src for src, _ in kept], [trg for _, trg in kept], counts
