"""`sweep teacher-free`: what does the teacher buy, and what the adversary?

DiffRatio (arXiv 2502.08005) trains a one-step student without a teacher's score. A classifier of noised real
and noised generated samples estimates the log density ratio of the two, and the student descends its
gradient. Of the paper only the abstract was read, so weights and architecture here are reconstructions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from dlmone_lite.beyond import trial
from dlmone_lite.checkpoints.checkpoint import Checkpoint
from dlmone_lite.corpora.pairs import PairedText
from dlmone_lite.distill import DistillConfig, DistillRun, Draw
from dlmone_lite.lab.divergences import PLAIN
from dlmone_lite.lab.experiment import Spec
from dlmone_lite.sample import anchor
from dlmone_lite.sid import discriminator_loss, over_target


@dataclass
class RatioConfig(DistillConfig):
    """psi is a classifier alone, and theta descends the log ratio that it has learned. b_d, b_g, mu and
    `divergence` have no effect."""

    @property
    def psi_weights(self) -> dict[str, float]:
        return {"discriminator": 1.0}

    @property
    def theta_weights(self) -> dict[str, float]:
        return {"ratio": 1.0}


class RatioRun(DistillRun):
    """Train a one-step student by the density ratio of its samples to the data.

    The teacher gives the embeddings and, unless psi and the student are fresh, the first weights.
    """

    kind = "ratio"

    def logits(self, x: Tensor, draw: Draw) -> Tensor:
        """psi's real-or-fake logits (B, L) at x (B, L, D), noised: each estimates log p_data / p_student."""
        x_t = anchor(self.phi.schedule.diffuse(x, draw.t, draw.noise), draw.clean, draw.batch)
        return self.psi.discriminate(x_t, draw.t)

    def psi_terms(self, x_g: Tensor, draw: Draw) -> dict[str, Tensor]:
        real, fake = self.logits(draw.clean, draw), self.logits(x_g, draw)
        return {"discriminator": discriminator_loss(real, fake, draw.batch.target)}

    def theta_terms(self, x_g: Tensor, draw: Draw) -> dict[str, Tensor]:
        """KL(student || data) at x_t, with weight sigma / alpha, which a trial chose."""
        ratio = over_target(-self.logits(x_g, draw), draw.batch.target)
        return {"ratio": ratio * self.phi.schedule.ratio(draw.t).to(ratio)}


# Half a minute of one core each in pocket, a minute in the classroom's worlds.
COMMON = {"rho": 1.0, "t_init": 1491, "t_max": 1977, "b_d": 0.0, "b_g": 0.0, "batch_size": 32}
COMMON |= {"lr": 1e-3, "lr_psi": 3e-3, "precision": "float32"}
RATIO = {"method": "ratio", "lr": 5e-4, "lr_psi": 4e-3, "steps": 660}
ARMS: dict[str, dict[str, Any]] = {
    "reverse KL of the teacher": {"divergence": "reverse_kl", "steps": 1000},
    "SiD": {"mu": 0.5, "steps": 660},
    "SiD + adversary": {"mu": 0.5, "b_d": 0.5, "b_g": 0.2, "steps": 430},
    "ratio": RATIO,
    "ratio, fresh classifier": {**RATIO, "fresh": "psi"},
    "ratio, fresh student": {**RATIO, "fresh": "theta"},
    "ratio, both fresh": {**RATIO, "fresh": "psi theta"},
    "ratio, four times as long": {**RATIO, "steps": 2640},
}
WORLDS = {  # by PLAIN, of `sweep divergences`
    "reverse KL of the teacher": {"divergence": "reverse_kl", "rho": 1.0, "steps": 210},
    "ratio": {"method": "ratio", "rho": 1.0, "steps": 130},
}


def specs(seeds: int = 3) -> Iterator[Spec]:
    """Students of half a minute in pocket, then two methods in each of the three worlds."""
    yield from trial.specs("pocket", {arm: {**COMMON, **changes} for arm, changes in ARMS.items()}, seeds)
    for world in ("paraphrase", "question", "simplify"):
        yield from trial.specs(world, WORLDS, seeds, world)


def start(teacher: Checkpoint, data: PairedText, settings: dict[str, Any]) -> DistillRun:
    """The run of an arm."""
    method, fresh = settings.pop("method", "score"), settings.pop("fresh", "")
    student = trial.untrained(teacher.model, settings["seed"]) if "theta" in fresh else None
    config = replace(PLAIN, **settings)
    if method == "score":
        return DistillRun(teacher.model, data, config, student)
    run = RatioRun(teacher.model, data, RatioConfig(**vars(config)), student)
    if "psi" in fresh:
        run.psi.load_state_dict(trial.untrained(teacher.model, config.seed + 1000).state_dict())
    return run


def make(folder: Path, spec: Spec) -> trial.Record:
    """The record of a row."""
    return trial.student_row(spec, folder, start, (1, 4))
