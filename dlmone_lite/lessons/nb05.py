"""Notebook 05: what one evaluation of a teacher gives, the race of recipes, the long runs, equal noise."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

import torch
from torch import Tensor

from dlmone_lite.checkpoints.checkpoint import Checkpoint
from dlmone_lite.corpora.tables import read_jsonl
from dlmone_lite.corpora.world import World
from dlmone_lite.evaluation.measure import measure
from dlmone_lite.evaluation.metrics import world_metrics
from dlmone_lite.figures import nb05 as figures
from dlmone_lite.figures import style
from dlmone_lite.files import RUNS, recorded
from dlmone_lite.sample import share_noise

Scores = dict[str, Any]
OneStep = Callable[..., Tensor]  # one_step(network, batch, z, t), the notebook's own
OBJECTIVES = "SiD", "SiD + adversary, paper's numerals", "SiD + adversary, SiDA's ratio", "reverse KL"


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


def moved(run: Any) -> list[str]:
    """Which of a run's networks one update changes."""
    networks = {"phi": run.phi, "theta": run.theta, "psi": run.psi}
    before = {name: [p.clone() for p in network.parameters()] for name, network in networks.items()}
    run.advance()
    same = {name: all(map(torch.equal, before[name], networks[name].parameters())) for name in networks}
    return [name for name in networks if not same[name]]


def race() -> None:
    """Print every way to a one-step student at about two minutes of one core, over three seeds."""
    arms: dict[str, list[Any]] = {}
    for run in recorded("divergences"):
        arms.setdefault(run["spec"]["arm"], []).append(run)

    def ends(arm: str, key: str, nfe: int = 1) -> list[float]:
        return [m[key] for run in arms[arm] for m in run["final"] if m["nfe"] == nfe]

    keys = {"validity": "validity", "right": "right_excess", "coverage": "coverage"}
    for arm, runs in arms.items():
        seconds = fmean(run["seconds"] for run in runs)
        for nfe in (1, 2) if not seconds else (1,):
            told = {name: ends(arm, key, nfe) for name, key in keys.items()}
            text = ", ".join(f"{name} {fmean(v):.2f} ± {stdev(v):.2f}" for name, v in told.items())
            print(f"{arm:52} {nfe} call{'s' * (nfe > 1)}: {text}, {seconds:.0f} s")
    for key in ("validity", "coverage"):
        means = [[fmean(ends(f"{o}, {n} noise", key)) for n in ("shared", "independent")] for o in OBJECTIVES]
        higher = sum(a > b for a, b in means)
        print(f"{key} is higher with shared noise in {higher} of {len(means)} objectives")


def long_runs(world: World, untrained: Checkpoint, t_init: int) -> float:
    """Print where three long runs begin and end -> the last validity of the one by DLM-One's terms."""
    how = {"steps": 1, "split": "valid", "sources": 64, "samples": 64}
    names = {"reverse KL, shared noise": "paraphrase-student", "DLM-One's terms": "paraphrase-student-cold"}
    names["a regression first"] = "paraphrase-student-warm"
    last: dict[str, Scores] = {}
    for run, name in names.items():
        sampling = {"t_init": t_init, "rho": float("shared" in run)}
        start = {"step": 0, **measure(dataclasses.replace(untrained, sampling=sampling), world, **how)}
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


def agreement(one: Sequence[str], other: Sequence[str]) -> float:
    """Share of places at which two lists have the same sentence."""
    return sum(a == b for a, b in zip(one, other, strict=True)) / len(one)
