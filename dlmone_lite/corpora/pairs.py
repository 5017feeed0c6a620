"""Training pairs as ids, with all references of every source."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from dlmone_lite.errors import InputError
from dlmone_lite.text import Batch, Codec


class PairedText:
    """N training pairs as ids, with all references of their S sources (for the stable target).

    batch: the pairs; references (S, R, L_t): ids of each source's distinct targets; log_share (S, R): log of
    their shares of the source's pairs, -inf where a source has fewer; group (N,): each pair's source number.
    order (N,): the pairs' numbers by source; first, count (S,): where each source begins there, how many it
    has.
    """

    def __init__(self, sources: Sequence[str], targets: Sequence[str], codec: Codec):
        if len(sources) != len(targets) or not len(sources):
            raise InputError(f"training needs pairs, got {len(sources)} sources and {len(targets)} targets")
        self.codec, self.batch = codec, codec.encode(sources, targets)

        # The pairs of each source by target: their row numbers.
        rows_of: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for i, (source, target) in enumerate(zip(sources, targets, strict=True)):
            rows_of[source][target].append(i)
        number = {source: i for i, source in enumerate(rows_of)}
        self.group = torch.tensor([number[source] for source in sources])
        self.order, self.count = self.group.argsort(stable=True), self.group.bincount()
        self.first = self.count.cumsum(0) - self.count

        # Each reference's ids are those of its first pair.
        shape = len(rows_of), max(len(references) for references in rows_of.values())
        first, counts = torch.zeros(shape, dtype=torch.long), torch.zeros(shape)
        for i, references in enumerate(rows_of.values()):
            for j, rows in enumerate(references.values()):
                first[i, j], counts[i, j] = rows[0], len(rows)
        self.references = self.batch.ids[:, codec.source_length :][first]  # (S, R, L_t)
        self.log_share = (counts / counts.sum(1, keepdim=True)).log()

    def __len__(self) -> int:
        return len(self.batch)

    def draw(self, n: int, generator: torch.Generator, group: int = 1) -> Tensor:
        """n random row numbers; with a larger `group`, that many random rows of each of n / group sources."""
        index = torch.randint(len(self), (n // group,), generator=generator)
        if group == 1:
            return index
        source = self.group[index].repeat_interleave(group)
        place = (torch.rand(n, generator=generator) * self.count[source]).long()
        return self.order[self.first[source] + place]

    def rows(self, index: Tensor) -> tuple[Batch, Tensor, Tensor]:
        """(batch (B, L), references (B, R, L_t), log_share (B, R)) of the rows `index`."""
        group = self.group[index]
        return self.batch[index], self.references[group], self.log_share[group]


def one_row_per_source(data: PairedText, sources: int, generator: torch.Generator) -> Tensor:
    """A row number of each of `sources` random sources, or of all sources if `sources` is 0 or too large."""
    first = data.order[data.first]
    shuffled = first[torch.randperm(len(first), generator=generator)]
    return shuffled[:sources] if sources else shuffled
