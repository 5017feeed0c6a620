"""Named recipes of score distillation: the paper's, and the kit's own for its worlds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dlmone_lite.distill import DistillConfig


@dataclass(frozen=True)
class Recipe:
    """Stage one's configuration, and what a second stage changes in it."""

    first: DistillConfig
    second: Mapping[str, Any] = field(default_factory=dict)


PAPER_SECOND = {"mu": 0.5, "b_d": 0.9, "b_g": 0.1}  # which of .9 and .1 is whose is inferred

# Reverse KL on noise that all positions share. No warm start, no adversary, no sentence but sources. Half of
# the draws of t lie where the modes of the world's sources are decided.
CLASSROOM = DistillConfig(
    steps=8000,
    batch_size=48,
    lr=2e-3,
    lr_psi=3e-3,
    b_d=0.0,
    b_g=0.0,
    divergence="reverse_kl",
    rho=1.0,
    group=6,
    t_spacing="log",
    late_share=0.45,
    late_weight=2.0,
)

RECIPES = {
    # The paper's numerals. Its t count from 0, ours from 1.
    "dlmone": Recipe(DistillConfig(t_init=1491, t_max=1977), PAPER_SECOND),
    # The ratio of the terms in SiDA's code, whose SiD is a sum over elements and whose adversary a mean.
    "sida": Recipe(DistillConfig(t_init=1491, t_max=1977, b_d=0.01, b_g=1e-4)),
    "classroom": Recipe(CLASSROOM),
}
