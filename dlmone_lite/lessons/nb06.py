"""Notebook 06: the atlas of recorded runs, a run to steer, the clinic, and students known exactly."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from dlmone_lite.checkpoints.checkpoint import Checkpoint
from dlmone_lite.distill import DistillRun
from dlmone_lite.evaluation import degeneration
from dlmone_lite.exact import GaussianMixture
from dlmone_lite.figures import nb06 as figures
from dlmone_lite.figures import style
from dlmone_lite.lab import detector_rates, lookup, patients
from dlmone_lite.lab.experiment import BASE, evaluate, lab_data, lab_world, student_of
from dlmone_lite.panels.live import LivePanel
from dlmone_lite.panels.panel import Panel, View, choice, log_slider, slider, stop_slider, switch

Record = Mapping[str, Any]
SCORES = {"validity": "validity", "coverage": "coverage", "tv_excess": "TV excess"}
FIELD = ("bleu", "rouge_l", "self_bleu", "div_4", "dist_1", "coverage")


def sentences(run: Record, source: str) -> dict[str, int]:
    """How often the student at a recorded run's end writes each of its sentences for `source`."""
    return run["final"][0]["sentences"][source]


def list_sentences(name: str, counts: Mapping[str, int], source: str) -> None:
    """Print the six most frequent sentences with their counts; the wrong ones are marked."""
    print(f"{name}:")
    for text, count in list(counts.items())[:6]:
        print(f"  {count:2} x {text}", "" if text in lab_world().support(source) else "(wrong)")


def table_of_scores(first: Record, kinds: Mapping[str, Sequence[Record]]) -> None:
    """Print the field's scores of the healthy start and of each kind of run, means over seeds."""
    means = {
        kind: [statistics.mean(map(lookup.score(name), runs)) for name in FIELD]
        for kind, runs in kinds.items()
    }
    print(f"{'':14}", *(f"{name:>10}" for name in FIELD))
    for kind, row in {"healthy start": [first[name] for name in FIELD], **means}.items():
        print(f"{kind:14}", *(f"{value:10.2f}" for value in row))


def atlas(records: Sequence[Record], source: str) -> Panel:
    """The recorded run nearest to four coefficients: its scores by update, its sentences for `source`."""
    chart, support = lookup.Atlas(records), lab_world().support(source)

    def read(b_d: float, b_g: float, mu: float, lr: float, seed: int) -> View:
        knobs, runs = chart.nearest(b_d=b_d, b_g=b_g, mu=mu, lr=lr)
        chosen = [run["spec"]["seed"] for run in runs].index(seed)
        run, curves = runs[chosen], {name: lookup.curves(runs, name) for name in ("validity", "coverage")}
        fig = figures.outcome(curves, chosen, support, sentences(run, source))
        end = detector_rates.final_evaluation(run)
        named = detector_rates.mechanisms_in(end, detector_rates.usual_signs(run))[:1]
        where = ", ".join(f"{knob} {value:g}" for knob, value in knobs.items()) + f", seed {seed}"
        numbers = f"nearest record: {where} | {_scores(end)} | detectors: {', '.join(named) or 'healthy'}"
        alt = f"Recorded run at {where}. Left: validity and coverage over the updates. Right: shares of the "
        return View(
            style.html(fig, f"{alt}sentences written for '{source}' beside their probabilities."), numbers
        )

    labels = {"b_d": "b_d (for psi)", "b_g": "b_g (for theta)", "mu": "mu", "lr": "learning rate"}
    controls = {k: stop_slider(label, lookup.STOPS[k], getattr(BASE, k)) for k, label in labels.items()}
    controls["seed"] = slider("seed", 0, 1, 1)
    return Panel("The degeneration atlas", controls, read, height=380)


def _scores(evaluation: Record) -> str:
    return " | ".join(f"{label} {evaluation[name]:.2f}" for name, label in SCORES.items())


def steered(teacher: Checkpoint, healthy: Checkpoint, source: str) -> LivePanel:
    """A run from the healthy student, or from patient A, at coefficients that are turned while it trains."""
    support = lab_world().support(source)
    starts = {"healthy": healthy, "A": patients.student("A")}
    begin = {name: evaluate(start, 1, sources=8, with_field=False) for name, start in starts.items()}

    def make_run(student: str) -> DistillRun:
        constant = {"lr_shape": "constant", "steps": 20_000}
        if student != "healthy":
            return patients.treat(student, psi_warmup=0, **constant)
        config = replace(BASE, psi_warmup=30, seed=5, **constant)
        return DistillRun(teacher.model, lab_data(teacher.codec), config, healthy.model)

    def glance(_: Any) -> dict[str, Any]:
        return evaluate(student_of(live.run, teacher.codec), 1, sources=8, with_field=False)

    def draw(history: Sequence[Any], run: DistillRun) -> View:
        first = {"step": 0, **begin[setup["student"].value]}
        rows = [first, *({"step": step.step, **step.evaluation} for step in history if step.evaluation)]
        named = detector_rates.mechanisms_in(rows[-1], detector_rates.signs_of(begin["healthy"]))
        numbers = f"{_scores(rows[-1])} | detectors: {', '.join(named) or 'none fires'}"
        fig = figures.live_sentences(rows, support, rows[-1]["sentences"][source])
        alt = f"Left: scores of the live run at its looks. Right: its sentences for '{source}'. Now {numbers}"
        return View(style.html(fig, alt), numbers)

    controls = {
        "b_d": slider("b_d (for psi)", 0.0, 3.0, 0.0, 0.1),
        "b_g": slider("b_g (for theta)", 0.0, 3.0, 0.0, 0.1),
        "mu": slider("mu", 0.0, 2.0, 0.5, 0.1),
        "lr": log_slider("learning rate", 3e-4, 1e-2, 3e-3),
        "rho": slider("shared noise rho", 0.0, 1.0, 0.0, 0.1),
        "divergence": choice("divergence", {"SiD": "sid", "reverse KL": "reverse_kl"}),
    }
    setup = {"student": choice("begin with", {"the healthy student": "healthy", "patient A": "A"})}
    every = {"evaluate": glance, "evaluate_every": 20, "pause_after": 120.0, "height": 380}
    live = LivePanel("Train live from here", controls, make_run, draw, setup=setup, **every)
    return live


def hand_over(panel: Panel, live: LivePanel) -> None:
    """Begin the live run anew with the coefficients of the atlas."""
    live.reset()
    live.set(**{knob: panel.values[knob] for knob in lookup.KNOBS})


def start_button(panel: Panel, live: LivePanel) -> None:
    """Show a button that hands the atlas' coefficients over and starts; a page without a kernel has none."""
    import ipywidgets
    from IPython.display import display

    button = ipywidgets.Button(description="Start with the atlas' coefficients", layout={"width": "260px"})
    button.on_click(lambda _: (hand_over(panel, live), live.start()))
    view = {"version_major": 2, "version_minor": 0, "model_id": button.model_id}
    display({"application/vnd.jupyter.widget-view+json": view, "text/plain": ""}, raw=True)


def clinic() -> Panel:
    """The patients: their scores or, when revealed, their signs and the diagnosis; and what they write."""

    def visit(patient: str, reveal_it: bool) -> View:
        record = patients.records()[patient]
        seen = detector_rates.signs_of(detector_rates.final_evaluation(record))
        usual, end = detector_rates.usual_signs(record), record["final"][0]
        found = degeneration.diagnose(seen, usual)
        rules, firing = degeneration.RULES.values(), {finding.sign for finding in found}
        rows = [(r.sign, getattr(seen, r.sign), r.limit(usual), r.above, r.sign in firing) for r in rules]
        most = [pair for own in end["sentences"].values() for pair in list(own.items())[:3]]
        texts = "".join(f"<li>{count} x {style.escape(text) or '(nothing)'}</li>" for text, count in most)
        first, *later = record["evaluations"]
        fig = figures.signs(rows) if reveal_it else figures.live(later, first)
        alt = "signs over their limits" if reveal_it else "validity, coverage and TV excess over the updates"
        numbers = f"patient {patient} | validity {end['validity']:.2f} | coverage {end['coverage']:.2f} | "
        numbers += " ".join(map(str, found)) if reveal_it else "?"
        return View(
            f"<ul style='margin:4px'>{texts}</ul>" + style.html(fig, f"Patient {patient}: {alt}"), numbers
        )

    names = [patient.name for patient in patients.PATIENTS]
    return Panel(
        "The clinic", {"patient": choice("patient", names), "reveal_it": switch("reveal")}, visit, height=480
    )


def well(treated: Sequence[Record], way: str) -> str:
    """The patients whose runs of one treatment all end healthy by the exact truth."""
    runs = [run for run in treated if run["spec"]["arm"] == way]
    ill = {run["spec"]["group"] for run in runs if not detector_rates.is_healthy(run["final"][0])}
    return ", ".join(sorted({run["spec"]["group"] for run in runs} - ill)) or "nobody"


def written(teacher: Checkpoint, source: str, shares: Mapping[str, float]) -> GaussianMixture:
    """A student that writes each sentence (key) for `source` with its share: a distribution of points."""
    codec, table = teacher.codec, teacher.model.embedding().detach()
    ids = codec.encode([source] * len(shares), list(shares)).ids[:, codec.source_length :]
    return GaussianMixture(table[ids].flatten(1), torch.tensor(list(shares.values())).log())


def slip_of(sentence: str) -> str:
    """The sentence with its last word, before the final mark, replaced by its first."""
    words = sentence.split()
    return " ".join([*words[:-2], words[0], words[-1]])
