"""Why a student degenerates: psi against the student's exact score, and the effect of its error on gradients.

N samples of the student stand for its distribution. Noised, they are a Gaussian mixture (`exact`), whose
posterior mean f* is the output of a perfect psi. All comparisons use fresh samples that are not among the N.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from dlmone_lite.checkpoints.checkpoint import Checkpoint
from dlmone_lite.corpora.pocket import lab_world
from dlmone_lite.distill import DistillRun, Draw
from dlmone_lite.evaluation.bayes_floor import ExactModel
from dlmone_lite.evaluation.measure import held_out_sources
from dlmone_lite.evaluation.psi_lag import regret
from dlmone_lite.exact import GaussianMixture
from dlmone_lite.files import rounded
from dlmone_lite.lab.experiment import Spec, start_networks, start_stage
from dlmone_lite.sample import anchor, share_noise
from dlmone_lite.sid import error_weight, generator_loss, sid_loss
from dlmone_lite.text import Batch

NOISE_LEVELS = (300, 600, 1000, 1490, 1850)  # t
COUNTS = (512, 1024, 2048, 4096)  # samples in the mixture; the growing counts show whether f* has converged
EXAMINED_AT = (130, 200, 400)  # updates
FRESH = 256  # samples on which psi and f* are compared


class SampledStudent:
    """The student's distribution for one source, as `number` one-step samples of equal weight."""

    def __init__(self, run: DistillRun, checkpoint: Checkpoint, source: str, number: int, seed: int = 0):
        self.run, self.cut = run, checkpoint.codec.source_length
        self.batch = checkpoint.codec.encode([source])
        self.points = self.sample(number, seed)[0][:, self.cut :].flatten(1).detach()

    def sample(self, number: int, seed: int) -> tuple[Tensor, Batch, Tensor]:
        """(x_g (n, L, D) with the student's gradients, their batch, its clean embeddings (n, L, D))."""
        batch = self.batch.repeat(number)
        clean = self.run.teacher.embed(batch.ids)
        z = torch.randn(clean.shape, generator=torch.Generator().manual_seed(8_000_009 + seed))
        z = share_noise(z, self.run.config.rho)
        t_init = torch.full((number,), self.run.config.t_init)
        x_g = self.run.generate(Draw(batch, clean, z, t_init, z))  # it needs neither t nor diffusion noise
        return x_g, batch, clean

    def mean(self, x_t: Tensor, t: Tensor, first: int = 0, last: int | None = None) -> Tensor:
        """f*(x_t) (B, L, D) from the samples first..last; source positions come back unchanged."""
        points = self.points[first:last]
        mixture = GaussianMixture(points, torch.zeros(len(points)))
        alpha, sigma = self.run.teacher.schedule.like(t, x_t[:, 0])
        flat = mixture.mean(x_t[:, self.cut :].flatten(1), alpha, sigma)
        return torch.cat([x_t[:, : self.cut], flat.unflatten(1, (-1, x_t.shape[-1]))], 1)


@torch.no_grad()
def errors(run: DistillRun, checkpoint: Checkpoint, source: str, seed: int = 0) -> list[dict[str, Any]]:
    """Mean squared differences per element of the target, one row for each of `NOISE_LEVELS`.

    "psi" is ||f_psi - f*||^2 and "signal" ||f_phi - f*||^2. "doubt" is ||f*_A - f*_B||^2 for two disjoint
    halves of the samples. "by_number" is ||f_psi - f*||^2 for each of `COUNTS` samples. f* has converged only
    where "doubt" is far below "psi".
    """
    student = SampledStudent(run, checkpoint, source, COUNTS[-1], seed)
    x_g, batch, clean = student.sample(FRESH, seed + 1)
    half = COUNTS[-1] // 2

    def square(a: Tensor, b: Tensor) -> float:
        return float((a - b)[:, student.cut :].square().mean())

    rows = []
    for level in NOISE_LEVELS:
        t = torch.full((FRESH,), level)
        noise = torch.randn(x_g.shape, generator=torch.Generator().manual_seed(level))
        x_t = anchor(run.teacher.schedule.diffuse(x_g, t, noise), clean, batch)
        f_psi, f_phi, f_star = run.psi(x_t, t, batch), run.phi(x_t, t, batch), student.mean(x_t, t)
        row: dict[str, Any] = {"t": level, "psi": square(f_psi, f_star), "signal": square(f_phi, f_star)}
        row["doubt"] = square(student.mean(x_t, t, 0, half), student.mean(x_t, t, half))
        row["by_number"] = [square(f_psi, student.mean(x_t, t, 0, number)) for number in COUNTS]
        rows.append(row)
    return rows


def gradients(run: DistillRun, checkpoint: Checkpoint, source: str, seed: int = 0) -> dict[str, float]:
    """Cosines between theta's gradients, over all weights, and the perfect one, on one batch of one source.

    The perfect gradient uses the world's exact teacher and a perfect psi. "sid" is the gradient in training,
    "teacher" that of the learned teacher with a perfect psi, "adversarial" that of the adversarial term,
    "both" the weighted sum in training. "again" is the perfect gradient on another batch, which shows the
    effect of chance. "sid_length" and "adversarial_length" are norms relative to the perfect gradient's.
    """
    student, c = SampledStudent(run, checkpoint, source, COUNTS[-1], seed), run.config
    oracle = ExactModel(checkpoint, lab_world())
    learned = [p for p in run.theta.parameters() if p.requires_grad]

    def gradient(kind: str, seed: int) -> Tensor:
        """theta's gradient of one loss, flat, on the batch of this seed."""
        x_g, batch, clean = student.sample(FRESH, seed)
        rng = torch.Generator().manual_seed(9_100_003 + seed)
        t = torch.randint(c.t_min, c.t_max + 1, (FRESH,), generator=rng)
        noise = torch.randn(x_g.shape, generator=rng)
        x_t = anchor(run.teacher.schedule.diffuse(x_g, t, noise), clean, batch)

        f_phi = (oracle if kind == "perfect" else run.phi)(x_t, t, batch)
        w = error_weight(x_g, f_phi, batch.target)
        if kind == "adversarial":
            loss = generator_loss(run.psi.denoise_and_discriminate(x_t, t, batch)[1], batch.target) / w
        else:
            f_psi = run.psi(x_t, t, batch) if kind == "sid" else student.mean(x_t, t)
            loss = sid_loss(x_g, f_phi, f_psi, batch.target, c.mu) / w
        parts = torch.autograd.grad(loss.mean(), learned, allow_unused=True)
        return torch.cat([part.flatten() for part in parts if part is not None])

    perfect = gradient("perfect", seed + 2)
    others = {kind: gradient(kind, seed + 2) for kind in ("sid", "teacher", "adversarial")}
    others["both"] = others["sid"] + (c.b_g or 0.2) * others["adversarial"]
    others["again"] = gradient("perfect", seed + 3)

    result = {}
    for kind, other in others.items():
        result[kind] = float(torch.cosine_similarity(other.double(), perfect.double(), dim=0))
    for kind in ("sid", "adversarial"):
        result[f"{kind}_length"] = float(others[kind].norm() / perfect.norm())
    return result


def mean_of(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The mean of each value over rows with the same keys; lists are averaged place by place."""
    means: dict[str, Any] = {}
    for key, first in rows[0].items():
        values = [row[key] for row in rows]
        means[key] = list(map(fmean, zip(*values))) if isinstance(first, list) else fmean(values)
    return means


def examine(folder: Path, spec: Spec) -> dict[str, Any]:
    """The record of a run that is examined after `EXAMINED_AT` updates, on two held-out sources."""
    teacher, student = start_networks(spec, folder)
    run = start_stage(spec, teacher, student, None, 1)
    sources, examinations = held_out_sources(lab_world(), 2), []
    for step in run:
        if step.step not in EXAMINED_AT:
            continue
        levels = [errors(run, teacher, source, spec.seed) for source in sources]
        cosines = [gradients(run, teacher, source, spec.seed) for source in sources]
        row = {"step": step.step, "levels": [mean_of(same) for same in zip(*levels)]}
        examinations.append({**row, "gradients": mean_of(cosines), "regret": regret(run, 60, 512)})
    return {"key": spec.key, "spec": asdict(spec), **rounded({"looks": examinations})}
