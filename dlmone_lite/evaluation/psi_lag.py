"""Two measures of how far the score estimator psi is behind the student; neither needs the exact truth."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from statistics import fmean

import torch
from torch import Tensor

from dlmone_lite.distill import DistillRun, Draw, psi_loss
from dlmone_lite.sample import anchor
from dlmone_lite.sid import over_target
from dlmone_lite.training.seeds import generator_at


@torch.no_grad()
def lag(run: DistillRun, rows: int = 512) -> float:
    """The lag of psi: E[(f_phi - f_psi) . (f_psi - x_g)] / E ||f_phi - f_psi||^2, over `rows` samples.

    The numerator is 0 for a psi that fits the student's distribution, by the identity in `sid`. The ratio is
    the share of SiD's signal that comes from psi's error alone. It is nan while psi equals the teacher.
    """
    c, rng = run.config, torch.Generator().manual_seed(9_000_011)
    draw = run.noised(run.data.draw(rows - rows % c.group, rng, c.group), rng)
    batch, t, x_g = draw.batch, draw.t, run.generate(draw)
    x_t = anchor(run.phi.schedule.diffuse(x_g, t, draw.noise), draw.clean, batch)
    f_phi, f_psi = run.phi(x_t, t, batch), run.psi(x_t, t, batch)
    gap = over_target((f_phi - f_psi).square(), batch.target).mean()
    residual = over_target((f_phi - f_psi) * (f_psi - x_g), batch.target).mean()
    return float(residual / gap) if gap > 0 else math.nan


def regret(run: DistillRun, updates: int = 100, rows: int = 1024, lr: float = 1e-3) -> float:
    """The regret of psi: the share of its loss that `updates` updates remove while the student stands still.

    A copy of psi is trained, so the run does not change. Both losses are means over the same `rows` fresh
    samples of the student, with the same t and noise.
    """
    c, psi = run.config, copy.deepcopy(run.psi)
    learned = [p for p in psi.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(learned, lr=lr, betas=(c.beta1, c.beta2))
    alone = replace(c, b_d=0.0)  # denoising score matching without the discriminator's term

    def loss(draw: Draw) -> Tensor:
        with torch.no_grad():
            x_g = run.generate(draw)
        return psi_loss(psi, x_g, draw, alone)["dsm"].mean()

    @torch.no_grad()
    def held_out() -> float:
        draws = (run.draw(generator_at(9_000_023, i)) for i in range(max(1, rows // c.batch_size)))
        return fmean(float(loss(draw)) for draw in draws)

    before = held_out()
    for i in range(updates):
        optimiser.zero_grad()
        loss(run.draw(generator_at(9_000_029, i))).backward()
        optimiser.step()
    return 1 - held_out() / before
