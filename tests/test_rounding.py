"""rounding: the loss in parts has the value and the gradients of the loss in one."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from dlmone_lite import rounding
from dlmone_lite.checkpoints.checkpoint import network
from dlmone_lite.model import preset
from dlmone_lite.training import large_vocabulary


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
            losses = F.cross_entropy(model.rounding_logits(x).flatten(0, 1), ids.flatten(), reduction="none")
            losses = losses.view(3, 7).mean(-1)
        else:
            losses = rounding.rounding_loss(x, *model.rounding_head(), ids)
        return losses, torch.autograd.grad((weights * losses).sum(), model.words)[0]

    losses, gradient = losses_and_gradient(whole=True)
    for at_once in (2**21, 4 * 50, 1):  # one part, parts of four rows and a rest, a row each
        monkeypatch.setattr("dlmone_lite.training.large_vocabulary.AT_ONCE", at_once)
        found, own = losses_and_gradient(whole=False)
        assert torch.allclose(found, losses, atol=1e-12) and torch.allclose(own, gradient, atol=1e-12)
    assert (losses > 0).all() and (gradient != 0).any()


@pytest.mark.parametrize("name", ["classroom", "paper"])
def test_without_noise_each_word_is_computed_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = network(preset(name, vocab_size=50, embed_dim=8, width=16, depth=1, heads=2)).double()
    ids = torch.randint(9, (3, 7), generator=torch.Generator().manual_seed(0))
    computed: list[int] = []
    plain = rounding.surprise
    monkeypatch.setattr(rounding, "surprise", lambda x, *rest: computed.append(len(x)) or plain(x, *rest))
    table, bias = model.rounding_head()
    whole = rounding.rounding_loss(table[ids], table, bias, ids)
    once = rounding.clean_rounding_loss(table, bias, ids)
    assert computed == [ids.numel(), len(ids.unique())] and computed[1] <= 9
    assert torch.allclose(whole, once, atol=1e-12)
    weights = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    losses = [(weights * x).sum() for x in (whole, once)]
    a, b = (torch.autograd.grad(x, model.words, retain_graph=True)[0] for x in losses)
    assert torch.allclose(a, b, atol=1e-12) and (a != 0).any()


def test_in_bfloat16_it_is_as_near_to_the_truth_as_autograds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradient under autocast, written out and by autograd, against the one in double precision."""
    generator = torch.Generator().manual_seed(0)
    table = 4 * F.normalize(torch.randn(200, 16, generator=generator), dim=-1)
    ids = torch.randint(200, (64,), generator=generator)
    gradients = []
    for at_once, dtype in ((2**21, torch.float64), (2**21, torch.float32), (1, torch.float32)):
        monkeypatch.setattr("dlmone_lite.training.large_vocabulary.AT_ONCE", at_once)
        words = table.to(dtype).requires_grad_(True)
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.float32):
            loss = rounding.surprise(words[ids], words, None, ids).mean()
        gradients.append(torch.autograd.grad(loss, words)[0].double())
    truth, autograd, ours = gradients
    assert 0 < (ours - truth).norm() < 1.2 * (autograd - truth).norm() < 0.05 * truth.norm()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sure_and_surely_wrong_words_count_in_half_precision(dtype: torch.dtype) -> None:
    """An own share near 1, of which half precision would leave nothing but 1, and one of 5e-6."""
    table = 3.5 * torch.eye(50)
    x = table[:2].clone().requires_grad_(True)  # certain that they are words 0 and 1
    ids = torch.tensor([0, 2])  # the second is not
    found = large_vocabulary.Surprise.apply(x, table, None, ids, dtype)
    truth = F.cross_entropy(x.double() @ table.T.double(), ids, reduction="none")
    assert truth[0] < 3e-4 and truth[1] > 12
    assert torch.allclose(found.double(), truth, rtol=0.02, atol=0)
    for loss, exact in zip(found, truth, strict=True):
        ours, own = (torch.autograd.grad(one, x, retain_graph=True)[0].double() for one in (loss, exact))
        assert (ours - own).norm() < 0.02 * own.norm()
