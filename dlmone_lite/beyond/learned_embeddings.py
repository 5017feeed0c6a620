"""`sweep embeddings`: may the student learn its own embeddings during distillation?

DLM-One keeps the teacher's. Three things then change: how a source is read, what a position of the student's
sample is rounded to, and, if psi has the same table, what a real sentence looks like to psi. The teacher's
scores stay in the teacher's space.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dlmone_lite.beyond import trial
from dlmone_lite.checkpoints.checkpoint import Checkpoint
from dlmone_lite.corpora.pairs import PairedText
from dlmone_lite.distill import DistillConfig, DistillRun, Draw, theta_loss
from dlmone_lite.lab.experiment import Spec
from dlmone_lite.model import Denoiser
from dlmone_lite.rounding import clean_rounding_loss
from dlmone_lite.sample import anchor
from dlmone_lite.sid import over_target
from dlmone_lite.text import Batch


@dataclass
class EmbeddingConfig(DistillConfig):
    """The student's table is learned through its sources and through `commitment`, which pulls the table and
    the samples together. `apart` weighs DiffuSeq's rounding loss of the table, which keeps words apart. With
    `shared`, psi reads the student's table."""

    shared: bool = False
    apart: float = 0.0

    @property
    def theta_weights(self) -> dict[str, float]:
        return {**super().theta_weights, "apart": self.apart}


class Reading:
    """psi, which reads sources in the words of another network's table."""

    def __init__(self, psi: Denoiser, words: Denoiser):
        self.psi, self.words, self.schedule = psi, words, psi.schedule

    def anchored(self, x_t: Tensor, batch: Batch) -> Tensor:
        """x_t (B, L, D) with the table's embeddings, as constants, at source positions."""
        return anchor(x_t, self.words.embed(batch.ids).detach(), batch)

    def __call__(self, x_t: Tensor, t: Tensor, batch: Batch) -> Tensor:
        return self.psi(self.anchored(x_t, batch), t, batch)

    def denoise_and_discriminate(self, x_t: Tensor, t: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """As the network's."""
        return self.psi.denoise_and_discriminate(self.anchored(x_t, batch), t, batch)


class EmbeddingRun(DistillRun):
    """Distil a student that learns its embeddings, too."""

    kind = "embeddings"

    def __init__(self, teacher: Denoiser, data: PairedText, config: EmbeddingConfig):
        super().__init__(teacher, data, config)
        self.theta.words.requires_grad_(True)
        self.optimisers["theta"].add_param_group({"params": [self.theta.words]})

    def generate(self, draw: Draw) -> Tensor:
        return super().generate(replace(draw, clean=self.theta.embed(draw.batch.ids)))

    def psi_terms(self, x_g: Tensor, draw: Draw) -> dict[str, Tensor]:
        if self.config.shared:
            draw = replace(draw, clean=self.theta.embed(draw.batch.ids).detach())
        return super().psi_terms(x_g, draw)

    def theta_terms(self, x_g: Tensor, draw: Draw) -> dict[str, Tensor]:
        c = self.config
        psi = Reading(self.psi, self.theta) if c.shared else self.psi
        terms = theta_loss(self.phi, psi, x_g, draw, c)
        if c.commitment:  # both ends move
            terms["commitment"] = over_target((x_g - self.theta.clamp(x_g)).square(), draw.batch.target)
        if c.apart:
            ids = draw.batch.ids[draw.batch.target].view(len(draw), -1)
            terms["apart"] = clean_rounding_loss(self.theta.embedding(), None, ids)
        return terms


OWN = {"learned": True, "commitment": 0.1}
ADVERSARY = {"b_d": 0.5, "b_g": 0.2}
ARMS: dict[str, dict[str, Any]] = {
    "frozen": {},
    "frozen, commitment": {"commitment": 0.1},
    "own": OWN,
    "own, kept apart": {**OWN, "apart": 0.1},
    "shared, kept apart": {**OWN, "apart": 0.1, "shared": True},
    "frozen, adversary": ADVERSARY,
    "shared, kept apart, adversary": {**OWN, "apart": 0.1, "shared": True, **ADVERSARY},
}


def specs(seeds: int = 3) -> Iterator[Spec]:
    """A frozen table, the student's own, and one shared with psi."""
    return trial.specs("embeddings", ARMS, seeds)


def start(teacher: Checkpoint, data: PairedText, settings: dict[str, Any]) -> DistillRun:
    """The run of an arm."""
    if not settings.pop("learned", False):
        return DistillRun(teacher.model, data, trial.config_of(settings))
    return EmbeddingRun(teacher.model, data, trial.config_of(settings, EmbeddingConfig))


def words_of(student: Checkpoint, teacher: Checkpoint) -> trial.Record:
    """How near the nearest two words came, and how far words moved on the mean, in units of their norm."""
    table, before = student.model.embedding(), teacher.model.embedding()
    norm = student.model.config.embed_dim**0.5
    moved = (table - before).norm(dim=-1).mean() / norm
    return {"nearest_words": float(torch.pdist(table).min() / norm), "moved": float(moved)}


def make(folder: Path, spec: Spec) -> trial.Record:
    """The record of a row."""
    return trial.student_row(spec, folder, start, more=words_of)
