"""`sweep spaces`: score distillation where sentences are points of another space.

The kit's networks predict points between word embeddings. Neighbours of DLM-One predict a distribution over
words and take its mean embedding (arXiv 2609.40235), diffuse one-hot vectors (FMLM, arXiv 2602.16813), or
diffuse the states of a frozen sentence encoder, which a decoder turns into words (TEncDM). The loop is the
same for all; networks and embeddings differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlmone_lite.beyond import trial
from dlmone_lite.checkpoints.checkpoint import Checkpoint
from dlmone_lite.corpora.pairs import PairedText
from dlmone_lite.distill import DistillRun
from dlmone_lite.lab.divergences import well_placed
from dlmone_lite.lab.experiment import SHAPE, Spec
from dlmone_lite.model import Block, Denoiser, ModelConfig, sized
from dlmone_lite.sample import anchor
from dlmone_lite.schedule import Schedule
from dlmone_lite.teacher import TeacherConfig, TeacherRun
from dlmone_lite.text import UNK, Batch, Codec
from dlmone_lite.training.seeds import seed_weights
from dlmone_lite.training.targets import posterior_mean, stable_weights

ENCODER = replace(trial.TEACHER, steps=600, optimiser="adamw", t_sampling="uniform")
HIDDEN, BLUR = 0.15, 0.5  # share of words that the encoder does not see, noise on its states


def simplex(model: Denoiser) -> Denoiser:
    """The network with its output as softmax(x0_hat E^T) E, a mean of embeddings; the same weights."""
    config = replace(model.config, output="softmax", evidence=False)
    student = Denoiser(config)
    student.load_state_dict(model.state_dict())
    return student.eval()


def one_hot(config: ModelConfig) -> Denoiser:
    """A new network whose embeddings are the corners of the simplex, frozen, all at one distance; its output
    is a distribution over words, because the space is wider than the network."""
    shape = replace(config, embed_dim=config.vocab_size, output="softmax", evidence=False)
    model = Denoiser(shape)
    model.words.data.copy_(torch.eye(config.vocab_size))
    model.words.requires_grad_(False)
    return model


class LatentDenoiser(Denoiser):
    """A denoiser of the states (B, L_t, D) of a sentence encoder; sources stay word embeddings.

    The encoder reads the whole target, so a state knows its neighbours. The decoder reads each state alone.
    """

    def __init__(self, config: ModelConfig):
        super().__init__(config)
        width, length = config.width, config.length - config.source_length
        self.reading = nn.Embedding(config.vocab_size, width)
        self.places = nn.Parameter(0.1 * torch.randn(length, width))
        self.encoder = nn.ModuleList(Block(width, config.heads, config.expand, 0.0) for _ in range(2))
        self.states = nn.Linear(width, config.embed_dim)
        self.decoder = nn.Sequential(
            nn.Linear(config.embed_dim, width), nn.GELU(), nn.Linear(width, config.vocab_size)
        )

    def codec_parameters(self) -> list[nn.Parameter]:
        """The weights of encoder and decoder."""
        parts = (self.reading, self.encoder, self.states, self.decoder)
        return [self.places, *(p for part in parts for p in part.parameters())]

    def encode(self, ids: Tensor) -> Tensor:
        """Target ids (B, L_t) -> states (B, L_t, D) of norm sqrt(D)."""
        h = self.reading(ids) + self.places
        for block in self.encoder:
            h = block(h)
        return self.normalise(self.states(h))

    def embed(self, ids: Tensor) -> Tensor:
        cut = self.config.source_length
        return torch.cat([super().embed(ids[:, :cut]), self.encode(ids[:, cut:])], 1)

    def round(self, x: Tensor) -> Tensor:
        """States (..., D) -> ids (...) of the decoder's likeliest words."""
        return self.decoder(x).argmax(-1)


class EncoderRun(TeacherRun):
    """Train encoder and decoder as a denoising autoencoder: some words unseen, some noise on the states."""

    kind = "encoder"

    def terms(self, batch: Batch, *drawn: Tensor) -> dict[str, Tensor]:
        references, _, _, noise = drawn
        model, cut = self.model, batch.ids.shape[1] - references.shape[-1]
        ids, noise, unseen = batch.ids[:, cut:], *noise[:, cut:].chunk(2, -1)
        seen = ids.masked_fill(torch.special.ndtr(unseen[..., 0]) < HIDDEN, UNK)
        logits = model.decoder(model.encode(seen) + BLUR * noise)
        return {"denoising": F.cross_entropy(logits.transpose(1, 2), ids, reduction="none").mean(-1)}


class LatentRun(TeacherRun):
    """Train the denoiser of a frozen encoder's states, towards their posterior mean."""

    kind = "latent"

    def terms(self, batch: Batch, *drawn: Tensor) -> dict[str, Tensor]:
        references, log_share, t, noise = drawn
        model, cut = self.model, batch.ids.shape[1] - references.shape[-1]
        x0 = model.embed(batch.ids)
        x_t = anchor(model.schedule.diffuse(x0, t, noise.chunk(2, -1)[0]), x0, batch)
        points = model.encode(references.flatten(0, 1)).unflatten(0, references.shape[:2])
        alpha, sigma = model.schedule.like(t, x_t)
        weights = stable_weights(x_t[:, cut:], points, log_share, alpha, sigma)
        goal = posterior_mean(x_t[:, cut:], points, weights, alpha, sigma, 0.0)
        return {"denoising": (model(x_t, t, batch)[:, cut:] - goal).square().mean((-2, -1))}


def latent_teacher(codec: Codec, data: PairedText, config: TeacherConfig) -> tuple[Denoiser, float]:
    """A trained encoder's denoiser, and its CPU seconds."""
    model = LatentDenoiser(sized(SHAPE, codec)).requires_grad_(False)
    for parameter in model.codec_parameters():
        parameter.requires_grad_(True)
    encoder = EncoderRun(model, data, replace(ENCODER, seed=config.seed))
    seconds = trial.train(encoder)
    model.load_state_dict(encoder.result.state_dict())
    model.requires_grad_(True)
    for parameter in model.codec_parameters():
        parameter.requires_grad_(False)
    run = LatentRun(model, data, config)
    return run.result, seconds + trial.train(run)


def rescaled(settings: dict[str, Any], schedule: Schedule, factor: float) -> dict[str, Any]:
    """Settings whose noise levels sigma/alpha are `factor` times as high, for words `factor` times as far."""
    config = trial.config_of(settings)
    names = ("t_init", "t_max", "late_from", "late_to")
    levels = {name: float(schedule.ratio(getattr(config, name))) * factor for name in names}
    return settings | {name: schedule.at_ratio(level) for name, level in levels.items()}


ARMS: dict[str, dict[str, Any]] = {
    "embeddings": {},
    "mean embedding of softmax": {"space": "simplex"},
    "one-hot vectors": {"space": "one-hot"},
    "encoder's states": {"space": "latent"},
}


def specs(seeds: int = 3) -> Iterator[Spec]:
    """One recipe in four spaces."""
    return trial.specs("spaces", ARMS, seeds)


def make(folder: Path, spec: Spec) -> trial.Record:
    """The record of a row: its student, and its teacher in eight calls."""
    found: dict[str, Any] = {}

    def start(teacher: Checkpoint, data: PairedText, settings: dict[str, Any]) -> DistillRun:
        space = settings.pop("space", "")
        config, student = trial.teacher_config(settings, spec.seed), None
        with torch.random.fork_rng():
            seed_weights(spec.seed)
            if space == "one-hot":
                model = one_hot(sized(SHAPE, teacher.codec))
                run = TeacherRun(model, data, replace(config, loss="ce", rounding=0.0, prior=0.0))
                found["teacher_seconds"], teacher.model = trial.train(run), run.result
                far = (model.config.embed_dim / SHAPE.embed_dim) ** 0.5
                settings = rescaled(settings, model.schedule, far)
            elif space == "latent":
                teacher.model, found["teacher_seconds"] = latent_teacher(teacher.codec, data, config)
            elif space == "simplex":
                student = simplex(teacher.model)
        calls = well_placed(teacher.model.schedule, 8)
        found["teacher"] = trial.scores(teacher, calls, spec.seed)
        return DistillRun(teacher.model, data, trial.config_of(settings), student)

    row = trial.student_row(spec, folder, start, (1, 4))
    return trial.rounded(row | found)
