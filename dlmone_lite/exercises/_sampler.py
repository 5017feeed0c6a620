"""The check of exercise 05.3: a student of several evaluations, seen through its network's inputs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dlmone_lite.exercises import Wrong, ask
from dlmone_lite.sample import anchor, timesteps
from dlmone_lite.schedule import Schedule
from dlmone_lite.text import Batch

T_INIT, K = 1490, 3
SCHEDULE = Schedule("sqrt")


def _normal(seed: int) -> Tensor:
    return torch.randn((3, 6, 4), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _close(got: Any, wanted: Tensor) -> bool:
    got = torch.as_tensor(got).detach().to(wanted.dtype)
    return got.shape == wanted.shape and torch.allclose(got, wanted, atol=1e-6, rtol=1e-5)


def _output(x: Tensor, t: int) -> Tensor:
    """What the stand-in for a network answers."""
    return (0.3 * x + 0.1 * t / SCHEDULE.T).tanh()


def check_refine(answer: Any) -> None:
    """Return when `answer` samples like `sample.student`; raise Wrong with the mistake it makes."""
    target = torch.tensor([[0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 0], [0, 1, 1, 1, 1, 1]], dtype=torch.bool)
    batch, clean = Batch(torch.zeros(3, 6, dtype=torch.long), target), _normal(5)
    noises = [_normal(6 + i) for i in range(K)]
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
    if not _close(got, anchor(_output(*seen[-1]), clean, batch)):
        raise Wrong(
            "Every input was right. Return the last x0_hat, with the source positions at their embeddings."
        )


def _check_input(i: int, seen: list[tuple[Tensor, int]], batch: Batch, clean: Tensor, noise: Tensor) -> None:
    """What the network was given at evaluation i, against what the student's sampler gives it."""
    (x, t), wanted = seen[i], timesteps(SCHEDULE.T, K, T_INIT)[i]
    where = f"Evaluation {i + 1}: "
    if t != wanted and i == 0:
        raise Wrong(f"{where}t is {t}; the student starts at t_init = {wanted}, nowhere else.")
    if t != wanted:
        raise Wrong(f"{where}t is {t}, wanted round(t_init (1 - i / K)) = {wanted}.")
    alpha, sigma = SCHEDULE.like(wanted, clean)
    before = _output(*seen[i - 1]) if i else torch.zeros_like(clean)
    noisy = alpha * before + sigma * noise
    if _close(x, anchor(noisy, clean, batch)):
        return
    name = "alpha x0_hat + sigma noise" if i else "sigma z"
    mistakes = (
        (noisy, "the source is noisy. Put its clean embeddings back with anchor(x, clean, batch)."),
        (anchor(alpha * before + noise, clean, batch), "multiply the noise by sigma, the level of t."),
        (anchor(before, clean, batch), f"no noise was added. Diffuse x0_hat to level t: {name}."),
        (anchor(before + sigma * noise, clean, batch), f"x0_hat must shrink by alpha when noised: {name}."),
    )
    for value, feedback in mistakes:
        if _close(x, value):
            raise Wrong(where + feedback)
    raise Wrong(f"{where}its input is not {name} at t = {wanted}, with the clean source beside it.")
