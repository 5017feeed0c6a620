"""Words to ids and back: the vocabulary, the batch, and the layout of source and target in one row."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from dlmone_lite.errors import InputError, nearest

SPECIALS = ["[PAD]", "[UNK]", "[SEP]"]
PAD, UNK, SEP = range(3)


class Vocabulary:
    """A closed vocabulary of whole words; ids 0, 1 and 2 are [PAD], [UNK] and [SEP]."""

    kind = "words"  # in checkpoints

    def __init__(self, words: Iterable[str]):
        self.words = SPECIALS + [word for word in words if word not in SPECIALS]
        self._index = {word: i for i, word in enumerate(self.words)}
        if len(self._index) != len(self.words):
            raise InputError("the vocabulary lists a word twice; every word may stand once")

    def __len__(self) -> int:
        return len(self.words)

    def ids(self, sentence: str) -> list[int]:
        """Ids of the lower-cased, space-separated words; InputError names an unknown word."""
        ids = []
        for word in sentence.lower().split():
            if word not in self._index:
                raise InputError(
                    f"the vocabulary has no word {word!r}{nearest(word, self._index)} in {sentence!r}; "
                    "use its words, separated by spaces"
                )
            ids.append(self._index[word])
        return ids

    def ids_of(self, sentences: Sequence[str]) -> list[list[int]]:
        """`ids` of each sentence."""
        return [self.ids(sentence) for sentence in sentences]

    def text(self, ids: Iterable[int]) -> str:
        """The words up to the first [SEP]; [PAD] inside a sentence stays visible, because it is an error."""
        words = []
        for i in ids:
            if i == SEP:
                break
            words.append(self.words[i])
        return " ".join(words)

    def spelled(self, sentence: str) -> str:
        """The sentence as a network could write it at best: its words in lower case, single spaces."""
        return " ".join(sentence.lower().split())


@dataclass
class Batch:
    """ids (B, L) of source and target in one row; target (B, L) marks where noise and losses apply."""

    ids: Tensor
    target: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: slice | Tensor | Sequence[int]) -> Batch:
        return Batch(self.ids[index], self.target[index])

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        return Batch(to_device(self.ids, device), to_device(self.target, device))

    def repeat(self, k: int) -> Batch:
        """Each row k times in succession (B * k rows)."""
        return Batch(self.ids.repeat_interleave(k, 0), self.target.repeat_interleave(k, 0))


def to_device(tensor: Tensor, device: torch.device | str) -> Tensor:
    """The tensor on another device; a GPU copies it from pinned memory while the CPU goes on."""
    if torch.device(device).type == "cuda" and not tensor.is_cuda:
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


@dataclass
class Codec:
    """Sentences <-> batches in the aligned layout `src [SEP] [PAD].. | trg [SEP] [PAD]..`.

    The target block starts at a fixed position, because DiffuSeq's layout, where the target follows the
    source at once, learns several times slower at this size. [PAD] after the target is a target, too.
    """

    vocabulary: Vocabulary
    source_length: int = 16
    target_length: int = 16

    @property
    def length(self) -> int:
        """L, the positions of one row."""
        return self.source_length + self.target_length

    def misfit(self, source: int, target: int) -> str:
        """ "" if that many words fit on both sides, else "long source" or "long target"."""
        if source >= self.source_length:
            return "long source"
        return "long target" if target >= self.target_length else ""

    def _blocks(self, sentences: Sequence[str], length: int, what: str) -> Tensor:
        """ids (B, length): each sentence with its [SEP], filled up with [PAD]."""
        rows = self.vocabulary.ids_of(sentences)
        for sentence, ids in zip(sentences, rows, strict=True):
            if not ids:
                raise InputError(f"the {what} sentence is empty; write at least one word")
            if len(ids) >= length:
                raise InputError(
                    f"the {what} has {len(ids)} words, at most {length - 1} fit; shorten {sentence!r}"
                )
            ids += [SEP] + [PAD] * (length - 1 - len(ids))
        numbers = array("q", chain.from_iterable(rows))  # faster than making a tensor of nested lists
        return torch.frombuffer(numbers, dtype=torch.int64).view(len(rows), length)

    def encode(self, sources: Sequence[str], targets: Sequence[str] | None = None) -> Batch:
        """A batch (B, L); without targets their block is [PAD], to be generated."""
        if not len(sources):
            raise InputError("there is no sentence to encode; give at least one")
        if targets is not None and len(targets) != len(sources):
            raise InputError(f"there are {len(sources)} sources and {len(targets)} targets; give one each")
        ids = torch.full((len(sources), self.length), PAD)
        ids[:, : self.source_length] = self._blocks(sources, self.source_length, "source")
        if targets is not None:
            ids[:, self.source_length :] = self._blocks(targets, self.target_length, "target")
        target = torch.zeros(len(ids), self.length, dtype=torch.bool)
        target[:, self.source_length :] = True
        return Batch(ids, target)

    def decode(self, ids: Tensor) -> list[str]:
        """The target blocks of ids (B, L) as sentences."""
        return [self.vocabulary.text(row) for row in ids[:, self.source_length :].tolist()]

    def sources(self, batch: Batch) -> list[str]:
        """The source sentences of a batch."""
        return [self.vocabulary.text(row) for row in batch.ids[:, : self.source_length].tolist()]
