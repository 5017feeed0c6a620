"""Notebooks 06 and 07: what their text claims of the records, and their small truths by hand."""

from __future__ import annotations

import math
from collections import Counter
from statistics import fmean

import pytest
import torch

from dlmone_lite.files import RUNS, recorded
from dlmone_lite.lab import lookup, patients
from dlmone_lite.lab.experiment import Spec, lab_world, start_networks
from dlmone_lite.lessons import nb06, nb07


@pytest.mark.parametrize(("kind", "span"), [("alone", (0.7, 1.0)), ("adversarial", (0.8, 1.4))])
def test_psi_is_wrong_by_about_its_signal_at_every_level(kind: str, span: tuple[float, float]) -> None:
    """As notebook 06 says: in runs that lose sentences and in those that stay healthy."""
    looks = [
        look["levels"] for run in lookup.select(recorded("cause"), "base", kind) for look in run["looks"]
    ]
    assert len(looks) >= 6
    ratios = [fmean(row["psi"] / row["signal"] for row in level) for level in zip(*looks)]
    assert (round(min(ratios), 1), round(max(ratios), 1)) == span


def test_a_slow_psi_is_where_the_adversary_does_not_help() -> None:
    """As notebook 06 says of its factors: elsewhere it keeps more wherever SiD alone loses answers."""
    records, score = recorded("coefficients"), lookup.score("coverage")
    arms = {("base", ""), *(("t", f"t_max={t}") for t in (300, 1490, 1976)), ("teacher", "exact")}
    arms |= {("psi", "lr_psi=0.012"), ("psi", "psi_steps=5")}

    def ends(kind: str, group: str, arm: str) -> list[float]:
        return [score(run) for run in lookup.select(records, group, f"{kind} {arm}".strip())]

    for group, arm in arms:
        assert fmean(ends("adversarial", group, arm)) > fmean(ends("alone", group, arm)) + 0.05
    slow = ends("adversarial", "psi", "lr_psi=0.001")
    assert [f"{value:.2f}" for value in slow] == ["0.81", "0.11"]
    assert min(min(ends(kind, "t", "t_min=1000,t_max=1976")) for kind in ("alone", "adversarial")) > 0.9


def test_small_steps_do_sid_alone_little_harm() -> None:
    """As notebook 06 says of its atlas, for both seeds."""
    chart, score = lookup.Atlas(recorded("coefficients")), lookup.score("coverage")
    ends = [chart.nearest(b_d=0.0, b_g=0.0, mu=0.5, lr=lr)[1] for lr in (3e-4, 6e-3)]
    small, large = ([score(run) for run in runs] for runs in ends)
    assert min(small) > 0.9 and max(large) < 0.5


def test_shared_noise_covers_more_in_each_pair_and_in_most_by_little() -> None:
    """As notebook 06 says at its end."""
    coverage = {
        arm: fmean(scores["coverage"])
        for arm, scores in lookup.ends(lookup.select(recorded("noise"), "teacher"), ["coverage"]).items()
    }
    pairs = [arm for arm in coverage if "independent noise" in arm]
    gains = [coverage[arm.replace("independent", "shared")] - coverage[arm] for arm in pairs]
    assert len(gains) == 6 and min(gains) > 0 and sum(gain < 0.05 for gain in gains) == 4


def test_late_treatment_makes_no_patient_well_and_slows_the_loss_of_patient_a() -> None:
    """As notebook 06 says at its end, and its question 06.c."""
    treated = recorded("treatments")
    ways = list(patients.treatments(patients.PATIENTS[0]))
    assert [nb06.well(treated, way) for way in ways] == ["nobody"] * len(ways)
    ends = lookup.ends(lookup.select(treated, "A"), ["coverage"])
    untreated, raised = (fmean(ends[way]["coverage"]) for way in ("as it was", "b_g raised"))
    assert untreated + 0.1 < raised < patients.records()["A"]["final"][0]["coverage"]


def test_a_student_that_writes_known_shares_is_that_mixture() -> None:
    teacher, _ = start_networks(Spec("here", "now"), RUNS)
    world = lab_world()
    source = next(iter(world.split_sources("test")))
    support = world.support(source)
    mixture, codec = nb06.written(teacher, source, support), teacher.codec
    samples = mixture.sample(600, torch.Generator().manual_seed(0)).float()
    read = teacher.model.round(samples.view(600, -1, teacher.model.config.embed_dim))
    ids = torch.cat([codec.encode([source] * 600).ids[:, : codec.source_length], read], 1)
    counts = Counter(codec.decode(ids))
    assert all(abs(counts[sentence] / 600 - p) < 0.07 for sentence, p in support.items())
    assert counts.keys() <= support.keys()


def test_a_slip_repeats_the_first_word() -> None:
    assert nb06.slip_of("who teaches swimming in vienna ?") == "who teaches swimming in who ?"


def test_well_are_patients_whose_every_run_ends_healthy() -> None:
    def run(group: str, arm: str, coverage: float) -> dict:
        return {"spec": {"group": group, "arm": arm}, "final": [{"validity": 0.9, "coverage": coverage}]}

    runs = [run("A", "x", 0.9), run("A", "x", 0.5), run("B", "x", 0.9), run("C", "y", 0.9)]
    assert nb06.well(runs, "x") == "B" and nb06.well(runs[:2], "x") == "nobody"


def test_the_winners_curse_counts_runs_whose_last_look_was_their_best() -> None:
    def run(*looks: float, fresh: float) -> dict:
        evaluations = [{"stage": 1, "tv": tv} for tv in looks]
        return {"spec": {"stages": [{}]}, "evaluations": evaluations, "final": [{"tv": fresh}]}

    runs = [
        run(0.1, 0.5, 0.4, 0.3, fresh=0.35),
        run(0.5, 0.3, 0.2, fresh=0.35),
        run(0.3, 0.2, 0.3, fresh=9.0),
    ]
    picked, found = nb07.winners_curse(runs)
    assert picked == 2 and math.isclose(found.mean, 0.1)


def test_means_are_over_the_seeds() -> None:
    assert nb07.means({"a": {"validity": [0.5, 0.7], "tv": [0.1, 0.1]}}, "validity", "tv") == "a: 0.60, 0.10"
