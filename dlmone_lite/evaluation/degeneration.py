"""Detectors of degeneration, which use a generator's outputs, embeddings and losses but no exact truth.

The usual signs come from healthy outputs of the same task: those of the student before a stage, of the
teacher, or the references. The list of failures and the first two cures are DLM-One's. The detectors and
their limits are this kit's own and were set on runs of seed 0.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import fmean

import torch
from torch import Tensor

from dlmone_lite.errors import InputError
from dlmone_lite.text import SPECIALS

SPECIAL = frozenset(SPECIALS)


@dataclass(frozen=True)
class Signs:
    """Signs of degeneration: shares of, or means over, all outputs. A sign that was not measured is nan."""

    repetition: float  # share of outputs in which one to four words stand twice in a row
    empty: float  # share of outputs without a word, or with [PAD] inside
    copy: float  # share of outputs that equal their source
    grip: float  # of the sources on their outputs, see `grip`; 0 if the condition is ignored
    variety: float  # effective number of different outputs of a source, exp of their entropy
    modes: float  # the same for outputs that occur more than once: a sentence with a slip is no mode
    margin: float = math.nan  # see `margin`; 0 between two words
    discriminator: float = math.nan  # its loss, ln 2 at chance
    lag: float = math.nan  # how far psi is behind the student, see `psi_lag`
    regret: float = math.nan  # the same
    error: Mapping[str, float] = field(
        default_factory=dict
    )  # of a sign, see `error_of`; 0 if it is not there

    def as_dict(self) -> dict[str, float]:
        """The measured signs, without those that are nan, which JSON does not have."""
        values = asdict(self)
        del values["error"]
        return {name: value for name, value in values.items() if not math.isnan(value)}


@dataclass(frozen=True)
class Rule:
    """A detector: it fires if its sign is above, or below, the usual value times `factor` plus `shift`."""

    sign: str
    above: bool
    factor: float
    shift: float
    judged: bool | None = None  # only for runs with a discriminator (True) or without one (False)

    def limit(self, usual: Signs) -> float:
        """The limit beyond which the rule fires; nan if it needs the usual value and that is nan."""
        return self.shift + (getattr(usual, self.sign) * self.factor if self.factor else 0.0)


ADVICE = {  # failure: what it looks like, what to try
    "empty collapse": ("words are missing, [PAD] took their place", "lower the learning rate"),
    "repetition loop": ("words stand twice in a row", "raise b_g, or lower the learning rate"),
    "copying": ("outputs are their source", "look at the training pairs"),
    "condition ignored": ("outputs hardly depend on the source", "lower the learning rate; restart"),
    "strong adversary": ("outputs lie between words, and psi takes them for real", "lower b_g"),
    "off the words": ("outputs lie between words", "lower mu or the learning rate"),
    "mode collapse": ("too few different sentences a source", "raise b_d and b_g, or psi's rate"),
    "late psi": ("psi is behind the student", "raise psi's rate, slow theta, or restart psi"),
}
# In the order of precedence: a failure causes those after it, as an empty output also ignores its source.
RULES: dict[str, Rule] = {
    "empty collapse": Rule("empty", True, 1.0, 0.1),
    "repetition loop": Rule("repetition", True, 1.0, 0.1),
    "copying": Rule("copy", True, 1.0, 0.2),
    "condition ignored": Rule("grip", False, 0.7, 0.0),
    "strong adversary": Rule("margin", False, 0.88, 0.0, True),
    "off the words": Rule("margin", False, 0.88, 0.0, False),
    "mode collapse": Rule("modes", False, 0.76, 0.0),
    "late psi": Rule("regret", True, 0.0, 0.2),
}


@dataclass(frozen=True)
class Finding:
    """A failure that a rule detected: the sign, its value and the limit beyond which it lies."""

    mechanism: str
    sign: str
    value: float
    limit: float

    def __str__(self) -> str:
        what, cure = ADVICE[self.mechanism]
        side = "above" if RULES[self.mechanism].above else "below"
        numbers = f"{self.sign} {self.value:.2f}, {side} {self.limit:.2f}"
        return f"{self.mechanism}: {what} ({numbers}). Try: {cure}."


def diagnose(current: Signs, usual: Signs) -> list[Finding]:
    """The failures that `current` shows, in the order of `RULES`; the first is the diagnosis.

    A rule whose sign or usual value is nan never fires, and none does by a chance of few samples: a sign has
    to be beyond its limit by more than the errors of both.
    """
    judged = not math.isnan(current.discriminator)
    findings = []
    for mechanism, rule in RULES.items():
        if rule.judged not in (None, judged):
            continue
        value, limit = getattr(current, rule.sign), rule.limit(usual)
        error = math.hypot(current.error.get(rule.sign, 0.0), rule.factor * usual.error.get(rule.sign, 0.0))
        if (value > limit + error) if rule.above else (value < limit - error):  # not if one is nan
            findings.append(Finding(mechanism, rule.sign, value, limit))
    return findings


@dataclass
class EarlyWarning:
    """Compares a student's signs during training with the usual ones.

    Where those are of sentences without embeddings, the usual margin is that of the first check without a
    finding.
    """

    usual: Signs

    def check(self, current: Signs) -> list[Finding]:
        """The failures that `current` shows, the diagnosis first."""
        findings = diagnose(current, self.usual)
        if not findings and math.isnan(self.usual.margin):
            self.usual = replace(self.usual, margin=current.margin)
        return findings


def repeats(sentence: str, longest: int = 4) -> bool:
    """Whether one to `longest` words stand twice in a row; special words such as [PAD] do not count."""
    words = sentence.split()
    return any(
        words[i : i + n] == words[i + n : i + 2 * n] and not SPECIAL.intersection(words[i : i + n])
        for n in range(1, longest + 1)
        for i in range(len(words) - 2 * n + 1)
    )


def broken_off(sentence: str) -> bool:
    """Whether the sentence has no word, or a special word such as [PAD] inside."""
    words = sentence.split()
    return not words or not SPECIAL.isdisjoint(words)


def grip(texts: Sequence[Sequence[str]], sources: Sequence[str]) -> float:
    """P(a source's word is in its own output) - P(it is in another source's output); 0 without dependence.

    The mean is over the words that some sources have and others do not; nan if there is no such word.
    """
    has = [set(source.split()) for source in sources]
    said = [Counter(word for text in own for word in set(text.split())) for own in texts]

    differences = []
    for word in set().union(*has):
        shares = [counts[word] / len(own) for counts, own in zip(said, texts)]
        inside = [share for share, words in zip(shares, has) if word in words]
        outside = [share for share, words in zip(shares, has) if word not in words]
        if inside and outside:
            differences += [share - fmean(outside) for share in inside]
    return fmean(differences) if differences else math.nan


def variety(texts: Sequence[str], least: int = 1) -> float:
    """exp(entropy) of one source's outputs: the number of equally frequent sentences with the same entropy.

    Only sentences that occur at least `least` times count; 0 if there is none.
    """
    counts = [count for count in Counter(texts).values() if count >= least]
    shares = [count / sum(counts) for count in counts]
    return math.exp(-sum(share * math.log(share) for share in shares)) if counts else 0.0


def margin(x: Tensor, embedding: Tensor) -> float:
    """Mean of 1 - d1 / d2 over the positions of x (..., D).

    d1 <= d2 are the distances of a position to the two nearest of the words' embeddings (V, D).
    """
    nearest = torch.cdist(x.reshape(-1, x.shape[-1]), embedding).topk(2, largest=False).values
    return float((1 - nearest[:, 0] / nearest[:, 1].clamp(min=1e-9)).mean())


def signs(texts: Sequence[Sequence[str]], sources: Sequence[str], **others: float) -> Signs:
    """Signs of the outputs texts[i] of sources[i]; `others` are signs that outputs do not show, by name.

    Raises InputError for fewer than two sources or fewer than two outputs of a source.
    """
    if len(texts) != len(sources) or len(sources) < 2 or not all(len(own) > 1 for own in texts):
        raise InputError("signs need two or more sources, with two or more outputs each")
    by_source = {
        "repetition": [fmean(map(repeats, own)) for own in texts],
        "empty": [fmean(map(broken_off, own)) for own in texts],
        "copy": [
            fmean(text.split() == source.split() for text in own) for own, source in zip(texts, sources)
        ],
        "variety": [variety(own) for own in texts],
        "modes": [variety(own, least=2) for own in texts],
    }
    means = {name: fmean(values) for name, values in by_source.items()}
    error = {name: error_of(values, len(texts[0])) for name, values in by_source.items()}
    error["grip"] = 1 / len(texts)  # what a single source can move
    return Signs(**means, grip=grip(texts, sources), error=error, **others)


def error_of(values: Sequence[float], samples: int) -> float:
    """How far the mean of a sign over sources may be off by chance: 1.8 standard errors, more of few sources.

    values: the sign of each source, from `samples` outputs. Few sources may agree by chance, so one more is
    imagined that differs as much as one output can make. The factors are the kit's own: with them two draws
    of the truth raise an alarm against each other in at most one of forty comparisons.
    """
    n = len(values)
    spread = sum((value - fmean(values)) ** 2 for value in values) + 1 / samples
    return 1.8 * (1 + 2 / n) * math.sqrt(spread / n / n)
