"""Adversarial terms on the score estimator's own features (SiDA, arXiv 2410.14919): no discriminator network.

The paper weights them by b_d (psi) and b_g (theta); which of its two numbers is which is inferred, and where
the features are read is a reconstruction.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from dlmone_lite.sid import over_target


def discriminator_loss(real: Tensor, fake: Tensor, target: Tensor) -> Tensor:
    """(BCE(real, 1) + BCE(fake, 0)) / 2 (B,), mean over target positions of logits (B, L)."""
    return 0.5 * over_target(F.softplus(-real) + F.softplus(fake), target)


def generator_loss(fake: Tensor, target: Tensor) -> Tensor:
    """BCE(fake, 1) (B,): the student is rewarded where psi takes its noised samples for real ones."""
    return over_target(F.softplus(-fake), target)
