"""What a check finds, and the checks of installed software: Python, packages, Jupyter, a browser.

Imports the standard library only, so that it runs where everything else is broken.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from dlmone_lite.errors import InputError
from dlmone_lite.files import ROOT

if TYPE_CHECKING:
    from packaging.requirements import Requirement

OK, NOTE, PROBLEM = "ok", "note", "problem"
PATIENCE = 60.0  # seconds for another program; the first import of torch after a boot is slow
INSTALL = "python -m pip install -r requirements.txt"
PYPROJECT = ROOT / "pyproject.toml"
KERNEL = "python3"  # the notebooks' kernel
KERNEL_TEST = "import sys, ipykernel; from dlmone_lite.files import ROOT; print(sys.prefix); print(ROOT)"
MANAGER = Path("@jupyter-widgets", "jupyterlab-manager", "package.json")  # draws the sliders in JupyterLab
BROWSERS = ("chromium", "chromium-browser", "google-chrome")  # as in tests/test_browser.py


@dataclass(frozen=True)
class Finding:
    """A verdict with its reason; a note (the course works without it) and a problem have a cure."""

    verdict: str
    text: str
    cure: str = ""

    def line(self, name: str) -> str:
        """The finding of the check `name` as printed, the cure on a second line."""
        first = f"{self.verdict:7}  {name:14} {' '.join(self.text.split())}"
        return first + (f"\n{'':24} -> {' '.join(self.cure.split())}" if self.cure else "")


Check = Callable[[], Iterator[Finding]]


def guarded(check: Check) -> Iterator[Finding]:
    """The findings of a check; an exception becomes a problem, so that the other checks still run."""
    try:
        yield from check()
    except Exception as error:
        yield failure(error)


def failure(error: Exception) -> Finding:
    """The problem that an exception stands for; an InputError reads "what is wrong; what to do"."""
    if isinstance(error, InputError):
        text, _, cure = str(error).rpartition("; ")
        return Finding(PROBLEM, text or cure, cure)
    if isinstance(error, ModuleNotFoundError):
        return Finding(PROBLEM, f"not checked, {error}", INSTALL)
    cure = "cure the other problems first; if this stays, restore the kit's files with: git checkout -- ."
    return Finding(PROBLEM, f"the check failed with {type(error).__name__}: {error}", cure)


def ask(
    command: Sequence[str], cwd: Path | None = None, env: dict[str, str] | None = None
) -> tuple[bool, str]:
    """Run another program: (True, what it printed) or (False, the last line of its error)."""
    options = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "errors": "replace"}
    try:
        done = subprocess.run(command, timeout=PATIENCE, cwd=cwd, env=env, **options)
    except subprocess.TimeoutExpired:
        return False, f"no answer within {PATIENCE:g} s"
    except OSError as error:
        return False, f"{command[0]} does not start ({error.strerror})"
    if done.returncode == 0:
        return True, done.stdout.strip()
    if done.returncode < 0:
        return False, f"{command[0]} crashed (signal {-done.returncode})"
    lines = done.stderr.strip().splitlines()
    return False, lines[-1] if lines else f"{command[0]} ended with exit code {done.returncode}"


# ---- Python and packages


def python() -> Iterator[Finding]:
    """Whether this Python lies in the range of pyproject.toml, which is read without any package."""
    version = platform.python_version()
    allowed = re.search(r'^requires-python = "(.+)"', PYPROJECT.read_text(encoding="utf-8"), re.M)[1]
    bounds = re.findall(r"(>=|<)\s*(\d+)\.(\d+)", allowed)
    fits = [
        (sys.version_info[:2] >= (int(major), int(minor))) == (sign == ">=") for sign, major, minor in bounds
    ]
    if fits and all(fits):
        yield Finding(OK, f"{version}, within {allowed}; {sys.executable}")
    else:
        cure = f"install a Python within {allowed}, make an environment with it, then: {INSTALL}"
        yield Finding(PROBLEM, f"{version} is not within {allowed}", cure)


def declared() -> list[Requirement]:
    """The packages that the kit needs, from pyproject.toml. (Python 3.10 has no reader of TOML.)"""
    from packaging.requirements import Requirement

    text = PYPROJECT.read_text(encoding="utf-8")
    block = re.search(r"^dependencies = \[$(.*?)^\]$", text, re.M | re.S)[1]
    return [Requirement(line) for line in re.findall(r'^\s*"([^"]+)"', block, re.M)]


def complaint(requirement: Requirement) -> str:
    """What is wrong with an installed package; "" when it is installed and in its range."""
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return f"{requirement.name} is not installed"
    if version and requirement.specifier.contains(version, prereleases=True):
        return ""
    return f"{requirement.name} {version} is not within {requirement.specifier}"


def packages() -> Iterator[Finding]:
    """Whether every package that the kit declares is installed and in its range."""
    requirements = declared()
    complaints = {requirement: complaint(requirement) for requirement in requirements}
    for requirement, text in complaints.items():
        if text:
            yield Finding(PROBLEM, text, f'python -m pip install "{requirement}"')
    if not any(complaints.values()):
        yield Finding(OK, f"all {len(requirements)} that the kit declares are installed and in range")


# ---- Jupyter


def kernel() -> Iterator[Finding]:
    """Whether the notebooks' kernel starts this environment and imports this copy of the kit."""
    from jupyter_client.kernelspec import NoSuchKernel
    from jupyter_client.manager import KernelManager

    install = "python -m ipykernel install --sys-prefix"
    try:
        manager = KernelManager(kernel_name=KERNEL)
        command, spec = manager.format_kernel_cmd(), manager.kernel_spec
    except NoSuchKernel:
        yield Finding(PROBLEM, f"Jupyter knows no kernel {KERNEL}", install)
        return
    if "-m" not in command:
        text = f"the kernel {KERNEL} starts in an unusual way, which is not checked: {' '.join(command)}"
        yield Finding(NOTE, text, "run `import dlmone_lite` in a notebook to see whether it works")
        return

    # Start the kernel's interpreter in the notebooks' folder, because in ROOT it would find any package.
    program = [*command[: command.index("-m")], "-c", KERNEL_TEST]
    works, answer = ask(program, ROOT / "notebooks", {**os.environ, **spec.env})
    if not works:
        cure = f"remove the folder {spec.resource_dir}, then: {install}"
        if "No module named" in answer:
            cure = f"in the kit's folder: {command[0]} -m pip install -r requirements.txt"
        yield Finding(PROBLEM, f"the notebooks' kernel: {answer}", cure)
        return
    prefix, root = (Path(line).resolve() for line in answer.splitlines()[-2:])
    if (prefix, root) == (Path(sys.prefix).resolve(), ROOT):
        yield Finding(OK, f"{KERNEL} starts {command[0]}, which finds the kit")
    else:
        text = f"notebooks run in another environment, or with another copy of the kit: {prefix}, {root}"
        yield Finding(NOTE, text, f"check that one: {command[0]} -m dlmone_lite doctor")


def widgets() -> Iterator[Finding]:
    """Whether sliders appear: JupyterLab finds the widget manager that comes with ipywidgets."""
    from jupyter_core.paths import jupyter_path

    version = metadata.version("ipywidgets")
    if any(Path(folder, MANAGER).is_file() for folder in jupyter_path("labextensions")):
        yield Finding(OK, f"ipywidgets {version}, and JupyterLab finds their manager")
    else:
        cure = "python -m pip install --force-reinstall --no-deps ipywidgets jupyterlab_widgets"
        yield Finding(PROBLEM, "JupyterLab finds no widget manager: sliders would be missing", cure)


def browser() -> Iterator[Finding]:
    """Whether there is a Chromium for the browser test; no lesson needs it."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path:
        yield Finding(OK, f"can run, with {path}")
    else:
        text = "there is no Chromium on the search path: the test skips itself; the course does without"
        yield Finding(NOTE, text, "if you want it: install Chromium")
