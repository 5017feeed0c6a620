"""Every notebook in a real JupyterLab, driven by headless Chromium: Run All, then one control of every panel.

A panel is a widget container with the CSS class `dlmone-panel`; it holds controls and a numeric line with the
class `dlmone-readout`, which must change when the panel's first slider (else menu, else check box, else
button) is used. Screenshots land in build/screenshots/. Skipped where no Chromium is installed.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from jupyter import copy_unexecuted, jupyterlab, wait_for
from nbformat.v4 import new_code_cell, new_notebook

from dlmone_lite.files import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Route

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SHOTS = ROOT / "build" / "screenshots"
CHROMIUM = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --no-proxy-server"
).split()
RUN_TIMEOUT = 300.0  # seconds for all cells of one notebook
PANEL_TIMEOUT = 15.0  # seconds for a panel to answer

# The one thing a notebook may ask the network for is answered here.
BADGE_IMAGE = "https://colab.research.google.com/assets/colab-badge.svg"
BLANK = '<svg xmlns="http://www.w3.org/2000/svg" width="117" height="20"/>'

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: the browser check did not run")

# The open notebook, read through JupyterLab's application object (an error's HTML looks like any stderr).
CURRENT = """const panel = window.jupyterapp?.shell?.currentWidget;
    const cells = panel?.content?.model?.sharedModel?.cells;
    const kernel = panel?.sessionContext?.session?.kernel?.status;"""
READY = f"() => {{ {CURRENT} return !!cells && panel.context.isReady && kernel === 'idle'; }}"
RUN_ALL = f"""() => {{ {CURRENT} window.kernelDied = false;
    panel.sessionContext.statusChanged.connect((_, status) => {{
        window.kernelDied ||= status === 'autorestarting' || status === 'dead'; }});
    window.jupyterapp.commands.execute('notebook:run-all-cells'); }}"""
PROGRESS = f"""() => {{ {CURRENT}
    const code = cells.filter(cell => cell.cell_type === 'code' && cell.source.trim());
    const errors = code.flatMap(cell => cell.getOutputs()).filter(output => output.output_type === 'error');
    return {{ total: code.length, run: code.filter(cell => cell.execution_count).length,
              idle: kernel === 'idle', died: window.kernelDied,
              error: errors.length ? errors[0].ename + ': ' + errors[0].evalue : '' }}; }}"""
# A kernel that has died may be gone, or on its way back: to shut it down then fails.
SHUT_DOWN = """() => window.jupyterapp?.shell.currentWidget?.sessionContext?.shutdown()
    .catch(error => { if (!window.kernelDied) throw error; })"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """(folder, address) of a running JupyterLab; the folder holds an unexecuted copy of the notebooks."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "notebooks").mkdir()
    for path in NOTEBOOKS:
        copy_unexecuted(path, folder / "notebooks" / path.name)
    with jupyterlab(folder, tmp_path_factory.mktemp("jupyter")) as address:
        yield folder, address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The installed Chromium, driven by Playwright."""
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield chromium
        chromium.close()


class Visit:
    """A notebook opened in a page of its own, all cells started; what the page complains of is noted."""

    def __init__(self, browser: Browser, url: str):
        self.page = browser.new_page(viewport={"width": 1280, "height": 900})
        self.complaints: list[str] = []
        self.page.route(re.compile(r"^https?://(?!127\.0\.0\.1[:/])"), self._stay_here)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._listen)
        self.page.goto(f"{url}?reset")
        wait_for("the notebook and its kernel", 90, self._ready)
        self.page.evaluate(RUN_ALL)

    def _stay_here(self, route: Route) -> None:
        if route.request.url != BADGE_IMAGE:
            self.complaints.append(f"asks for {route.request.url}")
        route.fulfill(status=200, content_type="image/svg+xml", body=BLANK)

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def _ready(self) -> bool:
        accept = self.page.locator(".jp-Dialog button.jp-mod-accept")
        if accept.count():
            accept.first.click()
        return self.page.evaluate(READY)

    def run_all(self) -> None:
        """Wait for the last cell; fail when one raises or is left without an execution count."""
        state: dict[str, Any] = {}

        def finished() -> bool:
            state.update(self.page.evaluate(PROGRESS))
            ran = state["run"] == state["total"] and state["idle"]
            return ran or state["died"] or bool(state["error"])

        try:
            wait_for("Run All", RUN_TIMEOUT, finished)
        finally:
            print("Run All:", state)  # pytest shows it beside a failure
        assert not state["error"], f"a cell raised {state['error']}"
        assert not state["died"], f"the kernel died after {state['run']} of {state['total']} cells"

    def close(self) -> None:
        """Shut the kernel down and close the page."""
        self.page.evaluate(SHUT_DOWN)
        self.page.close()


def use_first_control(page: Page, panel: Locator) -> None:
    """Move the panel's first slider, or else choose in its menu, tick its check box, click its button."""
    slider, menu = panel.locator(".noUi-handle").first, panel.locator("select").first
    box, button = panel.locator("input[type=checkbox]").first, panel.locator("button").first
    if slider.count():
        at_end = slider.get_attribute("aria-valuenow") == slider.get_attribute("aria-valuemax")
        slider.focus()
        for _ in range(3):
            page.keyboard.press("ArrowLeft" if at_end else "ArrowRight")
    elif menu.count():
        chosen = menu.evaluate("menu => menu.selectedIndex")
        menu.select_option(index=0 if chosen else 1)
    else:
        assert box.count() or button.count(), "a panel has no control"
        (box if box.count() else button).click()


def check_panels(page: Page) -> None:
    """Every panel's readout changes when its first control is used."""
    panels = page.locator(".dlmone-panel")
    assert panels.count(), "no panel was rendered"
    for i in range(panels.count()):
        name, panel = f"panel {i + 1} of {panels.count()}", panels.nth(i)
        readout = panel.locator(".dlmone-readout").first
        assert readout.count(), f"{name} has no readout"
        panel.scroll_into_view_if_needed()
        before = readout.inner_text()
        use_first_control(page, panel)
        wait_for(f"{name} to change", PANEL_TIMEOUT, lambda: readout.inner_text() != before)  # noqa: B023
        assert not panel.locator("[role=alert]").count(), f"{name} shows an error: {panel.inner_text()}"


def check_images(page: Page) -> None:
    """Every picture in an output was loaded and says in words what it shows."""
    bad = (
        "all => all.filter(i => !i.alt.trim() || !i.naturalWidth).map(i => i.alt + ' ' + i.src.slice(0, 60))"
    )
    assert page.locator(".jp-OutputArea img").evaluate_all(bad) == [], "pictures without alt text, or broken"


def screenshots(page: Page, name: str) -> None:
    """Save the whole notebook as pieces of one screen each."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    for old in SHOTS.glob(f"{name}-[0-9]*.png"):
        old.unlink()
    if page.locator("#jp-left-stack:visible").count():  # the file browser takes a quarter of the screen
        page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
    scroller = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-WindowedPanel-outer").first
    if not scroller.count():
        page.screenshot(path=SHOTS / f"{name}-not-opened.png")
        return
    bottom = "e => [...e.querySelectorAll('.jp-Cell')].at(-1).getBoundingClientRect().bottom + e.scrollTop"
    total, screen = scroller.evaluate(bottom), scroller.evaluate("e => e.clientHeight")
    for piece, top in enumerate(range(0, int(total), screen - 40), start=1):
        scroller.evaluate("(e, top) => { e.scrollTop = top; }", top)
        page.wait_for_timeout(150)
        page.screenshot(path=SHOTS / f"{name}-{piece:02d}.png")


# Text of a panel against what lies behind it: all that has a contrast below 4.5, WCAG's least for reading.
CONTRAST = """panel => {
    const numbers = text => text.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
        .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = e => {
        for (; e; e = e.parentElement) {
            const color = numbers(getComputedStyle(e).backgroundColor);
            if (color.length < 4 || color[3] > 0.5) return color;
        }
        return [255, 255, 255];
    };
    return [...panel.querySelectorAll('*')]
        .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) && e.offsetParent)
        .filter(e => !e.closest('select, button:disabled, [disabled]'))
        .map(e => [e.textContent.trim(), light(numbers(getComputedStyle(e).color)), light(ground(e))])
        .map(([text, a, b]) => [text.slice(0, 30), Math.max(a, b) + 0.05, Math.min(a, b) + 0.05])
        .map(([text, a, b]) => [text, a / b])
        .filter(([_, ratio]) => ratio < 4.5).map(([text, ratio]) => `${text}: ${ratio.toFixed(1)}`);
}"""


def check_themes(page: Page, name: str) -> None:
    """Every word of a panel can be read in the dark theme and in the light; a picture of it in the dark."""
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        page.evaluate(
            "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", theme
        )
        page.wait_for_timeout(400)
        panels = page.locator(".dlmone-panel")
        for i in range(panels.count()):
            panels.nth(i).scroll_into_view_if_needed()
            faint = panels.nth(i).evaluate(CONTRAST)
            assert faint == [], f"panel {i + 1} of {panels.count()} is hard to read in {theme}"
            if name and theme.endswith("Dark"):
                SHOTS.mkdir(parents=True, exist_ok=True)
                panels.nth(i).screenshot(path=SHOTS / f"{name}-dark-{i + 1}.png")


def check_notebook(visit: Visit, shots: str = "") -> None:
    """A notebook as a reader meets it; AssertionError for what a reader would stumble over."""
    page = visit.page
    try:
        visit.run_all()
        check_panels(page)
        check_images(page)
        check_themes(page, shots)
    finally:
        if shots:
            screenshots(page, shots)
        visit.close()
    assert visit.complaints == [], "complaints of the browser's console"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_in_the_browser(lab: tuple[Path, str], browser: Browser, path: Path) -> None:
    url = f"{lab[1]}/lab/tree/notebooks/{path.name}"
    check_notebook(Visit(browser, url), shots=path.stem)


# The check itself: a good notebook passes, each planted fault is named.

PANEL = """import ipywidgets as w
def panel(control, connect, name="dlmone-readout"):
    readout = w.HTML(f"<p class='{name}'>0</p>")
    box = w.VBox([control, readout])
    box.add_class("dlmone-panel")
    def answer(change):
        readout.value = f"<p class='{name}'>1</p>"
    connect(answer)
    return box
slider, menu = w.FloatSlider(value=0.5, max=1.0, continuous_update=False), w.Dropdown(options="ab")
last, box, button = w.IntSlider(value=9, max=9), w.Checkbox(), w.Button()
panel(slider, slider.observe)"""
GOOD = [f"panel({name}, {name}.observe)" for name in ("last", "menu", "box")] + [
    "panel(button, button.on_click)"
]
FAULTS = {
    "raises": ("raise KeyError('planted')", "raised KeyError"),
    "kernel_dies": ("import os\nos._exit(1)", "kernel died"),
    "dead_panel": ("panel(button, print)", "panel 2 of 2 to change"),
    "no_readout": ("panel(menu, menu.observe, 'text')", "no readout"),
    "panel_error": ("panel(menu, menu.observe, \"dlmone-readout' role='alert\")", "shows an error"),
    "faint": (
        "panel(menu, menu.observe, \"dlmone-readout' style='color:#bbb;background:#fff\")",
        "hard to read",
    ),
    "no_control": ("panel(w.HTML(), print)", "no control"),
    "no_alt": ("from IPython.display import HTML\nHTML('<img src=data:,>')", "alt text"),
    "network": ("from IPython.display import HTML\nHTML('<img alt=x src=http://example.org/x>')", "console"),
    "console": ("from IPython.display import Javascript\nJavascript('console.error(404)')", "console"),
}


def write_notebook(folder: Path, name: str, *sources: str) -> str:
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [new_code_cell(source) for source in sources]
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), folder / f"{name}.ipynb")
    return f"/lab/tree/{name}.ipynb"


def test_good_panels_pass(lab: tuple[Path, str], browser: Browser) -> None:
    check_notebook(Visit(browser, lab[1] + write_notebook(lab[0], "good", PANEL, "", *GOOD)))


PROJECTED = """import os
os.environ["DLMONE_PROJECTOR"] = "1"
from dlmone_lite.figures import style
from dlmone_lite.panels.panel import Panel, View, choice, slider, switch
def compute(t, name, on):
    fig, (ax,) = style.canvas(height=4.6)
    ax.plot([0, t], [0, 1])
    return View(style.html(fig, "a line"), f"t {t} | {name} | {on} | " + "some more words " * 8)
controls = {"t": slider("noise step t", 1, 2000, 1500), "name": choice("source", ["a", "b"]), "on": switch("on")}
Panel("For a hall", controls, compute, height=610)"""


def test_a_projected_panel_fits_on_the_page(lab: tuple[Path, str], browser: Browser) -> None:
    """1280 x 720 pixels at 150 percent are 853 x 480."""
    visit = Visit(browser, lab[1] + write_notebook(lab[0], "projected", PROJECTED))
    page = visit.page
    page.set_viewport_size({"width": 853, "height": 480})
    try:
        visit.run_all()
        page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
        check_panels(page)
        panel = page.locator(".dlmone-panel").first
        box, text = panel.bounding_box(), panel.locator(".dlmone-readout").first
        SHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SHOTS / "projected.png")
        assert box["height"] <= 367, "what JupyterLab leaves of the page"
        image = page.locator(".dlmone-projected img").first.bounding_box()
        assert image["height"] > 150 and page.locator(".noUi-base").first.bounding_box()["width"] > 90
        assert text.evaluate("e => getComputedStyle(e).fontSize") == "20px"
        left, image = (panel.locator(what).first.bounding_box() for what in ("select", "img"))
        assert left["x"] + left["width"] <= image["x"] + 1, "controls stand beside the figure"
    finally:
        visit.close()


def test_a_panel_says_that_its_kernel_is_gone(lab: tuple[Path, str], browser: Browser) -> None:
    source = "from dlmone_lite.panels import pulse\npulse.SILENCE = 6.0\n" + PROJECTED
    visit = Visit(browser, lab[1] + write_notebook(lab[0], "restarted", source))
    page = visit.page
    try:
        visit.run_all()
        notice = page.locator(".dlmone-silent")
        height = "() => document.querySelector('.dlmone-silent').getBoundingClientRect().height"
        page.wait_for_timeout(9000)
        assert page.evaluate(height) == 0, "a living kernel beats"
        page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
        wait_for("the notice", 20, lambda: page.evaluate(height) > 10)
        assert "run its cell again" in notice.inner_text()
    finally:
        visit.close()


@pytest.mark.parametrize("fault", [*FAULTS, "no_panel"])
def test_planted_fault_is_caught(
    lab: tuple[Path, str], browser: Browser, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "PANEL_TIMEOUT", 6.0)
    source, complaint = FAULTS.get(fault, ("1 + 1", "no panel"))
    sources = [source] if fault == "no_panel" else [PANEL, source]
    with pytest.raises(AssertionError, match=complaint):
        check_notebook(Visit(browser, lab[1] + write_notebook(lab[0], fault, *sources)))
