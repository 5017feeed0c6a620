"""adversarial: the values and gradients of torch's own binary cross-entropy, and what does not count."""

from __future__ import annotations

import math

import pytest
import torch
from tiny import normal
from torch.nn.functional import binary_cross_entropy_with_logits as bce

from dlmone_lite.sid import discriminator_loss, generator_loss

TARGET = torch.tensor([[0, 0, 1, 1, 1], [0, 1, 0, 0, 0], [1, 1, 1, 1, 1]], dtype=torch.bool)


def row_means(values):
    return torch.stack([row[mask].mean() for row, mask in zip(values, TARGET, strict=True)])


@pytest.mark.parametrize("scale", [1.0, 30.0, 300.0])  # saturated logits stay finite
def test_values_are_torchs_binary_cross_entropy(scale):
    real, fake = scale * normal(3, 5, seed=1), scale * normal(3, 5, seed=2)
    one, zero = torch.ones(3, 5), torch.zeros(3, 5)
    d = row_means((bce(real, one, reduction="none") + bce(fake, zero, reduction="none")) / 2)
    assert torch.allclose(discriminator_loss(real, fake, TARGET), d, rtol=1e-5)
    g = row_means(bce(fake, one, reduction="none"))
    assert torch.allclose(generator_loss(fake, TARGET), g, rtol=1e-5)


def test_by_hand():
    undecided = torch.zeros(3, 5)
    assert discriminator_loss(undecided, undecided, TARGET).tolist() == pytest.approx([math.log(2)] * 3)
    assert generator_loss(undecided, TARGET).tolist() == pytest.approx([math.log(2)] * 3)
    # Logits ln 3: real with probability 3/4.
    sure = torch.full((3, 5), math.log(3))
    assert generator_loss(sure, TARGET).tolist() == pytest.approx([-math.log(3 / 4)] * 3, rel=1e-6)
    expected = (-math.log(3 / 4) - math.log(1 / 4)) / 2
    assert discriminator_loss(sure, sure, TARGET).tolist() == pytest.approx([expected] * 3, rel=1e-6)


def test_only_target_positions_count():
    real, fake = normal(3, 5, seed=1), normal(3, 5, seed=2)
    changed = [torch.where(TARGET, v, v + 7) for v in (real, fake)]
    assert torch.equal(discriminator_loss(real, fake, TARGET), discriminator_loss(*changed, TARGET))
    assert torch.equal(generator_loss(fake, TARGET), generator_loss(changed[1], TARGET))


def test_the_two_sides_pull_apart():
    real, fake = normal(3, 5, seed=1).requires_grad_(), normal(3, 5, seed=2).requires_grad_()
    d_real, d_fake = torch.autograd.grad(discriminator_loss(real, fake, TARGET).sum(), (real, fake))
    (g_fake,) = torch.autograd.grad(generator_loss(fake, TARGET).sum(), fake)
    count = TARGET.sum(1, keepdim=True)
    assert torch.allclose(d_real, -0.5 * torch.sigmoid(-real) / count * TARGET, atol=1e-7)
    assert torch.allclose(d_fake, 0.5 * torch.sigmoid(fake) / count * TARGET, atol=1e-7)
    assert torch.allclose(g_fake, -torch.sigmoid(-fake) / count * TARGET, atol=1e-7)
