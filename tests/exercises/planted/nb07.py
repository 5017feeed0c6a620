"""Wrong answers to the exercises of notebook 07, each with a piece of the feedback it must get."""

from __future__ import annotations

import copy
import statistics


def restart(psi=True, forget=("psi",), theta=False, average=False, teacher=False, swap=False, new=False):
    """The switch with one mistake."""

    def wrong(run):
        if psi:
            run.psi.load_state_dict(run.teacher.state_dict())
        if theta:
            run.theta.load_state_dict(run.teacher.state_dict())
        if average:
            run.ema.model.load_state_dict(run.theta.state_dict())
        if teacher:
            run.teacher.load_state_dict(run.theta.state_dict())
        if swap:
            run.psi = run.teacher
        if new:
            run.psi = copy.deepcopy(run.teacher)
        for name in forget:
            run.optimisers[name].state.clear()

    return wrong


def spread(scale, paired=True):
    """The interval with one mistake."""

    def wrong(a, b):
        d = [x - y for x, y in zip(a, b)]
        half = statistics.stdev(d) if paired else (statistics.stdev(a) ** 2 + statistics.stdev(b) ** 2) ** 0.5
        return statistics.mean(d), scale * half / 5**0.5

    return wrong


WRONG = {
    "07.1": [
        (restart(psi=False), "does not have the teacher's weights"),
        (restart(forget=()), "still remembers"),
        (restart(forget=("psi", "theta")), "theta's Adam has forgotten"),
        (restart(theta=True), "theta has changed"),
        (restart(average=True), "average has changed"),
        (restart(psi=False, teacher=True), "teacher has changed"),
        (restart(swap=True), "would train it"),
        (restart(psi=False, new=True), "still trains the old one"),
    ],
    "07.a": [("a", "another function"), ("c", "same weights"), ("e", "not one of the choices")],
    "07.2": [
        (spread(1.0), "one standard error"),
        (spread(1.96), "for many pairs"),
        (spread(2.776 * 5**0.5), "square root of the number"),
        (spread(2 * 2.776), "end to end"),
        (spread(2.776, paired=False), "Take the differences first"),
        (spread(2.776 * 0.8**0.5), "divides by n"),
        (spread(7.0), "should be"),
        (lambda a, b: (statistics.mean(b) - statistics.mean(a), 1.0), "return a - b"),
        (lambda a, b: (0.5, 1.0), "mean of the differences"),
        (lambda a, b: 1.0, "two numbers"),
    ],
    "07.3": [
        (
            lambda rows: (
                min(rows, key=lambda r: r["tv"])["stage"],
                min(rows, key=lambda r: r["tv"])["step"],
            ),
            "warm start",
        ),
        (lambda rows: (2, 200), "the same TV"),
        (lambda rows: (rows[-1]["stage"], rows[-1]["step"]), "the last one"),
        (lambda rows: (1, 200), "the first one"),
        (lambda rows: (1, 600), "has the lowest TV"),
        (lambda rows: 400, "Return (stage, step)"),
        (
            lambda rows: next((r["stage"], r["step"]) for r in rows if r["stage"] and r["tv"] == 0.15),
            "another order",
        ),
    ],
    "07.b": [("a", "chose this one"), ("b", "Which sign"), ("z", "not one of the choices")],
}
