"""Panels: controls around a pure function, a figure, a line of numbers; plain ipywidgets (7 and 8 alike)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from dlmone_lite.errors import InputError, nearest

if TYPE_CHECKING:
    from ipywidgets import ValueWidget

LABEL = {"description_width": "130px"}


@dataclass(frozen=True)
class View:
    """What a panel shows: html (a figure from `plots.html`, a table) and readout, the same in numbers."""

    html: str
    readout: str


# ---- controls


def slider(
    label: str, low: float, high: float, value: float, step: float = 1, *, live: bool = False
) -> ValueWidget:
    """A slider (whole numbers if all its numbers are); it answers on release, with `live` while dragged."""
    import ipywidgets

    whole = all(isinstance(number, int) for number in (low, high, value, step))
    kind = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
    return kind(
        value=value,
        min=low,
        max=high,
        step=step,
        description=label,
        continuous_update=live,
        style=LABEL,
        layout={"width": "400px"},
    )


def log_slider(label: str, low: float, high: float, value: float) -> ValueWidget:
    """A slider whose steps are ratios: 20 per factor of ten, from `low` to `high`."""
    import ipywidgets

    return ipywidgets.FloatLogSlider(
        value=value,
        min=math.log10(low),
        max=math.log10(high),
        step=0.05,
        description=label,
        continuous_update=False,
        style=LABEL,
        layout={"width": "400px"},
        readout_format=".2g",
    )


def stop_slider(label: str, stops: Sequence[float], value: float) -> ValueWidget:
    """A slider that knows only these values, whatever lies between them."""
    import ipywidgets

    return ipywidgets.SelectionSlider(
        options=[(f"{stop:g}", stop) for stop in stops],
        value=value,
        description=label,
        continuous_update=False,
        style=LABEL,
        layout={"width": "400px"},
    )


def choice(label: str, options: Sequence[str] | dict[str, Any], value: Any = None) -> ValueWidget:
    """A drop-down menu; a dictionary maps what is read to the value. It starts at `value`."""
    import ipywidgets

    options = options if isinstance(options, dict) else {str(option): option for option in options}
    value = next(iter(options.values())) if value is None else value
    pairs = list(options.items())
    return ipywidgets.Dropdown(
        options=pairs, value=value, description=label, style=LABEL, layout={"width": "400px"}
    )


def switch(label: str, value: bool = False) -> ValueWidget:
    """A check box."""
    import ipywidgets

    return ipywidgets.Checkbox(value=value, description=label, style=LABEL, layout={"width": "400px"})


# ---- panels


class Frame:
    """Title, controls, view and readout in a box; what both kinds of panel share."""

    def __init__(self, title: str, controls: dict[str, ValueWidget], buttons: list, height: int):
        import ipywidgets

        self.title, self.controls, self.error = title, dict(controls), ""
        self.defaults = {name: control.value for name, control in self.controls.items()}
        self._view, self._readout = ipywidgets.HTML(), ipywidgets.HTML()
        self._view.layout.height, self._view.layout.overflow = f"{height}px", "auto"
        rows = ipywidgets.HBox(list(self.controls.values()) + buttons, layout={"flex_flow": "row wrap"})
        self.box = ipywidgets.VBox(
            [ipywidgets.HTML(f"<b>{escape(title)}</b>"), rows, self._view, self._readout],
            layout={"border": "1px solid #767676", "padding": "8px"},
        )
        self.box.add_class("dlmone-panel")

    @property
    def values(self) -> dict[str, Any]:
        """The controls' values by name."""
        return {name: control.value for name, control in self.controls.items()}

    @property
    def html(self) -> str:
        """What the panel shows."""
        return self._view.value

    @property
    def readout(self) -> str:
        """The line of numbers under it, as plain text."""
        return self._text

    def show(self, view: View) -> None:
        """Put a view on display."""
        self.error, self._text, self._view.value = "", view.readout, view.html
        self._readout.value = f'<div class="dlmone-readout">{escape(view.readout)}</div>'

    def complain(self, error: Exception) -> None:
        """Show an error inside the panel; the last view is replaced by it."""
        kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
        self.error = f"{kind}{error}"
        message = f'<div role="alert" style="color:#a00;padding:8px">{escape(self.error)}</div>'
        self.show(View(message, f"error: {self.error}"))
        self.error = f"{kind}{error}"

    def control(self, name: str) -> ValueWidget:
        if name not in self.controls:
            known = ", ".join(self.controls)
            raise InputError(f"panel has no control {name!r}{nearest(name, self.controls)}; it has {known}")
        return self.controls[name]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.title!r})"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        """The live widget where widgets run; elsewhere (GitHub, a printed page) what it shows now."""
        widget = {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}
        static = f"<b>{escape(self.title)}</b><br>{self.html}{self._readout.value}"
        return {
            "text/plain": repr(self),
            "text/html": static,
            "application/vnd.jupyter.widget-view+json": widget,
        }


class Panel(Frame):
    """Controls around a pure function: every change of a control calls `compute(**values) -> View` again.

    `controls` maps the argument names of `compute` to widgets (`slider`, `choice`, ...). The first view is
    computed at once, and an error in it is raised; a later one is shown inside the panel (`.error`).
    For scripts and tests: `panel.set(t=900)`, `panel.reset()`, `panel.readout`, `panel.html`, `panel.values`.
    """

    def __init__(
        self, title: str, controls: dict[str, ValueWidget], compute: Callable[..., View], *, height: int = 440
    ):
        import ipywidgets

        button = ipywidgets.Button(description="Reset", tooltip="back to the first settings")
        super().__init__(title, controls, [button], height)
        self.compute, self._quiet = compute, False
        self.show(compute(**self.values))
        button.on_click(lambda _: self.reset())
        for control in self.controls.values():
            control.observe(self._changed, "value")

    def _changed(self, change: object = None) -> None:
        if self._quiet:
            return
        try:
            self.show(self.compute(**self.values))
        except Exception as error:  # a reader must see it where the figure was, not in a hidden log
            self.complain(error)

    def set(self, **values: Any) -> str:
        """Set controls by name, all at once; returns the new readout."""
        controls = {name: self.control(name) for name in values}
        self._quiet = True
        try:
            for name, control in controls.items():
                control.value = values[name]
        finally:
            self._quiet = False
        self._changed()
        return self.readout

    def reset(self) -> None:
        """Back to the first settings."""
        self.set(**self.defaults)
