"""The live panel: sliders reach the run between two steps, Stop stops, a real kernel stays responsive."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from jupyter_client.manager import start_new_kernel

from dlmone_lite.errors import InputError
from dlmone_lite.panels.live import LivePanel
from dlmone_lite.panels.panel import View, choice, slider
from dlmone_lite.training.run import Step


@dataclass
class Config:
    steps: int = 200
    mu: float = 1.0
    shape: str = "linear"
    exact: bool = False


@dataclass
class Run:
    """As much of a training run as a panel uses; remembers which mu each step saw."""

    seed: int
    fail_at: int = -1
    step: int = 0
    config: Config = field(default_factory=Config)
    seen: list[float] = field(default_factory=list)

    @property
    def total(self) -> int:
        return self.config.steps

    def advance(self, evaluate=None) -> Step:
        time.sleep(0.002)
        self.step += 1
        if self.step == self.fail_at:
            raise RuntimeError("diverged")
        self.seen.append(self.config.mu)
        evaluation = evaluate(None) if evaluate else None
        return Step(self.step, {"loss": self.config.mu}, {}, 0.1, 0.0, 0, evaluation)


def draw(history: list[Step], run: Run) -> View:
    return View(f"<p>{len(history)}</p>", f"loss {history[-1].losses['loss']:.1f}" if history else "")


def make_panel(fail_at: int = -1, **options: object) -> LivePanel:
    controls = {"mu": slider("mu", 0.0, 2.0, 1.0, 0.1), "shape": choice("lr", ["linear", "constant"])}
    controls["exact"] = choice("psi", {"learned": False, "exact": True})  # shown as the menu shows them
    setup = {"seed": slider("seed", 0, 9, 3)}
    return LivePanel("Train", controls, lambda seed: Run(seed, fail_at), draw, setup=setup, **options)


def run(coroutine: Coroutine) -> None:
    asyncio.run(coroutine)


async def until(done) -> None:
    for _ in range(2000):
        if done():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("waited too long")


def test_an_action_changes_the_run_and_is_logged() -> None:
    def jump(run: Run) -> None:
        run.step += 10

    def fail(run: Run) -> None:
        raise RuntimeError("no")

    panel = make_panel(actions={"Jump": jump, "Fail": fail})
    jumping, failing = panel._actions
    jumping.click()
    assert panel.readout.startswith("step 10 of 200") and panel.log == ["step 10: Jump"]
    failing.click()
    assert panel.error == "RuntimeError: no" and panel.log == ["step 10: Jump"]
    assert panel.act("Jump").startswith("step 20 of 200") and panel.error == ""
    with pytest.raises(InputError, match="Jump"):
        panel.act("Jumo")
    panel.reset()
    assert panel.run.step == 0 and panel.log == []


def test_steps_in_a_script() -> None:
    panel = make_panel(evaluate=lambda network: {"validity": 0.5}, evaluate_every=4)
    assert panel.readout == "step 0 of 200 | mu 1, lr linear, psi learned"
    assert panel.run_steps(5) == "step 5 of 200 | loss 1.0 | mu 1, lr linear, psi learned"
    assert [step.step for step in panel.history if step.evaluation] == [4]
    assert (
        panel.set(mu=0.5, shape="constant") == "step 5 of 200 | loss 1.0 | mu 0.5, lr constant, psi learned"
    )
    panel.set(exact=True)
    panel.run_steps(2)
    assert panel.run.seen == [1.0] * 5 + [0.5] * 2 and panel.run.config.shape == "constant"
    assert panel.log == [
        "step 5: mu 1 -> 0.5",
        "step 5: lr linear -> constant",
        "step 5: psi learned -> exact",
    ]
    assert panel.run_steps(1000).startswith("step 200 of 200")


def test_sliders_and_stop_work_while_it_trains() -> None:
    async def scenario() -> None:
        panel = make_panel()
        panel._start.click()
        assert panel.running and panel._start.disabled and not panel._stop.disabled
        assert panel.controls["seed"].disabled and not panel.controls["mu"].disabled
        await until(lambda: panel.run.step >= 5)
        panel.controls["mu"].value = 0.2
        changed = panel.run.step
        assert panel.readout.endswith("mu 0.2, lr linear, psi learned")
        await until(lambda: panel.run.step >= changed + 5)
        panel._stop.click()
        stopped = panel.run.step
        await asyncio.sleep(0.05)
        assert panel.run.step == stopped == len(panel.history) and not panel.running
        assert panel.run.seen == [1.0] * changed + [0.2] * (stopped - changed)
        assert panel.log == [f"step {changed}: mu 1 -> 0.2", f"step {stopped}: stopped"]
        assert not panel._start.disabled and not panel.controls["seed"].disabled
        panel.start()
        await until(lambda: not panel.running)
        assert panel.run.step == 200 and panel.log[-1] == "step 200: finished"

    run(scenario())


def test_reset_while_training_starts_afresh() -> None:
    async def scenario() -> None:
        panel = make_panel()
        panel.start()
        await until(lambda: panel.run.step >= 3)
        panel.set(mu=0.1)
        panel.reset()
        assert panel.run.step == 0 and panel.history == panel.log == [] and panel.values["mu"] == 1.0
        assert panel.run.config.mu == 1.0 and not panel.running
        await asyncio.sleep(0.05)
        assert panel.run.step == 0

    run(scenario())


def test_it_pauses_by_itself_and_reports_errors() -> None:
    async def scenario() -> None:
        panel = make_panel(pause_after=0.05)
        panel.start()
        await until(lambda: not panel.running)
        assert 0 < panel.run.step < 200 and panel.log[-1].endswith("paused; Start goes on")
        panel = make_panel(fail_at=4)
        panel.start()
        await until(lambda: not panel.running)
        assert panel.error == "RuntimeError: diverged" and 'role="alert"' in panel.html
        assert not panel._start.disabled and len(panel.history) == 3

    run(scenario())
    with pytest.raises(RuntimeError, match="diverged"):
        make_panel(fail_at=4).run_steps(9)


def test_setup_makes_a_fresh_run() -> None:
    panel = make_panel()
    panel.set(mu=0.3)
    panel.run_steps(3)
    panel.set(seed=7)
    assert (panel.run.seed, panel.run.step, panel.run.config.mu, panel.history) == (7, 0, 0.3, [])


def test_a_control_without_a_field_is_refused() -> None:
    with pytest.raises(InputError, match="no field 'nu'"):
        LivePanel("p", {"nu": slider("nu", 0, 9, 1)}, lambda: Run(0), draw)


def test_a_real_kernel_hears_the_slider_while_it_trains() -> None:
    """What a browser does: messages to the kernel are handled between steps, not after the run."""
    manager = pytest.importorskip("jupyter_client.manager")
    kernel, client = manager.start_new_kernel(kernel_name="python3")
    try:
        code = (
            "import sys; sys.path[:0] = ['tests/panels', 'tests/support']\n"
            "from test_live import make_panel\n"
            "panel = make_panel(); panel.run.config.steps = 2000; panel.start()"
        )
        reply = client.execute_interactive(code, timeout=120, output_hook=lambda message: None)
        assert reply["content"]["status"] == "ok", reply["content"]
        ask = "assert panel.running and 0 < panel.run.step < 2000; panel.set(mu=0.4); panel.stop()"
        time.sleep(0.3)
        reply = client.execute_interactive(ask, timeout=120, output_hook=lambda message: None)
        assert reply["content"]["status"] == "ok", reply["content"]
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)


def test_an_error_of_a_control_is_shown() -> None:
    """In a browser nothing else tells it: set-up, Reset and a refused coefficient."""

    class Refusing:
        def __setattr__(self, name: str, value: object) -> None:
            if value == 3.0:
                raise InputError("no lr of 3")
            object.__setattr__(self, name, value)

    def make(seed: int) -> SimpleNamespace:
        if seed == 3:
            raise FileNotFoundError("runs/seed3.safetensors")
        config = Refusing()
        config.lr = 0.1
        return SimpleNamespace(step=0, total=9, config=config, seed=seed)

    controls, setup = {"lr": slider("lr", 1.0, 4.0, 1.0, 1.0)}, {"seed": slider("seed", 0, 9, 0)}
    panel = LivePanel(
        "live", controls, make, lambda h, run: View("<p>x</p>", f"seed {run.seed}"), setup=setup
    )
    panel.controls["seed"].value = 3
    assert "runs/seed3.safetensors" in panel.error
    panel.controls["seed"].value = 4
    assert not panel.error and "seed 4" in panel.readout
    panel.controls["lr"].value = 3.0
    assert "no lr of 3" in panel.error


IN_A_KERNEL = """
import time
from types import SimpleNamespace
from dlmone_lite.panels.live import LivePanel
from dlmone_lite.panels.panel import View, slider
from dlmone_lite.training.run import Step

class Slow:
    step, total = 0, 10_000
    def __init__(self):
        self.config = SimpleNamespace(mu=1.0)
    def advance(self, evaluate):
        time.sleep(0.01)
        self.step += 1
        return Step(self.step, {}, {}, 0.1, 0.0, 0, None)

panel = LivePanel("Train", {"mu": slider("mu", 0.0, 2.0, 1.0, 0.1)}, Slow, lambda history, run: View("", ""))
"""


def test_the_kernels_interrupt_stops_it_and_leaves_the_kernel_alive() -> None:
    manager, client = start_new_kernel(kernel_name="python3")
    said: list[str] = []

    def run(code: str) -> None:
        def heard(message: dict) -> None:
            said.append(message["content"].get("text", "") if message["msg_type"] == "stream" else "")

        reply = client.execute_interactive(code, timeout=60, output_hook=heard)
        assert reply["content"]["status"] == "ok", reply["content"]

    try:
        run(IN_A_KERNEL)
        run("panel.start()")
        time.sleep(0.5)
        manager.interrupt_kernel()
        time.sleep(0.2)
        run("print(panel.running, panel.log[-1].partition(': ')[2])")
        assert "".join(said).split() == ["False", "stopped"]
        manager.interrupt_kernel()  # nothing runs: nothing happens
        run("panel.start()")
        time.sleep(0.3)
        run("print(panel.running); panel.stop()")
        assert "".join(said).split()[2:] == ["True"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
