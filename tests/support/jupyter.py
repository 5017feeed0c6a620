"""A JupyterLab of the tests' own: on this machine only, its settings and state in a scratch folder."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat

# Every cell is rendered, nothing asks questions, nothing looks for news.
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "docmanager-extension/plugin": {"autosave": False},
}
DISABLED = {"@jupyterlab/apputils-extension:announcements": True}


def wait_for(what: str, seconds: float, done: Callable[[], bool]) -> None:
    """Poll `done()` until it is true; AssertionError naming `what` after `seconds`."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.2)


def environment(private: Path) -> dict[str, str]:
    """Write the settings under `private`; return the environment that keeps JupyterLab inside it."""
    for name, values in SETTINGS.items():
        path = private / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values), encoding="utf-8")
    page_config = private / "config" / "labconfig" / "page_config.json"
    page_config.parent.mkdir(parents=True)
    page_config.write_text(json.dumps({"disabledExtensions": DISABLED}), encoding="utf-8")
    places = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
    }
    return {**os.environ, **{name: str(private / place) for name, place in places.items()}}


def answers(url: str) -> bool:
    """Whether `url` answers at all, asked without any proxy."""
    try:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2).close()
    except OSError:
        return False
    return True


def copy_unexecuted(source: Path, target: Path) -> None:
    """Copy a notebook without outputs and counts, so that what is seen later was computed there."""
    notebook = nbformat.read(source, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.update(outputs=[], execution_count=None)
    nbformat.write(notebook, target)


@contextmanager
def jupyterlab(served: Path, private: Path) -> Iterator[str]:
    """Serve the folder `served`; yields the address and stops the server at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser"]
    command += ["--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token="]
    command += [f"--ServerApp.root_dir={served}", "--LabApp.extension_manager=readonly"]
    private.mkdir(exist_ok=True)
    log = private / "lab.log"
    with open(log, "w", encoding="utf-8") as sink:
        server = subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT, env=environment(private))
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for("JupyterLab", 90, lambda: server.poll() is not None or answers(f"{address}/api"))
            assert server.poll() is None, log.read_text(encoding="utf-8")[-2000:]
            yield address
        finally:
            server.terminate()
            try:
                server.wait(timeout=20)
            except subprocess.TimeoutExpired:
                server.kill()
