"""`sweep several-calls`: a student trained for several calls, against a one-step student that is re-noised.

DLM-One trains one call and spends more at inference by re-noising (SiD-LSG). Here the student also trains at
the levels where later calls begin: from its own re-noised samples, or from noised data (arXiv 2609.40235).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dlmone_lite.beyond import trial
from dlmone_lite.checkpoints.checkpoint import Checkpoint
from dlmone_lite.corpora.pairs import PairedText
from dlmone_lite.distill import DistillConfig, DistillRun, Draw
from dlmone_lite.lab.experiment import Spec
from dlmone_lite.sample import anchor, timesteps


@dataclass
class CallsConfig(DistillConfig):
    """Each row trains one of the sampler's `calls` calls. Later ones begin with a text that is noised: "own",
    the student's in one call, or "data", the pair's target."""

    calls: int = 4
    text: str = "own"


class CallsRun(DistillRun):
    """Distil a student of several calls; psi learns the mixture of their samples."""

    kind = "calls"

    def generate(self, draw: Draw) -> Tensor:
        c, schedule = self.config, self.phi.schedule
        first = super().generate(draw)
        starts = torch.tensor(timesteps(schedule.T, c.calls, c.t_init)[:-1])
        call = (torch.arange(len(draw)) // c.group + self.step) % c.calls  # whole groups make the same call
        later = call > 0
        if not later.any():
            return first
        text = draw.clean if c.text == "data" else first.detach()
        noise = draw.z.roll(c.group, 0)  # another source's draw, so independent of this row's
        t = starts[call].to(draw.t.device)
        x_t = anchor(schedule.diffuse(text, t, noise), draw.clean, draw.batch)
        return torch.where(later[:, None, None], self.theta(x_t, t, draw.batch), first)


ARMS: dict[str, dict[str, Any]] = {
    "re-noised": {},
    "re-noised, teacher kept": {"keep": 0.15},
    "trained for 2, own text": {"calls": 2, "text": "own"},
    "trained for 4, own text": {"calls": 4, "text": "own"},
    "trained for 4, data": {"calls": 4, "text": "data"},
}
STEPS = {"re-noised": 1200, "re-noised, teacher kept": 1000}  # the others make two passes an update: 800
NFE = (1, 2, 4, 8)


def specs(seeds: int = 3) -> Iterator[Spec]:
    """One-step students and students of several calls, with about as many seconds of training."""
    arms = {arm: {"steps": STEPS.get(arm, 800), **changes} for arm, changes in ARMS.items()}
    return trial.specs("several calls", arms, seeds)


def start(teacher: Checkpoint, data: PairedText, settings: dict[str, Any]) -> DistillRun:
    """The run of an arm."""
    if "calls" in settings:
        return CallsRun(teacher.model, data, trial.config_of(settings, CallsConfig))
    return DistillRun(teacher.model, data, trial.config_of(settings))


def make(folder: Path, spec: Spec) -> trial.Record:
    """The record of a row: its scores at several calls."""
    return trial.student_row(spec, folder, start, NFE)
