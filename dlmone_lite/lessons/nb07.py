"""Notebook 07: a run that restarts psi beside its twin that does not, and which look is kept."""

from __future__ import annotations

import copy
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from dlmone_lite.checkpoints.checkpoint import Checkpoint
from dlmone_lite.distill import DistillRun
from dlmone_lite.evaluation.intervals import Paired, paired
from dlmone_lite.figures import nb07 as figures
from dlmone_lite.figures import style
from dlmone_lite.lab.experiment import BASE, evaluate, lab_data, student_of
from dlmone_lite.panels.live import LivePanel
from dlmone_lite.panels.panel import View, log_slider, slider

Record = Mapping[str, Any]
SCORES = ("validity", "tv_excess", "coverage")


class TwoStages(DistillRun):
    """A run that restarts psi after update `switch` (0: never). From its first restart on, its `twin` goes on
    without one: the same weights, settings and noise."""

    switch = 0
    twin: DistillRun | None = None
    restarts: tuple[int, ...] = ()  # after which updates

    def restart_psi(self) -> None:
        self.restarts += (self.step,)
        if self.twin is None:
            twin = copy.deepcopy(self)
            twin.switch, twin.config = 0, self.config  # the sliders steer both
            self.twin = twin
        super().restart_psi()

    def update(self, generator: torch.Generator) -> tuple[dict[str, float], dict[str, float], int]:
        if self.switch and self.step == self.switch:
            self.restart_psi()
        if self.twin:
            self.twin.advance()
        return super().update(generator)


def two_stages(teacher: Checkpoint, healthy: Checkpoint) -> LivePanel:
    """Distil the healthy student, restart psi at an update or by a button, and see the twin in grey."""
    begins = evaluate(healthy, 1, sources=8, with_field=False)

    def make_run(switch: int) -> TwoStages:
        config = replace(BASE, psi_warmup=20, lr_shape="constant", seed=3, steps=20_000)
        run = TwoStages(teacher.model, lab_data(teacher.codec), config, healthy.model)
        run.switch = switch
        return run

    def look(run: DistillRun) -> dict[str, float]:
        seen = evaluate(student_of(run, teacher.codec), 1, sources=8, with_field=False)
        return {name: seen[name] for name in SCORES}

    def glance(_: Any) -> dict[str, Any]:
        return look(live.run) | ({"twin": look(live.run.twin)} if live.run.twin else {})

    def draw(history: Sequence[Any], run: TwoStages) -> View:
        rows = [{"step": step.step, **step.evaluation} for step in history if step.evaluation]
        last = rows[-1] if rows else begins
        numbers = " | ".join(f"{name} {last[name]:.2f}" for name in SCORES)
        if "twin" in last:
            numbers += " | not restarted: " + ", ".join(f"{last['twin'][name]:.2f}" for name in SCORES)
        fig = figures.live(rows, begins, run.restarts)
        alt = f"Scores of the live run at its looks, in grey those of a twin without restart; now {numbers}"
        return View(style.html(fig, alt), numbers)

    controls = {
        "b_d": slider("b_d (for psi)", 0.0, 3.0, 0.5, 0.1),
        "b_g": slider("b_g (for theta)", 0.0, 3.0, 0.2, 0.1),
        "lr": log_slider("theta's rate", 3e-4, 1e-2, 3e-3),
        "lr_psi": log_slider("psi's rate", 1e-4, 1e-2, 3e-3),
    }
    setup = {"switch": slider("switch at", 0, 200, 100, 20)}
    live = LivePanel(
        "Two stages, live", controls, make_run, draw, evaluate=glance, evaluate_every=20, setup=setup,
        actions={"restart psi": lambda run: run.restart_psi()}, pause_after=120.0, height=370,
    )  # fmt: skip
    return live


def best_look(rows: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """(stage, step) of the lowest TV after the warm start, the earliest among equals."""
    counted = [row for row in rows if row["stage"]]
    best = min(counted, key=lambda row: (row["tv"], row["stage"], row["step"]))
    return best["stage"], best["step"]


def winners_curse(records: Sequence[Record]) -> tuple[int, Paired]:
    """Runs whose last look had the lowest TV of their last three: their number, and TV of the same network
    measured afresh less TV at that look, on the mean."""
    picked = []
    for run in records:
        looks = [look["tv"] for look in run["evaluations"] if look["stage"] == len(run["spec"]["stages"])][
            -3:
        ]
        if looks[-1] == min(looks):
            picked.append((run["final"][0]["tv"], looks[-1]))
    return len(picked), paired(*zip(*picked))


def means(ends: Mapping[str, Mapping[str, Sequence[float]]], *names: str) -> str:
    """Means over seeds of some scores, arm by arm, as text."""
    told = (
        (arm, ", ".join(f"{statistics.mean(own[name]):.2f}" for name in names)) for arm, own in ends.items()
    )
    return "; ".join(f"{arm}: {numbers}" for arm, numbers in told)
