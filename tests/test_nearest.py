"""nearest: the best row, in parts and block by block, against torch's own argmax of all products."""

from __future__ import annotations

import pytest
import torch
from tiny import normal

from dlmone_lite.nearest import BLOCK, best_row, largest


@pytest.mark.parametrize("words", [1, 50, BLOCK, 3 * BLOCK + 1])
@pytest.mark.parametrize("at_once", [2**21, 1])  # in one part, in parts of 256 and a rest
def test_the_best_row_is_found_in_parts(at_once, words, monkeypatch):
    monkeypatch.setattr("dlmone_lite.nearest.AT_ONCE", at_once)
    x, table, bias = normal(3, 201, 8, seed=1), normal(words, 8, seed=2), normal(words, seed=3)
    assert torch.equal(best_row(x, table), (x @ table.T).argmax(-1))
    assert torch.equal(best_row(x, table, bias), (x @ table.T + bias).argmax(-1))
    assert torch.equal(best_row(x[0, 0], table), (table @ x[0, 0]).argmax())
    assert best_row(x[:, :0], table).shape == (3, 0)


def test_every_word_can_be_the_best():
    """Also the last one, which fills up the last block: no row beyond the table is ever named."""
    table = torch.nn.functional.normalize(normal(2 * BLOCK + 5, 16), dim=-1)
    assert torch.equal(best_row(table, table), torch.arange(len(table)))
    worst = torch.full((2, BLOCK), -torch.inf)
    worst[1, 7] = -1e30
    assert largest(worst).tolist()[1] == 7 and largest(worst[:1]) < BLOCK


def test_near_rows_are_told_apart_under_autocast():
    x, table = normal(3, 201, 8, seed=1), normal(50, 8, seed=2)
    with torch.autocast("cpu", torch.bfloat16):
        assert not torch.equal((x @ table.T).argmax(-1), best_row(x, table))
        assert torch.equal((x.double() @ table.double().T).argmax(-1), best_row(x, table))
