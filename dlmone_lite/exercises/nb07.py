"""Exercises of notebook 07: what does restarting psi buy?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from dlmone_lite.exercises import Exercise, NotAttempted, Wrong, ask, question

# ---- 07.1


def _network(value: float) -> nn.Linear:
    layer = nn.Linear(2, 1)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.fill_(value)
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


def _check_restart(answer: Any) -> None:
    run, untouched = _run(), _run()
    told = _called(answer, run)
    teacher, psi = _values(run.teacher), _values(run.psi)
    same = {
        name: _values(getattr(run, name)) == _values(getattr(untouched, name)) for name in ("theta", "psi")
    }
    memory = {name: bool(optimiser.state) for name, optimiser in run.optimisers.items()}
    kept = [p for group in run.optimisers["psi"].param_groups for p in group["params"]]
    if same["psi"] and same["theta"] and memory["psi"] and told is None:
        raise NotAttempted
    if teacher != _values(untouched.teacher):
        raise Wrong("The teacher has changed: copy from it into psi, not the other way round.")
    if not same["theta"]:
        raise Wrong("theta has changed. The student goes on as it is; only psi begins anew.")
    if _values(run.ema.model) != _values(untouched.ema.model):
        raise Wrong("The average has changed. It is the student's, and goes on.")
    if psi != teacher:
        raise Wrong("psi does not have the teacher's weights; load_state_dict copies them.")
    if run.psi is run.teacher or any(a is b for a, b in zip(run.psi.parameters(), run.teacher.parameters())):
        raise Wrong("psi *is* the teacher now, and would train it. Copy the weights.")
    if any(a is not b for a, b in zip(kept, run.psi.parameters())):
        raise Wrong(
            "psi is a new object now, and its optimiser still trains the old one. Copy into the old psi."
        )
    if memory["psi"]:
        raise Wrong("psi's Adam still remembers the moments of the old psi; clear its .state.")
    if not memory["theta"]:
        raise Wrong("theta's Adam has forgotten its moments. Only psi's begins anew.")


def _called(answer: Any, run: SimpleNamespace) -> Any:
    """The answer's return value: none is asked for, so None is no sign of a stub here."""
    try:
        return ask(answer, run)
    except NotAttempted:
        return None


RESTART = """
def restart(run):
    run.psi.load_state_dict(run.teacher.state_dict())
    run.optimisers["psi"].state.clear()
"""

# ---- 07.2

PAIRS = (
    ([0.91, 0.93, 0.90, 0.95, 0.92], [0.90, 0.90, 0.89, 0.90, 0.91]),
    ([1.0, 2.0, 4.0, 3.0, 5.0], [0.0] * 5),
)
T95 = 2.776


def _interval(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    d = [x - y for x, y in zip(a, b)]
    return fmean(d), T95 * stdev(d) / math.sqrt(len(d))


def _check_interval(answer: Any) -> None:
    got = []
    for a, b in PAIRS:
        value = ask(answer, list(a), list(b))
        if not isinstance(value, tuple | list) or len(value) != 2:
            raise Wrong("Return two numbers: (mean, half width).")
        got.append((float(value[0]), float(value[1])))
    right = [_interval(a, b) for a, b in PAIRS]
    if any(not math.isclose(mine[0], theirs[0], abs_tol=1e-9) for mine, theirs in zip(got, right)):
        turned = all(math.isclose(mine[0], -theirs[0], abs_tol=1e-9) for mine, theirs in zip(got, right))
        raise Wrong(
            "That is b - a; asked is a - b." if turned else "The mean is the mean of the differences a - b."
        )
    halves = [mine[1] for mine in got]
    wrong = {
        "That is one standard error; Student's factor for five pairs is 2.78.": [h / T95 for _, h in right],
        "1.96 is for many pairs; with five the factor is 2.78.": [1.96 * h / T95 for _, h in right],
        "Divide the standard deviation by the square root of the number of pairs.": [
            h * 5**0.5 for _, h in right
        ],
        "That is the width from end to end; asked is half of it.": [2 * h for _, h in right],
        "You treat the two lists as unrelated. Take the differences first: seeds are pairs.": [
            T95 * math.sqrt((stdev(a) ** 2 + stdev(b) ** 2) / 5) for a, b in PAIRS
        ],
        "That divides by n; a standard deviation of a sample divides by n - 1 (statistics.stdev).": [
            h * 0.8**0.5 for _, h in right
        ],
    }
    for feedback, values in wrong.items():
        if all(math.isclose(mine, value, rel_tol=0.01) for mine, value in zip(halves, values)):
            raise Wrong(feedback)
    if not all(math.isclose(mine, half, rel_tol=0.01) for mine, (_, half) in zip(halves, right)):
        raise Wrong(f"For {PAIRS[1][0]} against zeros the half width should be {right[1][1]:.2f}.")


INTERVAL = """
import statistics


def paired(a, b):
    d = [x - y for x, y in zip(a, b)]
    return statistics.mean(d), 2.776 * statistics.stdev(d) / len(d) ** 0.5
"""

# ---- 07.3

ROWS = [
    {"stage": 0, "step": 4000, "tv": 0.10, "validity": 0.99},
    {"stage": 1, "step": 200, "tv": 0.20, "validity": 0.91},
    {"stage": 1, "step": 400, "tv": 0.15, "validity": 0.90},
    {"stage": 2, "step": 200, "tv": 0.15, "validity": 0.97},
    {"stage": 2, "step": 400, "tv": 0.30, "validity": 0.98},
]


def _check_pick(answer: Any) -> None:
    got = ask(answer, [dict(row) for row in ROWS])
    if not isinstance(got, tuple | list) or len(got) != 2:
        raise Wrong("Return (stage, step).")
    feedback = {
        (0, 4000): "Stage 0 is the warm start; it does not count, though its TV is the lowest.",
        (2, 200): "Two have the same TV: keep the earlier one.",
        (2, 400): "That is the last one, or the one with the highest validity. Asked is the lowest TV.",
        (1, 200): "That is the first one. Asked is the lowest TV.",
    }
    if tuple(got) in feedback:
        raise Wrong(feedback[tuple(got)])
    if tuple(got) != (1, 400):
        raise Wrong("(1, 400) has the lowest TV, with (2, 200), and is earlier.")
    if tuple(ask(answer, [dict(row) for row in reversed(ROWS)])) != (1, 400):
        raise Wrong(
            "With the rows in another order it picks another one: compare stage and step among equals."
        )


PICK = """
def pick(rows):
    best = min((row for row in rows if row["stage"]), key=lambda row: (row["tv"], row["stage"], row["step"]))
    return best["stage"], best["step"]
"""

EXERCISES = (
    Exercise(
        "07.1",
        "Write restart(run): psi gets the teacher's weights, its optimiser forgets, all else stays.",
        _check_restart,
        "restart",
        RESTART,
        (
            "run.psi.load_state_dict(...) copies weights into the psi that is there.",
            "run.optimisers['psi'].state.clear() makes Adam begin anew.",
        ),
        "Right: psi and its memory begin anew, the student does not notice.",
    ),
    question(
        "07.a",
        "psi was restarted a moment ago. What is f_phi - f_psi at the first update after it? (a) zero, "
        "(b) as before the restart, (c) larger than ever.",
        "a",
        {
            "b": "f_psi is another function now. Which one exactly?",
            "c": "Two networks with the same weights give the same output, however wrong.",
        },
        ("What are psi's weights after a restart?", "phi's. So f_psi = f_phi at every x_t."),
        "Right: so theta gets no SiD signal at all until psi has learned; hence the warm-up of a stage.",
    ),
    Exercise(
        "07.2",
        "Write paired(a, b) -> (mean, half width): the 95% interval of the mean of a - b over five seeds.",
        _check_interval,
        "paired",
        INTERVAL,
        (
            "First the list of differences; all else is about that one list.",
            "half = 2.776 * statistics.stdev(d) / sqrt(5).",
        ),
        "Right: pairs first, then Student's interval.",
    ),
    Exercise(
        "07.3",
        "Write pick(rows) -> (stage, step): the lowest TV after the warm start, the earliest among equals.",
        _check_pick,
        "pick",
        PICK,
        (
            "min(...) takes a key; leave out the rows with stage 0 first.",
            "A tuple (tv, stage, step) as key compares TV first and then what is earlier.",
        ),
        "Right.",
    ),
    question(
        "07.b",
        "You pick the best of 40 noisy validation scores. The score of the one you picked is (a) an honest "
        "estimate, for nobody trained on it, (b) too good on average, (c) too bad on average.",
        "b",
        {
            "a": "Each single score is honest. But you chose this one because it was high.",
            "c": "You chose the largest of signal plus noise. Which sign does the noise of the largest have?",
        },
        ("Think of 40 equal networks. What is the best of their scores?", "The one with the luckiest noise."),
        "Right: report the picked one on data that did not pick it.",
    ),
)
