"""Text pairs through Hugging Face `datasets`: QQP, Wiki-Auto, Quasar-T by name, JSONL, CSV or TSV by path.

The result always has two string columns, `src` and `trg`, without empty entries. A mistake in a local file
raises an InputError that names the file and its line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dlmone_lite.errors import InputError, nearest
from dlmone_lite.files import read_rows, text_field

if TYPE_CHECKING:
    from datasets import Dataset

    from dlmone_lite.text import Codec

GUESSES = [("src", "trg"), ("source", "target"), ("question1", "question2"), ("anchor", "positive")]
LABELS = ("label", "is_duplicate")  # of question pairs: 1 marks a paraphrase, 0 is no pair
DELIMITERS = {".jsonl": None, ".json": None, ".csv": ",", ".tsv": "\t"}
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

    A path takes precedence over a name. A folder holds `<split>.jsonl` (or .csv, .tsv); a file ignores
    `split`. `columns` names a file's source and target columns; without it they are guessed. Question pairs
    with a 0/1 label keep only the paraphrases. Raises InputError.
    """
    path, name = Path(name_or_path), str(name_or_path)
    if path.is_dir():
        for file in (path / (split + suffix) for suffix in DELIMITERS):
            if file.exists():
                return _load_file(file, columns)
        listed = ", ".join(sorted(f.name for f in path.iterdir() if f.suffix in DELIMITERS)) or "no data file"
        raise InputError(f"{path}: no {split}.jsonl in this folder; it holds {listed}")
    if path.exists():
        return _load_file(path, columns)
    if name not in HUB:
        corpora = ", ".join(HUB)
        raise InputError(f"no file, folder or corpus {name!r}{nearest(name, HUB)}; known corpora: {corpora}")
    if columns is not None:
        raise InputError(f"columns are for files; those of {name} are known, leave the argument out")
    return _load_hub(name, split)


def _load_file(path: Path, columns: Sequence[str] | None) -> Dataset:
    if path.suffix not in DELIMITERS:
        raise InputError(f"{path}: unknown kind {path.suffix!r}; use one of {', '.join(DELIMITERS)}")
    if columns is not None and (isinstance(columns, str) or len(columns) != 2 or columns[0] == columns[1]):
        raise InputError(f"columns must be two different names, source and target, not {columns!r}")
    pairs: dict[str, list[str]] = {"src": [], "trg": []}
    for place, row in read_rows(path, DELIMITERS[path.suffix]):
        columns = columns or next((pair for pair in GUESSES if set(pair) <= set(row)), GUESSES[0])
        if columns[0] == "question1" and any(row.get(label) in (0, "0") for label in LABELS):
            continue
        for name, column in zip(pairs, columns, strict=True):
            pairs[name].append(text_field(row, column, place))
    if not pairs["src"]:
        raise InputError(f"{path}: every pair is labelled 0, not a paraphrase; nothing is left to load")
    from datasets import Dataset

    return Dataset.from_dict(pairs)


def _load_hub(name: str, split: str) -> Dataset:
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
    if "label" in rows.column_names:
        rows = rows.filter(lambda row: row["label"] == 1)
    if "references" in rows.column_names:  # some evaluation splits have their targets there
        rows = rows.map(lambda row: {target: row[target] or next(iter(row["references"]), "")})
    rows = rows.select_columns([source, target]).rename_columns({source: "src", target: "trg"})
    return rows.filter(lambda row: all(text and text.strip() for text in row.values()))


def fitting(rows: Iterable[Mapping[str, str]], codec: Codec) -> tuple[list[str], list[str], dict[str, int]]:
    """(sources, targets, counts) of the distinct pairs that fit the codec's layout; InputError if none does.

    counts: rows = kept + repeated + empty + long source + long target. A row that fails several tests counts
    for the first one; a pair is empty if a side has no piece.
    """
    counts = dict.fromkeys(("rows", "kept", "repeated", "empty", "long source", "long target"), 0)
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
