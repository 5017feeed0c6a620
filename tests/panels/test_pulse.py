"""A living kernel keeps the notice of a dead one covered."""

from __future__ import annotations

import asyncio
import sys

import pytest

from dlmone_lite.panels import pulse


def test_without_an_event_loop_there_is_no_notice() -> None:
    assert pulse.sign_of_life().value == ""


def test_a_kernel_draws_the_notice_anew_while_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "BEAT", 0.01)

    async def kernel() -> None:
        widgets = [pulse.sign_of_life() for _ in range(2)]
        first = [widget.value for widget in widgets]
        assert all("15.0s" in value for value in first) and len(pulse._tasks) == 1
        await asyncio.sleep(0.2)
        assert all(widget.value != value for widget, value in zip(widgets, first))
        widgets.clear()

    asyncio.run(kernel())


def test_where_a_living_kernel_is_not_heard_there_is_no_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.colab", sys)

    async def kernel() -> None:
        assert pulse.sign_of_life().value == ""

    asyncio.run(kernel())
