"""Worlds whose truth is known: a grammar file gives sources, their exact right targets, and splits."""

from __future__ import annotations

import difflib
import hashlib
import itertools
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dlmone_lite.errors import InputError
from dlmone_lite.grammar import Frame, Grammar, Template, read_grammar
from dlmone_lite.text import Vocabulary

FOLDER = Path(__file__).resolve().parent.parent / "data" / "worlds"
SPLITS = ("train", "valid", "test")
HELD_OUT = {"valid": 0.04, "test": 0.12}  # shares of meanings; the rest is train
PAIRS = {"train": 48_000, "valid": 1_000, "test": 1_000}


@dataclass(frozen=True)
class Meaning:
    """What a source says: a frame and the value of each of its slots."""

    frame: str
    values: tuple[tuple[str, str], ...]


class World:
    """A grammar with exact probabilities: p(source | meaning) and p(target | source).

    Meanings are equally likely a priori; that matters only where two meanings share a source string.
    """

    def __init__(self, grammar: Grammar, path: str | Path) -> None:
        self.name, self.about = grammar.name, grammar.about
        self.frames, self.slots, self.words = grammar.frames, grammar.slots, grammar.words
        self.max_source, self.max_target = grammar.max_source, grammar.max_target
        self.path = Path(path)
        self._supports: dict[str, dict[str, float]] = {}

    @staticmethod
    def names() -> list[str]:
        """Worlds shipped in `data/worlds`."""
        return sorted(path.stem for path in FOLDER.glob("*.grammar"))

    @classmethod
    def load(cls, name_or_path: str | Path) -> World:
        """A shipped world by name, or any grammar file by path; InputError if there is none."""
        shipped, path = FOLDER / f"{name_or_path}.grammar", Path(name_or_path)
        if str(name_or_path) in cls.names():
            path = shipped
        if not path.is_file():
            raise InputError(f'no world "{name_or_path}"; known: {", ".join(cls.names())}, or give a .grammar file')
        return cls(read_grammar(path), path)

    @property
    def folder(self) -> Path:
        """Where this world's splits live: a folder of its name beside its grammar file."""
        return self.path.parent / self.name

    # ---- meanings, sources, supports

    def meanings(self) -> list[Meaning]:
        """Every frame with every combination of its slots' fillers, in the order of the file."""
        return [
            Meaning(frame.name, tuple(zip(frame.slots, values)))
            for frame in self.frames.values()
            for values in itertools.product(*(self.slots[slot] for slot in frame.slots))
        ]

    def sources(self, meaning: Meaning) -> dict[str, float]:
        """Exact p(source | meaning), most likely first."""
        return self._distribution(self._frame(meaning).sources, dict(meaning.values))

    def targets(self, meaning: Meaning) -> dict[str, float]:
        """Exact p(target | meaning), most likely first."""
        return self._distribution(self._frame(meaning).targets, dict(meaning.values))

    def meanings_of(self, source: str) -> dict[Meaning, float]:
        """Exact p(meaning | source); InputError for a sentence that no meaning says."""
        if source not in self._index:
            close = difflib.get_close_matches(source, self._index, n=1, cutoff=0.0)
            raise InputError(f'world {self.name} has no source "{source}"; the nearest is "{close[0]}"')
        joint = self._index[source]
        total = sum(joint.values())
        return {meaning: p / total for meaning, p in joint.items()}

    def support(self, source: str) -> dict[str, float]:
        """Exact p(target | source), most likely first; equal strings merged. InputError for an unknown source."""
        if source not in self._supports:
            mixed: dict[str, float] = {}
            for meaning, weight in self.meanings_of(source).items():
                for target, p in self.targets(meaning).items():
                    mixed[target] = mixed.get(target, 0.0) + weight * p
            self._supports[source] = _sorted(mixed)
        return dict(self._supports[source])

    def sample(self, source: str, generator: random.Random) -> str:
        """One right target, drawn the way the grammar tells it: meaning, then template, then words."""
        known = self.meanings_of(source)
        meaning = generator.choices(list(known), list(known.values()))[0]
        templates = self._frame(meaning).targets
        template = generator.choices(templates, [template.weight for template in templates])[0]
        values = dict(meaning.values)
        drawn = []
        for token in template.tokens:
            options = self._options(token, values)
            drawn.append(options[0][0] if len(options) == 1 else generator.choices(*zip(*options))[0])
        return " ".join(drawn)

    def _frame(self, meaning: Meaning) -> Frame:
        return self.frames[meaning.frame]

    @cached_property
    def _index(self) -> dict[str, dict[Meaning, float]]:
        """Every source string with p(source | meaning) of each meaning that says it."""
        index: dict[str, dict[Meaning, float]] = {}
        for meaning in self.meanings():
            for source, p in self.sources(meaning).items():
                index.setdefault(source, {})[meaning] = p
        return index

    def _options(self, token: str, values: dict[str, str]) -> list[tuple[str, float]]:
        """What a token of a template may become, with probabilities."""
        if not token.startswith("{"):
            return [(token, 1.0)]
        name = token[1:-1]
        if name in values:
            return [(values[name], 1.0)]
        total = sum(self.words[name].values())
        return [(word, weight / total) for word, weight in self.words[name].items()]

    def _distribution(self, templates: Sequence[Template], values: dict[str, str]) -> dict[str, float]:
        """All expansions of the templates; equal strings merge and their probabilities add."""
        total = sum(template.weight for template in templates)
        merged: dict[str, float] = {}
        for template in templates:
            partial = [("", template.weight / total)]
            for token in template.tokens:
                options = self._options(token, values)
                partial = [(f"{said} {word}" if said else word, p * q) for said, p in partial for word, q in options]
            for sentence, p in partial:
                merged[sentence] = merged.get(sentence, 0.0) + p
        return _sorted(merged)

    # ---- splits

    def split_of(self, meaning: Meaning) -> str:
        """`train`, `valid` or `test`, from a hash of frame and values: the same on every machine."""
        text = "|".join([meaning.frame, *(f"{slot}={value}" for slot, value in meaning.values)])
        share = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
        if share < HELD_OUT["test"]:
            return "test"
        return "valid" if share < HELD_OUT["test"] + HELD_OUT["valid"] else "train"

    def split_sources(self, split: str) -> list[str]:
        """Sources of a split, in the order of the grammar; one that a held-out meaning shares is held out."""
        if split not in SPLITS:
            raise InputError(f'no split "{split}"; choose one of {", ".join(SPLITS)}')
        return self._by_split[split]

    @cached_property
    def _by_split(self) -> dict[str, list[str]]:
        chosen: dict[str, list[str]] = {split: [] for split in SPLITS}
        for source, meanings in self._index.items():
            chosen[max((self.split_of(meaning) for meaning in meanings), key=SPLITS.index)].append(source)
        return chosen

    def pairs(self, split: str, count: int, seed: int = 0) -> Iterator[tuple[str, str]]:
        """(source, target) pairs: round after round over all sources of the split, in a new order each."""
        generator = random.Random(f"{self.name} {split} {seed}")
        sources = self.split_sources(split)
        if not sources:
            raise InputError(f"world {self.name} has no {split} source; add fillers or frames")
        left = count
        while left > 0:
            for source in generator.sample(sources, min(left, len(sources))):
                yield source, self.sample(source, generator)
            left -= len(sources)

    def split_text(self, split: str, pairs: int, seed: int = 0) -> str:
        """The JSONL of a split: one `{"src": ..., "trg": ...}` a line."""
        rows = ({"src": source, "trg": target} for source, target in self.pairs(split, pairs, seed))
        return "".join(json.dumps(row) + "\n" for row in rows)

    def write_splits(self, folder: str | Path | None = None, pairs: int = PAIRS["train"], seed: int = 0) -> None:
        """Write train, valid and test JSONL (by default beside the grammar); the same bytes every time."""
        folder = Path(folder) if folder is not None else self.folder
        folder.mkdir(parents=True, exist_ok=True)
        for split in SPLITS:
            count = pairs if split == "train" else PAIRS[split]
            (folder / f"{split}.jsonl").write_text(self.split_text(split, count, seed), encoding="utf-8", newline="\n")

    # ---- what there is to know about it

    def vocabulary(self) -> list[str]:
        """All words a source or a target of this world may hold, sorted."""
        found: set[str] = set()
        for frame in self.frames.values():
            for template in frame.sources + frame.targets:
                for token in template.tokens:
                    name = token[1:-1]
                    fillers = [token]
                    if token.startswith("{"):
                        fillers = self.slots[name] if name in self.slots else list(self.words[name])
                    found.update(word for filler in fillers for word in filler.split())
        return sorted(found)


def _sorted(distribution: dict[str, float]) -> dict[str, float]:
    """Most likely first; ties in alphabetical order, so that the order never depends on the file's."""
    return dict(sorted(distribution.items(), key=lambda item: (-item[1], item[0])))


def load_split(world: str | Path | World, split: str):
    """A split as a Hugging Face `datasets.Dataset` with columns src and trg."""
    from datasets import Dataset

    world = world if isinstance(world, World) else World.load(world)
    path = world.folder / f"{split}.jsonl"
    if split not in SPLITS:
        raise InputError(f'no split "{split}"; choose one of {", ".join(SPLITS)}')
    if not path.is_file():
        raise InputError(f"{path} is missing; write it with World.write_splits()")
    # from_list, not load_dataset: nothing is cached on disk, so an edited world is never served stale
    return Dataset.from_list([json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()])


def shared_words() -> list[str]:
    """Words of all shipped worlds: world after world, so that a new world only appends."""
    return list(dict.fromkeys(word for name in World.names() for word in World.load(name).vocabulary()))


def shared_vocabulary() -> Vocabulary:
    """The vocabulary that all shipped worlds share (`data/worlds/vocabulary.txt`, one word a line)."""
    return Vocabulary((FOLDER / "vocabulary.txt").read_text(encoding="utf-8").split())


def build_all() -> None:
    """Write the splits of every shipped world and the shared vocabulary."""
    for name in World.names():
        World.load(name).write_splits()
    (FOLDER / "vocabulary.txt").write_text("\n".join(shared_words()) + "\n", encoding="utf-8", newline="\n")
