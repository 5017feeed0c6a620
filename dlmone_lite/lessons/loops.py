"""The three training loops that a learner writes, as plain as they can be: no schedules, no averages.

A notebook uses the learner's own functions once they pass their checks, and these until then.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlmone_lite.checkpoints.checkpoint import Checkpoint
from dlmone_lite.corpora.pairs import PairedText
from dlmone_lite.distill import DistillConfig, DistillRun, Draw
from dlmone_lite.lab import plane
from dlmone_lite.model import Denoiser
from dlmone_lite.sample import anchor
from dlmone_lite.sid import over_target
from dlmone_lite.text import Batch
from dlmone_lite.training.seeds import generator_at, seed_weights
from dlmone_lite.variants.recipes import RECIPES

Adam = torch.optim.Optimizer

# ---- notebook 03: a teacher's update


def teacher_step(model: Denoiser, adam: Adam, batch: Batch, t: Tensor, noise: Tensor) -> float:
    """One update of a teacher -> its loss: from x_t, noisy on the target only, back to the embeddings.

    batch (B, L), t (B,), noise (B, L, D). The embeddings are the goal and get no gradient here.
    """
    with torch.no_grad():
        x0 = model.embed(batch.ids)
    x_t = anchor(model.schedule.diffuse(x0, t, noise), x0, batch)
    error = (model(x_t, t, batch) - x0).square()
    loss = over_target(error, batch.target).mean()
    adam.zero_grad()
    loss.backward()
    adam.step()
    return float(loss.detach())


# ---- notebook 04: score distillation in the plane


def psi_step(psi: nn.Module, adam: Adam, x_g: Tensor, t: Tensor, eps: Tensor) -> float:
    """One update of psi -> its loss: it learns to denoise the student's samples x_g (N, 1, 2), which are
    constants; t (N,), eps (N, 1, 2)."""
    x_g = x_g.detach()
    loss = (psi(psi.schedule.diffuse(x_g, t, eps), t) - x_g).square().mean()
    adam.zero_grad()
    loss.backward()
    adam.step()
    return float(loss.detach())


def theta_step(
    theta: nn.Module,
    adam: Adam,
    phi: plane.Exact,
    psi: nn.Module,
    z: Tensor,
    t: Tensor,
    eps: Tensor,
    mu: float,
) -> float:
    """One update of theta by SiD -> its loss: L2 - mu L1, divided by w; z (N, 2)."""
    x_g = theta(z)
    x_t = psi.schedule.diffuse(x_g, t, eps)
    f_phi, f_psi = phi(x_t, t), psi(x_t, t)
    d = f_phi - f_psi
    w = (x_g - f_phi).detach().abs().mean(-1)
    loss = ((d * (f_phi - x_g)).mean(-1) - mu * (d * d).mean(-1)) / w
    loss = loss.mean()
    adam.zero_grad()
    loss.backward()
    adam.step()
    return float(loss.detach())


def adversarial_terms(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """(psi's loss, theta's loss) from logits of real and of generated points (N, 1)."""
    return 0.5 * (F.softplus(-real) + F.softplus(fake)).mean(), F.softplus(-fake).mean()


class Plane:
    """A cloud that learns: the networks, their optimisers, and the noise of every update.

    `psi_step`, `theta_step` and `adversarial_terms` are the learner's, or this file's.
    """

    def __init__(self, seed: int = 0, points: int = 256, rate: float = 5e-3):
        self.data, self.seed, self.updates = plane.five_modes(), seed, 0
        schedule = plane.Schedule()
        with torch.random.fork_rng():
            seed_weights(seed)
            self.theta, self.psi = plane.Student((-1.6, -1.6)), plane.Estimator(schedule)
        self.phi = plane.Exact(self.data, schedule)
        self.adams = {
            name: torch.optim.Adam(net.parameters(), lr=rate, betas=(0.5, 0.999))
            for name, net in (("theta", self.theta), ("psi", self.psi))
        }
        self.z = torch.randn(points, 2, generator=generator_at(seed, 2_000_000_011))

    @property
    def points(self) -> Tensor:
        """The student's outputs (N, 2) for fixed noises."""
        with torch.no_grad():
            return self.theta(self.z)[:, 0]

    def noise(self) -> tuple[Tensor, Tensor, Tensor]:
        """Fresh z (N, 2), t (N,) and eps (N, 1, 2)."""
        self.updates += 1
        rng, n = generator_at(self.seed, self.updates), len(self.z)
        t = torch.randint(20, 1977, (n,), generator=rng)
        return torch.randn(n, 2, generator=rng), t, torch.randn(n, 1, 2, generator=rng)

    def judge(self, terms: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], b: float) -> None:
        """One update of both networks by `b` times the adversarial terms."""
        z, t, eps = self.noise()
        real = self.data.sample(len(z), generator_at(self.seed, -self.updates))[:, None]
        x_g, diffuse = self.theta(z), self.psi.schedule.diffuse
        on_real = self.psi.discriminate(diffuse(real, t, eps), t)
        for name, which in (("psi", 0), ("theta", 1)):
            x = x_g.detach() if name == "psi" else x_g
            loss = b * terms(on_real, self.psi.discriminate(diffuse(x, t, eps), t))[which]
            self.adams[name].zero_grad()
            loss.backward()
            self.adams[name].step()


# ---- notebook 05: score distillation of sentences


def noised(phi: Denoiser, x: Tensor, draw: Draw) -> Tensor:
    """x (B, L, D) at the draw's noise level on target positions, the clean source beside it."""
    return anchor(phi.schedule.diffuse(x, draw.t, draw.noise), draw.clean, draw.batch)


def distil(
    phi: Denoiser,
    theta: Denoiser,
    psi: Denoiser,
    adams: dict[str, Adam],
    draws: Iterable[tuple[Draw, Draw]],
    write: Callable[[Denoiser, Draw], Tensor],
) -> Iterator[float]:
    """Distil phi into theta by the reverse KL; yield psi's loss after every update of both.

    draws: for each update one for psi and one for theta. write(theta, draw) gives the student's samples.
    """
    for for_psi, for_theta in draws:
        # psi learns what the student writes
        x_g = write(theta, for_psi).detach()
        error = (psi(noised(phi, x_g, for_psi), for_psi.t, for_psi.batch) - x_g).square()
        loss = over_target(error, for_psi.batch.target).mean()
        adams["psi"].zero_grad()
        loss.backward()
        adams["psi"].step()

        # theta follows the difference of the two scores
        x_g = write(theta, for_theta)
        with torch.no_grad():
            x_t = noised(phi, x_g, for_theta)
            f_phi, f_psi = (f(x_t, for_theta.t, for_theta.batch) for f in (phi, psi))
            w = over_target((x_g - f_phi).abs(), for_theta.batch.target)
        signal = over_target((f_psi - f_phi) * x_g, for_theta.batch.target) / w
        adams["theta"].zero_grad()
        signal.mean().backward()
        adams["theta"].step()
        yield float(loss.detach())


class Pocket:
    """All that `distil` needs in the pocket world: three networks, two Adams, draws, and `write`."""

    def __init__(
        self, teacher: Checkpoint, pairs: PairedText, seed: int = 0, rates: tuple[float, float] = (2e-3, 4e-3)
    ):
        recipe = RECIPES["pocket"].first
        self.config: DistillConfig = replace(recipe, group=1, keep=0.0, seed=seed, precision="float32")
        self.run = DistillRun(teacher.model, pairs, self.config)  # only its draws and copies are used
        self.phi, self.theta, self.psi = self.run.phi, self.run.theta, self.run.psi
        nets = {"theta": self.theta, "psi": self.psi}
        self.adams: dict[str, Adam] = {
            name: torch.optim.Adam(
                [p for p in net.parameters() if p.requires_grad], lr=rate, betas=(0.0, 0.99)
            )
            for (name, net), rate in zip(nets.items(), rates, strict=True)
        }
        self.teacher = teacher

    def draws(self, updates: int) -> Iterator[tuple[Draw, Draw]]:
        """Pairs with noise for so many updates."""
        for update in range(1, updates + 1):
            rng = generator_at(self.config.seed, update)
            yield self.run.draw(rng), self.run.draw(rng)

    def write(self, theta: Denoiser, draw: Draw) -> Tensor:
        """The student's samples (B, L, D) in one call, from noise that all words share."""
        t = torch.full((len(draw),), self.config.t_init)
        sigma = theta.schedule.like(self.config.t_init, draw.z)[1]
        return theta(anchor(sigma * draw.z, draw.clean, draw.batch), t, draw.batch)

    @property
    def student(self) -> Checkpoint:
        """The student as it is now, ready to generate."""
        return replace(
            self.teacher, model=copy.deepcopy(self.theta), role="student", sampling=self.config.sampling
        )
