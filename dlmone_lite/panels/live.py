"""A panel that trains: its sliders turn the coefficients of a `Run` between two steps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from dlmone_lite.errors import InputError, nearest
from dlmone_lite.panels.panel import Frame, View
from dlmone_lite.training.run import Evaluate, Run, Step

if TYPE_CHECKING:
    from ipywidgets import ValueWidget


class LivePanel(Frame):
    """Training that can be watched and steered: Start, Stop, Reset, and sliders that write into `run.config`.

    make_run(**setup) makes a fresh `Run`; `setup` maps its arguments to controls, which are locked while it
    trains. `controls` maps names of `run.config` fields to widgets, which stay live. draw(history, run) makes
    the View from the `Step`s so far (at most twice a second). Each `evaluate_every`-th `Step`
    carries what `evaluate` found. It pauses after `pause_after` seconds; Start goes on. `run_steps(n)` trains
    at once, for scripts and tests; `panel.run`, `panel.history`, `panel.log` are open to read. `actions` are
    further buttons, name -> what is done to the run while it stands still (one update of one network, say).
    """

    def __init__(
        self,
        title: str,
        controls: dict[str, ValueWidget],
        make_run: Callable[..., Run],
        draw: Callable[[list[Step], Run], View],
        *,
        setup: dict[str, ValueWidget] | None = None,
        actions: Mapping[str, Callable[[Run], object]] | None = None,
        evaluate: Evaluate | None = None,
        evaluate_every: int = 50,
        pause_after: float = 60.0,
        height: int = 440,
    ):
        import ipywidgets

        self.coefficients, self.setup = dict(controls), dict(setup or {})
        self.make_run, self.draw, self.pause_after = make_run, draw, pause_after
        self.evaluate, self.evaluate_every = evaluate, evaluate_every
        self._start, self._stop, self._reset = (
            ipywidgets.Button(description=name) for name in ("Start", "Stop", "Reset")
        )
        self.actions = dict(actions or {})
        self._actions = [ipywidgets.Button(description=name) for name in self.actions]
        buttons = [self._start, self._stop, *self._actions, self._reset]
        super().__init__(title, {**self.coefficients, **self.setup}, buttons, height)
        self._log, self._task, self._quiet = ipywidgets.HTML(), None, False
        self._log.layout.height, self._log.layout.overflow = "66px", "auto"
        self.box.children = (*self.box.children, self._log)
        self._renew()
        self._start.on_click(lambda _: self.start())
        self._stop.on_click(lambda _: self.stop())
        self._reset.on_click(lambda _: self.reset())
        for button in self._actions:
            button.on_click(lambda pressed: self.act(pressed.description))
        for name, control in self.coefficients.items():
            control.observe(lambda change, name=name: self._turned(name, change), "value")
        for control in self.setup.values():
            control.observe(lambda change: self._quiet or self._renew(), "value")

    @property
    def running(self) -> bool:
        """Whether it trains at this moment."""
        return self._task is not None

    def _renew(self) -> None:
        """A fresh run with the coefficients as they stand now."""
        self.run = self.make_run(**{name: control.value for name, control in self.setup.items()})
        for name, control in self.coefficients.items():
            if not hasattr(self.run.config, name):
                raise InputError(f"the run's config has no field {name!r}; rename the control")
            setattr(self.run.config, name, control.value)
        self.history: list[Step] = []
        self.log: list[str] = []
        self._redraw()

    def _turned(self, name: str, change: Any) -> None:
        setattr(self.run.config, name, change.new)
        self.note(f"{name} {_text(change.old)} -> {_text(change.new)}")
        if not self._quiet:
            self._redraw()

    def note(self, text: str) -> None:
        """Add a line to the log, with the step it was written at; newest first on the screen."""
        self.log.append(f"step {self.run.step}: {text}")
        self._log.value = "<br>".join(escape(line) for line in reversed(self.log))

    def _redraw(self) -> None:
        self._drawn = time.monotonic()
        self._log.value = "<br>".join(escape(line) for line in reversed(self.log))
        self._stop.disabled = not self.running
        for locked in (self._start, self._reset, *self._actions, *self.setup.values()):
            locked.disabled = self.running
        settings = ", ".join(f"{name} {_text(control.value)}" for name, control in self.coefficients.items())
        try:
            view = self.draw(self.history, self.run)
        except Exception as error:
            self.complain(error)
            return
        where = f"step {self.run.step} of {self.run.total}"
        self.show(View(view.html, " | ".join(part for part in (where, view.readout, settings) if part)))

    def _advance(self) -> None:
        due = self.evaluate and (self.run.step + 1) % self.evaluate_every == 0
        self.history.append(self.run.advance(self.evaluate if due else None))

    def act(self, name: str) -> str:
        """Do one of `actions` to the run, redraw, return the readout; an error is shown in the panel."""
        if name not in self.actions:
            known = ", ".join(self.actions) or "none"
            raise InputError(f"panel has no action {name!r}{nearest(name, self.actions)}; it has {known}")
        try:
            self.actions[name](self.run)
        except Exception as error:
            self.complain(error)
        else:
            self.note(name)
            self._redraw()
        return self.readout

    def run_steps(self, n: int) -> str:
        """Train n steps at once (fewer if the run ends), redraw, return the readout; errors are raised."""
        for _ in range(min(n, self.run.total - self.run.step)):
            self._advance()
        self._redraw()
        return self.readout

    def start(self) -> None:
        """Train in the background of the kernel until Stop, the end, an error, or the pause."""
        if not self.running:
            self._task = asyncio.get_running_loop().create_task(self._train())
            self._redraw()

    def stop(self) -> None:
        """Stop; Start goes on from here."""
        if self.running:
            self._task.cancel()  # it is waiting between two steps, for everything runs in one thread
            self._finish("stopped")

    def _finish(self, note: str) -> None:
        self._task = None
        if note:
            self.note(note)
        self._redraw()

    async def _train(self) -> None:
        end, note = time.monotonic() + self.pause_after, "finished"
        while self.run.step < self.run.total:
            if time.monotonic() > end:
                note = "paused; Start goes on"
                break
            try:
                self._advance()
            except Exception as error:  # Diverged, say: to be read where the figure was
                self._task = None
                self._redraw()
                self.complain(error)
                return
            if time.monotonic() - self._drawn > 0.5:
                self._redraw()
            await asyncio.sleep(0)  # let the kernel hear the sliders and Stop
        self._finish(note)

    def reset(self) -> None:
        """A fresh run, controls at their first settings."""
        self.stop()
        self._quiet = True
        try:
            for name, control in self.controls.items():
                control.value = self.defaults[name]
        finally:
            self._quiet = False
        self._renew()

    def set(self, **values: Any) -> str:
        """Set controls by name, as a hand would; returns the readout."""
        for name, value in values.items():
            self.control(name).value = value
        return self.readout


def _text(value: Any) -> str:
    return str(value) if isinstance(value, (bool, str)) else f"{value:g}"
