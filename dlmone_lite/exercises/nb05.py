"""Checks of notebook 05: can one forward pass do it?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from dlmone_lite.distill import Draw
from dlmone_lite.exercises.compare import Wrong, ask, attempt, call, checks, close, judge, normal, tensor
from dlmone_lite.exercises.training import STALE, Nets, judge_training
from dlmone_lite.model import Denoiser, ModelConfig
from dlmone_lite.sample import anchor, timesteps
from dlmone_lite.schedule import Schedule
from dlmone_lite.sid import discriminator_loss, over_target, sid_loss
from dlmone_lite.text import Batch

# Rows with different numbers of target positions (3, 6).
TARGET = torch.tensor([[0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 0], [0, 1, 1, 1, 1, 1]], dtype=torch.bool)
PER_ROW = "(B,): one number for every row"


@checks("05.1")
def _check_sid(answer: Any) -> None:
    target, mu = TARGET, 0.7
    x_g, f_phi, f_psi = (normal(3, 6, 4, seed=seed).requires_grad_() for seed in range(3))
    got = tensor(ask(answer, x_g, f_phi, f_psi, target, mu), PER_ROW)
    right = sid_loss(x_g, f_phi, f_psi, target, mu)
    d = f_phi - f_psi
    values = d * ((f_phi - x_g) - mu * d)
    to_psi = d * (f_psi - x_g) - mu * d * d
    mistakes = (
        (d * (f_phi - x_g) + mu * d * d, "The sign of mu is turned: the loss is L2 - mu L1."),
        (d * (f_phi - x_g) - d * d, "mu plays no part yet: that is L2 - L1."),
        (d * (f_phi - x_g), "That is L2 alone; subtract mu times L1, the squared difference."),
        (d * d, "That is L1, with psi plugged in twice. One factor must be the sample: f_phi - x_g."),
        (-d * (f_phi - x_g) - mu * d * d, "In L2 the first factor is f_phi - f_psi, not f_psi - f_phi."),
        (to_psi, "The second factor of L2 is f_phi - x_g, the teacher's estimate minus the sample."),
        ((f_phi - x_g).square(), "That regresses on the teacher and never asks psi: it seeks a mode."),
    )
    kept = values * target[..., None]
    everywhere = "You average over all positions; only target positions count (`target` says which)."
    summed = "The terms are right but summed: take the mean over target positions and channels."
    reductions = (
        (values.mean((1, 2)), everywhere),
        (kept.mean((1, 2)), everywhere),
        (kept.sum((1, 2)), summed),
        (over_target(values, target) * values.shape[-1], summed),
        (right.mean(), "One number for every row, (B,): do not average over the batch yet."),
    )
    otherwise = "Not L2 - mu L1. Start with d = f_phi - f_psi; then L2 = d . (f_phi - x_g) and L1 = d . d."
    averaged = [(over_target(terms, target), feedback) for terms, feedback in mistakes]
    judge(got, right, [*averaged, *reductions], otherwise)

    # the same values, and the same gradient through every input
    inputs = {"x_g": x_g, "f_phi": f_phi, "f_psi": f_psi}
    wanted = torch.autograd.grad(right.sum(), list(inputs.values()))
    mine = [None] * 3
    if got.requires_grad:
        mine = torch.autograd.grad(got.sum(), list(inputs.values()), allow_unused=True)
    for name, gradient, theirs in zip(inputs, mine, wanted, strict=True):
        if gradient is None or not close(gradient, theirs):
            raise Wrong(f"The value is right, but the gradient through {name} is cut: detach nothing here.")


@checks("05.2")
def _check_discriminator(answer: Any) -> None:
    target = TARGET
    real, fake = normal(3, 6, seed=3) * 2, normal(3, 6, seed=4) * 2
    right = discriminator_loss(real, fake, target)
    exchanged, real_twice = discriminator_loss(fake, real, target), discriminator_loss(real, real, target)
    all_over = discriminator_loss(real, fake, torch.ones_like(target))
    mistakes = (
        (exchanged, "The labels are exchanged: real pairs should get 1, fake ones 0."),
        (2 * right, "Take half of the sum: (BCE(real, 1) + BCE(fake, 0)) / 2."),
        (real_twice, "You use the real logits for both; the second term is of the fake ones."),
        (
            over_target((real.sigmoid() - 1).square() + fake.sigmoid().square(), target) / 2,
            "That is a squared error of probabilities; BCE is -log of the label's probability.",
        ),
        (over_target(real.neg().exp().log1p(), target), "Only the real half is there; add BCE(fake, 0)."),
        (over_target(fake.exp().log1p(), target), "Only the fake half is there; add BCE(real, 1)."),
        (-right, "The sign is turned: a loss falls when the verdicts become right."),
        (all_over, "You average over all positions; sources are given, so only target positions are judged."),
        (right.mean(), "One number for every row, (B,): do not average over the batch yet."),
    )
    otherwise = "Not the mean of BCE(real, 1) and BCE(fake, 0). BCE(logit, 1) = log(1 + exp(-logit))."
    judge(tensor(ask(answer, real, fake, target), PER_ROW), right, mistakes, otherwise)
    far = torch.full((3, 6), 120.0)
    if not tensor(ask(answer, -far, far, target)).isfinite().all():
        raise Wrong("Right for small logits, infinite for large ones: use softplus.")


# ---- 05.3: a student of several evaluations, seen through its network's inputs

T_INIT, K = 1490, 3
SCHEDULE = Schedule("sqrt")


def _output(x: Tensor, t: int) -> Tensor:
    """The stand-in for a network."""
    return (0.3 * x + 0.1 * t / SCHEDULE.T).tanh()


@checks("05.3")
def _check_refine(answer: Any) -> None:
    batch, clean = Batch(torch.zeros(3, 6, dtype=torch.long), TARGET), normal(3, 6, 4, seed=5)
    noises = [normal(3, 6, 4, seed=6 + i) for i in range(K)]
    seen: list[tuple[Tensor, int]] = []

    def network(x: Tensor, t: Any, batch: Batch) -> Tensor:
        if not isinstance(t, Tensor) or t.shape != (len(batch),):
            raise Wrong("Give the network t as a tensor (B,), the same number in every row.")
        seen.append((x.clone(), int(t[0])))
        return _output(x, int(t[0]))

    got = ask(answer, network, SCHEDULE, batch, clean, T_INIT, noises)
    if len(seen) != K:
        raise Wrong(f"{K} noises are {K} evaluations of the network; yours made {len(seen)}.")
    for i in range(K):
        _check_input(i, seen, batch, clean, noises[i])
    if not close(got, anchor(_output(*seen[-1]), clean, batch)):
        raise Wrong("Every input was right. Return the last x0_hat, with the source at its embeddings.")


def _check_input(i: int, seen: list[tuple[Tensor, int]], batch: Batch, clean: Tensor, noise: Tensor) -> None:
    """The network's input at evaluation i, against the one that the student's sampler gives it."""
    (x, t), wanted = seen[i], timesteps(SCHEDULE.T, K, T_INIT)[i]
    where = f"Evaluation {i + 1}: "
    if t != wanted and i == 0:
        raise Wrong(f"{where}t is {t}; the student starts at t_init = {wanted}, nowhere else.")
    if t != wanted:
        raise Wrong(f"{where}t is {t}, not round(t_init (1 - i / K)) = {wanted}.")
    alpha, sigma = SCHEDULE.like(wanted, clean)
    before = _output(*seen[i - 1]) if i else torch.zeros_like(clean)
    noisy = alpha * before + sigma * noise
    name = "alpha x0_hat + sigma noise" if i else "sigma z"
    mistakes = (
        (noisy, "the source is noisy. Put its clean embeddings back with anchor(x, clean, batch)."),
        (anchor(alpha * before + noise, clean, batch), "multiply the noise by sigma, the level of t."),
        (anchor(before, clean, batch), f"no noise was added. Diffuse x0_hat to level t: {name}."),
        (anchor(before + sigma * noise, clean, batch), f"x0_hat must shrink by alpha when noised: {name}."),
    )
    otherwise = f"{where}its input is not {name} at t = {wanted}, with the clean source beside it."
    judge(x, anchor(noisy, clean, batch), [(value, where + text) for value, text in mistakes], otherwise)


# ---- the loop


def _three() -> Nets:
    shape = ModelConfig(vocab_size=9, length=6, source_length=3, embed_dim=6, width=16, depth=1, heads=2)
    nets: Nets = {}
    with torch.random.fork_rng():
        for seed, name in enumerate(("phi", "theta", "psi")):
            torch.manual_seed(seed)
            nets[name] = Denoiser(shape).requires_grad_(name != "phi")
    return nets


def _draw(seed: int, phi: Denoiser) -> Draw:
    rng = torch.Generator().manual_seed(seed)
    ids, t = torch.randint(3, 9, (8, 6), generator=rng), torch.randint(300, 1900, (8,), generator=rng)
    batch = Batch(ids, torch.arange(6).expand(8, 6) >= 3)
    z, noise = (torch.randn(8, 6, 6, generator=rng) for _ in range(2))
    return Draw(batch, phi.embed(ids).detach(), z, t, noise)


def _write(theta: Denoiser, draw: Draw) -> Tensor:
    return theta(anchor(draw.z, draw.clean, draw.batch), torch.full((len(draw),), 1490), draw.batch)


def _losses(function: Callable[..., Any], nets: Nets) -> Tensor:
    """What a loop yields after each update."""
    adams = {name: torch.optim.Adam(nets[name].parameters(), lr=5e-3) for name in ("theta", "psi")}
    adams = MappingProxyType(adams)  # a dict would be copied, and the copies would train other weights
    draws = tuple((_draw(2 * k, nets["phi"]), _draw(2 * k + 1, nets["phi"])) for k in range(3))
    ran = attempt(function, nets["phi"], nets["theta"], nets["psi"], adams, draws, _write)
    if not isinstance(ran, Iterable):
        raise Wrong("After each update, yield psi's loss: the notebook looks at the student in between.")
    losses = call(lambda: list(ran), own=function)
    if len(losses) != len(draws):
        raise Wrong(f"{len(draws)} draws should give one loss for each update, not {len(losses)} in all.")
    return tensor(losses)


def _distil(*wrong: str):
    """The loop; `wrong` names its mistakes."""

    def loop(phi: Any, theta: Any, psi: Any, adams: Any, draws: Any, write: Any) -> Iterator[float]:
        def mean(values: Tensor, draw: Draw, name: str = "theta") -> Tensor:
            everywhere = f"all positions, {name}" in wrong
            return values.mean((1, 2)) if everywhere else over_target(values, draw.batch.target)

        def noised(x: Tensor, draw: Draw) -> Tensor:
            noisy = x if "no noise" in wrong else phi.schedule.diffuse(x, draw.t, draw.noise)
            return noisy if "sources" in wrong else anchor(noisy, draw.clean, draw.batch)

        def update(name: str, loss: Tensor) -> None:
            if "no zero_grad" not in wrong:
                adams[name].zero_grad()
            (-loss if f"{name} climbs" in wrong else loss).backward()
            adams[name].step()

        for one, two in draws:
            two = one if "one draw" in wrong else two
            x_g = one.clean if "data" in wrong else write(theta, one).detach()
            goal = one.noise if "goal" in wrong else x_g
            loss = mean((psi(noised(x_g, one), one.t, one.batch) - goal).square(), one, "psi").mean()
            update("psi", loss)
            x_g = write(theta, two)
            x_t = noised(x_g, two)
            f_phi, f_psi = phi(x_t, two.t, two.batch), psi(x_t, two.t, two.batch)
            pull = f_psi - f_phi if "open pull" in wrong else (f_psi - f_phi).detach()
            signal = mean(pull * x_g, two)
            scale = mean((x_g - (f_psi if "psi in w" in wrong else f_phi)).abs(), two)
            scale = scale if "open w" in wrong else scale.detach()
            signal = (signal if "no w" in wrong else signal / scale).mean()
            update("theta", signal)
            yield (signal if "yields theta's" in wrong else loss).item()

    return loop


@checks("05.4")
def _check_distil(answer: Any) -> None:
    everywhere = "counts source positions as well: a mean over target positions only."
    on_psi = {
        "psi learns the data. It must learn what the student writes: write(theta, for_psi).": ["data"],
        "psi's goal is what the student wrote, not the noise.": ["goal"],
        "psi climbs: the sign of its loss is turned.": ["psi climbs"],
        "The networks see clean samples: phi.schedule.diffuse noises them.": ["no noise"],
        "Source positions are noised: put draw.clean back there.": ["sources"],
        f"psi's loss {everywhere}": ["all positions, psi"],
        f"Each of the two losses {everywhere}": ["all positions, psi", "all positions, theta"],
        STALE: ["no zero_grad"],
    }
    on_theta = {
        "theta runs away from the teacher: descend (f_psi - f_phi) times x_g.": ["theta climbs"],
        "Divide each row by w, the mean of |x_g - f_phi|, without gradient.": ["no w"],
        "w is the mean of |x_g - f_phi|, not of |x_g - f_psi|.": ["psi in w"],
        "The scores' difference and w get a gradient: torch.no_grad() for both.": ["open pull", "open w"],
        "The scores' difference gets a gradient: compute it under torch.no_grad().": ["open pull"],
        "w gets a gradient: compute it under torch.no_grad().": ["open w"],
        "theta's update takes for_psi; it has a draw of its own, for_theta.": ["one draw"],
        f"theta's loss {everywhere}": ["all positions, theta"],
    }
    still = {"phi": "phi, the teacher, has changed. Nobody trains it."}
    for moving, mistakes in (("theta", {**on_theta, **on_psi}), ("psi", on_psi)):
        played = {feedback: _distil(*wrong) for feedback, wrong in mistakes.items()}
        judge_training(answer, _three, _losses, _distil(), moving, still, played)
    curves = [_losses(loop, _three()) for loop in (answer, _distil("yields theta's"))]
    if close(*curves, rtol=0.01):
        raise Wrong("That yields theta's loss, whose value says nothing. Yield psi's.")
