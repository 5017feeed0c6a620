"""Notebook 03: what a teacher can learn at a noise level, a network to train by hand, samplers judged."""

from __future__ import annotations

import json
from collections.abc import Sequence

import torch
from torch import Tensor

from dlmone_lite.checkpoints.checkpoint import Checkpoint
from dlmone_lite.corpora.pairs import PairedText
from dlmone_lite.exact import GaussianMixture
from dlmone_lite.figures import nb03 as figures
from dlmone_lite.figures import style
from dlmone_lite.files import RUNS
from dlmone_lite.model import Denoiser, preset, sized
from dlmone_lite.sample import anchor
from dlmone_lite.sid import over_target
from dlmone_lite.text import SEP, Codec
from dlmone_lite.training.seeds import seed_weights


def rng(seed: int) -> torch.Generator:
    """A generator far from the seeds that networks start from: weights and noise must not be the same."""
    return torch.Generator().manual_seed(10_000 + seed)


def denoising(x0: Tensor, x0_hat: Tensor, target: Tensor) -> Tensor:
    """||x0 - x0_hat||^2 (B,), a mean over target positions and channels."""
    return over_target((x0 - x0_hat).square(), target)


def stable_target(x_t: Tensor, references: Tensor, counts: Tensor, alpha: float, sigma: float) -> Tensor:
    """The posterior mean (B, N) of x_t (B, N) among references (R, N), seen counts (R,) times."""
    return GaussianMixture(references, counts.log()).mean(x_t, alpha, sigma)


def small_network(codec: Codec, seed: int = 0, output: str = "linear") -> Denoiser:
    """A network of two layers of width 64, untrained; words as large as the classroom's."""
    with torch.random.fork_rng():
        seed_weights(seed)
        return Denoiser(sized(preset("classroom", width=64, depth=2, output=output), codec))


# ---- the perfect denoiser, and what is left when training is perfect


def three_guesses(perfect: Checkpoint, source: str, t: int) -> dict[str, tuple[float, float, float]]:
    """Squared error, floor and gap of three guesses of x0 from 64 noisy targets of one source, at level t.

    The expectations over x0 are exact: sums over all right targets, each with its posterior probability.
    """
    mixture, (alpha, sigma) = perfect.model.exact.mixture(source), perfect.model.schedule(t)
    points, x0 = mixture.means, mixture.sample(64, rng(3))  # (K, N), (64, N)
    x_t = alpha * x0 + sigma * torch.randn(x0.shape, generator=rng(4))
    weights = mixture.weights(x_t, alpha, sigma)  # (64, K)
    best, prior = weights @ points, (mixture.log_p.exp() @ points).expand_as(x0)
    likeliest = points[weights.argmax(1)]

    def error(f: Tensor) -> float:
        return float((weights * (points - f[:, None]).square().mean(-1)).sum(1).mean())

    guesses = {"posterior mean": best, "likeliest sentence": likeliest, "mean before x_t": prior}
    return {name: (error(f), error(best), float((f - best).square().mean())) for name, f in guesses.items()}


def noisy_pairs(perfect: Checkpoint, data: PairedText, t: int, n: int = 32) -> tuple[Tensor, ...]:
    """n noisy targets x_t (n, N) of the data at level t, the targets drawn (n, N), all references of their
    sources (n, R, N), how often each occurs (n, R), and the exact posterior means (n, N)."""
    batch, references, log_share = data.rows(torch.arange(n))
    model, cut = perfect.model, data.codec.source_length
    x0 = model.embed(batch.ids)
    x_t = anchor(model.schedule.diffuse(x0, t, torch.randn(x0.shape, generator=rng(2))), x0, batch)
    exact = model(x_t, torch.full((n,), t), batch)
    x_t, x0, exact = (x[:, cut:].flatten(1).double() for x in (x_t, x0, exact))
    return x_t, x0, model.embedding()[references].flatten(2).double(), log_share.exp().double(), exact


def choice_by_level(perfect: Checkpoint, sources: Sequence[str], ts: Sequence[int]) -> tuple[Tensor, Tensor]:
    """At each t, of 64 noisy targets a source: the share of the choice among right targets that is open (its
    posterior entropy over the prior's), and the share of words that their own positions spell."""
    model, width = perfect.model, perfect.model.config.embed_dim
    open_choice, readable = torch.zeros(len(ts)), torch.zeros(len(ts))
    for source in sources:
        mixture = model.exact.mixture(source)
        x0, prior = mixture.sample(64, rng(7)), torch.special.entr(mixture.log_p.exp()).sum()
        spelled, noise = model.round(x0.view(64, -1, width)), torch.randn(x0.shape, generator=rng(8))
        for i, t in enumerate(ts):
            alpha, sigma = model.schedule(t)
            x_t = alpha * x0 + sigma * noise
            entropy = torch.special.entr(mixture.weights(x_t, alpha, sigma)).sum(1).mean()
            open_choice[i] += entropy / prior / len(sources)
            readable[i] += (model.round(x_t.view(64, -1, width)) == spelled).float().mean() / len(sources)
    return open_choice, readable


# ---- words from noise, samplers against the truth


def reading(teacher: Checkpoint, t: int, x0_hat: Tensor) -> figures.Reading:
    """The words that the first row of x0_hat (B, L, D) spells at level t, and how long it is at each."""
    target = x0_hat[:1, teacher.codec.source_length :]
    ids = teacher.model.round(target)[0].tolist()
    words = teacher.codec.vocabulary.words
    spelled = tuple(words[i] for i in (ids[: ids.index(SEP)] if SEP in ids else ids))
    sure = (target[0].norm(dim=-1) / target.shape[-1] ** 0.5).tolist()
    return figures.Reading(t, spelled, tuple(sure[: len(spelled)]))


def records_against_the_truth() -> None:
    """Draw and print the recorded scores of the paraphrase teacher and of the perfect denoiser by steps."""
    files = ("steps/paraphrase-teacher", "paraphrase-teacher", "steps/paraphrase-exact")
    first, last, exact = (json.loads((RUNS / f"{name}.json").read_text()) for name in files)
    known = {"teacher": figures.by_steps(first, last), "perfect denoiser": figures.by_steps(exact)}
    steps = sorted(set(known["teacher"]) & set(known["perfect denoiser"]))
    lines = {name: [found[k] for k in steps] for name, found in known.items()}
    alt = (
        "Validity, total variation with its floor, and coverage against steps, teacher and perfect denoiser."
    )
    numbers = f"floor of TV {lines['teacher'][0]['tv_floor']:.3f} for both"
    style.show(figures.against_the_truth(steps, lines), alt, numbers)
    for k, *rows in zip(steps, *lines.values()):
        both = (f"{row['tv']:.3f} ± {row['tv_se']:.3f} {name}" for name, row in zip(lines, rows))
        print(f"{k:>3} steps: TV", ", ".join(both))
