"""Sharpening: train a teacher further on its own samples under DiffuSeq's clamp, before it is distilled.

Not in DLM-One. Score distillation learns the distribution of the teacher's scores, its sentences *without*
the clamp. A small teacher of real text is evaluated with the clamp and can be much worse without it, as
`evaluate` shows with and without `--clamp`. Training on its own clamped sentences moves its scores to those.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dlmone_lite.corpora.pairs import PairedText, one_row_per_source
from dlmone_lite.errors import InputError
from dlmone_lite.model import Denoiser
from dlmone_lite.sample import ancestral
from dlmone_lite.teacher import TeacherConfig, TeacherRun
from dlmone_lite.text import Batch, Codec
from dlmone_lite.training import processes
from dlmone_lite.training.seeds import generator_at, on_device


@dataclass
class SharpenConfig(TeacherConfig):
    """A teacher's settings, and those of its training sentences: `samples` for each of at most `sources`
    training sources (0: all), sampled in `nfe` clamped steps. Few updates are enough. After many the teacher
    may repeat itself, the sooner the fewer sentences there are. The embeddings are frozen; so `rounding` and
    `prior` have no effect, and students and score estimators of both teachers share one embedding space.
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
    """The training pairs of sharpening: n sentences ids (S, n, L) for each of S sources, rows (S,) of `data`.

    Takes the place of `PairedText`. It is a module because it is saved and restored with a run. It stays on
    the CPU, like the pairs it replaces.
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

    def append(self, ids: Tensor) -> None:
        """Store the sentences ids (s, n, L) of the next s sources."""
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
    """Train a copy of `teacher` further on its own clamped sentences; iterate for `Step`s after `prepare`.

    `.result` is the averaged (EMA) sharpened teacher. Of `data` only the sources are used.
    """

    kind = "sharpen"
    rows_per_call = 512  # of the teacher's sampling

    def __init__(self, teacher: Denoiser, data: PairedText, config: SharpenConfig):
        if config.samples < 1 or config.nfe < 1:
            raise InputError("sharpening needs samples and nfe of at least 1")
        self.phi = copy.deepcopy(teacher).eval().requires_grad_(False)
        model = copy.deepcopy(teacher).requires_grad_(True)
        model.words.requires_grad_(False)
        rows = one_row_per_source(data, config.sources, generator_at(config.seed, 0))
        self.sentences = OwnSentences(data, rows, config.samples)
        super().__init__(model, self.sentences, config)
        self.modules["sentences"] = self.sentences

    @torch.no_grad()
    def prepare(self) -> Iterator[tuple[int, int]]:
        """Fill `sentences` with the teacher's samples in chunks; yield (sources done, sources in all)."""
        c, own = self.config, self.sentences
        chunk = max(1, self.rows_per_call // c.samples)
        while not own.full:
            began, start = time.perf_counter(), int(own.filled) + processes.rank() * chunk
            ids = own.batch.ids[:0, None].expand(-1, c.samples, -1).to(self.device)
            if start < len(own.ids):  # else other processes sample the last sources
                ids = self.teacher_samples(own.batch[start : start + chunk], generator_at(c.seed, -1 - start))
            own.append(processes.all_gather_uneven(ids, chunk))
            self.seconds += time.perf_counter() - began
            yield int(own.filled), len(own.ids)

    def teacher_samples(self, batch: Batch, generator: torch.Generator) -> Tensor:
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
