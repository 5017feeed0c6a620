"""Notebook 05: one evaluation of a teacher, a student made in the pocket world, the race, the long runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from dlmone_lite.checkpoints.checkpoint import Checkpoint
from dlmone_lite.corpora.pocket import lab_data, lab_world
from dlmone_lite.corpora.tables import read_jsonl
from dlmone_lite.corpora.world import World
from dlmone_lite.distill import DistillRun
from dlmone_lite.evaluation.measure import held_out_sources, measure
from dlmone_lite.evaluation.metrics import world_metrics
from dlmone_lite.figures import nb05 as figures
from dlmone_lite.figures import style
from dlmone_lite.figures.nb07 import recipes as dots
from dlmone_lite.files import RUNS, recorded
from dlmone_lite.generation import generate
from dlmone_lite.lab.experiment import Spec, start_networks
from dlmone_lite.model import Denoiser
from dlmone_lite.panels.panel import View
from dlmone_lite.sample import share_noise
from dlmone_lite.training.run import Step
from dlmone_lite.variants.recipes import RECIPES

Scores = dict[str, Any]
OneStep = Callable[..., Tensor]  # one_step(network, batch, z, t), the notebook's own
CURVES = (
    "one-step validity and total variation of the student against the update, the teacher's values dashed"
)


def of_each_kind(world: World, number: int) -> list[str]:
    """So many held-out sources, each of another frame."""
    frames = {next(iter(world.meanings_of(s))).frame: s for s in held_out_sources(world, 60)}
    return [frames[frame] for frame in sorted(frames)[:number]]


def apart(a: Scores, b: Scores, key: str) -> bool:
    """Whether two scores are told apart: by more than two standard errors of the two together."""
    return abs(a[key] - b[key]) > 2 * (a[f"{key}_se"] ** 2 + b[f"{key}_se"] ** 2) ** 0.5 + 1e-6


@torch.no_grad()
def levels(
    one_step: OneStep, teacher: Checkpoint, sources: Sequence[str], supports: Sequence[Mapping], t_init: int
) -> tuple[Scores, Scores]:
    """Draw what one evaluation of the untrained student gives at each t -> its scores at t_init, with
    independent and with shared noise."""
    model, codec, n = teacher.model, teacher.codec, 64
    many, rows = codec.encode(sources).repeat(n), []
    z = torch.randn(*many.ids.shape, model.config.embed_dim, generator=torch.Generator().manual_seed(1))

    def scores(x: Tensor) -> Scores:
        texts = codec.decode(model.round(x))
        return world_metrics([texts[i * n : (i + 1) * n] for i in range(len(sources))], supports)

    for t in (200, 600, 1000, t_init, 1700, 1850, 1950, 2000):
        x = one_step(model, many, z, t)
        words = model.clamp(x)[many.target] - x[many.target]  # from the output to the nearest embedding
        spread = x.unflatten(0, (-1, n)).var(1)[many.target[::n]]  # over z, for every source and position
        row = {"t": t, "ratio": float(model.schedule.ratio(t)), **scores(x)}
        rows.append(row | {"blur": words.square().mean().item(), "choice": spread.mean().item()})
    at = next(row for row in rows if row["t"] == t_init)
    alt = "left: sigma over alpha against t; right: what one evaluation of the untrained "
    alt += "student gives, against t"
    numbers = ", ".join(f"{row['validity']:.2f} ± {row['validity_se']:.2f} at {row['t']}" for row in rows)
    style.show(figures.levels(rows, t_init), alt, f"sentences right: {numbers}")
    same = [row["t"] for row in rows if row is not at and not apart(row, at, "validity")]
    print("not told apart from t_init:", same)
    together = scores(one_step(model, many, share_noise(z, 1.0), t_init))
    print(f"the same with shared noise: validity {together['validity']:.2f} ± {together['validity_se']:.2f}")
    return at, together


def moved(run: DistillRun, learner: str) -> list[str]:
    """Which of a run's networks change by an update of one learner, "psi" or "theta"."""
    run.config.psi_warmup, run.config.psi_steps = (99, 1) if learner == "psi" else (0, 0)
    networks = {"phi": run.phi, "theta": run.theta, "psi": run.psi}
    before = {name: [p.clone() for p in network.parameters()] for name, network in networks.items()}
    run.advance()
    same = {name: all(map(torch.equal, before[name], networks[name].parameters())) for name in networks}
    return [name for name in networks if not same[name]]


class PocketWorld:
    """Where a student is made in seconds: teacher, pairs, recipe; 24 held-out sources and their answers."""

    def __init__(self) -> None:
        world, self.teacher = lab_world(), start_networks(Spec("here", "now"), RUNS)[0]
        self.pairs, self.recipe = lab_data(self.teacher.codec), RECIPES["pocket"].first
        self.sources = held_out_sources(world, 24)
        self.supports = [world.support(source) for source in self.sources]
        self.lines = {"teacher, 8 steps": self.scores(self.teacher, steps=8)}
        self.begin: Scores = {"step": 0, **self.scores(self.student(self.teacher.model))}
        self._first = self.recipe.sampling, self.begin  # of a live run, before its first update

    def student(self, network: Denoiser, config: Any = None) -> Checkpoint:
        """The network as a one-step student; `config`, whose sampling is used, is the recipe's if None."""
        sampling = (config or self.recipe).sampling
        return dataclasses.replace(self.teacher, model=network, role="student", sampling=sampling)

    def scores(self, model: Checkpoint, steps: int = 1) -> Scores:
        """World metrics of 16 sentences a source."""
        texts = generate(model, self.sources, steps=steps, samples=16, seed=3)
        return world_metrics(texts, self.supports)

    def show(self, curve: Sequence[Scores]) -> None:
        """Draw how a student rose; rows with `step` and the scores."""
        style.show(figures.rise(curve, self.lines), CURVES)

    def view(self, history: Sequence[Step], run: DistillRun) -> View:
        """The same of a live run, with three sentences of now."""
        if run.config.sampling != self._first[0]:  # another rho: the same network reads other noise
            begin = {"step": 0, **self.scores(self.student(self.teacher.model, run.config))}
            self._first = run.config.sampling, begin
        curve = [self._first[1], *({"step": s.step, **s.evaluation} for s in history if s.evaluation)]
        texts = generate(self.student(run.result, run.config), self.sources[:3], seed=run.step)
        marks = (f"{'right' if x[0] in s else 'wrong'}: {x[0]}" for x, s in zip(texts, self.supports))
        said = "<div style='font-family:monospace'>" + "<br>".join(map(style.escape, marks)) + "</div>"
        last = ", ".join(f"{key} {curve[-1][key]:.2f}" for key in ("validity", "tv", "coverage"))
        return View(style.html(figures.rise(curve, self.lines), CURVES) + said, last.replace("tv", "TV"))


def print_scores(table: Mapping[str, Scores]) -> None:
    """Print validity, TV and coverage of each row, with standard errors over sources."""
    floor = next(reversed(table.values()))["tv_floor"]
    print(f"{'':24}   validity           TV    coverage   (floor of TV {floor:.2f})")
    for name, m in table.items():
        shown = (f"{m[key]:.2f} ± {m[f'{key}_se']:.2f}" for key in ("validity", "tv"))
        print(f"{name:24}{'  '.join(shown)}{m['coverage']:10.2f}")


def answers(source: str, support: Mapping[str, float], wrote: Mapping[str, Sequence[str]]) -> View:
    """How often each model (name -> its sentences) writes each right answer, and the exact probabilities."""
    scores = {name: world_metrics([texts], [support]) for name, texts in wrote.items()}
    told = [
        f"{name}: validity {m['validity']:.2f}, TV {m['tv']:.2f}, coverage {m['coverage']:.2f}"
        for name, m in scores.items()
    ]
    floor = f"floor of TV {next(iter(scores.values()))['tv_floor']:.2f}"
    alt = "bars: how often student and teacher write each right answer; diamonds: how often they should"
    return View(style.html(figures.frequencies(support, wrote), alt), " | ".join([source, *told, floor]))


def race() -> None:
    """Draw every way to a one-step student at about two minutes of one core, over three seeds."""
    arms: dict[str, list[Any]] = {}
    for run in recorded("divergences"):
        arms.setdefault(run["spec"]["arm"], []).append(run)
    ends: dict[str, dict[str, list[float]]] = {}
    for arm, runs in arms.items():
        untrained = not any(run["seconds"] for run in runs)
        for nfe in (1, 2) if untrained else (1,):
            rows = [next(m for m in run["final"] if m["nfe"] == nfe) for run in runs]
            scores = {key: [row[key] for row in rows] for key in ("validity", "tv_excess", "coverage")}
            ends[arm + (", two calls" if nfe == 2 else "")] = scores
    told = (
        f"{arm}: " + ", ".join(f"{fmean(v):.2f}" for v in scores.values()) for arm, scores in ends.items()
    )
    alt = (
        "Validity, TV excess and coverage of every way to a one-step student; a dot for each of three seeds."
    )
    style.show(dots(ends), alt, "mean validity, TV excess, coverage | " + "; ".join(told))


def long_runs(world: World, teacher: Checkpoint, student: Checkpoint) -> float:
    """Print where three long runs begin and end -> the last validity of the one by DLM-One's terms."""
    how = {"steps": 1, "split": "valid", "sources": 64, "samples": 64}
    names = {"reverse KL, shared noise": "paraphrase-student", "DLM-One's terms": "paraphrase-student-cold"}
    names["a regression first"] = "paraphrase-student-warm"
    last: dict[str, Scores] = {}
    for run, name in names.items():
        sampling = {"t_init": student.sampling["t_init"], "rho": float("shared" in run)}
        untrained = dataclasses.replace(student, model=teacher.model, sampling=sampling)
        start = {"step": 0, **measure(untrained, world, **how)}
        step, before, rows = 0, None, [start]
        for row in read_jsonl(RUNS / f"{name}.jsonl", need=()):
            step += before["step"] if before and row["stage"] != before["stage"] else 0
            before = row
            if row["evaluation"]:
                rows.append({**row["evaluation"], "step": step + row["step"]})
        for m in (rows[0], rows[-1]):
            scores = (
                f"validity {m['validity']:.3f} ± {m['validity_se']:.3f}, TV {m['tv']:.3f} ± {m['tv_se']:.3f}"
            )
            print(f"{run:>24}, update {m['step']:4}: {scores}, coverage {m['coverage']:.2f}")
        last[run] = rows[-1]
    return last["DLM-One's terms"]["validity"]
