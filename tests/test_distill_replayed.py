"""Two whole updates of a distillation, replayed in plain torch: draws, both losses, Adam, EMA, dropout off."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from tiny import make_codec, make_model, make_pairs, make_world

from dlmone_lite.distill import DistillConfig, DistillRun

ROWS, CUT, T_INIT, T_MIN, T_MAX = 8, 6, 1490, 5, 1900
B_D, B_G, MU, COMMITMENT = 0.9, 0.2, 1.2, 0.3
LR, LR_PSI, BETA2, EMA, CLIP, SEED = 1e-2, 3e-2, 0.95, 0.5, 0.7, 3
CONFIG = DistillConfig(
    steps=6, batch_size=ROWS, lr=LR, lr_psi=LR_PSI, lr_shape="linear", warmup=4, beta1=0.0, beta2=BETA2,
    clip=CLIP, ema=EMA, mu=MU, b_d=B_D, b_g=B_G, commitment=COMMITMENT, t_init=T_INIT, t_min=T_MIN,
    t_max=T_MAX, psi_steps=1, psi_warmup=0, precision="float32", seed=SEED,
)  # fmt: skip


def level(t):
    """alpha and sigma (B, 1, 1) of DiffuSeq's square-root schedule."""
    abar = (1 - (t.double() / 2000 + 1e-4).sqrt()) / 0.99
    return abar.sqrt().float()[:, None, None], (1 - abar).sqrt().float()[:, None, None]


def anchored(x, clean):
    return torch.cat([clean[:, :CUT], x[:, CUT:]], 1)


class Adam:
    """Adam with beta1 = 0 after Kingma & Ba, the gradient's norm clipped before."""

    def __init__(self, network):
        self.parameters = [p for name, p in network.named_parameters() if name != "words"]
        self.v, self.steps = [torch.zeros_like(p) for p in self.parameters], 0

    def step(self, loss, lr):
        gradients = torch.autograd.grad(loss, self.parameters, allow_unused=True)
        gradients = [torch.zeros_like(p) if g is None else g for p, g in zip(self.parameters, gradients)]
        norm = math.sqrt(sum(float(g.square().sum()) for g in gradients))
        self.steps += 1
        for p, g, v in zip(self.parameters, gradients, self.v):
            g = g * min(1.0, CLIP / norm)
            v.mul_(BETA2).add_((1 - BETA2) * g**2)
            p.data -= lr * g / ((v / (1 - BETA2**self.steps)).sqrt() + 1e-8)
        return norm


class Replay:
    """The same two updates, with nothing of the library but its networks and pairs."""

    def __init__(self, teacher, data):
        self.data = data
        self.phi, self.psi, self.theta, self.ema = (copy.deepcopy(teacher).eval() for _ in range(4))
        self.psi_adam, self.theta_adam = Adam(self.psi), Adam(self.theta)

    def draw(self, generator):
        index = torch.randint(len(self.data), (ROWS,), generator=generator)
        batch = self.data.batch[index]
        z, noise = (torch.randn(ROWS, 12, 8, generator=generator) for _ in range(2))
        t = torch.randint(T_MIN, T_MAX + 1, (ROWS,), generator=generator)
        words = F.normalize(self.phi.words, dim=-1) * math.sqrt(8)
        return batch, words[batch.ids].detach(), z, t, noise

    def sample(self, batch, clean, z):
        t = torch.full((ROWS,), T_INIT)
        return self.theta(anchored(level(t)[1] * z, clean), t, batch)

    def update(self, step):
        generator = torch.Generator().manual_seed(SEED * 1_000_003 + step)
        factor = step / 4  # still warming up

        # psi: the student's samples are constants, real ones share t and noise.
        batch, clean, z, t, noise = self.draw(generator)
        alpha, sigma = level(t)
        x_g = self.sample(batch, clean, z).detach()
        fake_t = anchored(alpha * x_g + sigma * noise, clean)
        real_t = anchored(alpha * clean + sigma * noise, clean)
        dsm = (self.psi(fake_t, t, batch) - x_g)[:, CUT:].square().mean()
        fake, real = (self.psi.hidden(x, t).mean(-1)[:, CUT:] for x in (fake_t, real_t))
        bce = (F.softplus(-real) + F.softplus(fake)).mean() / 2
        psi_norm = self.psi_adam.step(dsm + B_D * bce, LR_PSI * factor)

        # theta: a fresh draw, gradients through the sample and both networks.
        batch, clean, z, t, noise = self.draw(generator)
        alpha, sigma = level(t)
        x_g = self.sample(batch, clean, z)
        x_t = anchored(alpha * x_g + sigma * noise, clean)
        f_phi, f_psi = (network(x_t, t, batch)[:, CUT:] for network in (self.phi, self.psi))
        x, difference = x_g[:, CUT:], f_phi - f_psi
        w = (x - f_phi).abs().mean((1, 2)).detach()
        sid = ((difference * ((f_phi - x) - MU * difference)).mean((1, 2)) / w).mean()
        logits = self.psi.hidden(x_t, t).mean(-1)[:, CUT:]
        generator_term = (F.softplus(-logits).mean(1) / w).mean()
        words = self.phi.embedding()
        nearest = words[torch.cdist(x.flatten(0, 1), words).argmin(-1)].view_as(x).detach()
        commitment = (x - nearest).square().mean()
        loss = sid + B_G * generator_term + COMMITMENT * commitment
        theta_norm = self.theta_adam.step(loss, LR * factor)

        decay = min(EMA, step / (step + 9))
        for average, p in zip(self.ema.parameters(), self.theta.parameters()):
            average.data.lerp_(p.data, 1 - decay)
        losses = {"dsm": dsm, "discriminator": bce, "sid": sid, "generator": generator_term}
        return {**losses, "commitment": commitment}, {"psi": psi_norm, "theta": theta_norm}


def test_two_updates_replayed_by_hand(tmp_path):
    world = make_world(tmp_path)
    codec = make_codec(world)
    data = make_pairs(world, codec)
    teacher = make_model(codec, output="linear", dropout=0.3)
    run, replay = DistillRun(teacher, data, CONFIG), Replay(teacher, data)
    for number in (1, 2):
        step = run.advance()
        losses, norms = replay.update(number)
        expected = {name: value.item() for name, value in losses.items()}
        # psi starts as the teacher, so that at first SiD's loss is a small difference of large numbers.
        assert step.losses == pytest.approx(expected, rel=1e-3, abs=1e-5)
        assert step.grad_norms == pytest.approx(norms, rel=1e-3)
        for name, rate in (("psi", LR_PSI), ("theta", LR), ("ema", LR)):
            own, other = run.modules[name].state_dict(), getattr(replay, name).state_dict()
            apart = torch.cat([(own[key] - other[key]).abs().flatten() for key in own])
            # Adam moves a weight by about its rate whatever the gradient; the sign of a tiny one may differ.
            assert float(apart.mean()) < 1e-3 * rate, (name, number)
