"""`sweep diversity`: what keeps a one-step student diverse, compared on frontiers.

A single point of quality and diversity ranks nothing, because a louder or softer input noise trades one for
the other (arXiv 2604.02718 argues so for perplexity and entropy). So each student is sampled at several noise
scales, and students are compared at equal entropy. The exact KL to the truth tells whether that is right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dlmone_lite.beyond import trial
from dlmone_lite.checkpoints.checkpoint import Checkpoint
from dlmone_lite.corpora.pairs import PairedText
from dlmone_lite.distill import DistillConfig, DistillRun, Draw
from dlmone_lite.lab.experiment import Spec
from dlmone_lite.lab.patients import SID_ALONE
from dlmone_lite.sid import over_target

SCALES = (0.25, 0.5, 0.7, 0.85, 1.0, 1.15, 1.4, 1.8)  # of the input noise, when sampling


@dataclass
class RepulsionConfig(DistillConfig):
    """`repulsion` weighs a term that drives samples of one source apart; `loud` scales the training noise."""

    repulsion: float = 0.0
    loud: float = 1.0

    @property
    def theta_weights(self) -> dict[str, float]:
        return {**super().theta_weights, "repulsion": self.repulsion}


def repulsion(x_g: Tensor, target: Tensor, group: int) -> Tensor:
    """The mean of exp(-d) (B,) between a row of x_g (B, L, D) and the other rows of its group, where d is
    their squared distance per element of the target."""
    samples = x_g.unflatten(0, (-1, group))
    gap = (samples[:, :, None] - samples[:, None]).square().flatten(0, 2)  # (B group, L, D)
    near = torch.exp(-over_target(gap, target.repeat_interleave(group, 0))).view(-1, group, group)
    others = ~torch.eye(group, dtype=torch.bool, device=x_g.device)
    return (near * others).sum(-1).flatten() / (group - 1)


class RepulsionRun(DistillRun):
    """Distil a student whose samples of one source repel each other, or whose input noise is louder."""

    kind = "repulsion"

    def generate(self, draw: Draw) -> Tensor:
        return super().generate(replace(draw, z=self.config.loud * draw.z))

    def theta_terms(self, x_g: Tensor, draw: Draw) -> dict[str, Tensor]:
        terms = super().theta_terms(x_g, draw)
        if self.config.repulsion:
            terms["repulsion"] = repulsion(x_g, draw.batch.target, self.config.group)
        return terms


PLAIN = {"group": 4, "t_spacing": "uniform", "late_share": 0.0, "t_min": 1, "t_max": 1976, "lr": 1e-3}
PLAIN |= {"lr_psi": 3e-3, "steps": 800}
SID = {**PLAIN, "divergence": "sid", **SID_ALONE, "mu": 0.5, "steps": 500}
KL = {**PLAIN, "divergence": "reverse_kl"}
ARMS: dict[str, dict[str, Any]] = {
    "SiD": {**SID, "rho": 0.0},
    "SiD, shared noise": {**SID, "rho": 1.0},
    "SiD, adversary": {**SID, "rho": 0.0, "b_d": 0.5, "b_g": 0.2, "steps": 350},
    "reverse KL": {**KL, "rho": 0.0},
    "reverse KL, shared noise": {**KL, "rho": 1.0},
    "reverse KL, shared noise, three psi": {**KL, "rho": 1.0, "psi_steps": 3, "steps": 450},
    "reverse KL, shared noise, repulsion": {**KL, "rho": 1.0, "repulsion": 0.05},
    "reverse KL, shared noise, louder": {**KL, "rho": 1.0, "loud": 1.5},
    "the recipe pocket": {"steps": 800},
}


def specs(seeds: int = 3) -> Iterator[Spec]:
    """Students by two divergences, with and without what may keep them diverse."""
    return trial.specs("diversity", ARMS, seeds)


def at_entropy(points: Sequence[trial.Record], entropy: float, name: str) -> float | None:
    """A score where a frontier crosses an entropy, linear between two points; None where it does not.

    Of several crossings the one with the loudest noise counts, because soft noise ends where all collapse.
    """
    for low, high in reversed(list(zip(points, points[1:]))):
        a, b = low["entropy"], high["entropy"]
        if min(a, b) <= entropy <= max(a, b) and a != b:
            return low[name] + (entropy - a) / (b - a) * (high[name] - low[name])
    return None


def inversions(points: Sequence[trial.Record], tolerance: float) -> tuple[int, int]:
    """(pairs of points whose order by perplexity contradicts the exact KL, pairs), of the pairs whose KLs
    differ by more than `tolerance`."""
    wrong = pairs = 0
    for i, a in enumerate(points):
        for b in points[:i]:
            if abs(a["kl"] - b["kl"]) > tolerance:
                pairs += 1
                wrong += (a["cross_entropy"] < b["cross_entropy"]) != (a["kl"] < b["kl"])
    return wrong, pairs


def start(teacher: Checkpoint, data: PairedText, settings: dict[str, Any]) -> DistillRun:
    """The run of an arm."""
    return RepulsionRun(teacher.model, data, trial.config_of(settings, RepulsionConfig))


def make(folder: Path, spec: Spec) -> trial.Record:
    """The record of a row: its scores, and the points of its frontier, one for each noise scale."""
    usual = spec.stages[0].get("loud", 1.0)

    def frontier(student: Checkpoint, teacher: Checkpoint) -> trial.Record:
        chosen, points = trial.sources_of(teacher.world), []
        for scale in SCALES:
            texts = trial.louder(student, chosen, trial.SAMPLES, spec.seed, scale * usual)
            points.append({"scale": scale, **trial.score_texts(texts, teacher.world)})
        return {"frontier": points}

    found = trial.student_row(spec, folder, start, more=frontier)
    if points := found.get("frontier"):
        found["final"] = [{"nfe": 1, **points[SCALES.index(1.0)]}]
    return found
