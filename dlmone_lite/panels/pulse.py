"""A sign of life: a panel whose kernel has fallen silent says so.

A dead kernel cannot speak. So it speaks while it lives: every few seconds it draws a notice anew that the
page would uncover a little later. A kernel that is busy with a cell, or was restarted, draws no more.
"""

from __future__ import annotations

import asyncio
import sys
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipywidgets import HTML

BEAT, SILENCE = 4.0, 15.0  # seconds between two beats, and without one until the notice shows
NOTICE = """<style>@keyframes dlmone-silent {{ to {{ max-height: 6em; padding: 4px; }} }}</style>
<div role="status" class="dlmone-silent" data-beat="{beat}" style="max-height:0;overflow:hidden;
background:#fff;color:#a00;animation:dlmone-silent 0s linear {silence}s forwards">This panel does not answer
now: its kernel is busy with a cell, or was restarted. After a restart, run its cell again.</div>"""

_watched: weakref.WeakSet[HTML] = weakref.WeakSet()
_tasks: list[asyncio.Task] = []  # the one that beats, once there is an event loop


def sign_of_life() -> HTML:
    """A widget that shows a notice when its kernel falls silent; nothing outside a running event loop."""
    import ipywidgets

    widget = ipywidgets.HTML()
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return widget
    if "google.colab" not in sys.modules:  # there a kernel between two cells is not heard, though it lives
        widget.value = NOTICE.format(beat=0, silence=SILENCE)
        _watched.add(widget)
        if not any(task.get_loop() is loop and not task.done() for task in _tasks):
            _tasks[:] = [loop.create_task(_beat())]
    return widget


async def _beat() -> None:
    beat = 0
    while _watched:
        await asyncio.sleep(BEAT)
        beat += 1
        for widget in list(_watched):
            widget.value = NOTICE.format(beat=beat, silence=SILENCE)
