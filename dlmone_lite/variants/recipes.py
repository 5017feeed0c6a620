"""Named recipes of score distillation: the paper's, and the kit's own for its worlds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dlmone_lite.distill import DistillConfig


@dataclass(frozen=True)
class Recipe:
    """Stage one's configuration, and what a second stage changes in it."""

    first: DistillConfig
    second: Mapping[str, Any] = field(default_factory=dict)


PAPER_SECOND = {"mu": 0.5, "b_d": 0.9, "b_g": 0.1}  # which of .9 and .1 is whose is inferred

# Reverse KL on noise that all positions share. No warm start, no adversary, no sentence but sources. Half of
# the draws of t lie where the modes of the world's sources are decided. `keep` serves further calls alone.
CLASSROOM = DistillConfig(
    steps=6500,
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
    keep=0.15,
)

# The same for the lab's small network and short sentences, whose modes are decided from sigma/alpha 3 on.
POCKET = replace(
    CLASSROOM,
    steps=1250,
    batch_size=32,
    group=4,
    lr=4e-3,
    lr_psi=6e-3,
    late_share=0.3,
    late_from=1620,
    late_to=1990,
    precision="float32",
)

# Real text, from the scores of the teacher as it is: no clamp, no adversary.
TEXT = DistillConfig(
    steps=800, lr=1e-3, lr_psi=2e-3, b_d=0.0, b_g=0.0, divergence="reverse_kl", rho=1.0, t_spacing="log"
)

RECIPES = {
    # The paper's numerals. Its t count from 0, ours from 1.
    "dlmone": Recipe(DistillConfig(t_init=1491, t_max=1977), PAPER_SECOND),
    # The ratio of the terms in SiDA's code, whose SiD is a sum over elements and whose adversary a mean.
    "sida": Recipe(DistillConfig(t_init=1491, t_max=1977, b_d=0.01, b_g=1e-4)),
    "classroom": Recipe(CLASSROOM),
    "pocket": Recipe(POCKET),
    "text": Recipe(TEXT),
}
