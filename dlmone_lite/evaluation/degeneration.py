"""Names how a generator fails, from its outputs, its embeddings and its losses alone: no truth is asked.

Signs are measured on the outputs for several sources, several samples each (`signs`). What is usual for a
task is learned from outputs that are known to be healthy (`usual`): those of the student before a stage, of
the teacher, or the references themselves. `diagnose` compares the two. The detectors and their limits are our
own, set on runs of seed 0; which failures there are, and the first two cures, is DLM-One's account.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from statistics import fmean

import torch
from torch import Tensor

from dlmone_lite.errors import InputError
from dlmone_lite.text import SPECIALS

SPECIAL = frozenset(SPECIALS)


@dataclass(frozen=True)
class Signs:
    """What can be seen of a generator. Shares and means over all outputs; nan where it was not looked at.

    repetition: outputs in which one to four words stand twice in a row; empty: outputs without a word, or
    with [PAD] inside; copy: outputs that are their source; grip: how much more often a word of the source
    stands in the source's own outputs than in those of other sources, 0 where the condition is ignored;
    variety: effective number of different outputs of a source, exp of their entropy; modes: the same of those
    that were said more than once, so that a sentence with a slip is no mode; margin: how much nearer
    a position lies to its nearest word than to the next, 1 - d1 / d2, 0 between two words; discriminator: its
    loss, ln 2 at chance; lag, regret: of psi, see `lateness`.
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
    regret: float = math.nan

    def known(self) -> dict[str, float]:
        """Those that were looked at, for JSON, which has no nan."""
        return {name: value for name, value in asdict(self).items() if not math.isnan(value)}


@dataclass(frozen=True)
class Rule:
    """A failure shows where its sign is above, or below, the usual value times `factor` plus `shift`; with
    `judged`, only if a discriminator took part (True), or none did (False)."""

    sign: str
    above: bool
    factor: float
    shift: float
    what: str
    cure: str
    judged: bool | None = None

    def limit(self, usual: Signs) -> float:
        """The value from which on it shows; nan where the usual value is needed and not known."""
        return self.shift + (getattr(usual, self.sign) * self.factor if self.factor else 0.0)


# In the order of precedence: a failure brings those after it along, for who says nothing ignores its source.
RULES: dict[str, Rule] = {
    "empty collapse": Rule(
        "empty", True, 1.0, 0.1, "words are missing, [PAD] took their place", "lower the learning rate"
    ),
    "repetition loop": Rule(
        "repetition", True, 1.0, 0.1, "words stand twice in a row", "raise b_g, or lower the learning rate"
    ),
    "copying": Rule("copy", True, 1.0, 0.2, "outputs are their source", "look at the training pairs"),
    "condition ignored": Rule(
        "grip", False, 0.7, 0.0, "outputs hardly depend on the source", "lower the learning rate; restart"
    ),
    "strong adversary": Rule(
        "margin",
        False,
        0.88,
        0.0,
        "outputs lie between words, and psi takes them for real",
        "lower b_g",
        True,
    ),
    "off the words": Rule(
        "margin", False, 0.88, 0.0, "outputs lie between words", "lower mu or the learning rate", False
    ),
    "mode collapse": Rule(
        "modes", False, 0.76, 0.0, "too few different sentences a source", "raise b_d and b_g, or psi's rate"
    ),
    "late psi": Rule(
        "regret", True, 0.0, 0.2, "psi is behind the student", "raise psi's rate, slow theta, or restart psi"
    ),
}


@dataclass(frozen=True)
class Finding:
    """One failure: its sign, the sign's value and the limit it passed."""

    mechanism: str
    sign: str
    value: float
    limit: float

    def __str__(self) -> str:
        rule = RULES[self.mechanism]
        side = "above" if rule.above else "below"
        numbers = f"{self.sign} {self.value:.2f}, {side} {self.limit:.2f}"
        return f"{self.mechanism}: {rule.what} ({numbers}). Try: {rule.cure}."


def usual(healthy: Sequence[Signs]) -> Signs:
    """The mean of each sign over healthy generators, or over looks at one; nan where none knows it."""
    if not healthy:
        raise InputError("what is usual must be learned from at least one healthy look")
    known = {f.name: [v for s in healthy if not math.isnan(v := getattr(s, f.name))] for f in fields(Signs)}
    return Signs(**{name: fmean(values) if values else math.nan for name, values in known.items()})


def diagnose(seen: Signs, usual: Signs) -> list[Finding]:
    """The failures that show, in the order of `RULES`, the first is the diagnosis; none where all is well.
    A sign that was not looked at, or whose usual value is not known, accuses nobody."""
    found = []
    for mechanism, rule in RULES.items():
        value, limit = getattr(seen, rule.sign), rule.limit(usual)
        if rule.judged is not None and rule.judged is math.isnan(seen.discriminator):
            continue
        if (value > limit) if rule.above else (value < limit):  # false where either is nan
            found.append(Finding(mechanism, rule.sign, value, limit))
    return found


@dataclass
class Lookout:
    """Early warning while a student trains: each look at it against what is usual.

    References tell what is usual of sentences; they are no embeddings, so the usual margin is that of the
    first look at which nothing shows.
    """

    usual: Signs

    def look(self, seen: Signs) -> list[Finding]:
        """What shows now, the diagnosis first."""
        found = diagnose(seen, self.usual)
        if not found and math.isnan(self.usual.margin):
            self.usual = replace(self.usual, margin=seen.margin)
        return found


def repeats(sentence: str, longest: int = 4) -> bool:
    """Whether one to `longest` words stand twice in a row; [PAD]s in a row are no words."""
    words = sentence.split()
    return any(
        words[i : i + n] == words[i + n : i + 2 * n] and not SPECIAL.intersection(words[i : i + n])
        for n in range(1, longest + 1)
        for i in range(len(words) - 2 * n + 1)
    )


def broken_off(sentence: str) -> bool:
    """Whether there is no word, or a special one inside the sentence."""
    words = sentence.split()
    return not words or not SPECIAL.isdisjoint(words)


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
