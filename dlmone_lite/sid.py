"""Score identity distillation (SiD, arXiv 2404.04057) and its adversarial terms (SiDA, arXiv 2410.14919).

x_g is a sample of the student theta and x_t its noised version. f_phi and f_psi are the x0 predictions at x_t
of the frozen teacher phi and of the score estimator psi, which is trained on the student's samples.

The goal is E_t w(t) ||score_phi(x_t) - score_theta(x_t)||^2, a Fisher divergence. By Tweedie a difference of
scores is alpha / sigma^2 times a difference of x0 predictions; the factor goes into w(t). The student's own
prediction E[x_g | x_t] is unknown. With psi in its place the goal is L1 = ||f_phi - f_psi||^2. In one of the
two factors it can also be removed exactly: E[u(x_t) . (E[x_g | x_t] - x_g)] = 0 for any function u of x_t, so
there x_g itself may stand, which gives L2 = (f_phi - f_psi) . (f_phi - x_g). The loss is L2 - mu L1; mu is
SiD's alpha.

`reverse_kl_loss` is the gradient of another divergence, KL(student || teacher), which is not DLM-One's.

All losses are pure functions and means per element over target positions. Which of SiDA's inner features the
discriminator reads in DLM-One, and which adversarial weight belongs to which network, no source states: both
are reconstructions here.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def over_target(values: Tensor, target: Tensor) -> Tensor:
    """Mean over each row's target positions (B,): values (B, L) or (B, L, D), target (B, L)."""
    if values.ndim == 3:
        values = values.mean(-1)
    return (values * target).sum(-1) / target.sum(-1)


def error_weight(x_g: Tensor, f_phi: Tensor, target: Tensor, least: float = 1e-5) -> Tensor:
    """w (B,) = mean |x_g - f_phi|, without gradient, clipped below; theta's SiD and adversarial terms are
    divided by it."""
    return over_target((x_g - f_phi).detach().abs(), target).clamp(min=least)


def sid_loss(x_g: Tensor, f_phi: Tensor, f_psi: Tensor, target: Tensor, mu: float) -> Tensor:
    """L2 - mu L1 (B,), not yet divided by w (SiD, eq. 23).

    x_g (B, L, D) is the student's sample; f_phi and f_psi (B, L, D) are the x0 predictions of teacher and
    score estimator at its noised version; all three carry gradients.
    """
    difference = f_phi - f_psi
    return over_target(difference * ((f_phi - x_g) - mu * difference), target)


def reverse_kl_loss(x_g: Tensor, f_phi: Tensor, f_psi: Tensor, target: Tensor) -> Tensor:
    """Surrogate loss (B,) for KL(student || teacher) at x_t (DMD, arXiv 2311.18828, eq. 7), not yet divided
    by w.

    Its gradient by x_g (B, L, D), through x_g alone, is f_psi - f_phi = sigma^2 / alpha (score_fake -
    score_real).
    """
    return over_target((f_psi - f_phi).detach() * x_g, target)


def score_estimator_loss(x_g: Tensor, f_psi: Tensor, target: Tensor) -> Tensor:
    """Denoising score matching of psi (B,): ||f_psi - x_g||^2, where the samples x_g are constants."""
    return over_target((f_psi - x_g.detach()).square(), target)


def discriminator_loss(real: Tensor, fake: Tensor, target: Tensor) -> Tensor:
    """(BCE(real, 1) + BCE(fake, 0)) / 2 (B,) of psi's real-or-fake logits (B, L)."""
    return 0.5 * over_target(F.softplus(-real) + F.softplus(fake), target)


def generator_loss(fake: Tensor, target: Tensor) -> Tensor:
    """BCE(fake, 1) (B,) of psi's logits (B, L): low where psi takes the student's samples for real."""
    return over_target(F.softplus(-fake), target)
