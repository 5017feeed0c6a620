"""Score distillation of a teacher into a one-step student, in one or two stages (DLM-One, arXiv 2506.00290).

Three networks share one architecture: the frozen teacher phi, the student theta and the score estimator psi.
Each update trains psi, by score matching on the student's samples and by discriminating them from real ones,
then theta, by SiD's loss and an adversarial term. Theta's input sigma z and the common w are reconstructions.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, fields, replace
from functools import partial
from statistics import fmean

import torch
from torch import Tensor

from dlmone_lite.corpora.pairs import PairedText
from dlmone_lite.errors import InputError
from dlmone_lite.model import Denoiser
from dlmone_lite.sample import anchor, share_noise
from dlmone_lite.sid import (
    discriminator_loss,
    error_weight,
    generator_loss,
    over_target,
    reverse_kl_loss,
    score_estimator_loss,
    sid_loss,
)
from dlmone_lite.text import Batch, to_device
from dlmone_lite.training import processes
from dlmone_lite.training.optimisers import build_optimisers
from dlmone_lite.training.precision import compile_blocks
from dlmone_lite.training.ranges import check
from dlmone_lite.training.run import EMA, Run
from dlmone_lite.training.seeds import randn
from dlmone_lite.training.targets import group_mean
from dlmone_lite.training.times import draw_low, draw_times
from dlmone_lite.training.update import frozen, micro_batches, optimiser_step, weighted_means


@dataclass
class DistillConfig:
    """One stage. The defaults of t_init and t_max are DLM-One's, at sigma/alpha 2.5 and 12.8.

    b_d and b_g have the paper's numerals and weigh means per element. The paper does not say how its code
    reduces each term, so the same numeral may be a far weaker weight there.

    Not in the paper: `rho`, "reverse_kl", groups, `keep`, and t not uniform, for the levels at which modes
    are decided. `commitment` pulls the student's positions to their nearest embeddings. `clamp` pulls the
    teacher's x0_hat this share of the way to its own, for a teacher that is judged with DiffuSeq's clamp.
    """

    steps: int = 2000
    batch_size: int = 64
    micro_batch: int = 0  # rows at a time, whose gradients are added up; 0: the whole batch
    optimiser: str = "adam"  # for all weights (SiD), or "muon" for the blocks' matrices
    lr: float = 4e-4  # of theta, under Adam
    lr_psi: float = 4e-4
    lr_muon: float = 4e-3  # of theta's matrices; psi's is larger by lr_psi / lr
    momentum: float = 0.9  # of Muon
    lr_shape: str = "linear"
    warmup: int = 20
    beta1: float = 0.0
    beta2: float = 0.99
    clip: float = 1.0
    ema: float = 0.99
    mu: float = 1.0
    b_d: float = 0.5
    b_g: float = 0.5
    commitment: float = 0.0
    clamp: float = 0.0
    divergence: str = "sid"  # or "reverse_kl", which needs no gradient through either network
    rho: float = 0.0  # correlation of the student's input noise between two positions
    group: int = 1  # samples of each source; of several, psi learns posterior means, as a "stable" teacher
    t_init: int = 1490
    keep: float = 0.0  # share of rows that also learn the teacher's x0_hat at t below t_init
    t_min: int = 1
    t_max: int = 1976
    t_spacing: str = "uniform"  # or "log", uniform in log(sigma/alpha)
    late_share: float = 0.0  # of t drawn from late_from..late_to instead, with "log" spacing
    late_from: int = 1893  # sigma/alpha 6
    late_to: int = 1997  # sigma/alpha 40
    late_weight: float = 1.0  # of theta's terms at t from late_from on
    psi_steps: int = 1  # score-estimator updates per student update
    psi_warmup: int = 50  # updates in which only psi learns
    precision: str = "auto"
    compile: bool = False  # the blocks by torch.compile: slow to start, then faster
    seed: int = 0

    def __post_init__(self) -> None:
        known = {"divergence": ("sid", "reverse_kl"), "t_spacing": ("uniform", "log")}
        check(self, optimiser=("adam", "muon"), **known)
        if self.batch_size % self.group or self.micro_batch % self.group:
            raise InputError(f"batch_size and micro_batch must be multiples of group = {self.group}")

    @property
    def sampling(self) -> dict[str, float]:
        """The settings of the student's sampler: it draws noise as training does."""
        return {"t_init": self.t_init, **({"rho": self.rho} if self.rho else {})}

    @property
    def psi_weights(self) -> dict[str, float]:
        """Weights of psi's loss terms; a term of weight 0 is not computed."""
        return {"dsm": 1.0, "discriminator": self.b_d}

    @property
    def theta_weights(self) -> dict[str, float]:
        """Weights of theta's loss terms; a term of weight 0 is not computed."""
        divergences = {name: float(name == self.divergence) for name in ("sid", "reverse_kl")}
        return {**divergences, "generator": self.b_g, "commitment": self.commitment, "keep": 1.0}


@dataclass
class Draw:
    """The random part of one update of psi or of theta, B rows.

    batch: the pairs (B, L); clean: their embeddings (B, L, D), which anchor the source and are the real
    samples; z: the student's input noise (B, L, D); t: diffusion steps (B,); noise: diffusion noise (B, L,
    D). low: a step below t_init at which theta keeps the teacher's x0_hat, or 0 (B,), on the CPU.
    """

    batch: Batch
    clean: Tensor
    z: Tensor
    t: Tensor
    noise: Tensor
    low: Tensor | None = None

    def __len__(self) -> int:
        return len(self.batch)

    def __getitem__(self, rows: slice | Tensor) -> Draw:
        parts = (getattr(self, f.name) for f in fields(self))
        return Draw(*(None if part is None else part[rows] for part in parts))


def psi_loss(psi: Denoiser, x_g: Tensor, draw: Draw, c: DistillConfig) -> dict[str, Tensor]:
    """Named terms (B,) of psi at the student's samples x_g (B, L, D), which are constants here."""
    batch, t, real = draw.batch, draw.t, draw.clean

    # Denoising score matching: psi learns the student's distribution.
    fake_t = anchor(psi.schedule.diffuse(x_g.detach(), t, draw.noise), real, batch)
    goal = group_mean(psi.schedule, x_g.detach(), fake_t, t, batch.target, c.group) if c.group > 1 else x_g
    if not c.psi_weights["discriminator"]:
        return {"dsm": score_estimator_loss(goal, psi(fake_t, t, batch), batch.target)}
    f_psi, fake = psi.denoise_and_discriminate(fake_t, t, batch)

    # Discrimination (SiDA): real samples at the same t, with the same noise.
    real_t = anchor(psi.schedule.diffuse(real, t, draw.noise), real, batch)
    return {
        "dsm": score_estimator_loss(goal, f_psi, batch.target),
        "discriminator": discriminator_loss(psi.discriminate(real_t, t), fake, batch.target),
    }


def theta_loss(phi: Denoiser, psi: Denoiser, x_g: Tensor, draw: Draw, c: DistillConfig) -> dict[str, Tensor]:
    """Named terms (B,) of theta, those of the divergence and the adversary divided by w.

    SiD's gradients reach x_g (B, L, D) directly and through the inputs of both networks; phi's share shrinks
    by clamp. Those of the reverse KL reach it directly alone.
    """
    batch, t, weights = draw.batch, draw.t, c.theta_weights
    x_t = anchor(phi.schedule.diffuse(x_g, t, draw.noise), draw.clean, batch)

    # Target and student scores, as x0 predictions.
    with nullcontext() if weights["sid"] else torch.no_grad():
        f_phi = phi(x_t, t, batch)
        f_psi = None if weights["generator"] else psi(x_t, t, batch)
    if c.clamp:  # rounding is piecewise constant and passes no gradient
        f_phi = torch.lerp(f_phi, phi.clamp(f_phi.detach()), c.clamp)
    if weights["generator"]:
        f_psi, fake = psi.denoise_and_discriminate(x_t, t, batch)

    w = error_weight(x_g, f_phi, batch.target)
    w = torch.where(t < c.late_from, w, w / c.late_weight)
    losses = {"sid": partial(sid_loss, mu=c.mu), "reverse_kl": reverse_kl_loss}
    terms = {c.divergence: losses[c.divergence](x_g, f_phi, f_psi, batch.target) / w}
    if weights["generator"]:
        terms["generator"] = generator_loss(fake, batch.target) / w
    if weights["commitment"]:
        terms["commitment"] = over_target((x_g - phi.clamp(x_g).detach()).square(), batch.target)
    return terms


class DistillRun(Run):
    """Distil `teacher` on the pairs `data`; iterate for `Step`s. `.result` is the averaged (EMA) student.

    psi starts as a copy of the teacher. So does theta, unless it continues from `student`: the result of a
    warm start, or in stage two the unaveraged theta of stage one (see `second_stage`). Another denoiser `phi`
    of the same embeddings may give the target scores, as `bayes_floor.ExactModel` does.
    """

    kind = "distill"

    def __init__(
        self,
        teacher: Denoiser,
        data: PairedText,
        config: DistillConfig,
        student: Denoiser | None = None,
        phi: Denoiser | None = None,
    ):
        self.data, config = data, replace(config)  # a slider that changes it leaves the caller's config alone
        processes.own_rows(config.batch_size // config.group)  # whole groups for each process

        # Evaluation mode switches dropout off, because psi = phi must give a SiD loss of exactly zero.
        self.teacher = copy.deepcopy(teacher).eval().requires_grad_(False)
        self.phi = self.teacher if phi is None else phi
        self.theta = copy.deepcopy(student or teacher).eval().requires_grad_(True)
        self.psi = copy.deepcopy(teacher).eval().requires_grad_(True)
        for network in (self.theta, self.psi):
            network.words.requires_grad_(False)  # embeddings stay the teacher's
        self.ema = EMA(self.theta, config.ema)

        optimisers: dict[str, torch.optim.Optimizer] = {}
        settings = {"betas": (config.beta1, config.beta2), "momentum": config.momentum}
        for name, network in (("theta", self.theta), ("psi", self.psi)):
            adam, muon = build_optimisers(network, muon=config.optimiser == "muon", **settings)
            optimisers[name] = adam
            if muon:
                optimisers[f"{name}_muon"] = muon
        super().__init__(config, {"theta": self.theta, "psi": self.psi, "ema": self.ema.model}, optimisers)
        if config.compile:
            compile_blocks([self.teacher, self.theta, self.psi])

    @property
    def result(self) -> Denoiser:
        return self.ema.model

    def rates(self, name: str) -> dict[torch.optim.Optimizer, float]:
        """The optimisers of "theta" or "psi" with their learning rates at the next update."""
        c, factor = self.config, self.lr_factor()
        lr = {"theta": c.lr, "psi": c.lr_psi}[name]
        rates = {self.optimisers[name]: factor * lr}
        if muon := self.optimisers.get(f"{name}_muon"):
            rates[muon] = factor * c.lr_muon * (c.lr_psi / c.lr if name == "psi" and c.lr else 1.0)
        return rates

    def second_stage(self, config: DistillConfig) -> DistillRun:
        """Stage two: continue with theta, unaveraged, and a score estimator fresh from the teacher."""
        return DistillRun(self.teacher, self.data, config, self.theta, self.phi)

    def restart_psi(self) -> None:
        """Set psi back to the teacher and clear its optimisers, as stage two does, within this run."""
        self.psi.load_state_dict(self.teacher.state_dict())
        for name in {"psi", "psi_muon"} & set(self.optimisers):
            self.optimisers[name].state.clear()

    def draw(self, generator: torch.Generator) -> Draw:
        """Random pairs with noise, for one update of psi or theta."""
        return self.noised(self.data.draw(self.config.batch_size, generator, self.config.group), generator)

    def noised(self, index: Tensor, generator: torch.Generator) -> Draw:
        """The pairs numbered `index` (B,) with noise; of several processes each gets its own rows."""
        c, device = self.config, self.device
        shape = (len(index), self.data.codec.length, self.phi.config.embed_dim)
        own = processes.own_rows(len(index))
        z, noise = (randn(shape, generator, device)[own] for _ in range(2))
        t = to_device(draw_times(c, self.phi.schedule, len(index), generator)[own], device)
        batch = self.data.batch[index[own]].to(device)
        low = draw_low(c, len(index), generator)[own] if c.keep else None
        return Draw(batch, self.phi.embed(batch.ids), share_noise(z, c.rho), t, noise, low=low)

    def generate(self, draw: Draw) -> Tensor:
        """The student's samples x_g = G(sigma z, t_init) (B, L, D), with gradients."""
        t = torch.full((len(draw),), self.config.t_init, device=draw.z.device)
        sigma = self.phi.schedule.like(self.config.t_init, draw.z)[1]
        return self.theta(anchor(sigma * draw.z, draw.clean, draw.batch), t, draw.batch)

    def psi_part(self, draw: Draw) -> tuple[Tensor, dict[str, Tensor]]:
        """psi's loss on these rows, and its terms."""
        with self.autocast():
            with torch.no_grad():
                x_g = self.generate(draw)
            terms = self.psi_terms(x_g, draw)
        return weighted_means(terms, self.config.psi_weights)

    def psi_terms(self, x_g: Tensor, draw: Draw) -> dict[str, Tensor]:
        """`psi_loss` of this run; other methods have other terms."""
        return psi_loss(self.psi, x_g, draw, self.config)

    def theta_part(self, draw: Draw) -> tuple[Tensor, dict[str, Tensor]]:
        """theta's loss on these rows, and its terms."""
        with self.autocast(), frozen(self.psi):
            terms = self.theta_terms(self.generate(draw), draw)
        return weighted_means(terms, self.config.theta_weights)

    def theta_terms(self, x_g: Tensor, draw: Draw) -> dict[str, Tensor]:
        """`theta_loss` of this run, and the teacher kept at low t; other methods have other terms."""
        terms = theta_loss(self.phi, self.psi, x_g, draw, self.config)
        if draw.low is not None and draw.low.any():
            terms["keep"] = self.keep_loss(x_g.detach(), draw)
        return terms

    def keep_loss(self, x_g: Tensor, draw: Draw) -> Tensor:
        """||theta - phi||^2 (B,) at x_g (B, L, D) noised to `draw.low`, over the share of rows that have one.
        There a sampler's further calls begin, and theta would forget what the teacher does."""
        rows = draw.low.nonzero()[:, 0]
        t, x_g, draw, everyone = to_device(draw.low[rows], x_g.device), x_g[rows], draw[rows], len(draw)
        x_t = anchor(self.phi.schedule.diffuse(x_g, t, draw.noise), draw.clean, draw.batch)
        with torch.no_grad():
            f_phi = self.phi(x_t, t, draw.batch)
        loss = over_target((self.theta(x_t, t, draw.batch) - f_phi).square(), draw.batch.target)
        return loss.new_zeros(everyone).index_put((rows.to(loss.device),), loss / self.config.keep)

    def update(self, generator: torch.Generator) -> tuple[dict[str, float], dict[str, float], int]:
        c, step = self.config, self.step + 1
        losses: dict[str, list[float]] = defaultdict(list)
        norms: dict[str, float] = {}
        indices: list[Tensor] = []

        def learn(name: str, part: Callable[[Draw], tuple[Tensor, dict[str, Tensor]]]) -> None:
            """One update of theta or psi on a fresh draw."""
            indices.append(self.data.draw(c.batch_size, generator, c.group))
            draw = self.noised(indices[-1], generator)
            parts = ((share, *part(draw[rows])) for share, rows in micro_batches(len(draw), c.micro_batch))
            terms, norms[name] = optimiser_step(self.rates(name), parts, step, c.clip, self.scale)
            for term, value in terms.items():
                losses[term].append(value)

        # psi learns the student's samples; theta follows, once psi is warm.
        for _ in range(c.psi_steps):
            learn("psi", self.psi_part)
        if step > c.psi_warmup:
            learn("theta", self.theta_part)
            self.ema.update(self.theta, step)

        # Count on the CPU's copy of the pairs, because a GPU would have to be waited for.
        tokens = sum(int(self.data.batch.target[index].sum()) for index in indices)
        return {name: fmean(values) for name, values in losses.items()}, norms, tokens
