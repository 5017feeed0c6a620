"""DiffuSeq's layout, a pair in one row; the preset `paper` uses it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dlmone_lite.errors import InputError
from dlmone_lite.text import PAD, SEP, Batch, Codec

CLS = "[CLS]"


@dataclass
class DiffuSeqCodec(Codec):
    """Pairs <-> batches: `[CLS] src [SEP] [SEP] [CLS] trg [SEP] [PAD]..` in `target_length` positions.

    Each position from the target's [CLS] on is target, [PAD] too, and `source_length` is 0. Long pairs, which
    DiffuSeq truncates, `encode` refuses, and `corpora.real_text.fitting` leaves out and counts.
    """

    def __post_init__(self) -> None:
        if CLS not in self.vocabulary.words:
            raise InputError("DiffuSeq's layout needs a vocabulary with the piece [CLS]; take word pieces")
        if self.source_length:
            raise InputError("DiffuSeq's layout has no block of the source; source_length must be 0")
        self.cls = self.vocabulary.words.index(CLS)

    def misfit(self, source: int, target: int) -> str:
        """ "" if that many pieces fit into one row, else "long source" or "long target"."""
        free = self.length - 5
        long = "source" if source >= free else "target"
        return "" if source + target <= free else f"long {long}"

    def encode(self, sources: Sequence[str], targets: Sequence[str] | None = None) -> Batch:
        """A batch (B, L); without targets, [PAD] from the target's [CLS] on, to be generated."""
        if not len(sources):
            raise InputError("there is no sentence to encode; give at least one")
        if targets is not None and len(targets) != len(sources):
            raise InputError(f"there are {len(sources)} sources and {len(targets)} targets; give one each")
        ids = torch.full((len(sources), self.length), PAD)
        mask = torch.zeros(len(sources), self.length, dtype=torch.bool)
        for i, source in enumerate(sources):
            left = self.vocabulary.ids(source)
            right = self.vocabulary.ids(targets[i]) if targets is not None else []
            if not left or (targets is not None and not right):
                raise InputError(f"a side of pair {i + 1} is empty; write at least one word")
            if self.misfit(len(left), len(right)):
                raise InputError(
                    f"pair {i + 1} has {len(left)} and {len(right)} pieces, together at most "
                    f"{self.length - 5} fit; shorten {source!r}"
                )
            row = [self.cls, *left, SEP, SEP]
            mask[i, len(row) :] = True
            row += [self.cls, *right, SEP] if targets is not None else []
            ids[i, : len(row)] = torch.tensor(row)
        return Batch(ids, mask)

    def decode(self, ids: Tensor) -> list[str]:
        """The targets of ids (B, L) as sentences, without their [CLS]; they follow two adjacent [SEP]s."""
        texts = []
        for row in ids.tolist():
            begin = next((i + 2 for i in range(len(row) - 1) if row[i] == row[i + 1] == SEP), len(row))
            begin += row[begin : begin + 1] == [self.cls]
            texts.append(self.vocabulary.text(row[begin:]))
        return texts

    def sources(self, batch: Batch) -> list[str]:
        """The source sentences of a batch."""
        return [self.vocabulary.text(row[1:]) for row in batch.ids.tolist()]


LAYOUTS: dict[str, type[Codec]] = {"aligned": Codec, "diffuseq": DiffuSeqCodec}
