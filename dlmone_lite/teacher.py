"""The teacher: DiffuSeq's losses (arXiv 2210.08933) and the training run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dlmone_lite.corpora.pairs import PairedText
from dlmone_lite.model import Denoiser
from dlmone_lite.rounding import clean_rounding_loss, rounding_loss
from dlmone_lite.sample import anchor
from dlmone_lite.text import Batch, to_device
from dlmone_lite.training import processes
from dlmone_lite.training.optimisers import build_optimisers
from dlmone_lite.training.precision import compile_blocks
from dlmone_lite.training.ranges import check
from dlmone_lite.training.run import EMA, Run
from dlmone_lite.training.seeds import randn
from dlmone_lite.training.targets import posterior_mean, stable_weights
from dlmone_lite.training.times import TimeSampler
from dlmone_lite.training.update import MicroBatch, micro_batches, optimiser_step, weighted_means


@dataclass
class TeacherConfig:
    """One teacher run, by default the classroom recipe; `DIFFUSEQ` below is the published one, for QQP.

    target: "sample" regresses on the x0 that was noised, at t = 1 on its embeddings (DiffuSeq); "stable" on
    its posterior mean among all references of the same source in the training set, which has the same
    minimiser and far less variance (Stable Target Field, Xu et al. 2023). loss: "mse" between embeddings
    (DiffuSeq) or "ce", the cross-entropy of each position's word (CDCD). t_sampling: "uniform", "loss-aware"
    (DiffuSeq, after Nichol & Dhariwal) or "late", which draws `late_share` of the batch from t >= late_from,
    where the worlds' modes are decided.
    """

    steps: int = 6000
    batch_size: int = 64
    micro_batch: int = 0  # rows at a time, whose gradients are added up; 0: the whole batch
    optimiser: str = "muon"  # for the blocks' matrices, with AdamW for the rest; or "adamw" for all
    lr: float = 4e-3  # of AdamW
    lr_muon: float = 0.02
    lr_shape: str = "cosine"
    warmup: int = 100
    beta2: float = 0.98  # of AdamW
    weight_decay: float = 0.03
    clip: float = 1.0  # of the gradient's norm; 0: none
    ema: float = 0.999
    ema_ramp: bool = True  # average over fewer updates at first
    target: str = "stable"
    loss: str = "mse"
    t_sampling: str = "late"
    late_from: int = 1800
    late_share: float = 0.5
    sigma_0: float = 0.0  # noise on the clean embeddings; DiffuSeq: .121
    rounding: float = 1.0  # weight of the rounding cross-entropy
    prior: float = 1.0  # weight of ||alpha_T x0||^2
    precision: str = "auto"  # of matrix products: float32, bfloat16, float16, or the fastest on this machine
    compile: bool = False  # the blocks by torch.compile: slow to start, then faster
    seed: int = 0

    def __post_init__(self) -> None:
        known = {"optimiser": ("muon", "adamw"), "target": ("stable", "sample"), "loss": ("mse", "ce")}
        check(self, **known, t_sampling=("uniform", "loss-aware", "late"))


DIFFUSEQ = TeacherConfig(  # as published
    steps=50_000,
    batch_size=2048,
    micro_batch=64,
    optimiser="adamw",
    lr=1e-4,
    lr_shape="linear",
    warmup=0,
    beta2=0.999,
    weight_decay=0.0,
    clip=0.0,
    ema=0.9999,
    ema_ramp=False,
    target="sample",
    t_sampling="loss-aware",
    sigma_0=0.121,
)
RECIPES = {"classroom": TeacherConfig(), "lite": TeacherConfig(t_sampling="uniform"), "paper": DIFFUSEQ}


def expected_cross_entropy(logits: Tensor, references: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy (B,) of logits (B, L_t, V) against references (B, R, L_t) with weights (B, R)."""
    log_p = logits.log_softmax(-1).gather(-1, references.transpose(1, 2)).transpose(1, 2)  # (B, R, L_t)
    return -(weights[..., None] * log_p).sum(1).mean(-1)


def teacher_loss(
    model: Denoiser,
    batch: Batch,
    references: Tensor,
    log_share: Tensor,
    t: Tensor,
    noise: Tensor,
    config: TeacherConfig,
) -> dict[str, Tensor]:
    """Named terms (B,) of DiffuSeq's loss, means over target positions; DiffuSeq's own layout has no source
    block, so there they are means over all positions, as published.

    denoising: ||x0 - x0_hat||^2 per element, or the cross-entropy per position; rounding: cross-entropy of
    the noisy x0 against its ids, which keeps embeddings apart; prior: ||alpha_T x0||^2, the mean that is left
    at T. noise (B, L, 2 D): the first half is diffusion noise, the second the embeddings' own.
    """
    cut = batch.ids.shape[1] - references.shape[-1]  # where the target block begins
    ids, (table, bias) = batch.ids, model.rounding_head()

    # Partial noising: the source stays at x0 (B, L, D).
    noise, own = noise.chunk(2, -1)
    x0 = table[ids] + config.sigma_0 * own if config.sigma_0 else table[ids]
    x_t = anchor(model.schedule.diffuse(x0, t, noise), x0, batch)
    h = model.hidden(x_t, t)

    # The regression's target: the mean over all references of the source, or the sample that was noised.
    alpha, sigma = model.schedule.like(t, x_t)
    if config.target == "stable":
        points = table[references]
        with torch.no_grad():
            spread = (sigma**2 + (alpha * config.sigma_0) ** 2).sqrt()
            weights = stable_weights(x_t[:, cut:], points, log_share, alpha, spread)
        target = posterior_mean(x_t[:, cut:], points, weights, alpha, spread, config.sigma_0)
    else:
        references, weights = ids[:, None, cut:], torch.ones(len(ids), 1, device=ids.device)
        target = torch.where((t == 1)[:, None, None], table[ids], x0)[:, cut:]

    if config.loss == "ce":
        denoising = expected_cross_entropy(model.logits(x_t, t, h)[:, cut:], references, weights)
    else:
        denoising = (model.x0_from_hidden(x_t, t, h)[:, cut:] - target).square().mean((-2, -1))

    # The two terms that do not pass through the transformer.
    x0 = x0[:, cut:]
    if config.sigma_0 or ids.device.type != "cpu":
        rounding = rounding_loss(x0, table, bias, ids[:, cut:])
    else:
        rounding = clean_rounding_loss(table, bias, ids[:, cut:])
    prior = (model.schedule(model.schedule.T)[0] * x0).square().mean((-2, -1))
    return {"denoising": denoising, "rounding": rounding, "prior": prior}


class TeacherRun(Run):
    """Train `model` on `data`; iterate over it for `Step`s. `.result` is the averaged (EMA) teacher."""

    kind = "teacher"

    def __init__(self, model: Denoiser, data: PairedText, config: TeacherConfig):
        config = replace(config)  # a slider that changes it leaves the caller's config alone
        self.model, self.data = model.train(), data
        self.ema, self.times = EMA(model, config.ema, config.ema_ramp), TimeSampler(config, model.schedule.T)
        adamw, muon = build_optimisers(
            model,
            muon=config.optimiser == "muon",
            betas=(0.9, config.beta2),
            weight_decay=config.weight_decay,
        )
        optimisers = {"adamw": adamw, "muon": muon} if muon else {"adamw": adamw}
        super().__init__(config, {"model": model, "ema": self.ema.model, "times": self.times}, optimisers)
        if config.compile:
            compile_blocks([model])

    @property
    def result(self) -> Denoiser:
        return self.ema.model

    def terms(self, batch: Batch, *drawn: Tensor) -> dict[str, Tensor]:
        """`teacher_loss` of these rows; a teacher of another kind has others under the same names."""
        return teacher_loss(self.model, batch, *drawn, self.config)

    def update(self, generator: torch.Generator) -> tuple[dict[str, float], dict[str, float], int]:
        c, model, device = self.config, self.model, self.device

        # All processes draw the whole batch; each keeps its own rows.
        index = self.data.draw(c.batch_size, generator)
        t, importance = self.times.draw(len(index), generator)
        shape = (len(index), self.data.codec.length, 2 * model.config.embed_dim)
        noise = randn(shape, generator, device)
        own = processes.own_rows(len(index))
        batch, *rest = self.data.rows(index[own])
        rest += [t[own], noise[own], importance[own]]
        weights = {"denoising": 1.0, "rounding": c.rounding, "prior": c.prior}
        unweighted: list[Tensor] = []

        def losses() -> Iterator[MicroBatch]:
            for share, rows in micro_batches(len(batch), c.micro_batch):
                references, log_share, at, eps, weight = (to_device(x[rows], device) for x in rest)
                with self.autocast():
                    terms = self.terms(batch[rows].to(device), references, log_share, at, eps)
                unweighted.append(sum(weights[name] * term.detach() for name, term in terms.items()))
                terms = {name: weight * term for name, term in terms.items()}
                yield share, *weighted_means(terms, weights)

        rates = {"adamw": self.lr(), "muon": c.lr_muon * self.lr_factor()}
        optimisers = {optimiser: rates[name] for name, optimiser in self.optimisers.items()}
        terms, norm = optimiser_step(optimisers, losses(), self.step + 1, c.clip, self.scale)

        if c.t_sampling == "loss-aware":  # a GPU is waited for once more
            self.times.record(t, processes.all_gather_rows(torch.cat(unweighted)).cpu())
        self.ema.update(model, self.step + 1)
        return terms, {"teacher": norm}, int(batch.target.sum()) * processes.world_size()
