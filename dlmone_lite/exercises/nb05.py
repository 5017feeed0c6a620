"""Exercises of notebook 05: can one forward pass do it?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dlmone_lite.exercises import Exercise, Wrong, ask, question
from dlmone_lite.exercises._sampler import check_refine
from dlmone_lite.sid import discriminator_loss, over_target, sid_loss


def _normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _close(got: Any, wanted: Tensor) -> bool:
    """Whether `got` has the shape and, nearly, the numbers of `wanted`."""
    got = torch.as_tensor(got).detach().to(wanted.dtype)
    return got.shape == wanted.shape and torch.allclose(got, wanted, atol=1e-6, rtol=1e-5)


def _target() -> Tensor:
    """Rows with different numbers of target positions (3, 6)."""
    return torch.tensor([[0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 0], [0, 1, 1, 1, 1, 1]], dtype=torch.bool)


# ---- 05.1


def _check_sid(answer: Any) -> None:
    target, mu = _target(), 0.7
    x_g, f_phi, f_psi = (_normal(3, 6, 4, seed=seed).requires_grad_(True) for seed in range(3))
    got, right = ask(answer, x_g, f_phi, f_psi, target, mu), sid_loss(x_g, f_phi, f_psi, target, mu)
    d = f_phi - f_psi
    mistakes = (
        (d * (f_phi - x_g) + mu * d * d, "The sign of mu is turned: the loss is L2 - mu L1."),
        (d * (f_phi - x_g) - d * d, "mu plays no part yet: that is L2 - L1."),
        (
            d * (f_phi - x_g),
            "That is L2 alone; mu times L1, the squared difference, is still to be taken away.",
        ),
        (d * d, "That is L1, with psi plugged in twice. One factor must be the sample: f_phi - x_g."),
        (
            -d * (f_phi - x_g) - mu * d * d,
            "In L2 the first factor is f_phi - f_psi, not the other way round.",
        ),
        (
            d * (f_psi - x_g) - mu * d * d,
            "The second factor of L2 is f_phi - x_g, the teacher's estimate minus it.",
        ),
        ((f_phi - x_g).square(), "That regresses on the teacher and never asks psi: it seeks a mode."),
    )
    if not isinstance(got, Tensor):
        raise Wrong("Return a tensor (B,): one number for every row.")
    for values, feedback in mistakes:
        if _close(got, over_target(values, target)):
            raise Wrong(feedback)
    values = d * ((f_phi - x_g) - mu * d)
    if _close(got, values.mean((1, 2))):
        raise Wrong("You average over all positions; only target positions count (`target` says which).")
    if _close(got, (values * target[..., None]).sum((1, 2))):
        raise Wrong("The terms are right but summed: take the mean over target positions and channels.")
    if _close(got, right.mean()):
        raise Wrong("One number for every row, (B,): do not average over the batch yet.")
    if not _close(got, right):
        raise Wrong(
            "Not L2 - mu L1. Start with d = f_phi - f_psi; then L2 = d . (f_phi - x_g) and L1 = d . d."
        )
    inputs = {"x_g": x_g, "f_phi": f_phi, "f_psi": f_psi}
    wanted = torch.autograd.grad(right.sum(), list(inputs.values()))
    given = (
        torch.autograd.grad(got.sum(), list(inputs.values()), allow_unused=True)
        if got.requires_grad
        else [None] * len(inputs)
    )
    for name, mine, theirs in zip(inputs, given, wanted, strict=True):
        if mine is None or not _close(mine, theirs):
            raise Wrong(f"The value is right, but the gradient through {name} is cut: detach nothing here.")


SID = """
def my_sid_loss(x_g, f_phi, f_psi, target, mu):
    d = f_phi - f_psi
    values = (d * ((f_phi - x_g) - mu * d)).mean(-1)
    return (values * target).sum(-1) / target.sum(-1)
"""

# ---- 05.2


def _check_discriminator(answer: Any) -> None:
    target = _target()
    real, fake = _normal(3, 6, seed=3) * 2, _normal(3, 6, seed=4) * 2
    got, right = ask(answer, real, fake, target), discriminator_loss(real, fake, target)
    if not isinstance(got, Tensor):
        raise Wrong("Return a tensor (B,): one number for every row.")
    mistakes = (
        (
            discriminator_loss(fake, real, target),
            "The labels are exchanged: real ones should get 1, fake ones 0.",
        ),
        (2 * right, "Take half of the sum: (BCE(real, 1) + BCE(fake, 0)) / 2."),
        (
            discriminator_loss(real, real, target),
            "You use the real logits for both; the second term is of the fake ones.",
        ),
        (
            over_target((real.sigmoid() - 1).square() + fake.sigmoid().square(), target) / 2,
            "That is a squared error of probabilities; the binary cross-entropy is -log of the label's "
            "probability.",
        ),
        (over_target(real.neg().exp().log1p(), target), "Only the real half is there; add BCE(fake, 0)."),
        (over_target(fake.exp().log1p(), target), "Only the fake half is there; add BCE(real, 1)."),
        (-right, "The sign is turned: a loss falls when the verdicts become right."),
    )
    for value, feedback in mistakes:
        if _close(got, value):
            raise Wrong(feedback)
    everywhere = discriminator_loss(real, fake, torch.ones_like(target))
    if _close(got, everywhere):
        raise Wrong("You average over all positions; sources are given, so only target positions are judged.")
    if _close(got, right.mean()):
        raise Wrong("One number for every row, (B,): do not average over the batch yet.")
    if not _close(got, right):
        raise Wrong("Not the mean of BCE(real, 1) and BCE(fake, 0). BCE(logit, 1) = log(1 + exp(-logit)).")
    far = torch.full((3, 6), 120.0)
    extreme = ask(answer, -far, far, target)
    if not bool(torch.isfinite(torch.as_tensor(extreme)).all()):
        raise Wrong("Right for small logits, infinite for large ones: use softplus.")


DISCRIMINATOR = """
def my_discriminator_loss(real, fake, target):
    values = 0.5 * (F.softplus(-real) + F.softplus(fake))
    return (values * target).sum(-1) / target.sum(-1)
"""

# ---- 05.3, checked in _sampler.py

REFINE = """
from dlmone_lite.sample import anchor

def my_student(network, schedule, batch, clean, t_init, noises):
    K = len(noises)
    for i, noise in enumerate(noises):
        t = round(t_init * (1 - i / K))
        alpha, sigma = schedule.like(t, clean)
        x = sigma * noise if i == 0 else alpha * x0_hat + sigma * noise
        x0_hat = network(anchor(x, clean, batch), torch.full((len(x),), t), batch)
    return anchor(x0_hat, clean, batch)
"""

EXERCISES = (
    question(
        "05.a",
        "When is the expected squared difference of the two scores, over noised student samples, zero? "
        "(a) when for every z student and teacher write the same sentence, (b) when both have the same "
        "distribution, (c) when every student sentence is likely under the teacher.",
        "b",
        {
            "a": "No pair is ever compared: z appears in the student only. What does a score belong to?",
            "c": "A student that always writes the likeliest sentence does that. Is its score the teacher's?",
        },
        (
            "A score is the gradient of the log-density of a whole noised distribution.",
            "Two densities with the same log-gradient differ by a factor, and both integrate to 1.",
        ),
        "Right: equal scores everywhere mean equal noised distributions, and the noise can be undone. "
        "Which z gives which sentence stays free.",
    ),
    Exercise(
        "05.1",
        "Write my_sid_loss(x_g, f_phi, f_psi, target, mu) -> (B,): L2 - mu L1, a mean over target positions "
        "and channels.",
        _check_sid,
        "my_sid_loss",
        SID,
        (
            "With d = f_phi - f_psi: L1 = d . d and L2 = d . (f_phi - x_g).",
            "Average over the last axis, then (values * target).sum(-1) / target.sum(-1). Detach nothing.",
        ),
        "Right, values and gradients.",
    ),
    Exercise(
        "05.2",
        "Write my_discriminator_loss(real, fake, target) -> (B,): half of BCE(real, 1) + BCE(fake, 0), from "
        "logits (B, L), a mean over target positions.",
        _check_discriminator,
        "my_discriminator_loss",
        DISCRIMINATOR,
        (
            "BCE(logit, 1) = -log sigmoid(logit) = log(1 + exp(-logit)); for label 0 turn the logit's sign.",
            "F.softplus(v) is log(1 + exp(v)) without overflow.",
        ),
        "Right, also for logits that would overflow an exponential.",
    ),
    question(
        "05.b",
        "theta's loss runs through the frozen networks phi and psi. What if their inputs x_t were detached? "
        "(a) nothing, they are frozen, (b) theta would lose the part of its gradient that comes through "
        "them, (c) phi and psi would start to learn.",
        "b",
        {
            "a": "Frozen weights stay, but the output still depends on the input, and so on theta.",
            "c": "Who learns is decided by the parameters an optimiser is given; detaching gives it none.",
        },
        (
            "x_t = alpha x_g + sigma noise, and x_g = G(z; theta).",
            "Compare the two gradients in the cell above: is the part through x_g alone the whole?",
        ),
        "Right: weights frozen, inputs open. The signal reaches theta through x_g and through both inputs.",
    ),
    question(
        "05.c",
        "At the start psi is a copy of phi. What does theta learn from the SiD term then? (a) it moves "
        "towards the teacher fastest, (b) nothing at all, (c) to write one sentence only.",
        "b",
        {
            "a": "Every term carries the factor f_phi - f_psi. How large is it when the two are the same?",
            "c": "A collapse needs a gradient. Look at the factor f_phi - f_psi first.",
        },
        (
            "Put f_psi = f_phi into L2 and into L1.",
            "The difference is zero for every input, so its derivative in that input is zero too.",
        ),
        "Right: no difference, no signal. That is why psi learns alone for the first updates.",
    ),
    Exercise(
        "05.3",
        "Write my_student(network, schedule, batch, clean, t_init, noises) -> x0_hat (B, L, D): one "
        "evaluation for every noise; first sigma z at t_init, then x0_hat re-noised to t_init (1 - i / K); "
        "the source stays clean.",
        check_refine,
        "my_student",
        REFINE,
        (
            "Start from one_step; before every further evaluation diffuse the last x0_hat to the next t.",
            "x = alpha x0_hat + sigma noise with (alpha, sigma) = schedule.like(t, clean); anchor x before "
            "the network sees it, and the output once more at the end.",
        ),
        "Right: the same sampler as dlmone_lite.sample.student.",
    ),
)
