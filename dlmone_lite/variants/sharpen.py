"""Sharpening: train a teacher further on its own samples under DiffuSeq's clamp, before it is distilled.

Not in DLM-One. Score distillation learns the distribution that the teacher samples *without* the clamp. A
small teacher of real text is evaluated with the clamp and can be much worse without it, as `evaluate` shows
with and without `--clamp`. Training on its own clamped sentences moves its scores to theirs.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dlmone_lite.corpora.pairs import PairedText, one_row_per_source
from dlmone_lite.errors import InputError
from dlmone_lite.model import Denoiser
from dlmone_lite.teacher import TeacherConfig, TeacherRun
from dlmone_lite.text import Batch, Codec
from dlmone_lite.training.seeds import generator_at
from dlmone_lite.variants.own_samples import fill, teacher_sentences


@dataclass
class SharpenConfig(TeacherConfig):
    """A teacher's settings, and those of its training sentences.

    The teacher samples `samples` sentences in `nfe` clamped steps for each of `sources` training sources (0:
    all). Few updates are enough; after many, the teacher may repeat itself, sooner with fewer sentences. The
    embeddings are frozen, so `rounding` and `prior` do nothing and both teachers share one embedding space.
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
    """The training pairs of sharpening, in place of `PairedText`: n sentences ids (S, n, L) for each of S
    sources, rows (S,) of `data`. They stay on the CPU. A module, because it is saved with the run."""

    draw = PairedText.draw

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

    def rows(self, index: Tensor) -> tuple[Batch, Tensor, Tensor]:
        """(batch (B, L), references (B, n, L_t), log_share (B, n)) of the sentences `index`."""
        samples = self.ids.shape[1]
        source, sample = index // samples, index % samples
        references = self.ids[source][:, :, self.codec.source_length :]
        share = torch.full(references.shape[:2], 1 / samples)
        return Batch(self.ids[source, sample], self.batch.target[source]), references, share.log()


class SharpenRun(TeacherRun):
    """Train a copy of `teacher` on its own clamped sentences for the sources of `data`; iterate for `Step`s
    after `prepare`. `.result` is the averaged (EMA) sharpened teacher."""

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

    def prepare(self) -> Iterator[tuple[int, int]]:
        """Fill `sentences` with clamped samples, chunk by chunk; yield (sources done, sources in all)."""
        c, phi, own = self.config, self.phi, self.sentences

        def sample(batch: Batch, generator: torch.Generator) -> tuple[Tensor]:
            return (teacher_sentences(self, batch, generator, steps=c.nfe, clamp=phi.clamp),)

        yield from fill(self, own.filled, own.batch, sample, own.append)

    def update(self, generator: torch.Generator) -> tuple[dict[str, float], dict[str, float], int]:
        if not self.sentences.full:
            raise InputError("there are no sentences to learn from yet; exhaust prepare() first")
        return super().update(generator)
