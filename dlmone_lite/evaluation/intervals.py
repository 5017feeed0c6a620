"""Two methods over the same seeds: the interval of their paired difference, and many comparisons at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from dlmone_lite.errors import InputError


def student_p(t: float, freedom: int) -> float:
    """Two-sided p of Student's t with so many degrees of freedom (Abramowitz & Stegun 26.7.3 and 4)."""
    angle, odd = math.atan(abs(t) / math.sqrt(freedom)), freedom % 2
    term = math.cos(angle) if odd else 1.0
    total = term if freedom > 1 else 0.0
    for k in range(2 + odd, freedom - 1, 2):
        term *= (k - 1) / k * math.cos(angle) ** 2
        total += term
    inside = math.sin(angle) * total
    return max(0.0, 1 - (2 / math.pi * (angle + inside) if odd else inside))


def quantile(freedom: int, p: float = 0.05) -> float:
    """Student's t with this two-sided p."""
    low, high = 0.0, 1e4
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if student_p(middle, freedom) > p else (low, middle)
    return high


@dataclass(frozen=True)
class Paired:
    """A mean difference over pairs, the half width of its 95 percent interval, its two-sided p, the pairs."""

    mean: float
    half: float
    p: float
    pairs: int

    def __str__(self) -> str:
        return f"{self.mean:+.3f} ± {self.half:.3f}"

    def verdict(self, more_is_better: bool, p: float | None = None) -> str:
        """ "better", "worse" or "not told apart", by its own p or one that is corrected for its company."""
        if (self.p if p is None else p) > 0.05:
            return "not told apart"
        return "better" if (self.mean > 0) == more_is_better else "worse"


def paired(a: Sequence[float], b: Sequence[float]) -> Paired:
    """The difference a - b of values that belong together in pairs; InputError for fewer than two pairs."""
    if len(a) != len(b) or len(a) < 2:
        raise InputError(f"an interval needs two pairs or more, not {len(a)} and {len(b)} values")
    differences = [x - y for x, y in zip(a, b, strict=True)]
    mean, error = fmean(differences), stdev(differences) / math.sqrt(len(differences))
    freedom = len(differences) - 1
    p = student_p(mean / error, freedom) if error else float(mean == 0)
    return Paired(mean, quantile(freedom) * error, p, len(differences))


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """p values corrected for their number (Holm 1979): a share of at most 5 percent of such families has any
    below .05 by chance."""
    corrected, largest = {}, 0.0
    for i, name in enumerate(sorted(p, key=p.__getitem__)):
        largest = max(largest, min(1.0, (len(p) - i) * p[name]))
        corrected[name] = largest
    return {name: corrected[name] for name in p}
