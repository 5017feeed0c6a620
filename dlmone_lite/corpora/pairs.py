"""Training pairs as ids, with every reference that a source has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from dlmone_lite.errors import InputError
from dlmone_lite.text import Batch, Codec


class PairedText:
    """Training pairs as ids, with all references of every source (for the stable target).

    batch: all N pairs; references (S, R, L_t) ids of the distinct references of each of S sources, log_share
    (S, R) of their counts (-inf where a source has fewer); group (N,) says which source a pair belongs to.
    """

    def __init__(self, sources: Sequence[str], targets: Sequence[str], codec: Codec):
        if len(sources) != len(targets) or not len(sources):
            raise InputError(f"training needs pairs, got {len(sources)} sources and {len(targets)} targets")
        self.codec, self.batch = codec, codec.encode(sources, targets)
        rows: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        first: dict[tuple[str, str], int] = {}
        for i, pair in enumerate(zip(sources, targets)):
            rows[pair[0]][pair[1]] += 1
            first.setdefault(pair, i)
        index = {source: i for i, source in enumerate(rows)}
        self.group = torch.tensor([index[source] for source in sources])
        most = max(len(counts) for counts in rows.values())
        where = torch.zeros(len(rows), most, dtype=torch.long)
        counts = torch.zeros(len(rows), most)
        for source, targets_of in rows.items():
            for j, (target, count) in enumerate(targets_of.items()):
                where[index[source], j] = first[source, target]
                counts[index[source], j] = count
        self.references = self.batch.ids[:, codec.source_length :][where]  # (S, R, L_t)
        self.log_share = (counts / counts.sum(1, keepdim=True)).log()

    def __len__(self) -> int:
        return len(self.batch)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """n random row numbers."""
        return torch.randint(len(self), (n,), generator=generator)

    def rows(self, index: Tensor) -> tuple[Batch, Tensor, Tensor]:
        """(batch (B, L), references (B, R, L_t), log_share (B, R)) of the rows `index`."""
        group = self.group[index]
        return self.batch[index], self.references[group], self.log_share[group]


def one_row_per_source(data: PairedText, sources: int, generator: torch.Generator) -> Tensor:
    """A row number for each of `sources` random sources of `data`, or of all if 0 or more than there are."""
    order = data.group.argsort(dim=0, stable=True)
    first = order[torch.cat([torch.tensor([True]), data.group[order].diff() > 0])]
    mixed = first[torch.randperm(len(first), generator=generator)]
    return mixed[:sources] if sources else mixed
