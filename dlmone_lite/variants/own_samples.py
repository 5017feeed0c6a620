"""Sampling a teacher's own sentences for many sources, chunk by chunk, in one process or several."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from dlmone_lite.sample import ancestral
from dlmone_lite.text import Batch
from dlmone_lite.training import processes
from dlmone_lite.training.run import Run
from dlmone_lite.training.seeds import generator_at, on_device

Sample = Callable[[Batch, torch.Generator], Sequence[Tensor]]  # sources (s, L) -> tensors (s, ...)


@torch.no_grad()
def fill(
    run: Run, filled: Tensor, batch: Batch, sample: Sample, append: Callable[..., None]
) -> Iterator[tuple[int, int]]:
    """Sample sentences for the sources of `batch` (S, L); yield (sources done, S) after every round.

    In one round each process samples one chunk of sources, of about `run.rows_per_call` sentences; `append`
    stores the gathered results and counts them in `filled`. The seed of a chunk depends on its first source
    alone, so a resumed run draws the same.
    """
    chunk = max(1, run.rows_per_call // run.config.samples)
    while int(filled) < len(batch):
        began = time.perf_counter()
        start = int(filled) + processes.rank() * chunk
        first = min(start, len(batch) - 1)
        parts = sample(batch[first : first + chunk], generator_at(run.config.seed, -1 - start))
        if start >= len(batch):  # other processes sample the last sources, this one contributes no rows
            parts = [part[:0] for part in parts]
        append(*(processes.all_gather_uneven(part, chunk) for part in parts))
        run.seconds += time.perf_counter() - began
        yield int(filled), len(batch)


def teacher_sentences(run: Run, batch: Batch, generator: torch.Generator, **sampling: Any) -> Tensor:
    """n = `run.config.samples` sentences of the teacher `run.phi` for each source of `batch` (s, L) -> ids
    (s, n, L); `sampling` holds steps, clamp and trace of `ancestral`."""
    phi, samples = run.phi, run.config.samples
    batch = batch.repeat(samples).to(run.device)
    clean, generator = phi.embed(batch.ids), on_device(generator, run.device)
    with run.autocast():
        x = ancestral(phi, phi.schedule, batch, clean, generator=generator, **sampling)
    ids = batch.ids.clone()
    ids[batch.target] = phi.round(x.float()[batch.target])
    return ids.view(-1, samples, ids.shape[-1])
