"""The student's warm start: a regression from noise onto the teacher's own sentences, before any score.

Not in DLM-One. DMD (Yin et al. 2023) regresses on the end of the teacher's deterministic path from the same
noise; where one sentence ends there and the next begins is an intricate surface in all dimensions of the
noise, too fine for one call. Here one coordinate decides, by monotone optimal transport (`Pool`).
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dlmone_lite.corpora.pairs import PairedText, one_row_per_source
from dlmone_lite.errors import InputError
from dlmone_lite.model import Denoiser
from dlmone_lite.sample import ancestral, anchor, snr_timesteps
from dlmone_lite.text import Batch, to_device
from dlmone_lite.training import processes
from dlmone_lite.training.optimisers import build_optimisers
from dlmone_lite.training.run import EMA, Run
from dlmone_lite.training.seeds import generator_at, on_device, randn
from dlmone_lite.training.update import optimiser_step
from dlmone_lite.variants.sentence_pool import Pool


@dataclass
class WarmStartConfig:
    """One warm start: `steps` updates of ||G(sigma z, t_init) - x||^2, x the sentence that z stands for.

    A share `keep` of the rows is denoising, ||G(alpha_t x + sigma_t z, t) - x||^2 at lower t. Sampling in
    more than one step needs it, and the student would forget it otherwise.

    First the teacher samples `samples` sentences for each of `sources` training sources (0: all), in `nfe`
    ancestral steps, evenly in log SNR, with x0_hat on its nearest embeddings if `clamp`. The sentences'
    shares are fitted to its x0_hat at step number `share_step`.
    """

    steps: int = 4000
    batch_size: int = 128
    keep: float = 0.125
    sources: int = 0
    samples: int = 48  # one sample of a sentence is enough, because its share comes from the mean
    nfe: int = 6
    clamp: bool = False
    share_step: int = 1
    reread_at: float = 0.5  # share of the updates after which the shares are fitted to the student; 0: never
    lr: float = 2e-3  # of Adam
    lr_muon: float = 0.015  # of the blocks' matrices
    momentum: float = 0.9  # of Muon
    lr_shape: str = "linear"
    warmup: int = 20
    clip: float = 1.0
    ema: float = 0.99
    t_init: int = 1490
    precision: str = "auto"
    seed: int = 0


class WarmStartRun(Run):
    """Fit a copy of `teacher` to its own sentences; iterate for `Step`s after `prepare`.

    `.result` is the averaged (EMA) student. The score that selects a sentence is the noise of the first
    target position along the pool's direction.
    """

    kind = "warm-start"
    rows_per_call = 512  # of the teacher's sampling

    def __init__(self, teacher: Denoiser, data: PairedText, config: WarmStartConfig):
        if not data.codec.source_length:
            raise InputError("a warm start needs the aligned layout, not DiffuSeq's; leave it out")
        config = replace(config)
        self.phi = copy.deepcopy(teacher).eval().requires_grad_(False)
        self.theta = copy.deepcopy(teacher).eval().requires_grad_(True)
        self.theta.words.requires_grad_(False)
        self.ema, self.data = EMA(self.theta, config.ema), data
        adam, muon = build_optimisers(self.theta, muon=True, betas=(0.0, 0.99), momentum=config.momentum)
        rows = one_row_per_source(data, config.sources, generator_at(config.seed, 0))
        self.pool = Pool(rows, config.samples, data.references.shape[-1], teacher.config.embed_dim)
        self.pool.to(teacher.words.device)
        modules = {"theta": self.theta, "ema": self.ema.model, "pool": self.pool}
        super().__init__(config, modules, {"adam": adam, "muon": muon})

    @property
    def result(self) -> Denoiser:
        return self.ema.model

    @torch.no_grad()
    def prepare(self) -> Iterator[tuple[int, int]]:
        """Fill the pool with the teacher's samples, chunk by chunk; yield (sources done, sources in all)."""
        c, pool, phi = self.config, self.pool, self.phi
        chunk = max(1, self.rows_per_call // c.samples)
        while not pool.full:
            began, start = time.perf_counter(), int(pool.filled) + processes.rank() * chunk
            ids, mean = pool.ids[:0], phi.words.new_zeros(0, pool.ids.shape[-1], phi.words.shape[-1])
            if start < len(pool.rows):  # else other processes sample the last sources
                rows = pool.rows[start : start + chunk].cpu()
                ids, mean = self.teacher_samples(self.data.batch[rows], generator_at(c.seed, -1 - start))
            pool.append(*(processes.all_gather_uneven(part, chunk) for part in (ids, mean)), phi.embedding())
            if pool.full:
                pool.order_sentences(phi.embedding())
            self.seconds += time.perf_counter() - began
            yield int(pool.filled), len(pool.rows)

    def teacher_samples(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The teacher's sentences for s sources, ids (s, n, L_t), and its mean x0_hat (s, L_t, D) at
        the step to which their shares are fitted."""
        c, phi = self.config, self.phi
        times, means = snr_timesteps(phi.schedule, c.nfe), []

        def read_mean(t: int, x_t: Tensor, x0_hat: Tensor) -> None:
            if t == times[c.share_step]:
                means[:] = [x0_hat.float()]

        shape = (len(batch), c.samples, self.pool.ids.shape[-1])
        batch = batch.repeat(c.samples).to(self.device)
        clean = phi.embed(batch.ids)
        with self.autocast():
            how = {"steps": times, "generator": on_device(generator, self.device), "trace": read_mean}
            x = ancestral(phi, phi.schedule, batch, clean, **how, clamp=phi.clamp if c.clamp else None)
        mean = means[0][batch.target].view(*shape, -1).mean(1)
        return phi.round(x.float())[batch.target].view(shape), mean

    @torch.no_grad()
    def refit_shares(self, generator: torch.Generator, quantiles: int = 32) -> None:
        """Fit the shares again, to the mean of the averaged (EMA) student over evenly spread scores.

        The teacher's estimates for similar sources differ by its errors. The student has averaged them
        out, and it draws a border between two sentences sharply where it can predict that border.
        """
        phi, pool = self.phi, self.pool
        score = torch.special.ndtri((torch.arange(quantiles) + 0.5) / quantiles).to(self.device)
        chunk = max(1, self.rows_per_call // quantiles)
        for start in range(0, len(pool.rows), chunk):
            here = slice(start, start + chunk)
            rows = pool.rows[here].cpu()
            batch = self.data.batch[rows].repeat(quantiles).to(self.device)
            clean = phi.embed(batch.ids)
            z = randn(clean.shape, generator, self.device)
            first = clean.shape[1] - pool.ids.shape[-1]
            z[:, first] += (score.repeat(len(rows)) - z[:, first] @ pool.direction)[:, None] * pool.direction
            t = torch.full((len(batch),), self.config.t_init, device=self.device)
            with self.autocast():
                x_g = self.ema.model(
                    anchor(phi.schedule.diffuse(0 * z, t, z), clean, batch), t, batch
                ).float()
            mean = x_g[:, first:].unflatten(0, (len(rows), quantiles)).mean(1)
            pool.refit_shares(here, mean, phi.embedding())

    def update(self, generator: torch.Generator) -> tuple[dict[str, float], dict[str, float], int]:
        c, phi, pool, device = self.config, self.phi, self.pool, self.device
        if not pool.full:
            raise InputError("the warm start has no sentences yet; exhaust prepare() first")
        if self.step and self.step == round(c.reread_at * c.steps):
            self.refit_shares(generator_at(c.seed, -len(pool.rows) - 1))
        chosen = torch.randint(len(pool.rows), (c.batch_size,), generator=generator)
        batch = self.data.batch[pool.rows.cpu()[chosen]]
        z = randn((*batch.ids.shape, phi.config.embed_dim), generator, device)
        lower = torch.randint(
            1, c.t_init * 7 // 8 + 1, (len(batch),), generator=generator
        )  # as in eight steps
        other = torch.randn(len(batch), generator=generator)
        keep, tokens = round(c.keep * len(batch)), int(batch.target.sum())
        kept, lower, other, chosen = (
            to_device(one, device) for one in (torch.arange(len(batch)) < keep, lower, other, chosen)
        )
        batch, t = batch.to(device), torch.where(kept, lower, c.t_init)
        clean, cut = phi.embed(batch.ids), batch.ids.shape[1] - pool.ids.shape[-1]
        score = torch.where(kept, other, z[:, cut] @ pool.direction)
        target = clean.clone()
        target[:, cut:] = phi.embedding()[pool.sentences_at(chosen, score)]
        visible = target * kept[:, None, None]  # the other rows start from pure noise
        with self.autocast():
            x_g = self.theta(anchor(phi.schedule.diffuse(visible, t, z), clean, batch), t, batch)
        errors = (x_g - target)[:, cut:].square().mean((1, 2))
        loss, terms = errors.mean(), {"regression": errors[keep:].mean()}
        if c.keep:
            terms["denoising"] = errors[:keep].mean()
        adam, muon = self.optimisers["adam"], self.optimisers["muon"]
        optimisers = {adam: self.lr(), muon: c.lr_muon * self.lr_factor()}
        values, norm = optimiser_step(optimisers, [(1.0, loss, terms)], self.step + 1, c.clip, self.scale)
        self.ema.update(self.theta, self.step + 1)
        return values, {"theta": norm}, tokens
