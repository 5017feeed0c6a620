"""`sweep anchors`: two more ways to break a student, each with a published counterpart (arXiv 2609.40235).

Without the KL's entropy a student that is paid for likelihood alone collapses: its gradient is the teacher's
score without psi's. And a student that does not start with the teacher's weights may not come to life.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from dlmone_lite.beyond import trial
from dlmone_lite.checkpoints.checkpoint import Checkpoint
from dlmone_lite.corpora.pairs import PairedText
from dlmone_lite.distill import DistillConfig, DistillRun, Draw, theta_loss
from dlmone_lite.lab.experiment import Spec
from dlmone_lite.text import Batch


@dataclass
class AnchorConfig(DistillConfig):
    """`anchor` is the share of psi's score in the reverse KL's gradient: 1 is the KL, 0 likelihood alone."""

    anchor: float = 1.0


class AnchorRun(DistillRun):
    """Distil by E_t[-log p_t] - anchor H: the teacher's score, less a share of the student's own.

    Without psi's share x_g stands for f_psi, as if each sample were the student's only one.
    """

    kind = "anchor"

    def theta_terms(self, x_g: Tensor, draw: Draw) -> dict[str, Tensor]:
        def psi(x_t: Tensor, t: Tensor, batch: Batch) -> Tensor:
            return x_g.detach().lerp(self.psi(x_t, t, batch).to(x_g), self.config.anchor)

        return theta_loss(self.phi, psi, x_g, draw, self.config)


SID = {"fresh": True, "divergence": "sid", "mu": 0.5, "steps": 500}
ARMS: dict[str, dict[str, Any]] = {
    "anchor 1": {"anchor": 1.0},
    "anchor .9": {"anchor": 0.9},
    "anchor .5": {"anchor": 0.5},
    "no anchor": {"anchor": 0.0},
    "from scratch, reverse KL": {"fresh": True},
    "from scratch, SiD": SID,
    "from scratch, SiD and adversary": {**SID, "b_d": 0.5, "b_g": 0.2, "steps": 350},
}


def specs(seeds: int = 3) -> Iterator[Spec]:
    """Less and less of the anchor, and students that begin with random weights."""
    return trial.specs("anchors", ARMS, seeds)


def start(teacher: Checkpoint, data: PairedText, settings: dict[str, Any]) -> DistillRun:
    """The run of an arm."""
    fresh = settings.pop("fresh", False)
    student = trial.untrained(teacher.model, settings["seed"]) if fresh else None
    if "anchor" in settings:
        return AnchorRun(teacher.model, data, trial.config_of(settings, AnchorConfig), student)
    return DistillRun(teacher.model, data, trial.config_of(settings), student)


def make(folder: Path, spec: Spec) -> trial.Record:
    """The record of a row."""
    return trial.student_row(spec, folder, start)
