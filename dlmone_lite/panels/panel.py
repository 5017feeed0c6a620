"""A panel: controls around a pure function, its figure, and a line of numbers; for ipywidgets 7 and 8."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dlmone_lite.errors import InputError, nearest
from dlmone_lite.figures.style import GREY, escape, projecting
from dlmone_lite.panels.pulse import sign_of_life

if TYPE_CHECKING:
    from ipywidgets import ValueWidget

CONTROL = {"style": {"description_width": "130px"}, "layout": {"width": "400px"}}
VIEW_HEIGHT, LOG_HEIGHT = 440, 66  # pixels; fixed, so that the page does not jump while a figure is replaced
Controls = Mapping[str, "ValueWidget"]  # by the names of what they set

# In projector mode controls stand beside the figure, text is large, the margin of Out[..] is left out, and
# nothing is higher than a projected page at 150 percent.
PROJECTED = {"height": 366, "view": 230, "text": 20, "figure": 15, "controls": 200}  # pixels
STYLE = """<style>.jp-OutputPrompt {{ display: none; }}
.dlmone-projected {{ max-height: {height}px; overflow: auto; }}
.dlmone-projected, .dlmone-projected * {{ font-size: {text}px !important; }}
.dlmone-projected .dlmone-view * {{ font-size: {figure}px !important; }}
.dlmone-projected img {{ max-height: {view}px; max-width: 100%; width: auto; }}
.dlmone-projected .dlmone-readout {{ max-height: 72px; overflow: auto; line-height: 1.2; }}
.dlmone-projected .widget-button {{ flex: none; width: auto; height: auto; line-height: 1.6; }}</style>"""


@dataclass(frozen=True)
class View:
    """The content of a panel: html (a figure from `style.html`, a table) and readout, the same in numbers."""

    html: str
    readout: str


def _control(kind: str, label: str, **traits: Any) -> ValueWidget:
    """A control of ipywidgets in the common look; traits: what is peculiar to it."""
    import ipywidgets

    return getattr(ipywidgets, kind)(description=label, **traits, **CONTROL)


def slider(
    label: str, low: float, high: float, value: float, step: float = 1, *, live: bool = False
) -> ValueWidget:
    """A slider, whole if all its numbers are; it answers on release or, with `live`, while it is dragged."""
    whole = all(isinstance(number, int) for number in (low, high, value, step))
    stops = {"value": value, "min": low, "max": high, "step": step}
    return _control("IntSlider" if whole else "FloatSlider", label, continuous_update=live, **stops)


def log_slider(label: str, low: float, high: float, value: float) -> ValueWidget:
    """A slider whose steps are ratios: 20 per factor of ten, from `low` to `high`."""
    stops = {"value": value, "min": math.log10(low), "max": math.log10(high), "step": 0.05}
    return _control("FloatLogSlider", label, continuous_update=False, readout_format=".2g", **stops)


def stop_slider(label: str, stops: Sequence[float], value: float) -> ValueWidget:
    """A slider over these values only."""
    options = [(f"{stop:g}", stop) for stop in stops]
    return _control("SelectionSlider", label, options=options, value=value, continuous_update=False)


def choice(label: str, options: Sequence[str] | dict[str, Any], value: Any = None) -> ValueWidget:
    """A drop-down menu that starts at `value`; a dictionary maps each text to its value."""
    options = options if isinstance(options, dict) else {str(option): option for option in options}
    value = next(iter(options.values())) if value is None else value
    return _control("Dropdown", label, options=list(options.items()), value=value)


def switch(label: str, value: bool = False) -> ValueWidget:
    """A check box."""
    return _control("Checkbox", label, value=value)


class Frame:
    """Title, controls, view and readout in a box; the base of both kinds of panel.

    `readout` is the line of numbers as plain text, `error` the message that stands in place of the view.
    """

    def __init__(self, title: str, controls: Controls, buttons: list[Any], height: int):
        import ipywidgets

        self.title, self.controls = title, dict(controls)
        self.labels = {name: control.description for name, control in self.controls.items()}
        self.defaults = self.values
        self._quiet = False  # whether changes of controls are to stay without an answer
        self._view = ipywidgets.HTML(layout={"height": f"{height}px", "overflow": "auto"})
        self._readout = ipywidgets.HTML()
        self._title = f"<b>{escape(title)}</b>"
        parts = self._projected(buttons) if projecting() else self._stacked(buttons)
        self.box = ipywidgets.VBox(
            [*parts, sign_of_life()], layout={"border": f"1px solid {GREY}", "padding": "8px"}
        )
        self.box.add_class("dlmone-panel")
        if projecting():
            self.box.add_class("dlmone-projected")

    def _stacked(self, buttons: list[Any]) -> list[Any]:
        """Title, controls, view and readout, one below the other."""
        import ipywidgets

        wraps = {"flex_flow": "row wrap"}  # side by side, and below each other where the page is narrow
        row = [*self.controls.values(), *([ipywidgets.HBox(buttons, layout=wraps)] if buttons else [])]
        return [ipywidgets.HTML(self._title), ipywidgets.HBox(row, layout=wraps), self._view, self._readout]

    def _projected(self, buttons: list[Any]) -> list[Any]:
        """For a projector: buttons beside the title, controls under their labels beside view and readout."""
        import ipywidgets

        wide, labelled = f"{PROJECTED['controls']}px", []
        for control in self.controls.values():
            control.layout.width = wide
            if hasattr(control, "indent"):  # a check box keeps its label beside it
                control.indent = False
            else:
                labelled.append(ipywidgets.HTML(escape(control.description), layout={"margin": "0"}))
                control.description = ""
            labelled.append(control)
        column = {"flex": f"0 0 {PROJECTED['controls'] + 24}px", "overflow": "auto"}
        column["max_height"] = f"{PROJECTED['height'] - 60}px"
        self._view.layout.height = f"{PROJECTED['view']}px"
        self._view.add_class("dlmone-view")
        right = ipywidgets.VBox([self._view, self._readout], layout={"flex": "1 1 auto", "min_width": "0"})
        title = ipywidgets.HTML(STYLE.format(**PROJECTED) + self._title, layout={"flex": "1 1 auto"})
        return [
            ipywidgets.HBox([title, *buttons]),
            ipywidgets.HBox([ipywidgets.VBox(labelled, layout=column), right]),
        ]

    @property
    def values(self) -> dict[str, Any]:
        return {name: control.value for name, control in self.controls.items()}

    @property
    def html(self) -> str:
        return self._view.value

    def show(self, view: View) -> None:
        self.error, self.readout, self._view.value = "", view.readout, view.html
        self._readout.value = f'<div class="dlmone-readout">{escape(view.readout)}</div>'

    def complain(self, error: Exception) -> None:
        """Show an error inside the panel, in place of the last view."""
        kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
        message = f"{kind}{error}"
        shown = f'<div role="alert" style="color:#a00;padding:8px">{escape(message)}</div>'
        self.show(View(shown, f"error: {message}"))
        self.error = message

    def named(self, kind: str, name: str, known: Mapping[str, Any]) -> Any:
        """What the name stands for among the `known`; InputError with the nearest name if there is none."""
        if name not in known:
            names = ", ".join(known) or "none"
            raise InputError(f"panel has no {kind} {name!r}{nearest(name, known)}; it has {names}")
        return known[name]

    def _set_quietly(self, values: Mapping[str, Any]) -> None:
        """Set controls by name, all or none, without an answer to each change."""
        controls = {name: self.named("control", name, self.controls) for name in values}
        self._quiet = True
        try:
            for name, control in controls.items():
                control.value = values[name]
        finally:
            self._quiet = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.title!r})"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        """The live widget where widgets run; elsewhere, as on GitHub, its present view."""
        widget = {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}
        return {
            "text/plain": repr(self),
            "text/html": f"{self._title}<br>{self.html}{self._readout.value}",
            "application/vnd.jupyter.widget-view+json": widget,
        }


class Panel(Frame):
    """Controls around a pure function: every change of a control calls `compute(**values) -> View` again.

    `controls` maps the argument names of `compute` to widgets (`slider`, `choice`, ...). The first view is
    computed at once, and an error in it is raised; a later one is shown inside the panel (`.error`).
    For scripts and tests: `panel.set(t=900)`, `panel.reset()`, `panel.readout`, `panel.html`, `panel.values`.
    """

    def __init__(
        self, title: str, controls: Controls, compute: Callable[..., View], *, height: int = VIEW_HEIGHT
    ):
        import ipywidgets

        button = ipywidgets.Button(description="Reset", tooltip="back to the first settings")
        super().__init__(title, controls, [button], height)
        self.compute = compute
        self.show(compute(**self.values))
        button.on_click(lambda _: self.reset())
        for control in self.controls.values():
            control.observe(self._changed, "value")

    def _changed(self, change: object = None) -> None:
        if self._quiet:
            return
        try:
            self.show(self.compute(**self.values))
        except Exception as error:  # shown where the figure was, because nobody reads a kernel's log
            self.complain(error)

    def set(self, **values: Any) -> str:
        """Set controls by name, all at once; returns the new readout."""
        self._set_quietly(values)
        self._changed()
        return self.readout

    def reset(self) -> None:
        """Back to the first settings."""
        self.set(**self.defaults)
