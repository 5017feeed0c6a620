"""Progressive distillation (Salimans & Ho, arXiv 2202.00512): halve a sampler's calls until one is left.

Not in DLM-One; it is the field's baseline for a student of one step. A deterministic DDIM sampler of N calls
is the first teacher. Each round trains a student whose one call does what two calls of its teacher do. The
student is the next round's teacher.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dlmone_lite.corpora.pairs import PairedText
from dlmone_lite.errors import InputError
from dlmone_lite.model import Denoiser
from dlmone_lite.sample import anchor
from dlmone_lite.schedule import Schedule
from dlmone_lite.sid import over_target
from dlmone_lite.text import Batch, to_device
from dlmone_lite.training import processes
from dlmone_lite.training.optimisers import build_optimisers
from dlmone_lite.training.ranges import check
from dlmone_lite.training.run import EMA, Run, lr_at
from dlmone_lite.training.seeds import randn
from dlmone_lite.training.update import MicroBatch, micro_batches, optimiser_step
from dlmone_lite.tweedie import x0_to_eps


@dataclass
class ProgressiveConfig:
    """One distillation from `calls` calls down to one, in log2(calls) rounds. InputError unless `calls` is a
    power of two from 2 on and every round has an update.

    `steps` counts the updates of all rounds. Round k ends after update (k + 1) steps / rounds, rounded down,
    so that rounds differ by one update at most.
    """

    steps: int = 5000
    batch_size: int = 64
    micro_batch: int = 0  # rows at a time, whose gradients are added up; 0: the whole batch
    calls: int = 16  # of the teacher's DDIM sampler, from which the halving starts
    last: float = 0.3  # sigma/alpha at which the teacher's last call begins
    lr: float = 3e-3  # of Adam, at the beginning of each round
    lr_shape: str = "linear"  # within each round, to 0
    warmup: int = 20  # updates of each round
    beta1: float = 0.9
    beta2: float = 0.99
    clip: float = 1.0
    ema: float = 0.99
    t_init: int = 1490
    precision: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        check(self)
        if self.calls < 2 or self.calls & (self.calls - 1):
            raise InputError(f"calls must be a power of two, 2, 4, 8 and so on, not {self.calls}")
        if self.steps < self.rounds:
            raise InputError(f"{self.calls} calls take {self.rounds} updates or more, not {self.steps}")

    @property
    def sampling(self) -> dict[str, float]:
        """The settings of the student's sampler."""
        return {"t_init": self.t_init}

    @property
    def rounds(self) -> int:
        """Number of halvings until one call is left."""
        return self.calls.bit_length() - 1

    def round_at(self, step: int) -> tuple[int, int, int]:
        """(round, its first step, the next round's first step) after `step` updates, all counted from 0."""
        ends = [(k + 1) * self.steps // self.rounds for k in range(self.rounds)]
        k = next((k for k, end in enumerate(ends) if step < end), self.rounds - 1)
        return k, ends[k - 1] if k else 0, ends[k]


def call_times(schedule: Schedule, calls: int, t_init: int, last: float) -> Tensor:
    """The times (calls + 1,) of a sampler: from t_init to sigma/alpha = `last`, evenly in log(sigma/alpha),
    then 0. InputError if so many steps do not fit between the two."""
    ends = torch.tensor([float(schedule.ratio(t_init)), last]).log()
    levels = torch.linspace(*ends.tolist(), calls).exp().tolist()
    times = [t_init, *(schedule.at_ratio(level) for level in levels[1:]), 0]
    if any(t <= s for t, s in zip(times, times[1:], strict=False)):
        raise InputError(f"{calls} calls do not fit between t = {t_init} and sigma/alpha {last}; take fewer")
    return torch.tensor(times)


def two_calls(
    teacher: Denoiser, x_t: Tensor, t: Tensor, m: Tensor, s: Tensor, batch: Batch, clean: Tensor
) -> Tensor:
    """The x0 (B, L, D) with which one DDIM step from t lands where the teacher's two, t to m to s, land.

    x_t, clean (B, L, D), t > m > s (B,). DDIM moves x / sigma by x0_hat times the gain in alpha/sigma. The
    target is therefore the mean of both x0_hat, weighted by their gains. It equals (x_s - r x_t) / (alpha_s -
    r alpha_t) with r = sigma_s / sigma_t (Salimans & Ho, alg. 2), and at s = 0 it is the second x0_hat.
    """
    schedule = teacher.schedule
    first = teacher(x_t, t, batch)
    noise = x0_to_eps(x_t, first, *schedule.like(t, x_t))
    second = teacher(anchor(schedule.diffuse(first, m, noise), clean, batch), m, batch)

    at_t, at_m, at_s = (1 / schedule.ratio(time) for time in (t, m, s))  # alpha/sigma, infinite at 0
    share = (at_m - at_t) / (at_s - at_t)
    return torch.lerp(second, first, share.to(x_t)[:, None, None])


class ProgressiveRun(Run):
    """Distil `teacher` on the pairs `data`; iterate for `Step`s. `.result` is the averaged (EMA) student,
    which takes one call after the last round.

    The loss is the plain squared error of x0. The paper's weight, max(alpha^2 / sigma^2, 1), is 1 at t_init
    as well, and reaches 11 only at low noise, where a text is known already. A chain begins at t_init with
    sigma z, as the student's sampler does, and training sees that input there; at lower t it sees alpha x +
    sigma z, with x a training target.
    """

    kind = "progressive"

    def __init__(self, teacher: Denoiser, data: PairedText, config: ProgressiveConfig):
        config = replace(config)  # a slider that changes it leaves the caller's config alone
        processes.own_rows(config.batch_size)
        self.times = call_times(teacher.schedule, config.calls, config.t_init, config.last)
        self.teacher = copy.deepcopy(teacher).eval().requires_grad_(False)
        self.theta = copy.deepcopy(teacher).eval().requires_grad_(True)
        self.theta.words.requires_grad_(False)  # embeddings stay the teacher's
        self.ema, self.data = EMA(self.theta, config.ema), data
        adam, _ = build_optimisers(self.theta, muon=False, betas=(config.beta1, config.beta2))
        modules = {"theta": self.theta, "ema": self.ema.model, "teacher": self.teacher}
        super().__init__(config, modules, {"adam": adam})

    @property
    def result(self) -> Denoiser:
        return self.ema.model

    def lr_factor(self) -> float:
        """Factor of the learning rate at the next update; each round begins it anew."""
        c = self.config
        _, first, end = c.round_at(self.step)
        return lr_at(self.step + 1 - first, end - first, 1.0, c.warmup, c.lr_shape)

    def part(self, batch: Batch, call: Tensor, z: Tensor, times: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of these rows: the student's call number `call` (B,), with noise z (B, L, D), against its
        teacher's two, whose chain is at `times`."""
        t, m, s = (times[2 * call + i] for i in range(3))
        clean, schedule = self.teacher.embed(batch.ids), self.teacher.schedule
        known = (call > 0)[:, None, None]  # the chain begins without a signal
        x_t = anchor(schedule.diffuse(clean * known, t, z), clean, batch)
        with self.autocast():
            with torch.no_grad():
                target = two_calls(self.teacher, x_t, t, m, s, batch, clean)
            x_g = self.theta(x_t, t, batch)
        loss = over_target((x_g - target).square(), batch.target).mean()
        return loss, {"regression": loss}

    def update(self, generator: torch.Generator) -> tuple[dict[str, float], dict[str, float], int]:
        c, device = self.config, self.device
        number, first, _ = c.round_at(self.step)
        if self.step == first > 0:  # the averaged student is the new teacher; theta goes on from it afresh
            for network in (self.teacher, self.theta):
                network.load_state_dict(self.ema.model.state_dict())
            self.optimisers["adam"].state.clear()

        # Of several processes each keeps its own rows.
        times = self.times[:: 2**number]
        index = self.data.draw(c.batch_size, generator)
        call = torch.randint(len(times) // 2, (c.batch_size,), generator=generator)
        shape = (c.batch_size, self.data.codec.length, self.teacher.config.embed_dim)
        z, own = randn(shape, generator, device), processes.own_rows(c.batch_size)
        batch = self.data.batch[index[own]].to(device)
        call, z, times = to_device(call[own], device), z[own], to_device(times, device)

        def losses() -> Iterator[MicroBatch]:
            for share, rows in micro_batches(len(batch), c.micro_batch):
                yield share, *self.part(batch[rows], call[rows], z[rows], times)

        rates = {self.optimisers["adam"]: self.lr()}
        values, norm = optimiser_step(rates, losses(), self.step + 1, c.clip, self.scale)
        self.ema.update(self.theta, self.step + 1 - first)
        tokens = int(self.data.batch.target[index].sum())
        return values, {"theta": norm}, tokens
