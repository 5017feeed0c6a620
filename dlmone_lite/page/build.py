"""Build the page: weights, levels, supports and recorded runs as JSON in one HTML file."""

from __future__ import annotations

import base64
import json
from importlib import resources
from typing import Any

import torch

from dlmone_lite.checkpoints.checkpoint import Checkpoint
from dlmone_lite.corpora.pocket import lab_world
from dlmone_lite.corpora.world import World
from dlmone_lite.errors import InputError
from dlmone_lite.evaluation.measure import held_out_sources
from dlmone_lite.exact import ExactDenoiser
from dlmone_lite.files import recorded
from dlmone_lite.lab.experiment import BASE
from dlmone_lite.lab.lookup import KNOBS, STOPS, Atlas

QUESTIONS = 40  # that are listed with all their right answers


def packed(checkpoint: Checkpoint) -> dict[str, Any]:
    """A network as JSON: its config, its sampler, its weights in float16. InputError for another kind."""
    config = checkpoint.model.config
    if (config.network, config.output) != ("prenorm", "linear") or not config.rope:
        raise InputError("the page runs the worlds' networks only: pre-norm, rotary positions, linear output")
    tensors = {
        name: base64.b64encode(value.half().contiguous().numpy().tobytes()).decode()
        for name, value in checkpoint.model.state_dict().items()
        if not name.startswith("verdict")  # the discriminator's head
    }
    names = ("length", "source_length", "embed_dim", "width", "depth", "heads", "expand", "rope")
    shape = {name: getattr(config, name) for name in names}
    return {"config": shape, "sampling": checkpoint.sampling, "tensors": tensors}


def posterior(world: World, teacher: Checkpoint, source: str) -> dict[str, Any]:
    """One source's right answers as points, one of them the true one, and the noise that covers it."""
    support, codec, model = world.support(source), teacher.codec, teacher.model
    exact = ExactDenoiser(world.support, codec, model.embedding(), model.schedule)
    points = exact.mixture(source).means
    noise = torch.randn(points.shape[1], generator=torch.Generator().manual_seed(0))
    rounded = [[round(v, 3) for v in row] for row in points.tolist()]
    known = {"sentences": list(support), "p": list(support.values()), "points": rounded}
    return {**known, "true": 1, "noise": [round(v, 3) for v in noise.tolist()]}


def atlas() -> dict[str, Any]:
    """The recorded runs of the two grids: curves, and how often each sentence of one source is written."""
    chart, world = Atlas(recorded("coefficients")), lab_world()
    source = ""
    cells = []
    for knobs, runs in chart.cells.items():
        told = []
        for run in runs:
            source = next(iter(run["final"][0]["sentences"]))
            curve = [[look["step"], look["validity"], look["coverage"]] for look in run["evaluations"]]
            shown = {"curve": curve, "said": run["final"][0]["sentences"][source]}
            if shown not in told:  # a run that belongs to several groups of the sweep
                told.append(shown)
        cells.append({"knobs": dict(zip(KNOBS, knobs, strict=True)), "runs": told})
    base = {knob: getattr(BASE, knob) for knob in KNOBS}
    stops = {knob: list(values) for knob, values in STOPS.items()}
    return {"cells": cells, "stops": stops, "base": base, "source": source, "support": world.support(source)}


def page(world: World, teacher: Checkpoint, student: Checkpoint) -> str:
    """The HTML of the page."""
    schedule, sources = teacher.model.schedule, held_out_sources(world, QUESTIONS)
    alpha, sigma = schedule(torch.arange(schedule.T + 1), torch.float64)
    data = {
        "networks": {"teacher": packed(teacher), "student": packed(student)},
        "vocabulary": teacher.codec.vocabulary.words,
        "levels": {"alpha": alpha.tolist(), "sigma": sigma.tolist(), "T": schedule.T},
        "supports": {source: world.support(source) for source in sources},
        "posterior": posterior(world, teacher, sources[0]),
        "atlas": atlas(),
    }
    text = {name: part(name) for name in ("page.html", "network.js", "app.js")}
    encoded = json.dumps(data, allow_nan=False).replace("</", "<\\/")
    html = text["page.html"].replace("/*NETWORK*/", text["network.js"]).replace("/*APP*/", text["app.js"])
    return html.replace("/*DATA*/null", encoded)


def part(name: str) -> str:
    """A file that lies beside this one."""
    return resources.files("dlmone_lite.page").joinpath(name).read_text(encoding="utf-8")
