"""nearest: the nearest row, in parts and block by block, against torch's own argmax of all products."""

from __future__ import annotations

import pytest
import torch
from tiny import normal

from dlmone_lite.training.large_vocabulary import BLOCK, MANY, best, largest, nearest_row, surely_first


@pytest.mark.parametrize("words", [1, 50, BLOCK, 3 * BLOCK + 1])
@pytest.mark.parametrize("at_once", [2**21, 1])  # in one part, in parts of 256 and a rest
def test_the_best_row_is_found_in_parts(at_once, words, monkeypatch):
    monkeypatch.setattr("dlmone_lite.training.large_vocabulary.AT_ONCE", at_once)
    x, table, bias = normal(603, 8, seed=1), normal(words, 8, seed=2), normal(words, seed=3)
    assert torch.equal(best(x, table), (x @ table.T).argmax(-1))
    assert torch.equal(best(x, table, bias), (x @ table.T + bias).argmax(-1))
    assert best(x[:0], table).shape == (0,)


@pytest.mark.parametrize("rows", [0, 1, MANY - 1, MANY, 603])
@pytest.mark.parametrize("equal_norms", [False, True])
def test_the_nearest_row_is_the_nearest(rows, equal_norms):
    """Of points around row 0, some surely nearest to it, some perhaps, most of them nearer to another."""
    table = normal(50, 8, seed=2).double()
    table = torch.nn.functional.normalize(table, dim=-1) if equal_norms else table
    around = normal(rows, 8, seed=1) * torch.linspace(0, 2, rows)[:, None]
    x = table[:1] + around.double()
    onto = torch.nn.functional.normalize(x, dim=-1) if equal_norms else x  # there, of the largest product
    found = nearest_row(x[:, None], table, equal_norms).squeeze(1)
    assert torch.equal(found, torch.cdist(onto, table).argmin(-1))
    sure = surely_first(x, table)
    assert not found[sure].any()
    assert rows != 603 or 0 < sure.sum() < (found == 0).sum() < rows, "each kind is among them"


def test_shapes_and_tables_at_their_limits():
    x, table = normal(3, 201, 8, seed=1), normal(50, 8, seed=2)
    assert nearest_row(x, table).shape == (3, 201) and nearest_row(x[:, :0], table).shape == (3, 0)
    assert torch.equal(nearest_row(x[0, 0], table), (x[0, 0] - table).norm(dim=-1).argmin())
    pads = table[:1].expand(MANY, -1)
    assert not nearest_row(pads, table).any(), "nothing is left to be compared"
    twice = torch.cat([table[:1], table])
    assert not surely_first(pads, twice).any(), "of two equal rows none is surely the nearest"


def test_every_word_can_be_the_best():
    """Also the last one, which fills up the last block: no row beyond the table is ever named."""
    table = torch.nn.functional.normalize(normal(2 * BLOCK + 5, 16), dim=-1)
    assert torch.equal(nearest_row(table, table, True), torch.arange(len(table)))
    worst = torch.full((2 * BLOCK, 2), -torch.inf)
    worst[BLOCK + 7, 1] = -1e30
    assert largest(worst).tolist()[1] == BLOCK + 7 and largest(worst)[0] < BLOCK


def test_near_rows_are_told_apart_under_autocast():
    x, table = normal(3, 201, 8, seed=1), torch.nn.functional.normalize(normal(50, 8, seed=2), dim=-1)
    with torch.autocast("cpu", torch.bfloat16):
        assert not torch.equal((x @ table.T).argmax(-1), nearest_row(x, table, True))
        assert torch.equal((x.double() @ table.double().T).argmax(-1), nearest_row(x, table, True))
