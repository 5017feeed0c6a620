"""Checks of notebook 07: what does restarting psi buy?"""

from __future__ import annotations

import math
from statistics import stdev
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from dlmone_lite.evaluation.intervals import paired, quantile
from dlmone_lite.exercises.compare import NotAttempted, Wrong, ask, call, checks, is_stub, judge, pair


def _network(value: float) -> nn.Linear:
    layer = nn.Linear(2, 1)
    for parameter in layer.parameters():
        nn.init.constant_(parameter, value)
    return layer


def _run() -> SimpleNamespace:
    """A run as far as the switch is concerned: four networks of one layer, two Adams that remember."""
    run = SimpleNamespace(teacher=_network(1.0), theta=_network(2.0), psi=_network(3.0))
    run.ema = SimpleNamespace(model=_network(4.0))
    run.optimisers = {name: torch.optim.Adam(getattr(run, name).parameters()) for name in ("theta", "psi")}
    for name, optimiser in run.optimisers.items():
        getattr(run, name)(torch.ones(1, 2)).sum().backward()
        optimiser.step()
        optimiser.zero_grad()
    return run


def _values(network: nn.Module) -> list[float]:
    return [float(value) for parameter in network.parameters() for value in parameter.detach().flatten()]


@checks("07.1")
def _check_restart(answer: Any) -> None:
    run, untouched = _run(), _run()
    if call(answer, run) is None and is_stub(answer):  # from other code None is fine, no value is asked for
        raise NotAttempted
    memory = {name: bool(optimiser.state) for name, optimiser in run.optimisers.items()}
    trained = [p for group in run.optimisers["psi"].param_groups for p in group["params"]]
    shared = any(a is b for a, b in zip(run.psi.parameters(), run.teacher.parameters()))
    if _values(run.teacher) != _values(untouched.teacher):
        raise Wrong("The teacher has changed: copy from it into psi, not the other way round.")
    if _values(run.theta) != _values(untouched.theta):
        raise Wrong("theta has changed. The student goes on as it is; only psi begins anew.")
    if _values(run.ema.model) != _values(untouched.ema.model):
        raise Wrong("The average has changed. It is the student's, and goes on.")
    if _values(run.psi) != _values(run.teacher):
        raise Wrong("psi does not have the teacher's weights; load_state_dict copies them.")
    if run.psi is run.teacher or shared:
        raise Wrong("psi *is* the teacher now, and would train it. Copy the weights.")
    if any(a is not b for a, b in zip(trained, run.psi.parameters())):
        raise Wrong(
            "psi is a new object now, and its optimiser still trains the old one. Copy into the old psi."
        )
    if memory["psi"]:
        raise Wrong("psi's Adam still remembers the moments of the old psi; clear its .state.")
    if not memory["theta"]:
        raise Wrong("theta's Adam has forgotten its moments. Only psi's begins anew.")


PAIRS = (
    ([0.91, 0.93, 0.90, 0.95, 0.92], [0.90, 0.90, 0.89, 0.90, 0.91]),
    ([1.0, 2.0, 4.0, 3.0, 5.0], [0.0] * 5),
)
T95 = quantile(freedom=4)


@checks("07.2")
def _check_interval(answer: Any) -> None:
    got = [pair(ask(answer, a, b), "Return two numbers: (mean, half width).") for a, b in PAIRS]
    right = [paired(a, b) for a, b in PAIRS]
    means, halves = (torch.tensor(x, dtype=torch.float64) for x in zip(*((p.mean, p.half) for p in right)))
    turned = [(-means, "That is b - a; return a - b.")]
    judge([mean for mean, _ in got], means, turned, "The mean is the mean of the differences a - b.")

    mixed = [T95 * math.sqrt((stdev(a) ** 2 + stdev(b) ** 2) / 5) for a, b in PAIRS]
    by_n = halves * 0.8**0.5
    mistakes = (
        (halves / T95, "That is one standard error; Student's factor for five pairs is 2.78."),
        (halves * 1.96 / T95, "1.96 is for many pairs; with five the factor is 2.78."),
        (halves * 5**0.5, "Divide the standard deviation by the square root of the number of pairs."),
        (halves * 2.0, "That is the width from end to end; return half of it."),
        (mixed, "You treat the two lists as unrelated. Take the differences first, because seeds are pairs."),
        (by_n, "That divides by n; the standard deviation of a sample divides by n - 1 (statistics.stdev)."),
    )
    otherwise = f"For {PAIRS[1][0]} against zeros the half width should be {halves[1]:.2f}."
    judge([half for _, half in got], halves, mistakes, otherwise, rtol=0.01)


ROWS = [
    {"stage": 0, "step": 4000, "tv": 0.10, "validity": 0.99},
    {"stage": 1, "step": 200, "tv": 0.20, "validity": 0.91},
    {"stage": 1, "step": 400, "tv": 0.15, "validity": 0.90},
    {"stage": 2, "step": 200, "tv": 0.15, "validity": 0.97},
    {"stage": 2, "step": 400, "tv": 0.30, "validity": 0.98},
]


@checks("07.3")
def _check_pick(answer: Any) -> None:
    got = pair(ask(answer, ROWS), "Return (stage, step).")
    mistakes = (
        ((0, 4000), "Stage 0 is the warm start; it does not count, though its TV is the lowest."),
        ((2, 200), "Two have the same TV: keep the earlier one."),
        ((2, 400), "That is the last one, or the one with the highest validity. Pick the lowest TV."),
        ((1, 200), "That is the first one. Pick the lowest TV."),
    )
    judge(got, (1, 400), mistakes, "(1, 400) has the lowest TV, with (2, 200), and is earlier.")
    if pair(ask(answer, ROWS[::-1]), "Return (stage, step).") != (1, 400):
        raise Wrong("With the rows in another order it picks another: compare stage and step among equals.")
