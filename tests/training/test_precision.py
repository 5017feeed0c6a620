"""precision: names of number formats, and what they change."""

from __future__ import annotations

import copy

import pytest
import torch

from dlmone_lite.checkpoints.checkpoint import network
from dlmone_lite.errors import InputError
from dlmone_lite.model import preset
from dlmone_lite.training.precision import (
    PRECISIONS,
    autocast,
    candidate_precisions,
    compile_blocks,
    fastest_precision,
    resolve_precision,
)

CPU = torch.device("cpu")


def test_auto_is_what_this_machine_multiplies_faster(monkeypatch):
    assert resolve_precision("auto", CPU) in PRECISIONS
    for name in PRECISIONS:
        assert resolve_precision(name, CPU) == name
        monkeypatch.setattr(
            "dlmone_lite.training.precision.fastest_precision", lambda device, width, found=name: found
        )
        assert resolve_precision("auto", CPU) == name
    with pytest.raises(InputError, match="unknown precision 'half'; known: auto, float32, bfloat16, float16"):
        resolve_precision("half", CPU)


def test_half_precisions_are_tried_where_they_may_be_fast():
    assert candidate_precisions(CPU) == ["float32", "bfloat16"]
    assert candidate_precisions(torch.device("cuda")) == list(PRECISIONS)


@pytest.mark.parametrize(
    ("seconds", "fast"),
    [
        ({"float32": 1.0, "bfloat16": 0.3, "float16": 0.2}, "bfloat16"),  # needs no scale
        ({"float32": 1.0, "bfloat16": 2.0, "float16": 0.2}, "float16"),  # an older GPU
        ({"float32": 1.0, "bfloat16": 0.9, "float16": 0.8}, "float32"),
    ],
)
def test_the_first_that_is_clearly_faster_is_taken(seconds, fast, monkeypatch):
    clock, multiplied = [0.0], []

    class Matrix:
        def __init__(self, dtype=torch.float32):
            self.dtype = dtype

        def to(self, dtype):
            return Matrix(dtype)

        def __matmul__(self, other):
            multiplied.append(self.dtype)
            clock[0] += next(seconds[name] for name, dtype in PRECISIONS.items() if dtype == self.dtype)
            return torch.zeros(1, 1)

    made = []
    randn = "dlmone_lite.training.precision.torch.randn"
    monkeypatch.setattr(randn, lambda *size, device: made.append(size) or Matrix())
    monkeypatch.setattr("dlmone_lite.training.precision.time.perf_counter", lambda: clock[0])
    assert fastest_precision(torch.device("cuda"), 768) == fast
    assert set(multiplied) == set(PRECISIONS.values())
    assert made[-2:] == [(4096, 768), (768, 3072)], "a feed-forward layer of the network"


def test_products_are_in_the_precision_asked_for():
    a = torch.randn(8, 8, generator=torch.Generator().manual_seed(0))
    for name, dtype in PRECISIONS.items():
        with autocast(CPU, name):
            assert (a @ a).dtype == dtype
    assert fastest_precision(CPU) in PRECISIONS


def small():
    return network(preset("lite", vocab_size=20, length=8, source_length=4, embed_dim=8, width=16, depth=1))


def test_compiled_blocks_have_the_same_outputs_and_gradients():
    model = small()
    quick = copy.deepcopy(model)
    compile_blocks([quick], backend="aot_eager")  # the graphs without their C++, which takes a minute to make
    x, t = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([1, 900, 1999])
    found = []
    for one in (model, quick):
        y = one(x, t, None)
        found.append([y, *torch.autograd.grad(y.square().sum(), one.blocks.parameters())])
    for a, b in zip(*found, strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-5)
    assert model.state_dict().keys() == quick.state_dict().keys()


def test_a_compiler_that_does_not_work_is_one_line(monkeypatch):
    def broken(function, backend):
        raise RuntimeError("CppCompileError: no g++ here\n" + "line\n" * 100)

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(InputError, match=r"a compiler that works \(CppCompileError: no g\+\+ here\); leave"):
        compile_blocks([small()])
