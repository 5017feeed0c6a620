"""Notebook 04: what SiD's gradient does, measured in the plane."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

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
SHOWN = 500  # the noise level at which scores are drawn; sigma/alpha = 1
PRESSES = itertools.count(5000)  # seeds: fresh noise for every press of a button


def rng(seed: int) -> torch.Generator:
    """Noise of its own for a seed."""
    return torch.Generator().manual_seed(seed)


# ---- the cloud and its three scores


@cache
def picture_of_data(n: int = 80) -> Tensor:
    """Root of the data's density (n, n) over the square that the figures show, y along the rows."""
    axis = torch.linspace(-figures.EDGE, figures.EDGE, n)
    return plane.five_modes().log_prob(torch.cartesian_prod(axis, axis), 1.0, 0.0).exp().sqrt().view(n, n).T


def pull(run: ToyRun, batches: int = 4) -> Tensor:
    """Where descent would move each point now, with psi as the run has it (N, 2)."""
    x_g, total = run.points[:, None].requires_grad_(), torch.zeros_like(run.points)
    for i in range(batches):
        terms = run.theta_terms(x_g, *run.noise(rng(i)))
        loss = terms[run.config.divergence] + run.config.b_g * terms.get("generator", 0.0)
        total = total - torch.autograd.grad(loss.sum(), x_g)[0][:, 0] / batches
    return total


def look(run: ToyRun) -> tuple[style.Figure, str, str]:
    """The student's points and pulls, and the three scores where its noised points are: (figure, alternative
    text, numbers in words)."""
    alpha, sigma = (level.item() for level in run.schedule(SHOWN))
    axis = torch.linspace(-2.4, 2.4, 9)
    grid = torch.cartesian_prod(axis, axis)
    noised = alpha * run.points + sigma * torch.randn(len(run.z), 2, generator=rng(1))
    places = grid[plane.cloud(run.points).log_prob(grid, alpha, sigma) > -5]
    at = places[:, None], torch.full((len(places),), SHOWN)
    with torch.no_grad():
        scores = [alpha * f(*at)[:, 0] - places for f in (run.phi, run.exact_psi(), run.psi)]
    arrows = [0.6 * score for score in scores]  # sigma^2 times the score, shortened
    pulls = 0.5 * pull(run)[:48]  # of some points
    fig = figures.watch(picture_of_data(), run.points, pulls, noised, places, arrows, sigma / alpha)
    alt = "Left: the student's points over the five modes of the data, with arrows of descent. Right: the "
    alt += "noised points with three arrows at each place: the teacher's score, the student's own, psi's."
    (D, lag), q = measure.divergence_and_lag(run), measure.quality(run.points, run.data)
    numbers = f"divergence {D:.2g}, psi's error / signal {lag:.1f}, points on a mode {q['validity']:.2f}"
    return fig, alt, f"{numbers}, modes covered {q['covered']} of 5, TV {q['tv']:.2f}"


def draw(history: Sequence[Any], run: ToyRun) -> View:
    """`look` for a live panel."""
    fig, alt, numbers = look(run)
    return View(style.html(fig, alt), numbers)


def psi_once(run: ToyRun) -> None:
    """One update of psi alone."""
    run.step_psi(rng(next(PRESSES)))


def theta_once(run: ToyRun) -> None:
    """One update of theta alone."""
    run.step_theta(rng(next(PRESSES)))
    run.step += 1


# ---- the losses and their gradients


def average_terms(terms: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]) -> None:
    """Print means and standard errors of the terms (L1, L2) (n,), from (x_g, f_phi, f_psi) (n, 2), at three
    noise levels: psi exact, psi a step to the side, and divided by w."""
    points = ToyRun(ToyConfig(), start=(-0.8, -0.5)).points.double()  # a blob between the modes
    data, psi, late = plane.five_modes(torch.float64), plane.cloud(points), plane.cloud(points - 0.15)
    x_g = points.repeat(20, 1)
    print(f"sigma/alpha{'E L1':>18}{'E L2':>18}{'E[L2 - L1]':>18}{'psi late':>18}{'over w':>18}")
    for t in (100, 500, 1490):
        a, s = (level.item() for level in Schedule()(t, torch.float64))
        means = []
        for seed in range(20):
            x_t = a * x_g + s * torch.randn(x_g.shape, generator=rng(seed), dtype=x_g.dtype)
            f_phi, f_psi, f_late = (m.mean(x_t, a, s) for m in (data, psi, late))
            (l1, l2), (late1, late2) = terms(x_g, f_phi, f_psi), terms(x_g, f_phi, f_late)
            w = (x_g - f_phi).abs().mean(-1).clamp(min=1e-5)
            means.append(torch.stack([v.mean() for v in (l1, l2, l2 - l1, late2 - late1, (l2 - l1) / w)]))
        mean, error = torch.stack(means).mean(0), torch.stack(means).std(0) / 20**0.5
        print(f"{s / a:11.1f}" + "".join(f"{m:9.4f} ± {e:.4f}" for m, e in zip(mean, error)))


def cosine(u: Tensor, v: Tensor) -> float:
    """Of two gradients of the same shape."""
    return ((u * v).sum() / u.norm() / v.norm()).item()


def small_student(seed: int) -> Tensor:
    """Twelve points, which are a student and its parameters."""
    return 0.8 * torch.randn(12, 2, generator=rng(seed), dtype=torch.float64) - 0.5


def gradient_by_mu(seeds: Sequence[int]) -> float:
    """Draw the cosine of SiD's gradient, taken with psi constant, and the true one against mu -> the best mu.

    Twelve points are the student and its parameters, psi is exact, and noise is summed over a fine grid.
    """
    data, schedule = plane.five_modes(torch.float64), Schedule()
    by_level: dict[str, list[list[float]]] = {}
    alone = []
    for t in (100, 500, 1490):
        a, s = (level.item() for level in schedule(t, torch.float64))
        curves, uphill = by_level.setdefault(f"{s / a:.1f}", []), []
        for seed in seeds:
            g = measure.gradients(small_student(seed), data, a, s)
            curves.append([cosine(g.l2 - mu * g.l1, g.true) for mu in MUS])
            uphill.append(cosine(g.l1, g.true))
        alone.append(statistics.mean(uphill))
    lowest = [min(curve[i] for curves in by_level.values() for curve in curves) for i in range(len(MUS))]
    alt = "Left: cosine between SiD's gradient and the true one against mu, at three noise levels: 1 at mu "
    alt += "0.5, lower on both sides, least so at high noise. Right: L1 alone, far below 0 at high noise."
    some = ", ".join(f"{lowest[MUS.index(mu)]:.2f} at mu {mu:g}" for mu in (0, 0.5, 1, 1.2))
    numbers = f"lowest cosine of any student: {some}; L1 alone, mean: " + ", ".join(f"{c:.2f}" for c in alone)
    style.show(figures.cosines(MUS, by_level, alone), alt, numbers)
    return MUS[lowest.index(max(lowest))]


def two_pulls(mu: float, t: int, rule: str, student: int) -> View:
    """Each point of a small student with the true descent and the one that a rule takes."""
    a, s = (level.item() for level in Schedule()(t))
    points, data, axis = small_student(student).float(), plane.five_modes(), torch.arange(-5.0, 5.1, 0.25)
    g = measure.gradients(points, data, a, s, h=0.5)
    taken, noise = g.l2 - mu * g.l1, torch.cartesian_prod(axis, axis)
    if rule == "reverse_kl":
        x_t = (a * points[:, None] + s * noise).flatten(0, 1)
        gap = plane.cloud(points).mean(x_t, a, s) - data.mean(x_t, a, s)
        weight = (-noise.square().sum(1) / 2).softmax(0)[:, None]
        taken = (weight * gap.view(len(points), -1, 2)).sum(1) / len(points)
    name = f"SiD, mu = {mu:.1f}" if rule == "sid" else "reverse KL"
    arrows = [-0.8 * v / v.norm(dim=1).max() for v in (g.true, taken)]  # the longest arrows equally long
    fig = figures.pulls(picture_of_data(), points, *arrows, ("true: down the divergence", name))
    alt = "Twelve student points over the data, each with two arrows: the true descent and the one taken."
    loss = f", expected loss {(1 - mu) * g.divergence:.2f}" if rule == "sid" else ""
    return View(style.html(fig, alt), f"sigma/alpha {s / a:.2f} | cosine {cosine(taken, g.true):.2f}{loss}")


def descents(seeds: Sequence[int]) -> None:
    """Draw the divergence of students that descend by each rule with an exact psi; print who runs away."""

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
    numbers = "median after 20 updates: " + ", ".join(at_20[:3])
    style.show(figures.descents(curves, EVERY, top=30), alt, numbers)
    start, data = curves["mu 1"][0][0], plane.five_modes()
    for name, runs in fates.items():
        away = sum(values[-1] > start for values, _ in runs)
        covered = statistics.mean(measure.quality(run.points, data)["covered"] for _, run in runs)
        print(f"{name}: {away} of {len(runs)} seeds ran away; modes covered, on the mean: {covered:.0f} of 5")


def lag_of_psi(seeds: Sequence[int]) -> None:
    """Draw how late a learned psi is beside a student that an exact one leads."""

    def trip(seed: int, psi_steps: int, lr: float, updates: int = 40) -> tuple[list[float], float]:
        run = ToyRun(ToyConfig(exact=True, lr=lr, seed=seed))
        for i in range(150):
            run.step_psi(rng(i))  # psi knows the start well
        past, lag, ages = [run.points], [], []
        for i in range(updates):
            run.advance()  # theta only: psi is exact there
            past.append(run.points)
            for k in range(psi_steps):
                run.step_psi(rng(1000 + 10 * i + k))
            if run.step % 10 == 0:
                lag.append(measure.divergence_and_lag(run)[1])
                ages.append(measure.behind(run, past))
        return lag, statistics.mean(ages)

    ways = {f"{k} psi step{'s' * (k > 1)}, lr {lr}": (k, lr) for lr in (0.01, 0.002) for k in (1, 5)}
    trips = {name: [trip(seed, k, lr) for seed in seeds] for name, (k, lr) in ways.items()}
    lag = {name: [lags for lags, _ in runs] for name, runs in trips.items()}
    age = {name: statistics.mean(a for _, a in runs) for name, runs in trips.items()}
    alt = "Left: psi's error over the signal while the student travels, 1 and 5 psi steps, two rates. Right: "
    alt += "bars, how many updates psi is behind; longest for one psi step at the large learning rate."
    means = [f"{name}: {statistics.mean(map(statistics.mean, own)):.1g}" for name, own in lag.items()]
    style.show(
        figures.lags([10, 20, 30, 40], lag, age), alt, f"psi's error / signal, mean: {', '.join(means)}"
    )
    print("updates behind:", ", ".join(f"{name}: {value:.0f}" for name, value in age.items()))


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
    alt += "best possible: almost always right at little noise, little above one half at much. 150 updates "
    alt += "later the best is still above chance at little noise, the learned one nowhere."
    ends = f"{best[0]:.2f} to {best[-1]:.2f} (best), {learned[0]:.2f} to {learned[-1]:.2f} (learned)"
    later = f"at the lowest level {late_best[0]:.1f} (best) and {late_learned[0]:.1f} (learned)"
    style.show(
        figures.accuracies(ratio, mean), alt, f"start, over the levels: {ends}; 150 updates on, {later}"
    )
