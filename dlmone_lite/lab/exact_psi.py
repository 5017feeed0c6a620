"""Why a student degenerates: the score estimator against the student's own exact score.

And what its error does to the student's gradient.

The student's distribution is known by its samples: N of them, noised, are a Gaussian mixture (`exact`), whose
posterior mean f* is what a perfect psi would say. It is asked at samples that are not among the N.
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
from dlmone_lite.distill import DistillRun
from dlmone_lite.evaluation.bayes_floor import ExactModel
from dlmone_lite.evaluation.measure import held_out_sources
from dlmone_lite.evaluation.psi_lag import regret
from dlmone_lite.exact import GaussianMixture
from dlmone_lite.files import rounded
from dlmone_lite.lab.experiment import Spec, begin, beginning
from dlmone_lite.sample import anchor
from dlmone_lite.sid import error_weight, generator_loss, sid_loss
from dlmone_lite.text import Batch

LEVELS = (300, 600, 1000, 1490, 1850)
NUMBERS = (512, 1024, 2048, 4096)  # samples in the mixture, to see it converge
MOMENTS = (130, 200, 400)  # updates after which a run is examined
ASKED = 256  # fresh samples at which f* is asked


class Known:
    """A student's distribution for one source, known by `number` samples of its one step."""

    def __init__(self, run: DistillRun, checkpoint: Checkpoint, source: str, number: int, seed: int = 0):
        self.run, self.codec = run, checkpoint.codec
        self.cut = checkpoint.codec.source_length
        self.batch = checkpoint.codec.encode([source])
        self.points = self.sample(number, seed)[0][:, self.cut :].flatten(1).detach()

    def sample(self, number: int, seed: int) -> tuple[Tensor, Batch, Tensor]:
        """(x_g (n, L, D), their batch, the clean source beside them); with the student's gradients."""
        batch = self.batch.repeat(number)
        clean = self.run.teacher.embed(batch.ids)
        z = torch.randn(clean.shape, generator=torch.Generator().manual_seed(8_000_009 + seed))
        return self.run.generate(batch, clean, z), batch, clean

    def mean(self, x_t: Tensor, t: Tensor, first: int = 0, last: int | None = None) -> Tensor:
        """f*(x_t) (B, L, D) by the samples first..last; source positions come back unchanged."""
        points = self.points[first:last]
        mixture = GaussianMixture(points, torch.zeros(len(points)))
        alpha, sigma = self.run.teacher.schedule.like(t, x_t[:, 0])
        flat = mixture.mean(x_t[:, self.cut :].flatten(1), alpha, sigma)
        return torch.cat([x_t[:, : self.cut], flat.unflatten(1, (-1, x_t.shape[-1]))], 1)


@torch.no_grad()
def errors(run: DistillRun, checkpoint: Checkpoint, source: str, seed: int = 0) -> list[dict[str, Any]]:
    """At each level, mean squares per element of the target.

    "psi" ||f_psi - f*||^2, "signal" ||f_phi - f*||^2, "doubt" ||f*_A - f*_B||^2 of two disjoint halves of the
    samples, and "by_number" ||f_psi - f*||^2 for fewer of them: where doubt is not far below psi, f* is not
    known well enough.
    """
    known = Known(run, checkpoint, source, NUMBERS[-1], seed)
    x_g, batch, clean = known.sample(ASKED, seed + 1)
    rows = []
    for level in LEVELS:
        t = torch.full((ASKED,), level)
        noise = torch.randn(x_g.shape, generator=torch.Generator().manual_seed(level))
        x_t = anchor(run.teacher.schedule.diffuse(x_g, t, noise), clean, batch)
        f_psi, f_phi, best = run.psi(x_t, t, batch), run.phi(x_t, t, batch), known.mean(x_t, t)
        half = NUMBERS[-1] // 2

        def square(a: Tensor, b: Tensor) -> float:
            return float((a - b)[:, known.cut :].square().mean())

        rows.append(
            {
                "t": level,
                "psi": square(f_psi, best),
                "signal": square(f_phi, best),
                "doubt": square(known.mean(x_t, t, 0, half), known.mean(x_t, t, half)),
                "by_number": [square(f_psi, known.mean(x_t, t, 0, number)) for number in NUMBERS],
            }
        )
    return rows


def gradients(run: DistillRun, checkpoint: Checkpoint, source: str, seed: int = 0) -> dict[str, float]:
    """Cosines of theta's gradients, over all weights, on one batch of one source, with the perfect one.

    That is the one of the world's exact teacher and a perfect psi.

    "sid" as trained, "teacher" with a perfect psi but the learned teacher, "adversarial" the adversarial
    term's own, "both" as trained with it; "again" the perfect one's on other noise, which tells how much of a
    batch's gradient is chance. "<kind>_length" are lengths over the perfect one's.
    """
    known, c = Known(run, checkpoint, source, NUMBERS[-1], seed), run.config
    oracle = ExactModel(checkpoint, lab_world())
    learned = [p for p in run.theta.parameters() if p.requires_grad]

    def gradient(kind: str, draw: int) -> Tensor:
        x_g, batch, clean = known.sample(ASKED, draw)
        rng = torch.Generator().manual_seed(9_100_003 + draw)
        t = torch.randint(c.t_min, c.t_max + 1, (ASKED,), generator=rng)
        noise = torch.randn(x_g.shape, generator=rng)
        x_t = anchor(run.teacher.schedule.diffuse(x_g, t, noise), clean, batch)
        f_phi = (oracle if kind == "perfect" else run.phi)(x_t, t, batch)
        w = error_weight(x_g, f_phi, batch.target)
        if kind == "adversarial":
            loss = generator_loss(run.psi.denoise_and_discriminate(x_t, t, batch)[1], batch.target) / w
        else:
            f_psi = run.psi(x_t, t, batch) if kind == "sid" else known.mean(x_t, t)
            loss = sid_loss(x_g, f_phi, f_psi, batch.target, c.mu) / w
        parts = torch.autograd.grad(loss.mean(), learned, allow_unused=True)
        return torch.cat([part.flatten() for part in parts if part is not None])

    perfect = gradient("perfect", seed + 2)
    found = {kind: gradient(kind, seed + 2) for kind in ("sid", "teacher", "adversarial")}
    found["both"] = found["sid"] + (c.b_g or 0.2) * found["adversarial"]
    found["again"] = gradient("perfect", seed + 3)
    result = {
        kind: float(torch.cosine_similarity(g.double(), perfect.double(), dim=0)) for kind, g in found.items()
    }
    lengths = {
        f"{kind}_length": float(found[kind].norm() / perfect.norm()) for kind in ("sid", "adversarial")
    }
    return result | lengths


def mean_of(values: Sequence[Any]) -> Any:
    """Mean of numbers, or of lists place by place."""
    return [fmean(place) for place in zip(*values)] if isinstance(values[0], list) else fmean(values)


def examine(folder: Path, spec: Spec) -> dict[str, Any]:
    """The record of a run that stops at `MOMENTS` to be examined, on two sources never seen in training."""
    teacher, student = beginning(spec, folder)
    run = begin(spec, teacher, student, None, 1)
    sources, looks = held_out_sources(lab_world(), 2), []
    for step in run:
        if step.step in MOMENTS:
            of_sources = [errors(run, teacher, source, spec.seed) for source in sources]
            averaged = [
                {key: mean_of([row[key] for row in rows]) for key in rows[0]} for rows in zip(*of_sources)
            ]
            cosines = [gradients(run, teacher, source, spec.seed) for source in sources]
            cosines = {key: mean_of([found[key] for found in cosines]) for key in cosines[0]}
            looks.append(
                {"step": step.step, "levels": averaged, "gradients": cosines, "regret": regret(run, 60, 512)}
            )
    return {"key": spec.key, "spec": asdict(spec), **rounded({"looks": looks})}
