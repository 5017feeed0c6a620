"""times: the steps that are drawn, against their laws."""

from __future__ import annotations

import pytest
import torch
from tiny import rng

from dlmone_lite.distill import DistillConfig
from dlmone_lite.schedule import Schedule
from dlmone_lite.training.times import draw_low, draw_times, log_spaced

N = 60_000


@pytest.mark.parametrize("name", ["sqrt", "cosine", "linear"])
def test_log_spaced_steps_are_uniform_in_the_log_of_the_noise_level(name: str) -> None:
    schedule = Schedule(name, 2000)
    t = log_spaced(schedule, N, 100, 1900, rng(0))
    assert int(t.min()) >= 100 and int(t.max()) == 1900
    levels = schedule.ratio(t).log()
    low, high = (float(schedule.ratio(end).log()) for end in (100, 1900))
    for share in (0.1, 0.5, 0.8):
        below = float((levels <= low + share * (high - low)).double().mean())
        assert below == pytest.approx(share, abs=0.01)


def test_a_share_of_the_students_steps_is_late() -> None:
    schedule = Schedule("sqrt", 2000)
    config = DistillConfig(t_max=1500, late_share=0.3, late_from=1893, late_to=1997)
    t = draw_times(config, schedule, N, rng(1))
    late = t > 1500
    assert float(late.double().mean()) == pytest.approx(0.3, abs=0.01)
    assert int(t[late].min()) >= 1893 and int(t[late].max()) == 1997
    levels = schedule.ratio(t[late])
    middle = float((levels < (6 * 40) ** 0.5).double().mean())  # half of them lie below the geometric mean
    assert middle == pytest.approx(0.5, abs=0.02)
    assert float((t[~late] <= 750).double().mean()) == pytest.approx(0.5, abs=0.01), "uniform in t"


def test_steps_are_uniform_unless_asked_otherwise() -> None:
    drawn = draw_times(DistillConfig(), Schedule("sqrt", 2000), 50, rng(2))
    assert torch.equal(drawn, torch.randint(1, 1977, (50,), generator=rng(2)))


def test_a_share_of_rows_keeps_a_low_step() -> None:
    low = draw_low(DistillConfig(keep=0.25, t_init=1490), N, rng(3))
    chosen = low[low > 0]
    assert len(chosen) / N == pytest.approx(0.25, abs=0.01)
    assert 0 < int(chosen.min()) <= 5 and 1110 <= int(chosen.max()) < 1118
    assert float((chosen < 559).double().mean()) == pytest.approx(0.5, abs=0.02)
