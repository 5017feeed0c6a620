"""A panel that trains: its sliders set the coefficients of a `Run` between two steps."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from dlmone_lite.errors import InputError
from dlmone_lite.figures.style import escape, projecting
from dlmone_lite.panels.panel import LOG_HEIGHT, VIEW_HEIGHT, Controls, Frame, View
from dlmone_lite.training.run import Evaluate, Run, Step


class LivePanel(Frame):
    """Training to watch and to steer: Start, Stop, Reset, and sliders that write into `run.config`.

    make_run(**setup): makes a fresh `Run`. setup: its arguments -> controls, locked while the run trains.
    controls: names of `run.config` fields -> widgets, which stay unlocked.
    draw(history, run): the View of the `Step`s so far, called at most twice a second.
    actions: name of a further button -> a change of the run between two updates, at any time.
    evaluate: its scores go into every `evaluate_every`-th `Step`.
    pause_after: seconds after which training pauses; Start continues it.

    For scripts and tests: `run_steps(n)` trains at once; `run`, `history` and `log` may be read.
    """

    def __init__(
        self,
        title: str,
        controls: Controls,
        make_run: Callable[..., Run],
        draw: Callable[[list[Step], Run], View],
        *,
        setup: Controls | None = None,
        actions: Mapping[str, Callable[[Run], object]] | None = None,
        evaluate: Evaluate | None = None,
        evaluate_every: int = 50,
        pause_after: float = 60.0,
        height: int = VIEW_HEIGHT,
    ):
        import ipywidgets

        self.coefficients, self.setup = dict(controls), dict(setup or {})
        self.make_run, self.draw, self.pause_after = make_run, draw, pause_after
        self.evaluate, self.evaluate_every = evaluate, evaluate_every
        self.actions = dict(actions or {})
        buttons = [ipywidgets.Button(description=name) for name in ("Start", "Stop", *self.actions, "Reset")]
        self._start, self._stop, *self._actions, self._reset = buttons
        super().__init__(title, {**self.coefficients, **self.setup}, buttons, height)
        self._log = ipywidgets.HTML(layout={"height": f"{LOG_HEIGHT}px", "overflow": "auto"})
        self._task: asyncio.Task | None = None
        if not projecting():  # the log is for the desk
            self.box.children = (*self.box.children, self._log)
        self._renew()

        self._start.on_click(lambda _: self.start())
        self._stop.on_click(lambda _: self.stop())
        self._reset.on_click(lambda _: self._guard(self.reset))
        for button in self._actions:
            button.on_click(lambda clicked: self.act(clicked.description))
        for name, control in self.coefficients.items():
            control.observe(
                lambda change, name=name: self._guard(lambda: self._set_coefficient(name, change)), "value"
            )
        for control in self.setup.values():
            control.observe(lambda change: self._quiet or self._guard(self._renew), "value")

    @property
    def running(self) -> bool:
        return self._task is not None

    def _guard(self, action: Callable[[], None]) -> None:
        """Do what a control asks for; an error is shown, because in a browser nothing else tells it."""
        try:
            action()
        except Exception as error:
            self.complain(error)

    def _renew(self) -> None:
        self._start.disabled = True
        self.run = self.make_run(**{name: control.value for name, control in self.setup.items()})
        for name, control in self.coefficients.items():
            if not hasattr(self.run.config, name):
                raise InputError(f"the run's config has no field {name!r}; rename the control")
            setattr(self.run.config, name, control.value)
        self.history: list[Step] = []
        self.log, self._log.value = [], ""
        self._redraw()

    def _set_coefficient(self, name: str, change: Any) -> None:
        setattr(self.run.config, name, change.new)
        before, after = (_in_words(self.controls[name], value) for value in (change.old, change.new))
        self.note(f"{self.labels[name]} {before} -> {after}")
        if not self._quiet:
            self._redraw()

    def note(self, text: str) -> None:
        """Add a line to the log, with the step it was written at; newest first on the screen."""
        self.log.append(f"step {self.run.step}: {text}")
        self._log.value = "<br>".join(escape(line) for line in reversed(self.log))

    def _redraw(self) -> None:
        """Draw the view and readout; lock the controls that a running run must not change."""
        self._drawn = time.monotonic()
        self._stop.disabled = not self.running
        for locked in (self._start, self._reset, *self.setup.values()):
            locked.disabled = self.running
        shown = ((self.labels[name], _in_words(c, c.value)) for name, c in self.coefficients.items())
        settings = ", ".join(map(" ".join, shown))
        where = f"step {self.run.step} of {self.run.total}"
        try:
            view = self.draw(self.history, self.run)
            self.show(View(view.html, " | ".join(part for part in (where, view.readout, settings) if part)))
        except Exception as error:
            self.complain(error)

    def _advance(self) -> None:
        due = self.evaluate and (self.run.step + 1) % self.evaluate_every == 0
        self.history.append(self.run.advance(self.evaluate if due else None))

    def act(self, name: str) -> str:
        """Do one of `actions` to the run, redraw, return the readout; an error is shown in the panel."""
        action = self.named("action", name, self.actions)
        try:
            action(self.run)
            self.note(name)
            self._redraw()
        except Exception as error:
            self.complain(error)
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
            self._task.cancel()  # the task waits between two steps, because all runs in one thread
            self._finish("stopped")

    def _finish(self, note: str) -> None:
        self._task = None
        self.note(note)
        self._redraw()

    async def _train(self) -> None:
        end = time.monotonic() + self.pause_after
        try:
            while self.run.step < self.run.total and time.monotonic() <= end:
                self._advance()
                if time.monotonic() - self._drawn > 0.5:
                    self._redraw()
                await asyncio.sleep(0)  # lets the kernel handle messages from the sliders and Stop
                self._heed_interrupts()
        except Exception as error:  # such as Diverged; shown where the figure was
            self._task = None
            self._redraw()
            self.complain(error)
        else:
            self._finish("paused; Start goes on" if self.run.step < self.run.total else "finished")

    def _heed_interrupts(self) -> None:
        """Make the kernel's interrupt stop this panel: a kernel between two cells ignores it otherwise."""
        idle = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        if idle and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, lambda *_: self.stop())  # without effect when nothing runs

    def reset(self) -> None:
        """Make a fresh run, with all controls at their first settings."""
        self.stop()
        self._set_quietly(self.defaults)
        self._renew()

    def set(self, **values: Any) -> str:
        """Set controls by name, one after the other, as in a browser; returns the readout."""
        for name, value in values.items():
            self.named("control", name, self.controls).value = value
        return self.readout


def _in_words(control: Any, value: Any) -> str:
    names = {value: name for name, value in getattr(control, "options", ())}
    return names.get(value) or (str(value) if isinstance(value, bool) else f"{value:g}")
