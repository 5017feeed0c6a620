"""Distilling a teacher into a one-step student, in one or two stages (DLM-One, arXiv 2506.00290)."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dlmone_lite.corpora.pairs import PairedText
from dlmone_lite.errors import InputError
from dlmone_lite.model import Denoiser
from dlmone_lite.sample import anchor
from dlmone_lite.sid import (
    discriminator_loss,
    error_weight,
    generator_loss,
    over_target,
    score_estimator_loss,
    sid_loss,
)
from dlmone_lite.text import Batch, to_device
from dlmone_lite.training import processes
from dlmone_lite.training.muon import Muon, split
from dlmone_lite.training.precision import compile_blocks
from dlmone_lite.training.run import EMA, Run
from dlmone_lite.training.seeds import randn
from dlmone_lite.training.update import Part, accumulated_step, parts

Drawn = tuple[Batch, Tensor, Tensor, Tensor, Tensor]


@dataclass
class DistillConfig:
    """One stage. mu, b_d, b_g as in DLM-One; t_init and t_max are its 1490 and 1976 (sigma/alpha 2.5, 12.8).

    Not in the paper: `commitment` pulls each position of the student's sample to its nearest embedding, and
    `clamp` moves the teacher's x0_hat by this share of the way to its own: a teacher that is judged by what
    it writes with DiffuSeq's clamp is otherwise distilled without.
    """

    steps: int = 2000
    batch_size: int = 64
    micro_batch: int = 0  # so many rows at a time, their gradients added up; 0: the whole batch
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
    t_init: int = 1490
    t_min: int = 1
    t_max: int = 1976
    psi_steps: int = 1  # score-estimator updates per student update
    psi_warmup: int = 50  # updates in which only psi learns
    precision: str = "auto"
    compile: bool = False  # the blocks by torch.compile: slow to start, then faster
    seed: int = 0


def psi_loss(
    psi: Denoiser, x_g: Tensor, real: Tensor, batch: Batch, t: Tensor, noise: Tensor, b_d: float
) -> dict[str, Tensor]:
    """Named terms of psi (B,): real and fake share t and noise; x_g, real, noise (B, L, D)."""
    fake_t = anchor(psi.schedule.diffuse(x_g.detach(), t, noise), real, batch)
    if not b_d:
        return {"dsm": score_estimator_loss(x_g, psi(fake_t, t, batch), batch.target)}
    real_t = anchor(psi.schedule.diffuse(real, t, noise), real, batch)
    f_psi, fake = psi.denoise_and_discriminate(fake_t, t, batch)
    verdict = psi.discriminate(real_t, t)
    return {
        "dsm": score_estimator_loss(x_g, f_psi, batch.target),
        "discriminator": discriminator_loss(verdict, fake, batch.target),
    }


def theta_loss(
    phi: Denoiser,
    psi: Denoiser,
    x_g: Tensor,
    clean: Tensor,
    batch: Batch,
    t: Tensor,
    noise: Tensor,
    c: DistillConfig,
) -> dict[str, Tensor]:
    """Named terms of theta (B,), SiD and GAN already divided by w; clean (B, L, D) anchors the source."""
    x_t = anchor(phi.schedule.diffuse(x_g, t, noise), clean, batch)
    f_phi = phi(x_t, t, batch)
    if c.clamp:  # piecewise constant, so it passes no gradient
        f_phi = torch.lerp(f_phi, phi.clamp(f_phi.detach()), c.clamp)
    f_psi, fake = psi.denoise_and_discriminate(x_t, t, batch)
    w = error_weight(x_g, f_phi, batch.target)
    terms = {"sid": sid_loss(x_g, f_phi, f_psi, batch.target, c.mu) / w}
    if c.b_g:
        terms["generator"] = generator_loss(fake, batch.target) / w
    if c.commitment:
        terms["commitment"] = over_target((x_g - phi.clamp(x_g).detach()).square(), batch.target)
    return terms


class DistillRun(Run):
    """Distil `teacher` on the pairs `data`; iterate for `Step`s. `.result` is the averaged (EMA) student.

    psi starts as a copy of the teacher, and so does theta, unless it goes on with `student`: a warm start's
    result, or in stage two the unaveraged theta of stage one (see `second_stage`). With `phi`, another
    denoiser of the same embeddings gives the target scores: the world's exact one, say (`bayes.ExactModel`).
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
        config = replace(config)  # a slider that turns it leaves the caller's alone
        self.teacher = copy.deepcopy(teacher).eval().requires_grad_(False)
        self.phi = self.teacher if phi is None else phi
        self.theta = copy.deepcopy(student or teacher).eval().requires_grad_(True)  # no dropout
        self.psi = copy.deepcopy(teacher).eval().requires_grad_(True)
        for network in (self.theta, self.psi):
            network.words.requires_grad_(False)  # embeddings stay the teacher's
        self.ema, self.data = EMA(self.theta, config.ema), data
        if config.optimiser not in ("muon", "adam"):
            raise InputError(f"unknown optimiser {config.optimiser!r}; known: muon, adam")
        optimisers: dict[str, torch.optim.Optimizer] = {}
        for name, network in (("theta", self.theta), ("psi", self.psi)):
            learned = [p for p in network.parameters() if p.requires_grad]
            hidden, rest = split(network) if config.optimiser == "muon" else ([], learned)
            optimisers[name] = torch.optim.Adam(rest, betas=(config.beta1, config.beta2), fused=True)
            if hidden:
                optimisers[f"{name}_muon"] = Muon(hidden, momentum=config.momentum, weight_decay=0.0)
        super().__init__(config, {"theta": self.theta, "psi": self.psi, "ema": self.ema.model}, optimisers)
        for optimiser in optimisers.values():
            if isinstance(optimiser, Muon):
                optimiser.dtype = self.dtype
        if config.compile:
            compile_blocks([self.teacher, self.theta, self.psi])

    def rates(self, name: str) -> dict[torch.optim.Optimizer, float]:
        """The optimisers of "theta" or "psi" with their learning rates at the next update."""
        c, factor = self.config, self.lr_factor()
        faster = c.lr_psi / c.lr if name == "psi" and c.lr else 1.0
        rates = {self.optimisers[name]: factor * (c.lr_psi if name == "psi" else c.lr)}
        if muon := self.optimisers.get(f"{name}_muon"):
            rates[muon] = factor * c.lr_muon * faster
        return rates

    @property
    def result(self) -> Denoiser:
        return self.ema.model

    def second_stage(self, config: DistillConfig) -> DistillRun:
        """A run that goes on with this student and a score estimator fresh from the teacher."""
        return DistillRun(self.teacher, self.data, config, self.theta, self.phi)

    def restart_psi(self) -> None:
        """psi becomes the teacher again and its optimisers forget, as in a second stage; all else goes on."""
        self.psi.load_state_dict(self.teacher.state_dict())
        for name in ("psi", "psi_muon"):
            if name in self.optimisers:
                self.optimisers[name].state.clear()

    def draw(self, generator: torch.Generator) -> Drawn:
        """(batch, clean embeddings (B, L, D), student noise z, t (B,), diffusion noise) of one update."""
        return self.noised(self.data.draw(self.config.batch_size, generator), generator)

    def noised(self, index: Tensor, generator: torch.Generator) -> Drawn:
        """`draw` for the pairs `index`, or this process' share of them."""
        c, device = self.config, self.device
        shape = (len(index), self.data.codec.length, self.phi.config.embed_dim)
        here = processes.own_rows(len(index))  # all rows, unless several processes train
        z, noise = (randn(shape, generator, device)[here] for _ in range(2))
        t = to_device(torch.randint(c.t_min, c.t_max + 1, (len(index),), generator=generator)[here], device)
        batch = self.data.batch[index[here]].to(device)
        return batch, self.phi.embed(batch.ids), z, t, noise

    def generate(self, batch: Batch, clean: Tensor, z: Tensor) -> Tensor:
        """The student's sample x_g = G(sigma z, t_init) (B, L, D)."""
        t = torch.full((len(batch),), self.config.t_init, device=z.device)
        sigma = self.phi.schedule.like(self.config.t_init, z)[1]
        return self.theta(anchor(sigma * z, clean, batch), t, batch)

    def update(self, generator: torch.Generator) -> tuple[dict[str, float], dict[str, float], int]:
        c, step = self.config, self.step + 1
        losses, norms, used = {}, {}, []
        for _ in range(c.psi_steps):
            used.append(self.data.draw(c.batch_size, generator))
            drawn = self.noised(used[-1], generator)
            batch = (self.psi_part(share, *(x[some] for x in drawn)) for share, some in self.parts(drawn))
            values, norms["psi"] = accumulated_step(self.rates("psi"), batch, step, c.clip, self.scale)
            losses.update(values)
        if step > c.psi_warmup:
            used.append(self.data.draw(c.batch_size, generator))
            drawn = self.noised(used[-1], generator)
            batch = (self.theta_part(share, *(x[some] for x in drawn)) for share, some in self.parts(drawn))
            values, norms["theta"] = accumulated_step(self.rates("theta"), batch, step, c.clip, self.scale)
            losses.update(values)
            self.ema.update(self.theta, step)
        tokens = sum(int(self.data.batch.target[index].sum()) for index in used)  # of the CPU's copy
        return losses, norms, tokens

    def parts(self, drawn: Sequence[Batch | Tensor]) -> Iterator[tuple[float, slice]]:
        """The parts of a batch that are computed one after the other."""
        return parts(len(drawn[0]), self.config.micro_batch)

    def psi_part(
        self, share: float, batch: Batch, clean: Tensor, z: Tensor, t: Tensor, noise: Tensor
    ) -> Part:
        """psi's loss on these rows."""
        b_d = self.config.b_d
        with self.autocast():
            with torch.no_grad():
                x_g = self.generate(batch, clean, z)
            terms = {k: v.mean() for k, v in psi_loss(self.psi, x_g, clean, batch, t, noise, b_d).items()}
        return share, terms["dsm"] + b_d * terms.get("discriminator", 0.0), terms

    def theta_part(
        self, share: float, batch: Batch, clean: Tensor, z: Tensor, t: Tensor, noise: Tensor
    ) -> Part:
        """theta's loss on these rows."""
        c = self.config
        with self.autocast():
            x_g = self.generate(batch, clean, z)
            terms = theta_loss(self.phi, self.psi, x_g, clean, batch, t, noise, c)
        terms = {k: v.mean() for k, v in terms.items()}
        loss = (
            terms["sid"] + c.b_g * terms.get("generator", 0.0) + c.commitment * terms.get("commitment", 0.0)
        )
        return share, loss, terms
