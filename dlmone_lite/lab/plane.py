"""Score distillation in the plane, where every distribution can be plotted and psi can be exact.

A point is a "sentence" of one target position and two channels, (B, 1, 2), so the losses of `distill` and
`sid` apply unchanged. The student is a finite set of points, the images of fixed noises. Its noised density
is a Gaussian mixture, so its score is known exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from dlmone_lite.distill import DistillConfig, Draw, psi_loss, theta_loss
from dlmone_lite.exact import GaussianMixture
from dlmone_lite.schedule import Schedule
from dlmone_lite.text import Batch
from dlmone_lite.training.run import Run
from dlmone_lite.training.seeds import generator_at, seed_weights
from dlmone_lite.training.update import optimiser_step, weighted_means

CENTRES = [[-1.6, 0.2], [-0.6, 1.5], [1.2, 1.1], [1.5, -0.9], [-0.3, -1.5]]
SHARES = [0.35, 0.1, 0.25, 0.1, 0.2]
STD = 0.25  # of each mode


def five_modes(dtype: torch.dtype = torch.float32) -> GaussianMixture:
    """The data: the five round modes of notebook 01, of unequal probability, but wider (there .08)."""
    return GaussianMixture(torch.tensor(CENTRES, dtype=dtype), torch.tensor(SHARES, dtype=dtype).log(), STD)


def cloud(points: Tensor) -> GaussianMixture:
    """The distribution of a student whose only outputs are `points` (N, 2), each equally likely."""
    return GaussianMixture(points, points.new_zeros(len(points)))


def rows(n: int) -> Batch:
    """A batch of n points, each with one position, which is a target."""
    return Batch(torch.zeros(n, 1, dtype=torch.long), torch.ones(n, 1, dtype=torch.bool))


# ---- three kinds of denoisers, called alike: denoiser(x_t (B, 1, 2), t (B,), batch) -> x0_hat (B, 1, 2)


class Exact:
    """The exact denoiser of `mixture`; with `real`, also the optimal discriminator between the two."""

    def __init__(self, mixture: GaussianMixture, schedule: Schedule, real: GaussianMixture | None = None):
        self.mixture, self.schedule, self.real = mixture, schedule, real

    def __call__(self, x_t: Tensor, t: Tensor, batch: Batch | None = None) -> Tensor:
        """E[x0 | x_t] (B, 1, 2)."""
        x = x_t[:, 0]
        return self.mixture.mean(x, *self.schedule.like(t, x))[:, None]

    def discriminate(self, x_t: Tensor, t: Tensor) -> Tensor:
        """log p_real(x_t) - log p(x_t) (B, 1), the logit with the smallest expected BCE."""
        x = x_t[:, 0]
        level = self.schedule.like(t, x)
        return (self.real.log_prob(x, *level) - self.mixture.log_prob(x, *level))[:, None]

    def denoise_and_discriminate(self, x_t: Tensor, t: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """(x0_hat (B, 1, 2), logits (B, 1)), as from the learned score estimator."""
        return self(x_t, t, batch), self.discriminate(x_t, t)


class Student(nn.Module):
    """Noise z (B, 2) -> points (B, 1, 2) in one evaluation; before training a small blob around `start`."""

    def __init__(self, start: tuple[float, float], width: int = 64, spread: float = 0.4):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(2, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 2)
        )
        self.spread = spread
        with torch.no_grad():
            self.body[-1].weight.mul_(0.1)
            self.body[-1].bias.copy_(torch.tensor(start))

    def forward(self, z: Tensor) -> Tensor:
        """The student's samples x_g."""
        return (self.spread * z + self.body(z))[:, None]


class Estimator(nn.Module):
    """psi as a network with a real-or-fake logit; before training, the denoiser of N(0, I) (EDM's skip)."""

    def __init__(self, schedule: Schedule, width: int = 96):
        super().__init__()
        self.schedule = schedule
        self.body = nn.Sequential(nn.Linear(5, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.head, self.verdict = nn.Linear(width, 2), nn.Linear(width, 1)
        for last in (self.head, self.verdict):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def denoise_and_discriminate(
        self, x_t: Tensor, t: Tensor, batch: Batch | None = None
    ) -> tuple[Tensor, Tensor]:
        """(x0_hat (B, 1, 2), logits (B, 1)) from x_t and its level: log sigma/alpha, its sin and cos."""
        alpha, sigma = self.schedule.like(t, x_t)  # alpha^2 + sigma^2 = 1, so x_t keeps variance 1
        level = (sigma / alpha).log()
        h = self.body(torch.cat([x_t, level, level.sin(), level.cos()], -1))
        return alpha * x_t + sigma * self.head(h), self.verdict(h)[..., 0]

    def forward(self, x_t: Tensor, t: Tensor, batch: Batch | None = None) -> Tensor:
        """The estimate of the student's posterior mean."""
        return self.denoise_and_discriminate(x_t, t)[0]

    def discriminate(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Real-or-fake logits (B, 1)."""
        return self.denoise_and_discriminate(x_t, t)[1]


# ---- training


@dataclass
class ToyConfig(DistillConfig):
    """Settings of a run in the plane; `exact` replaces psi by the student's exact denoiser."""

    steps: int = 5000
    batch_size: int = 256  # points of the student
    lr: float = 5e-3
    lr_psi: float = 5e-3
    lr_shape: str = "constant"
    warmup: int = 0
    beta1: float = 0.5
    clip: float = 10.0
    b_d: float = 0.0
    b_g: float = 0.0
    t_min: int = 20
    psi_warmup: int = 0
    precision: str = "float32"
    exact: bool = False


class ToyRun(Run):
    """Distil the plane's exact teacher into a student of `batch_size` points that start around `start`.

    `update` makes psi_steps updates of psi and one of theta; `step_psi` and `step_theta` make a single one.
    """

    kind = "toy"

    def __init__(self, config: ToyConfig, start: tuple[float, float] = (-1.6, -1.6)):
        config, self.schedule, self.data = replace(config), Schedule(), five_modes()
        with torch.random.fork_rng():
            seed_weights(config.seed)
            self.theta, self.psi = Student(start), Estimator(self.schedule)
        self.phi, self.batch = Exact(self.data, self.schedule), rows(config.batch_size)
        apart = generator_at(config.seed, 2_000_000_011)  # noise like z would be correlated with the points
        self.z = torch.randn(config.batch_size, 2, generator=apart)
        networks = {"theta": self.theta, "psi": self.psi}
        betas = (config.beta1, config.beta2)
        adams = {name: torch.optim.Adam(net.parameters(), betas=betas) for name, net in networks.items()}
        super().__init__(config, networks, adams)

    @property
    def result(self) -> Student:
        return self.theta

    @property
    def points(self) -> Tensor:
        """All the student's outputs (N, 2)."""
        with torch.no_grad():
            return self.theta(self.z)[:, 0]

    def exact_psi(self) -> Exact:
        """The current student's exact denoiser and optimal discriminator, both constant in theta."""
        return Exact(cloud(self.points), self.schedule, self.data)

    def noise(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """t (N,) and diffusion noise (N, 1, 2)."""
        c, n = self.config, len(self.z)
        t = torch.randint(c.t_min, c.t_max + 1, (n,), generator=generator)
        return t, torch.randn(n, 1, 2, generator=generator)

    def step_psi(self, generator: torch.Generator) -> tuple[dict[str, float], float]:
        """One update of psi -> (losses, gradient norm)."""
        c, x_g = self.config, self.points[:, None]
        real = self.data.sample(len(self.z), generator)[:, None]
        t, noise = self.noise(generator)
        terms = psi_loss(self.psi, x_g, Draw(self.batch, real, self.z, t, noise), c)
        batch = [(1.0, *weighted_means(terms, c.psi_weights))]
        return optimiser_step({self.optimisers["psi"]: c.lr_psi}, batch, self.step + 1, c.clip)

    def theta_terms(self, x_g: Tensor, t: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Named terms (N,) of theta, each divided by w."""
        c, psi = self.config, self.exact_psi() if self.config.exact else self.psi
        return theta_loss(self.phi, psi, x_g, Draw(self.batch, x_g, self.z, t, noise), c)

    def step_theta(self, generator: torch.Generator) -> tuple[dict[str, float], float]:
        """One update of theta -> (losses, gradient norm)."""
        c, (t, noise) = self.config, self.noise(generator)
        terms = self.theta_terms(self.theta(self.z), t, noise)
        batch = [(1.0, *weighted_means(terms, c.theta_weights))]
        return optimiser_step({self.optimisers["theta"]: c.lr}, batch, self.step + 1, c.clip)

    def update(self, generator: torch.Generator) -> tuple[dict[str, float], dict[str, float], int]:
        losses, norms = {}, {}
        for _ in range(0 if self.config.exact else self.config.psi_steps):
            values, norms["psi"] = self.step_psi(generator)
            losses.update(values)
        if self.step >= self.config.psi_warmup:
            values, norms["theta"] = self.step_theta(generator)
            losses.update(values)
        return losses, norms, len(self.z)
