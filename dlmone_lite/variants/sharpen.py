"""A sharpened teacher: one that has learned what a teacher writes under DiffuSeq's clamp, to be distilled.

Not in DLM-One. Score distillation ends at what the teacher's scores describe, its sentences *without* the
clamp; a small teacher of real text is judged with it, and can be much worse without (`evaluate` tells, with
and without `--clamp`). A teacher that goes on learning from its own clamped sentences has scores that
describe those.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dlmone_lite.corpora.pairs import PairedText, one_row_each
from dlmone_lite.errors import InputError
from dlmone_lite.model import Denoiser
from dlmone_lite.sample import ancestral
from dlmone_lite.teacher import TeacherConfig, TeacherRun
from dlmone_lite.text import Batch, Codec
from dlmone_lite.training import processes
from dlmone_lite.training.seeds import generator_at, on_device


@dataclass
class SharpenConfig(TeacherConfig):
    """A teacher's settings, and those of what it learns from: `samples` sentences for each of `sources`
    training sources (at most; 0: all), in `nfe` clamped steps. It is soon sharp, and after many updates it
    may repeat itself, the sooner the fewer sentences there are. The embeddings stay; so `rounding` and
    `prior` do nothing, and students and score estimators of both teachers live in one space.
    """

    steps: int = 150
    warmup: int = 50
    weight_decay: float = 0.0
    ema: float = 0.995
    rounding: float = 0.0
    prior: float = 0.0
    late_from: int = 1000
    late_share: float = 0.875
    sources: int = 5000
    samples: int = 2
    nfe: int = 20


class OwnSentences(nn.Module):
    """In the place of `PairedText`: for each of S sources (rows (S,) of `data`) n sentences, ids (S, n, L).

    A module, so that it is saved and restored with a run; it stays on the CPU, like the pairs it replaces.
    """

    def __init__(self, data: PairedText, rows: Tensor, samples: int):
        super().__init__()
        self.codec: Codec = data.codec
        self.batch = data.batch[rows]
        self.register_buffer("ids", self.batch.ids[:, None].repeat(1, samples, 1))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))

    @property
    def full(self) -> bool:
        """Whether every source has its sentences."""
        return int(self.filled) == len(self.ids)

    def put(self, ids: Tensor) -> None:
        """The sentences ids (s, n, L) of the next s sources."""
        start = int(self.filled)
        self.ids[start : start + len(ids)] = ids.cpu()
        self.filled += len(ids)

    def __len__(self) -> int:
        return self.ids.shape[0] * self.ids.shape[1]

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """n random sentence numbers."""
        return torch.randint(len(self), (n,), generator=generator)

    def rows(self, index: Tensor) -> tuple[Batch, Tensor, Tensor]:
        """(batch (B, L), references (B, n, L_t), log_share (B, n)) of the sentences `index`."""
        samples = self.ids.shape[1]
        source, sample = index // samples, index % samples
        references = self.ids[source][:, :, self.codec.source_length :]
        share = torch.full(references.shape[:2], 1 / samples)
        return Batch(self.ids[source, sample], self.batch.target[source]), references, share.log()


class SharpenRun(TeacherRun):
    """Go on training a copy of `teacher` on its own clamped sentences; iterate for `Step`s after `prepare`.

    `.result` is the averaged (EMA) sharpened teacher. Of `data` only the sources are used.
    """

    kind = "sharpen"
    rows_at_once = 512  # of the teacher's sampling

    def __init__(self, teacher: Denoiser, data: PairedText, config: SharpenConfig):
        if config.samples < 1 or config.nfe < 1:
            raise InputError("sharpening needs samples and nfe of at least 1")
        self.phi = copy.deepcopy(teacher).eval().requires_grad_(False)
        model = copy.deepcopy(teacher).requires_grad_(True)
        model.words.requires_grad_(False)
        rows = one_row_each(data, config.sources, generator_at(config.seed, 0))
        self.sentences = OwnSentences(data, rows, config.samples)
        super().__init__(model, self.sentences, config)
        self.modules["sentences"] = self.sentences

    @torch.no_grad()
    def prepare(self) -> Iterator[tuple[int, int]]:
        """The teacher writes its sentences, in parts; yields (sources done, sources in all)."""
        c, own = self.config, self.sentences
        at_once = max(1, self.rows_at_once // c.samples)
        while not own.full:
            began, start = time.perf_counter(), int(own.filled) + processes.rank() * at_once
            ids = own.batch.ids[:0, None].expand(-1, c.samples, -1).to(self.device)
            if start < len(own.ids):  # else other processes write the last ones
                ids = self.written(own.batch[start : start + at_once], generator_at(c.seed, -1 - start))
            own.put(processes.all_gather_uneven(ids, at_once))
            self.seconds += time.perf_counter() - began
            yield int(own.filled), len(own.ids)

    def written(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """The teacher's sentences for these sources, ids (s, n, L)."""
        c, phi = self.config, self.phi
        batch = batch.repeat(c.samples).to(self.device)
        clean = phi.embed(batch.ids)
        with self.autocast():
            how = {"steps": c.nfe, "generator": on_device(generator, self.device), "clamp": phi.clamp}
            x = ancestral(phi, phi.schedule, batch, clean, **how)
        ids = batch.ids.clone()
        ids[batch.target] = phi.round(x.float()[batch.target])
        return ids.view(-1, c.samples, ids.shape[-1])

    def update(self, generator: torch.Generator) -> tuple[dict[str, float], dict[str, float], int]:
        if not self.sentences.full:
            raise InputError("there are no sentences to learn from yet; exhaust prepare() first")
        return super().update(generator)
