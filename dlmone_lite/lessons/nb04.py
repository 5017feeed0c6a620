"""Notebook 04: what SiD's gradient does, measured in the plane."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dlmone_lite.exact import GaussianMixture
from dlmone_lite.figures import nb04 as figures
from dlmone_lite.figures import style
from dlmone_lite.lab import plane
from dlmone_lite.lab import plane_measure as measure
from dlmone_lite.lab.plane import ToyConfig, ToyRun
from dlmone_lite.panels.panel import View
from dlmone_lite.schedule import Schedule

MUS = [i / 10 for i in range(-5, 21)]
RULES: dict[str, dict[str, Any]] = {f"mu {mu:g}": {"mu": mu} for mu in (0.0, 0.5, 1.0, 1.5, 2.0)}
RULES["reverse KL"] = {"divergence": "reverse_kl"}
UPDATES, EVERY = 240, 20  # of a descent, and between its measurements


def cosine(u: Tensor, v: Tensor) -> float:
    """Of two gradients of the same shape."""
    return ((u * v).sum() / u.norm() / v.norm()).item()


def small_student(seed: int) -> Tensor:
    """Twelve points, which are a student and its parameters."""
    start = torch.randn(12, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (0.8 * start - 0.5).requires_grad_()


def noise_grid() -> tuple[Tensor, Tensor]:
    """Noise on a fine grid (G, 2) and its weights (G,), in place of samples."""
    axis = torch.arange(-5.0, 5.1, 0.25, dtype=torch.float64)
    noise = torch.cartesian_prod(axis, axis)
    return noise, (-noise.square().sum(1) / 2).softmax(0)


def gradient_by_mu(seeds: Sequence[int]) -> float:
    """Draw the cosine of SiD's gradient, taken with psi constant, and the true one against mu -> the best mu.

    Twelve points are the student and its parameters, psi is exact, and noise is summed over a fine grid.
    """
    data, schedule = plane.five_modes(torch.float64), Schedule()
    by_level: dict[str, list[list[float]]] = {}
    alone, gaps = [], []
    for t in (100, 500, 1490):
        a, s = (level.item() for level in schedule(t, torch.float64))
        curves, uphill = by_level.setdefault(f"{s / a:.1f}", []), []
        for seed in seeds:
            g = measure.gradients(small_student(seed), data, a, s)
            gaps.append(float(((2 * g.l2 - g.l1) - g.true).norm() / g.true.norm()))
            curves.append([cosine(g.l2 - mu * g.l1, g.true) for mu in MUS])
            uphill.append(cosine(g.l1, g.true))
        alone.append(statistics.mean(uphill))
    lowest = [min(curve[i] for curves in by_level.values() for curve in curves) for i in range(len(MUS))]
    alt = (
        "Left: cosine between SiD's gradient and the true one against mu, three noise levels, some students: "
    )
    alt += "1 at mu 0.5, lower on both sides, least so at high noise. Right: L1 alone, far "
    alt += "below 0 at high noise."
    some = ", ".join(f"{lowest[MUS.index(mu)]:.2f} at mu {mu:g}" for mu in (0, 0.5, 1, 1.2))
    numbers = f"lowest cosine of any student: {some}; L1 alone, mean: " + ", ".join(f"{c:.2f}" for c in alone)
    style.show(figures.cosines(MUS, by_level, alone), alt, numbers)
    print("2 g2 - g1 is the true gradient, to a relative error under 1e-5:", max(gaps) < 1e-5)
    return MUS[lowest.index(max(lowest))]


def frozen_places() -> None:
    """Check that twice SiD's gradient at mu = 1 is that of the divergence at frozen places."""
    data, (noise, weight), errors = plane.five_modes(torch.float64), noise_grid(), []
    for t in (100, 500, 1490):
        a, s = (level.item() for level in Schedule()(t, torch.float64))
        x = small_student(0)
        x_t = (a * x.detach()[:, None] + s * noise).flatten(0, 1)
        gap = (data.mean(x_t, a, s) - plane.cloud(x).mean(x_t, a, s)).square().sum(1)
        (frozen,) = torch.autograd.grad((weight * gap.view(len(x), -1)).sum(1).mean(), x)
        g = measure.gradients(x, data, a, s)
        errors.append(float((2 * (g.l2 - g.l1) - frozen).norm() / frozen.norm()))
    print("twice SiD's gradient at mu = 1 is that of the frozen places, under 1e-5:", max(errors) < 1e-5)


def two_pulls(picture: Tensor, mu: float, t: int, rule: str, student: int) -> View:
    """Each point of a small student with the true descent and the one that a rule takes."""
    a, s = (level.item() for level in Schedule()(t))
    points, data, (noise, weight) = small_student(student).detach().float(), plane.five_modes(), noise_grid()
    g = measure.gradients(points, data, a, s, h=0.5)
    taken = g.l2 - mu * g.l1
    if rule == "reverse_kl":
        x_t = (a * points[:, None] + s * noise.float()).flatten(0, 1)
        gap = plane.cloud(points).mean(x_t, a, s) - data.mean(x_t, a, s)
        taken = (weight.float()[:, None] * gap.view(len(points), -1, 2)).sum(1) / len(points)
    name = f"SiD, mu = {mu:.1f}" if rule == "sid" else "reverse KL"
    arrows = [-0.8 * v / v.norm(dim=1).max() for v in (g.true, taken)]  # the longest arrows equally long
    fig = figures.pulls(picture, points, *arrows, ("true: down the divergence", name))
    alt = "Twelve student points over the data, each with two arrows: the true descent and the one taken."
    loss = f", expected loss {(1 - mu) * g.divergence:.2f}" if rule == "sid" else ""
    return View(style.html(fig, alt), f"sigma/alpha {s / a:.2f} | cosine {cosine(taken, g.true):.2f}{loss}")


def descents(seeds: Sequence[int]) -> float | str:
    """Draw the divergence of students that descend by each rule with an exact psi -> the smallest mu at which
    one runs away."""

    def descend(seed: int, settings: dict[str, Any]) -> tuple[list[float], ToyRun]:
        run = ToyRun(ToyConfig(exact=True, seed=seed, **settings))
        values = [measure.divergence_and_lag(run)[0]]
        while run.step < UPDATES and values[-1] < 100:
            run.advance()
            if run.step % EVERY == 0:
                values.append(measure.divergence_and_lag(run)[0])
        return values, run

    fates = {name: [descend(seed, settings) for seed in seeds] for name, settings in RULES.items()}
    curves = {name: [values for values, _ in runs] for name, runs in fates.items()}
    alt = "Divergence against the update on a log scale, one line per seed: falling for mu 0 to 1 and the "
    alt += "reverse KL; for mu 1.5 and 2 it leaves the picture at the top."
    at_20 = [f"{name}: {statistics.median(values[1] for values in own):.2g}" for name, own in curves.items()]
    style.show(
        figures.descents(curves, EVERY, top=30), alt, "median after 20 updates: " + ", ".join(at_20[:3])
    )
    start, data, ran_away = curves["mu 1"][0][0], plane.five_modes(), []
    for name, runs in fates.items():
        away = sum(values[-1] > start for values, _ in runs)
        covered = statistics.mean(measure.quality(run.points, data)["covered"] for _, run in runs)
        print(f"{name}: {away} of {len(runs)} seeds ran away; modes covered, on the mean: {covered:.0f} of 5")
        ran_away += [RULES[name]["mu"]] if away and "mu" in RULES[name] else []
    return min(ran_away) if ran_away else "none of them"


def lag_of_psi(seeds: Sequence[int]) -> None:
    """Draw how late a learned psi is beside a student that an exact one leads."""

    def trip(seed: int, psi_steps: int, lr: float, updates: int = 40) -> tuple[list[float], float]:
        run = ToyRun(ToyConfig(exact=True, lr=lr, seed=seed))
        for i in range(150):
            run.step_psi(torch.Generator().manual_seed(i))  # psi knows the start well
        past, lag, ages = [run.points], [], []
        for i in range(updates):
            run.advance()  # theta only: psi is exact there
            past.append(run.points)
            for k in range(psi_steps):
                run.step_psi(torch.Generator().manual_seed(1000 + 10 * i + k))
            if run.step % 10 == 0:
                lag.append(measure.divergence_and_lag(run)[1])
                ages.append(measure.behind(run, past))
        return lag, statistics.mean(ages)

    ways = {f"{k} psi step{'s' * (k > 1)}, lr {lr}": (k, lr) for lr in (0.01, 0.002) for k in (1, 5)}
    trips = {name: [trip(seed, k, lr) for seed in seeds] for name, (k, lr) in ways.items()}
    lag = {name: [lags for lags, _ in runs] for name, runs in trips.items()}
    age = {name: statistics.mean(a for _, a in runs) for name, runs in trips.items()}
    alt = (
        "Left: psi's error over the signal while the student travels, 1 and 5 psi steps, two learning rates. "
    )
    alt += "Right: bars, how many updates psi is behind; longest for one psi step at the large learning rate."
    means = ", ".join(
        f"{name}: {statistics.mean(map(statistics.mean, own)):.1g}" for name, own in lag.items()
    )
    style.show(figures.lags([10, 20, 30, 40], lag, age), alt, f"psi's error / signal, mean: {means}")
    print("updates behind:", ", ".join(f"{name}: {value:.0f}" for name, value in age.items()))


def one_gaussian_for_two_modes(seeds: int) -> str:
    """Draw the width of one Gaussian that is fitted to two modes by three rules, against the largest noise
    level compared -> the rule that stays on one mode longest."""

    def with_mu(mu: float) -> measure.Rule:
        return lambda x_g, f_phi, f_psi: ((f_phi - f_psi) * ((f_phi - x_g) - mu * (f_phi - f_psi))).mean(-1)

    def reverse_kl(x_g: Tensor, f_phi: Tensor, f_psi: Tensor) -> Tensor:
        return ((f_psi - f_phi).detach() * x_g).mean(-1)

    two = GaussianMixture(torch.tensor([[-1.2, 0.0], [1.2, 0.0]]), torch.tensor([0.6, 0.4]).log(), 0.25)
    rules = {"mu 0.5": with_mu(0.5), "mu 1": with_mu(1.0), "reverse KL": reverse_kl}
    levels = [100, 250, 500, 850, 1490, 1976]
    width = {
        name: [measure.fit_gaussian(two, rule, t, seeds=seeds)[1].tolist() for t in levels]
        for name, rule in rules.items()
    }
    along = two.std**2 + 0.6 * 0.4 * 2.4**2  # variance of all the data along the two modes
    both = ((along + two.std**2) / 2) ** 0.5  # a round Gaussian shares it between the axes
    middle = (two.std + both) / 2
    covers = {name: [min(row) > middle for row in values] for name, values in width.items()}
    first = {name: next((i for i, c in enumerate(own) if c), len(levels)) for name, own in covers.items()}
    ratio = [Schedule().ratio(t).item() for t in levels]
    alt = (
        "Width of the fitted Gaussian against the largest noise level compared, three rules, all seeds: each "
    )
    alt += "jumps from one mode to both, mu 1 first, the reverse KL later, mu 0.5 last."
    where = [f"{name}: {ratio[i]:.2g}" if i < len(levels) else f"{name}: never" for name, i in first.items()]
    numbers = "every seed covers both modes from sigma/alpha " + ", ".join(where)
    style.show(figures.widths(ratio, width, two.std, both), alt, numbers)
    return max(first, key=first.__getitem__)


def what_a_discriminator_knows(seeds: Sequence[int]) -> None:
    """Draw the accuracy of the best possible discriminator and of the learned one by noise level, early in a
    run and later."""
    levels, data = [5, 30, 100, 250, 500, 850, 1490, 1900], plane.five_modes()
    ratio = [Schedule().ratio(t).item() for t in levels]
    names = [f"{when}, {who}" for when in ("start", "150 updates on") for who in ("best possible", "learned")]
    found: dict[str, list[list[float]]] = {name: [] for name in names}
    for seed in seeds:
        run = ToyRun(ToyConfig(b_d=0.5, b_g=0.5, psi_warmup=75, psi_steps=2, seed=seed))
        for when, updates in (("start", 75), ("150 updates on", 150)):
            for _ in range(updates):
                run.advance()
            for who, judge in (("best possible", run.exact_psi()), ("learned", run.psi)):
                shares = [measure.accuracy(judge, run.points, data, t) for t in levels]
                found[f"{when}, {who}"].append(shares)
    mean = {name: [statistics.mean(column) for column in zip(*runs)] for name, runs in found.items()}
    best, learned, late_best, late_learned = mean.values()
    alt = "Share of right verdicts against sigma/alpha. At the start the learned discriminator is nearly the "
    alt += "best possible: almost always right at little noise, little above one half at "
    alt += "much. 150 updates later "
    alt += "the best is still above chance at little noise, the learned one nowhere."
    ends = f"{best[0]:.2f} to {best[-1]:.2f} (best), {learned[0]:.2f} to {learned[-1]:.2f} (learned)"
    later = f"at the lowest level {late_best[0]:.1f} (best) and {late_learned[0]:.1f} (learned)"
    style.show(
        figures.accuracies(ratio, mean), alt, f"start, over the levels: {ends}; 150 updates on, {later}"
    )
