"""The diffusion steps t that a batch is trained at."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dlmone_lite.schedule import Schedule


def log_spaced(schedule: Schedule, n: int, first: int, last: int, generator: torch.Generator) -> Tensor:
    """n random steps (n,) in first..last, uniform in log(sigma/alpha): each is the first at its level."""
    levels = schedule.ratio(torch.arange(first, last + 1)).log()
    u = torch.rand(n, generator=generator, dtype=torch.float64)
    return first + torch.searchsorted(levels, levels[0].lerp(levels[-1], u))


def draw_times(config: Any, schedule: Schedule, n: int, generator: torch.Generator) -> Tensor:
    """The student's n random steps (n,), spaced and late as its `DistillConfig` says."""
    if config.t_spacing == "log":
        t = log_spaced(schedule, n, config.t_min, config.t_max, generator)
    else:
        t = torch.randint(config.t_min, config.t_max + 1, (n,), generator=generator)
    if not config.late_share:
        return t
    late = log_spaced(schedule, n, config.late_from, config.late_to, generator)
    return some_late(t, late, config.late_share, generator)


def draw_low(config: Any, n: int, generator: torch.Generator) -> Tensor:
    """n random steps (n,) below three quarters of t_init, or 0, for all but the share `keep` of them."""
    low = torch.randint(1, max(2, 3 * config.t_init // 4), (n,), generator=generator)
    return low * (torch.rand(n, generator=generator) < config.keep)


def some_late(t: Tensor, late: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """t (n,), of which a random share is replaced by `late` (n,)."""
    return torch.where(torch.rand(len(t), generator=generator) < share, late, t)


class TimeSampler(nn.Module):
    """The teacher's t for each row, with an importance weight: of mean 1 under "loss-aware", and 1 otherwise.

    `config` is a `TeacherConfig`. A module, because the last `history` losses at each t are saved with a run;
    they stay on the CPU.
    """

    def __init__(self, config: Any, T: int, history: int = 10):
        super().__init__()
        self.config, self.T, self.history = config, T, history
        self.register_buffer("losses", torch.zeros(T, history, dtype=torch.float64))
        self.register_buffer("counts", torch.zeros(T, dtype=torch.int64))

    def draw(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """t (n,) in 1..T and weights (n,)."""
        kind = self.config.t_sampling
        if kind == "loss-aware":  # p(t) ~ sqrt(E[loss^2]), mixed with .1 % uniform (Nichol & Dhariwal 2021)
            p = torch.full((self.T,), 1 / self.T, dtype=torch.float64)
            if self.counts.min() >= self.history:
                root = self.losses.square().mean(1).sqrt()
                p = 0.999 * root / root.sum() + 0.001 * p
            index = torch.multinomial(p, n, replacement=True, generator=generator)
            return index + 1, (1 / (p[index] * self.T)).float()
        t = torch.randint(1, self.T + 1, (n,), generator=generator)
        if kind == "late":
            late = torch.randint(self.config.late_from, self.T + 1, (n,), generator=generator)
            t = some_late(t, late, self.config.late_share, generator)
        return t, torch.ones(n)

    def record(self, t: Tensor, losses: Tensor) -> None:
        """Record the losses (n,) at t (n,) for "loss-aware", over the oldest at these t."""
        index, order = (t - 1).sort(stable=True)
        place = torch.arange(len(index)) - torch.searchsorted(index, index)  # among those of the same t
        new = torch.bincount(index, minlength=self.T)
        last = place >= new[index] - self.history
        slot = (self.counts[index] + place) % self.history
        self.losses[index[last], slot[last]] = losses.double()[order[last]]
        self.counts += new
