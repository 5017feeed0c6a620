"""The student's warm start: a regression from noise onto the teacher's own sentences, before any score.

Not in DLM-One. DMD (Yin et al. 2023) regresses on the end of the teacher's deterministic path from the same
noise. The border between two sentences is then an intricate surface in all dimensions of the noise, too fine
for one network call. Here one coordinate selects the sentence, by monotone optimal transport (`Pool`).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from dlmone_lite.corpora.pairs import PairedText, one_row_per_source
from dlmone_lite.errors import InputError
from dlmone_lite.model import Denoiser
from dlmone_lite.sample import anchor, snr_timesteps
from dlmone_lite.text import Batch, to_device
from dlmone_lite.training.optimisers import build_optimisers
from dlmone_lite.training.ranges import check
from dlmone_lite.training.run import EMA, Run
from dlmone_lite.training.seeds import generator_at, randn
from dlmone_lite.training.update import optimiser_step
from dlmone_lite.variants.own_samples import fill, teacher_sentences
from dlmone_lite.variants.sentence_pool import Pool


@dataclass
class WarmStartConfig:
    """One warm start: `steps` updates of ||G(sigma z, t_init) - x||^2, where z selects the sentence x.

    A share `keep` of the rows trains denoising, ||G(alpha_t x + sigma_t z, t) - x||^2 at lower t, because
    sampling in more than one step needs it. First the teacher samples `samples` sentences for each of
    `sources` training sources (0: all), in `nfe` ancestral steps, evenly in log SNR, clamped or not. Their
    shares are fitted to its mean x0_hat at step number `share_step`.
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

    def __post_init__(self) -> None:
        check(self)

    @property
    def sampling(self) -> dict[str, float]:
        """The settings of the student's sampler."""
        return {"t_init": self.t_init}


class WarmStartRun(Run):
    """Fit a copy of `teacher` to its own sentences; iterate for `Step`s after `prepare`. `.result` is the
    averaged (EMA) student. A sentence is selected by the first target position's noise along the pool's
    direction."""

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

    def prepare(self) -> Iterator[tuple[int, int]]:
        """Fill the pool with the teacher's samples, then order it; yield (sources done, sources in all)."""
        append = partial(self.pool.append, embedding=self.phi.embedding())
        batch = self.data.batch[self.pool.rows.cpu()]
        yield from fill(self, self.pool.filled, batch, self.teacher_samples, append)

    def teacher_samples(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The teacher's sentences, ids (s, n, L_t), and its mean x0_hat (s, L_t, D) at step `share_step`."""
        c, cut = self.config, self.data.codec.source_length
        times, means = snr_timesteps(self.phi.schedule, c.nfe), []

        def read_mean(t: int, x_t: Tensor, x0_hat: Tensor) -> None:
            if t == times[c.share_step]:
                means.append(x0_hat[:, cut:].float().unflatten(0, (-1, c.samples)).mean(1))

        clamp = self.phi.clamp if c.clamp else None
        ids = teacher_sentences(self, batch, generator, steps=times, clamp=clamp, trace=read_mean)
        return ids[..., cut:], means[0]

    @torch.no_grad()
    def refit_shares(self, generator: torch.Generator, quantiles: int = 32) -> None:
        """Fit the shares again, to the mean of the averaged (EMA) student over evenly spread scores.

        The teacher's estimates for similar sources differ by its errors. The student has averaged them
        out, and it draws a border between two sentences sharply where it can predict that border.
        """
        phi, pool, cut = self.phi, self.pool, self.data.codec.source_length
        scores = torch.special.ndtri((torch.arange(quantiles) + 0.5) / quantiles).to(self.device)
        chunk = max(1, self.rows_per_call // quantiles)
        for start in range(0, len(pool.rows), chunk):
            sources = slice(start, start + chunk)
            rows = pool.rows[sources].cpu()
            batch = self.data.batch[rows].repeat(quantiles).to(self.device)
            clean = phi.embed(batch.ids)

            # Give the noise at the first target position these scores along the pool's direction.
            z = randn(clean.shape, generator, self.device)
            shift = scores.repeat(len(rows)) - z[:, cut] @ pool.direction
            z[:, cut] += shift[:, None] * pool.direction

            t = torch.full((len(batch),), self.config.t_init, device=self.device)
            x_t = anchor(phi.schedule.diffuse(0 * z, t, z), clean, batch)
            with self.autocast():
                x_g = self.ema.model(x_t, t, batch).float()
            mean = x_g[:, cut:].unflatten(0, (len(rows), quantiles)).mean(1)
            pool.refit_shares(sources, mean, phi.embedding())

    def update(self, generator: torch.Generator) -> tuple[dict[str, float], dict[str, float], int]:
        c, phi, pool, device = self.config, self.phi, self.pool, self.device
        if not pool.full:
            raise InputError("the warm start has no sentences yet; exhaust prepare() first")
        if self.step and self.step == round(c.reread_at * c.steps):
            self.refit_shares(generator_at(c.seed, -len(pool.rows) - 1))

        # Draw sources and noise, and for the denoising rows a lower t (as in eight steps) and another score.
        source = torch.randint(len(pool.rows), (c.batch_size,), generator=generator)
        batch = self.data.batch[pool.rows.cpu()[source]]
        z = randn((*batch.ids.shape, phi.config.embed_dim), generator, device)
        lower = torch.randint(1, c.t_init * 7 // 8 + 1, (len(batch),), generator=generator)
        score = torch.randn(len(batch), generator=generator)
        keep, tokens = round(c.keep * len(batch)), int(batch.target.sum())
        kept = to_device(torch.arange(len(batch)) < keep, device)
        lower, score, source = (to_device(tensor, device) for tensor in (lower, score, source))
        batch, t = batch.to(device), torch.where(kept, lower, c.t_init)

        # The target is the sentence that the noise selects; for a denoising row the other score selects it.
        clean, cut = phi.embed(batch.ids), self.data.codec.source_length
        score = torch.where(kept, score, z[:, cut] @ pool.direction)
        target = clean.clone()
        target[:, cut:] = phi.embedding()[pool.sentences_at(source, score)]

        # Only the denoising rows see their target; the others start from pure noise.
        x_t = anchor(phi.schedule.diffuse(target * kept[:, None, None], t, z), clean, batch)
        with self.autocast():
            x_g = self.theta(x_t, t, batch)

        # Squared errors per row; the named terms split them into the two kinds of rows.
        errors = (x_g - target)[:, cut:].square().mean((1, 2))
        loss, terms = errors.mean(), {"regression": errors[keep:].mean()}
        if c.keep:
            terms["denoising"] = errors[:keep].mean()

        adam, muon = self.optimisers["adam"], self.optimisers["muon"]
        lrs = {adam: self.lr(), muon: c.lr_muon * self.lr_factor()}
        values, norm = optimiser_step(lrs, [(1.0, loss, terms)], self.step + 1, c.clip, self.scale)
        self.ema.update(self.theta, self.step + 1)
        return values, {"theta": norm}, tokens
