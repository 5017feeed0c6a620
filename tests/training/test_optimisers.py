"""Muon: its update is nearly orthogonal, and its momentum is what the definition says."""

from __future__ import annotations

import math

import pytest
import torch
from tiny import make_codec, make_model, make_world

from dlmone_lite.training import optimisers
from dlmone_lite.training.optimisers import Muon, build_optimisers, orthogonalise


@pytest.mark.parametrize("iterations", [1, 4, 5])
@pytest.mark.parametrize("shape", [(3, 8, 24), (3, 24, 8), (2, 16, 16), (2, 16, 24)])
def test_iterations_at_once_are_iterations_one_by_one(shape, iterations):
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = orthogonalise(x, torch.float64, iterations)
    x = x / x.norm(dim=(1, 2), keepdim=True)
    for _ in range(iterations):
        x = 3.4445 * x - 4.775 * x @ x.mT @ x + 2.0315 * x @ x.mT @ x @ x.mT @ x
    assert torch.allclose(found, x, atol=1e-5)  # the norm has 1e-7 added to it
    rough = orthogonalise(x.float(), torch.bfloat16, iterations).double()
    exact = orthogonalise(x, torch.float64, iterations)
    assert (rough - exact).norm() < 0.05 * exact.norm()


@pytest.mark.parametrize("smallest", [1e-1, 1e-2, 1e-3])
def test_in_bfloat16_the_sum_of_errors_stays_small(smallest: float, monkeypatch: pytest.MonkeyPatch):
    """Wide matrices with singular values from 1 down to `smallest`, as gradients have them."""
    torch.manual_seed(0)
    left, right = (torch.linalg.qr(torch.randn(4, n, 32))[0] for n in (32, 128))
    x = (left * torch.logspace(0, math.log10(smallest), 32)) @ right.mT
    several, counts = optimisers._iterated, []
    monkeypatch.setattr(optimisers, "_iterated", lambda x, count: counts.append(count) or several(x, count))
    exact, rough = orthogonalise(x.double(), torch.float64), orthogonalise(x, torch.bfloat16).double()
    assert counts == [2, 2, 1, 3, 2]
    assert 0 < (rough - exact).norm() < exact.norm() / 8


@pytest.mark.parametrize("shape", [(3, 8, 24), (3, 24, 8), (2, 16, 16)])
def test_singular_values_end_near_one_and_singular_vectors_stay(shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    left, values, right = torch.linalg.svd(x, full_matrices=False)
    got = orthogonalise(x, iterations=8)
    kept = torch.diagonal(left.mT @ got @ right.mT, dim1=-2, dim2=-1)
    assert kept.min() > 0.6 and kept.max() < 1.3  # the exact nearest orthogonal matrix has 1
    off = left.mT @ got @ right.mT - torch.diag_embed(kept)
    assert off.abs().max() < 1e-4


def test_against_a_plain_loop():
    torch.manual_seed(0)
    start, gradients = torch.randn(6, 4), [torch.randn(6, 4) for _ in range(3)]
    p = torch.nn.Parameter(start.clone())
    optimiser = Muon([p], lr=0.1, momentum=0.9, weight_decay=0.5)
    expected, momentum = start.clone(), torch.zeros(6, 4)
    for g in gradients:
        p.grad = g.clone()
        optimiser.step()
        momentum = 0.9 * momentum + 0.1 * g
        update = orthogonalise((0.1 * g + 0.9 * momentum)[None])[0] * (6 / 4) ** 0.5
        expected = expected * (1 - 0.1 * 0.5) - 0.1 * update
    assert torch.allclose(p, expected, atol=1e-5)


def test_agrees_with_torch_where_torch_has_it():
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this torch has no Muon to compare with")
    torch.manual_seed(0)
    start, gradients = torch.randn(6, 12), [torch.randn(6, 12) for _ in range(3)]
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    a = Muon([ours], lr=0.1, momentum=0.9, weight_decay=0.0)
    b = torch.optim.Muon([theirs], lr=0.1, momentum=0.9, weight_decay=0.0, nesterov=True)
    for g in gradients:
        ours.grad, theirs.grad = g.clone(), g.clone()
        a.step()
        b.step()
    assert torch.allclose(ours, theirs, atol=0.03)  # torch iterates in bfloat16


def test_a_network_is_split_into_the_blocks_matrices_and_the_rest(tmp_path):
    network = make_model(make_codec(make_world(tmp_path)), depth=2)
    network.words.requires_grad_(False)
    adam, muon = build_optimisers(network, muon=True, betas=(0.0, 0.9))
    rest, matrices = (optimiser.param_groups[0]["params"] for optimiser in (adam, muon))
    names = {id(p): name for name, p in network.named_parameters()}
    assert sorted(names[id(p)] for p in matrices) == sorted(
        f"blocks.{i}.{layer}.weight" for i in range(2) for layer in ("qkv", "proj", "up", "down")
    )
    assert {names[id(p)] for p in rest} == set(names.values()) - {names[id(p)] for p in matrices} - {"words"}
    alone, none = build_optimisers(network, muon=False, betas=(0.0, 0.9), weight_decay=0.1)
    assert none is None and isinstance(alone, torch.optim.AdamW)
    assert len(alone.param_groups[0]["params"]) == len(rest) + len(matrices)


def test_small_gradients_keep_their_direction_in_float16():
    """Of norm 1e-5, whose entries float16 hardly holds."""
    torch.manual_seed(0)
    x = torch.randn(2, 16, 64)
    small, exact = orthogonalise(3e-7 * x, torch.float16), orthogonalise(x)
    assert (small.float() - exact).norm() < 0.1 * exact.norm()
