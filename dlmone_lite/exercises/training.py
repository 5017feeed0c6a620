"""Checks of training steps that a learner writes: run on small networks, judged by where weights end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dlmone_lite.exercises.compare import Wrong

STALE = "Gradients of earlier updates are still there: zero_grad() before each backward()."
Nets = dict[str, nn.Module]
Play = Callable[[Callable[..., Any], Nets], object]  # call a learner's function on networks, some updates


def weights(net: nn.Module) -> Tensor:
    """All weights of a network in one row."""
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def played(function: Callable[..., Any], make: Callable[[], Nets], play: Play) -> dict[str, Tensor]:
    """Name -> a network's weights after the updates of `play`."""
    nets = make()
    play(function, nets)
    return {name: weights(net) for name, net in nets.items()}


def same(a: Tensor, b: Tensor) -> bool:
    """Whether two rows of weights agree up to rounding, measured by how far the first Adam steps go."""
    return bool((a - b).abs().max() < 2e-4)


def judge_training(
    answer: Callable[..., Any],
    make: Callable[[], Nets],
    play: Play,
    right: Callable[..., Any],
    moving: str,
    still: Mapping[str, str],
    mistakes: Mapping[str, Callable[..., Any]],
) -> None:
    """Judge a training step by where it leaves the networks.

    moving: the network that must move as `right` moves it; still: network -> what to say if it moves at all.
    mistakes: feedback -> a step with this mistake.
    """
    before = {name: weights(net) for name, net in make().items()}
    got, wanted = played(answer, make, play), played(right, make, play)
    for name, feedback in still.items():
        if not torch.equal(got[name], before[name]):
            raise Wrong(feedback)
    if same(got[moving], wanted[moving]):
        return
    if torch.equal(got[moving], before[moving]):
        raise Wrong(f"{moving} has not moved. The loss must depend on it; zero_grad(), backward(), step().")
    for feedback, mistake in mistakes.items():
        if same(got[moving], played(mistake, make, play)[moving]):
            raise Wrong(feedback)
    off = float((got[moving] - wanted[moving]).abs().max())
    raise Wrong(f"{moving} moves, but not as it should: a weight is off by {off:.2g} after the updates.")
