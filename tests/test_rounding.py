"""rounding: the loss in parts has the value and the gradients of the loss in one."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from dlmone_lite import rounding
from dlmone_lite.bert import network
from dlmone_lite.model import preset


@pytest.mark.parametrize("name", ["classroom", "paper"])
def test_parts_agree_with_the_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = network(preset(name, vocab_size=50, embed_dim=8, width=16, depth=1, heads=2)).double()
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(50, (3, 7), generator=generator)
    noise = 0.5 * torch.randn(3, 7, 8, generator=generator, dtype=torch.float64)
    weights = torch.rand(3, generator=generator, dtype=torch.float64)

    def losses_and_gradient(whole: bool) -> tuple[torch.Tensor, torch.Tensor]:
        x = model.embed(ids) + noise
        if whole:
            losses = F.cross_entropy(model.scores(x).flatten(0, 1), ids.flatten(), reduction="none")
            losses = losses.view(3, 7).mean(-1)
        else:
            losses = rounding.rounding_loss(x, *model.head(), ids)
        return losses, torch.autograd.grad((weights * losses).sum(), model.words)[0]

    losses, gradient = losses_and_gradient(whole=True)
    for at_once in (2**21, 4 * 50, 1):  # one part, parts of four rows and a rest, a row each
        monkeypatch.setattr("dlmone_lite.nearest.AT_ONCE", at_once)
        found, own = losses_and_gradient(whole=False)
        assert torch.allclose(found, losses, atol=1e-12) and torch.allclose(own, gradient, atol=1e-12)
    assert (losses > 0).all() and (gradient != 0).any()
