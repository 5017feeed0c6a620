"""What the figures of notebooks 10 and 11 draw is what they are given."""

from __future__ import annotations

import pytest

from dlmone_lite.figures import nb10, nb11

ROWS = [
    {
        "nfe": n,
        "validity": v,
        "validity_se": 0.01,
        "tv_excess": 1 - v,
        "tv_excess_se": 0.01,
        "tv": 1 - v,
        "tv_se": 0.01,
    }
    for n, v in ((1, 0.5), (2, 0.7), (4, 0.9))
]


def test_calls_are_drawn_for_both_scores() -> None:
    fig = nb10.by_calls({"a": ROWS, "b": ROWS[:2]})
    for ax, last in zip(fig.axes, (0.9, 0.1)):
        a, b = (line for line in ax.get_lines() if line.get_label() in ("a", "b"))
        assert list(a.get_xdata()) == [1, 2, 4] and a.get_ydata()[-1] == pytest.approx(last)
        assert len(b.get_xdata()) == 2


def test_a_frontier_fills_the_marker_at_the_trained_noise() -> None:
    points = [
        {"scale": s, "entropy": e, "validity": v, "kl": k}
        for s, e, v, k in ((0.5, 0.4, 0.9, 1.5), (1.0, 1.2, 0.8, 0.7), (1.4, 2.0, 0.5, 1.1))
    ]
    fig = nb10.frontiers({"a": points}, truth=1.7)
    for ax, here in zip(fig.axes, (0.8, 0.7)):
        (filled,) = (line for line in ax.get_lines() if len(line.get_xdata()) == 1)
        assert (filled.get_xdata()[0], filled.get_ydata()[0]) == (1.2, here)
        assert any(list(line.get_xdata()) == [1.7, 1.7] for line in ax.get_lines())


def test_levels_and_samplers() -> None:
    fig = nb11.factorised({"perfect": ROWS}, {"no product is nearer": 0.6, "marginals": 0.9})
    assert [line.get_ydata()[0] for line in fig.axes[0].get_lines()][-2:] == [0.6, 0.9]
    fig = nb11.samplers({"shipped": {"ddim": ROWS}, "exact": {"ddim": ROWS[:1]}})
    assert [ax.get_title() for ax in fig.axes] == ["shipped", "exact"]
