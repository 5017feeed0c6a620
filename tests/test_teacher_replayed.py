"""One whole update of a teacher with importance weights, replayed in plain torch."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from tiny import make_codec, make_model, make_pairs, make_world

from dlmone_lite.teacher import TeacherConfig, TeacherRun

ROWS, CUT, LR, DECAY, SIGMA_0, SEED = 8, 6, 1e-2, 0.1, 0.3, 5
CONFIG = TeacherConfig(
    steps=4, batch_size=ROWS, optimiser="adamw", lr=LR, lr_shape="constant", warmup=0, weight_decay=DECAY,
    clip=100.0, target="sample", t_sampling="loss-aware", sigma_0=SIGMA_0, rounding=0.7, prior=0.4, ema=0.5,
    precision="float32", seed=SEED,
)  # fmt: skip


@pytest.mark.parametrize("micro_batch", [0, 3])
def test_an_update_with_importance_weights_replayed_by_hand(tmp_path, micro_batch):
    world = make_world(tmp_path)
    codec = make_codec(world)
    data, model = make_pairs(world, codec), make_model(codec, output="linear")
    mine = copy.deepcopy(model)
    config = copy.copy(CONFIG)
    config.micro_batch = micro_batch
    run = TeacherRun(model, data, config)

    # Past losses of very different size: t is drawn unevenly and the weights lie far from one.
    history = torch.where(torch.arange(2000) % 3 == 0, 3.0, 0.5).double()[:, None].expand(2000, 10)
    run.times.losses.copy_(history)
    run.times.counts.fill_(10)
    step = run.advance()

    # The draws of this update.
    generator = torch.Generator().manual_seed(SEED * 1_000_003 + 1)
    index = torch.randint(len(data), (ROWS,), generator=generator)
    p = history[:, 0] / history[:, 0].sum() * 0.999 + 0.001 / 2000
    index_t = torch.multinomial(p, ROWS, replacement=True, generator=generator)
    t = index_t + 1
    weight = (1 / (2000 * p[index_t])).float()
    assert weight.max() / weight.min() > 2
    noise = torch.randn(ROWS, 12, 16, generator=generator)

    # The loss, at embeddings that carry noise of their own.
    batch = data.batch[index]
    table = F.normalize(mine.words, dim=-1) * math.sqrt(8)
    x0 = table[batch.ids] + SIGMA_0 * noise[..., 8:]
    abar = (1 - (t.double() / 2000 + 1e-4).sqrt()) / 0.99
    alpha, sigma = (a.sqrt().float()[:, None, None] for a in (abar, 1 - abar))
    x_t = torch.cat([x0[:, :CUT], (alpha * x0 + sigma * noise[..., :8])[:, CUT:]], 1)
    denoising = (mine(x_t, t, batch) - x0)[:, CUT:].square().mean((1, 2))
    target = x0[:, CUT:]
    rounding = F.cross_entropy((target @ table.T).mT, batch.ids[:, CUT:], reduction="none").mean(1)
    alpha_T = run.model.schedule(2000)[0]
    prior = (alpha_T * target).square().mean((1, 2))
    rows = denoising + 0.7 * rounding + 0.4 * prior
    loss = (weight * rows).mean()
    terms = {"denoising": denoising, "rounding": rounding, "prior": prior}
    assert step.losses == pytest.approx({k: (weight * v).mean().item() for k, v in terms.items()}, rel=1e-4)

    # The unweighted losses are what later draws of t go by; each takes the place of the oldest at its t.
    losses = history.clone()
    for row, (at, value) in enumerate(zip(t.tolist(), rows.tolist())):
        losses[at - 1, t[:row].tolist().count(at)] = value
    assert torch.allclose(run.times.losses, losses, rtol=1e-4)

    # AdamW, whose first step is the rate times the gradient's sign, after the decay of the weights.
    adamw = torch.optim.AdamW(mine.parameters(), lr=LR, betas=(0.9, 0.98), weight_decay=DECAY)
    for parameter, gradient in zip(
        mine.parameters(), torch.autograd.grad(loss, list(mine.parameters()), allow_unused=True)
    ):
        parameter.grad = gradient
    before = {name: p.detach().clone() for name, p in mine.named_parameters()}
    adamw.step()
    own = dict(run.model.named_parameters())
    apart = torch.cat([(own[name] - p).detach().abs().flatten() for name, p in mine.named_parameters()])
    assert float(apart.mean()) < 1e-2 * LR
    average = dict(run.result.named_parameters())
    for name, start in before.items():  # after the first update the average keeps a tenth of the start
        assert torch.allclose(average[name], torch.lerp(own[name], start, 0.1), atol=1e-6), name
