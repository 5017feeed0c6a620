"""precision: names of number formats, and what they change."""

from __future__ import annotations

import pytest
import torch

from dlmone_lite.errors import InputError
from dlmone_lite.precision import PRECISIONS, autocast, fast_precision, precise

CPU = torch.device("cpu")


def test_auto_is_what_this_machine_multiplies_faster(monkeypatch):
    assert precise("auto", CPU) in PRECISIONS
    for name, dtype in PRECISIONS.items():
        assert precise(name, CPU) == name
        monkeypatch.setattr("dlmone_lite.precision.fast_precision", lambda device, found=dtype: found)
        assert precise("auto", CPU) == name
    with pytest.raises(InputError, match="unknown precision 'half'; known: auto, float32, bfloat16"):
        precise("half", CPU)


def test_products_are_in_the_precision_asked_for():
    a = torch.randn(8, 8, generator=torch.Generator().manual_seed(0))
    for name, dtype in PRECISIONS.items():
        with autocast(CPU, name):
            assert (a @ a).dtype == dtype
    assert fast_precision(CPU) in PRECISIONS.values()
