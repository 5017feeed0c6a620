"""Worlds with known distributions: a grammar file defines sources, their exact right targets, and splits."""

from __future__ import annotations

import difflib
import gzip
import hashlib
import itertools
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dlmone_lite.corpora.grammar import Grammar, Template, read_grammar
from dlmone_lite.corpora.tables import read_jsonl
from dlmone_lite.errors import InputError, nearest
from dlmone_lite.files import DATA, write_together
from dlmone_lite.text import Vocabulary

if TYPE_CHECKING:
    from datasets import Dataset

FOLDER = DATA / "worlds"
SPLITS = ("train", "valid", "test")
VALID, TEST = 0.04, 0.12  # shares of the meanings; the rest is train
PAIRS = {"train": 48_000, "valid": 1_000, "test": 1_000}  # rows of a split


@dataclass(frozen=True)
class Meaning:
    """The meaning of a source: a frame and a filler for each of its slots."""

    frame: str
    values: tuple[tuple[str, str], ...]


class World:
    """A grammar with its exact probabilities p(source | meaning) and p(target | source). Meanings are equally
    likely a priori, which matters only where two of them share a source."""

    def __init__(self, grammar: Grammar, path: str | Path) -> None:
        self.grammar, self.path = grammar, Path(path)
        self.name, self.about = grammar.name, grammar.about
        self.frames, self.slots, self.words = grammar.frames, grammar.slots, grammar.words
        self.max_source, self.max_target = grammar.max_source, grammar.max_target
        self._supports: dict[str, dict[str, float]] = {}

    @staticmethod
    def names() -> list[str]:
        """The worlds in `data/worlds`."""
        return sorted(path.stem for path in FOLDER.glob("*.grammar"))

    @classmethod
    def load(cls, name_or_path: str | Path) -> World:
        """A shipped world by name, or any grammar file by path; InputError if there is none."""
        name, shipped = str(name_or_path), cls.names()
        path = FOLDER / f"{name}.grammar" if name in shipped else Path(name)
        if not path.is_file():
            hint = f"known: {', '.join(shipped)}; or give the path of a .grammar file"
            raise InputError(f'no world "{name}"{nearest(name, shipped)}; {hint}')
        return cls(read_grammar(path), path)

    @property
    def folder(self) -> Path:
        """The folder of the splits: beside the grammar file, with the world's name."""
        return self.path.parent / self.name

    def split_path(self, split: str, folder: Path | None = None) -> Path:
        """The file of a split: `<split>.jsonl`, or `<split>.jsonl.gz` where only that one exists."""
        plain = (folder or self.folder) / f"{_checked(split)}.jsonl"
        packed = plain.with_suffix(".jsonl.gz")
        return packed if packed.is_file() and not plain.is_file() else plain

    def meanings(self) -> list[Meaning]:
        """Every frame with every combination of fillers, in the order of the file."""
        meanings = []
        for frame in self.frames.values():
            for values in itertools.product(*(self.slots[slot] for slot in frame.slots)):
                meanings.append(Meaning(frame.name, tuple(zip(frame.slots, values, strict=True))))
        return meanings

    def sources(self, meaning: Meaning) -> dict[str, float]:
        """Exact p(source | meaning), most likely first."""
        return self._distribution(self.frames[meaning.frame].sources, meaning)

    def targets(self, meaning: Meaning) -> dict[str, float]:
        """Exact p(target | meaning), most likely first."""
        return self._distribution(self.frames[meaning.frame].targets, meaning)

    def meanings_of(self, source: str) -> dict[Meaning, float]:
        """Exact p(meaning | source); InputError for an unknown source."""
        joint = self._index.get(" ".join(source.split()))
        if joint is None:
            close = difflib.get_close_matches(source, self._index, n=1, cutoff=0.0)[0]
            raise InputError(f'world {self.name} has no source "{source}"; the nearest is "{close}"')
        total = sum(joint.values())
        return {meaning: p / total for meaning, p in joint.items()}

    def support(self, source: str) -> dict[str, float]:
        """Exact p(target | source), most likely first; InputError for an unknown source."""
        if source not in self._supports:
            mixture: dict[str, float] = {}
            for meaning, share in self.meanings_of(source).items():
                for target, p in self.targets(meaning).items():
                    mixture[target] = mixture.get(target, 0.0) + share * p
            self._supports[source] = _ordered(mixture)
        return dict(self._supports[source])

    def sample(self, source: str, generator: random.Random) -> str:
        """Draw one right target: a meaning, then a template, then its words."""
        meanings = self.meanings_of(source)
        meaning = generator.choices(list(meanings), list(meanings.values()))[0]
        templates = self.frames[meaning.frame].targets
        template = generator.choices(templates, [template.weight for template in templates])[0]
        words: list[str] = []
        for token in template.tokens:
            options = self._options(token, dict(meaning.values))
            if len(options) > 1:  # a single option must not advance the generator
                words += generator.choices(list(options), list(options.values()))
            else:
                words += options
        return " ".join(words)

    @cached_property
    def _index(self) -> dict[str, dict[Meaning, float]]:
        """{source: {meaning: p(source | meaning)}}, without zeros."""
        index: dict[str, dict[Meaning, float]] = {}
        for meaning in self.meanings():
            for source, p in self.sources(meaning).items():
                index.setdefault(source, {})[meaning] = p
        return index

    def _options(self, token: str, values: dict[str, str]) -> dict[str, float]:
        """The possible words for a template's token, with probabilities."""
        name = token[1:-1]
        if not token.startswith("{"):
            return {token: 1.0}
        if name in values:
            return {values[name]: 1.0}
        total = sum(self.words[name].values())
        return {word: weight / total for word, weight in self.words[name].items()}

    def _distribution(self, templates: list[Template], meaning: Meaning) -> dict[str, float]:
        """All expansions of the templates; equal strings merge and their probabilities add."""
        values, total = dict(meaning.values), sum(template.weight for template in templates)
        merged: dict[str, float] = {}
        for template in templates:
            options = [self._options(token, values).items() for token in template.tokens]
            for choice in itertools.product(*options):
                p = template.weight / total
                for _, q in choice:
                    p *= q
                sentence = " ".join(word for word, _ in choice)
                merged[sentence] = merged.get(sentence, 0.0) + p
        return _ordered(merged)

    def split_of(self, meaning: Meaning) -> str:
        """`train`, `valid` or `test`, from a hash of frame and fillers: the same on every machine."""
        text = "|".join([meaning.frame, *(f"{slot}={value}" for slot, value in meaning.values)])
        share = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
        return "test" if share < TEST else "valid" if share < TEST + VALID else "train"

    def split_sources(self, split: str) -> list[str]:
        """The sources of a split in grammar order; a source with any held-out meaning is held out."""
        return list(self._sources_by_split[_checked(split)])

    @cached_property
    def _sources_by_split(self) -> dict[str, list[str]]:
        sources: dict[str, list[str]] = {split: [] for split in SPLITS}
        for source, meanings in self._index.items():
            sources[max(map(self.split_of, meanings), key=SPLITS.index)].append(source)
        return sources

    def pairs(self, split: str, count: int, seed: int = 0) -> Iterator[tuple[str, str]]:
        """`count` pairs (source, target): all sources of the split in random order, again and again."""
        sources, generator = self.split_sources(split), random.Random(f"{self.name} {split} {seed}")
        if not sources:
            raise InputError(f"world {self.name} has no {split} source; add frames or fillers")
        for start in range(0, count, len(sources)):
            for source in generator.sample(sources, min(count - start, len(sources))):
                yield source, self.sample(source, generator)

    def split_text(self, split: str, count: int | None = None, seed: int = 0) -> str:
        """A split as JSONL, one `{"src": ..., "trg": ...}` a line; the same bytes every time."""
        pairs = self.pairs(split, PAIRS[_checked(split)] if count is None else count, seed)
        return "".join(json.dumps({"src": source, "trg": target}) + "\n" for source, target in pairs)

    def write_splits(self, folder: str | Path | None = None, pairs: int = 48_000, seed: int = 0) -> Path:
        """Write the JSONL of train (`pairs` rows), valid and test; return their folder (`self.folder`). A
        split that exists as a .gz file stays compressed."""
        folder = Path(folder) if folder is not None else self.folder
        texts = {split: self.split_text(split, pairs if split == "train" else None, seed) for split in SPLITS}
        contents = {}
        for split, text in texts.items():
            path, data = self.split_path(split, folder), text.encode("utf-8")
            contents[path] = gzip.compress(data, mtime=0) if path.suffix == ".gz" else data
        write_together(contents)
        return folder

    def vocabulary(self) -> list[str]:
        """All words of all sources and targets, sorted."""
        words: set[str] = set()
        for template in self.grammar.templates():
            for token in template.tokens:
                words.update(" ".join(self.grammar.choices(token)).split())
        return sorted(words)


def _checked(split: str) -> str:
    if split not in SPLITS:
        raise InputError(f'no split "{split}"{nearest(split, SPLITS)}; choose one of {", ".join(SPLITS)}')
    return split


def _ordered(distribution: dict[str, float]) -> dict[str, float]:
    """Most likely first, ties in alphabetical order."""
    return dict(sorted(distribution.items(), key=lambda item: (-item[1], item[0])))


def load_split(world: str | Path | World, split: str) -> Dataset:
    """A split on disk as a Hugging Face `Dataset` (src, trg); InputError if it is missing or damaged."""
    from datasets import Dataset

    world = world if isinstance(world, World) else World.load(world)
    path = world.split_path(split)
    if not path.is_file():
        remedy = f"write it with: python -m dlmone_lite world {world.path} --build"
        raise InputError(f"{path} is missing; {remedy}")
    # from_list, because load_dataset caches on disk and could return an edited world's old pairs
    return Dataset.from_list(read_jsonl(path, need=("src", "trg")))


def shared_vocabulary() -> Vocabulary:
    """The vocabulary all shipped worlds share: `data/worlds/vocabulary.txt`, one word a line."""
    return Vocabulary((FOLDER / "vocabulary.txt").read_text(encoding="utf-8").split())
