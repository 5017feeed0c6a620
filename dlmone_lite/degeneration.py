"""Names how a generator fails, from its outputs, its embeddings and its losses alone: no truth is asked.

Signs are measured on the outputs for several sources, several samples each. What is usual for a task is
learned from outputs that are known to be healthy, the teacher's own, say.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor

from dlmone_lite.distill import DistillRun
from dlmone_lite.errors import InputError
from dlmone_lite.sample import anchor
from dlmone_lite.sid import over_target
from dlmone_lite.text import SPECIALS


@dataclass(frozen=True)
class Signs:
    """What can be seen of a generator. Shares and means over all outputs; nan where it was not looked at.

    repetition: outputs in which one to four words stand twice in a row; empty: outputs without a word, or
    with [PAD] inside; copy: outputs that are their source; grip: how much more often a word of the source
    stands in the source's own outputs than in those of other sources, 0 where the condition is ignored;
    variety: effective number of different outputs of a source, exp of their entropy; modes: the same of those
    that were said more than once, so that a sentence with a slip is no mode; margin: how much nearer
    a position lies to its nearest word than to the next, 1 - d1 / d2, 0 between two words; discriminator: its
    loss, ln 2 at chance; lag: of psi, see `lag`.
    """

    repetition: float
    empty: float
    copy: float
    grip: float
    variety: float
    modes: float
    margin: float = math.nan
    discriminator: float = math.nan
    lag: float = math.nan


def repeats(sentence: str, longest: int = 4) -> bool:
    """Whether one to `longest` words stand twice in a row."""
    words = sentence.split()
    return any(
        words[i : i + n] == words[i + n : i + 2 * n]
        for n in range(1, longest + 1)
        for i in range(len(words) - 2 * n + 1)
    )


def broken_off(sentence: str) -> bool:
    """Whether there is no word, or a special one inside the sentence."""
    words = sentence.split()
    return not words or any(word in SPECIALS for word in words)


def grip(texts: Sequence[Sequence[str]], sources: Sequence[str]) -> float:
    """P(a source's word is in its own output) - P(it is in another source's output), over the words that not
    every source has; 0 where outputs do not depend on the source."""
    has = [set(source.split()) for source in sources]
    said = [Counter(word for text in own for word in set(text.split())) for own in texts]
    known = set().union(*has)
    differences = []
    for word in known:
        inside = [said[i][word] / len(texts[i]) for i in range(len(sources)) if word in has[i]]
        outside = [said[i][word] / len(texts[i]) for i in range(len(sources)) if word not in has[i]]
        if inside and outside:
            differences += [share - fmean(outside) for share in inside]
    return fmean(differences) if differences else math.nan


def variety(texts: Sequence[str], least: int = 1) -> float:
    """exp(entropy) of one source's outputs: the number of equally frequent sentences as varied as they.

    Only sentences that occur `least` times or more count; 0 if there is none.
    """
    counts = [count for count in Counter(texts).values() if count >= least]
    shares = [count / sum(counts) for count in counts]
    return math.exp(-sum(share * math.log(share) for share in shares)) if counts else 0.0


def margin(x: Tensor, embedding: Tensor) -> float:
    """Mean of 1 - d1 / d2 over positions: x (..., D), the words' embeddings (V, D), d1 <= d2 the distances to
    the two nearest words."""
    nearest = torch.cdist(x.reshape(-1, x.shape[-1]), embedding).topk(2, largest=False).values
    return float((1 - nearest[:, 0] / nearest[:, 1].clamp(min=1e-9)).mean())


@torch.no_grad()
def lag(run: DistillRun, rows: int = 512, seed: int = 0) -> float:
    """How far psi is behind the student: E[(f_phi - f_psi) . (f_psi - x_g)] / E ||f_phi - f_psi||^2.

    For a psi that knows the student's distribution the numerator is 0 (the identity of `sid`); the ratio is
    the share of SiD's signal that is owed to its error alone. nan while psi is still the teacher.
    """
    c, rng = run.config, torch.Generator().manual_seed(9_000_011 + seed)
    batch = run.data.batch[run.data.draw(rows, rng)].to(run.device)
    clean = run.phi.embed(batch.ids)
    z, noise = (torch.randn(clean.shape, generator=rng).to(clean) for _ in range(2))
    t = torch.randint(c.t_min, c.t_max + 1, (rows,), generator=rng).to(run.device)
    x_g = run.generate(batch, clean, z)
    x_t = anchor(run.phi.schedule.diffuse(x_g, t, noise), clean, batch)
    f_phi, f_psi = run.phi(x_t, t, batch), run.psi(x_t, t, batch)
    gap = over_target((f_phi - f_psi).square(), batch.target).mean()
    residual = over_target((f_phi - f_psi) * (f_psi - x_g), batch.target).mean()
    return float(residual / gap) if gap > 0 else math.nan


def signs(texts: Sequence[Sequence[str]], sources: Sequence[str], **others: float) -> Signs:
    """Signs of the outputs texts[i] of sources[i]; `others` are the remaining signs."""
    if len(texts) != len(sources) or len(sources) < 2 or not all(len(own) > 1 for own in texts):
        raise InputError("signs need two or more sources, with two or more outputs each")
    pairs = [(text, source) for own, source in zip(texts, sources, strict=True) for text in own]
    return Signs(
        repetition=fmean(repeats(text) for text, _ in pairs),
        empty=fmean(broken_off(text) for text, _ in pairs),
        copy=fmean(text.split() == source.split() for text, source in pairs),
        grip=grip(texts, sources),
        variety=fmean(variety(own) for own in texts),
        modes=fmean(variety(own, least=2) for own in texts),
        **others,
    )
