"""The checks of `doctor` that look at what is installed: Python, packages, Jupyter, a browser.

None imports torch. What is allowed is read from pyproject.toml, so that it stands in one place only.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sys
import sysconfig
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import dlmone_lite
from dlmone_lite.cli.doctor.checks import Check, ask, good, note, problem
from dlmone_lite.errors import InputError
from dlmone_lite.files import ROOT

if TYPE_CHECKING:
    from email.message import Message

    from packaging.requirements import Requirement

PYPROJECT = ROOT / "pyproject.toml"
KERNEL = "python3"  # the notebooks' kernel
KERNEL_TEST = "import sys, ipykernel, dlmone_lite; print(sys.prefix); print(dlmone_lite.__file__)"
MANAGER = Path("@jupyter-widgets", "jupyterlab-manager", "package.json")  # what draws the sliders
BROWSERS = ("chromium", "chromium-browser", "google-chrome")  # that tests/test_browser.py looks for
EVERYTHING = "python -m pip install -r requirements.txt"


def allowed_python() -> str:
    """The range of Python as the kit declares it; with a wrong Python no package may help to read it."""
    if PYPROJECT.is_file():
        return re.search(r'^requires-python = "(.+)"', PYPROJECT.read_text(encoding="utf-8"), re.M)[1]
    return _about()["Requires-Python"]


def declared() -> dict[str, list[Requirement]]:
    """The packages this machine needs by extra ("": always needed), from pyproject.toml.

    Where that is not there, or this Python cannot read it, from what was written at installation.
    """
    from packaging.requirements import Requirement

    if PYPROJECT.is_file() and sys.version_info >= (3, 11):
        import tomllib

        project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
        lines = {"": project["dependencies"], **project["optional-dependencies"]}
    else:
        about = _about()
        lines = dict.fromkeys(["", *(about.get_all("Provides-Extra") or [])], about.get_all("Requires-Dist"))
    found: dict[str, list[Requirement]] = {}
    for extra, needs in lines.items():  # a marker may name the extra, or a system
        requirements = map(Requirement, needs or [])
        wanted = [r for r in requirements if not r.marker or r.marker.evaluate({"extra": extra})]
        found[extra] = [r for r in wanted if not extra or str(r) not in map(str, found[""])]
    return found


def _about() -> Message:
    try:
        return metadata.metadata("dlmone_lite")
    except metadata.PackageNotFoundError as error:
        raise InputError(f"dlmone_lite is not installed, so its needs are unknown; {EVERYTHING}") from error


def complaint(requirement: Requirement) -> str:
    """What is wrong with an installed package; nothing when it is there and in its range."""
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return f"{requirement.name} is not installed"
    if version and requirement.specifier.contains(version, prereleases=True):
        return ""
    return f"{requirement.name} {version} is not within {requirement.specifier}"


def python() -> list[Check]:
    """Whether this Python is one the kit is written for."""
    here, allowed = platform.python_version(), allowed_python()
    # no packages and no zip(strict=True) here: a Python too old must come to its verdict
    bounds = re.findall(r"(>=|<)\s*(\d+)\.(\d+)", allowed)
    above = [sys.version_info[:2] >= (int(major), int(minor)) for _, major, minor in bounds]
    if bounds and all(reached == (sign == ">=") for (sign, *_), reached in zip(bounds, above)):  # noqa: B905
        return good("python", f"{here}, within {allowed}; {sys.executable}")
    cure = f"install a Python within {allowed}, make an environment with it, then: {EVERYTHING}"
    return problem("python", f"{here} is not within {allowed}", cure)


def packages() -> list[Check]:
    """Whether every package the kit declares is there and in its range."""
    wanted = declared()[""]
    bad = {requirement: text for requirement in wanted if (text := complaint(requirement))}
    found = [
        check
        for requirement, text in bad.items()
        for check in problem("packages", text, f'python -m pip install "{plain(requirement)}"')
    ]
    fine = len(wanted) - len(bad)
    return found or good("packages", f"all {fine} that the kit declares are installed and in range")


def extras() -> list[Check]:
    """The same for what only the tests or one measure need: never more than a note."""
    found = []
    for extra, wanted in declared().items():
        bad = {requirement: text for requirement in wanted if (text := complaint(requirement))}
        if bad and extra:
            install = " ".join(f'"{plain(requirement)}"' for requirement in bad)
            text = f"{'; '.join(bad.values())}; optional, the course does without"
            found += note(f"extra {extra}", text, f"if you want it: python -m pip install {install}")
        elif extra:
            found += good(f"extra {extra}", "installed and in range")
    return found


def plain(requirement: Requirement) -> str:
    """A requirement without its marker, as pip takes it."""
    return f"{requirement.name}{requirement.specifier}"


def kernel() -> list[Check]:
    """Whether the notebooks' kernel starts an interpreter that finds this kit: it is asked, not guessed."""
    from jupyter_client.kernelspec import NoSuchKernel
    from jupyter_client.manager import KernelManager

    try:
        manager = KernelManager(kernel_name=KERNEL)
        command, spec = manager.format_kernel_cmd(), manager.kernel_spec
    except NoSuchKernel:
        return problem(
            "kernel", f"Jupyter knows no kernel {KERNEL}", "python -m ipykernel install --sys-prefix"
        )
    if "-m" not in command:
        text = f"the kernel {KERNEL} starts in an unusual way, which is not checked: {' '.join(command)}"
        return note("kernel", text, "run `import dlmone_lite` in a notebook to see whether it works")
    notebooks = ROOT / "notebooks"  # where Jupyter starts it, so that nothing is found by this folder's luck
    program = [*command[: command.index("-m")], "-c", KERNEL_TEST]
    fine, answer = ask(program, notebooks if notebooks.is_dir() else None, {**os.environ, **spec.env})
    if not fine and "No module named" in answer:
        cure = f"in the kit's folder: {command[0]} -m pip install -r requirements.txt"
        return problem("kernel", f"the notebooks' kernel: {answer}", cure)
    if not fine:
        cure = f"remove the folder {spec.resource_dir}, then: python -m ipykernel install --sys-prefix"
        return problem("kernel", f"the notebooks' kernel: {answer}", cure)
    prefix, place = (Path(line).resolve() for line in answer.splitlines()[-2:])
    if prefix != Path(sys.prefix).resolve():
        cure = f"check that one: {command[0]} -m dlmone_lite doctor"
        return note("kernel", f"notebooks run in another environment than this command: {prefix}", cure)
    if place != Path(dlmone_lite.__file__).resolve():
        text = f"notebooks use another copy of the kit than this command: {place.parent.parent}"
        return note("kernel", text, f"to use this one, in {ROOT}: python -m pip install -e .")
    return good("kernel", f"{KERNEL} starts {command[0]}, which finds the kit")


def jupyter() -> list[Check]:
    """Whether the word `jupyter`, as typed, means this environment's."""
    homes = [Path(sysconfig.get_path("scripts")), Path(sys.executable).parent]
    homes.append(Path(sysconfig.get_path("scripts", f"{os.name}_user")))
    cure = "start it with: python -m jupyterlab notebooks/00_start_here.ipynb"
    found = shutil.which("jupyter")
    if found is None:
        return note("jupyter", "there is no command `jupyter` on the search path", cure)
    if Path(found).parent.resolve() not in [home.resolve() for home in homes]:
        return note("jupyter", f"`jupyter` is another environment's: {found}", cure)
    return good("jupyter", f"`jupyter` is this environment's: {found}")


def widgets() -> list[Check]:
    """Whether the sliders appear: ipywidgets, and the manager that draws them in JupyterLab, fit together."""
    from jupyter_core.paths import jupyter_path
    from packaging.requirements import Requirement

    cure = 'python -m pip install --force-reinstall --no-deps ipywidgets "{}"'
    try:
        version, lines = metadata.version("ipywidgets"), metadata.requires("ipywidgets") or []
    except metadata.PackageNotFoundError:
        return problem("widgets", "ipywidgets is not installed: there are no sliders", EVERYTHING)
    needs = [r for r in map(Requirement, lines) if r.name.replace("-", "_") == "jupyterlab_widgets"]
    for requirement in needs:
        if text := complaint(requirement):
            return problem(
                "widgets", f"ipywidgets {version}: {text}", f'python -m pip install "{plain(requirement)}"'
            )
    files = [Path(folder, MANAGER) for folder in jupyter_path("labextensions")]
    file = next((path for path in files if path.is_file()), None)
    if file is None:
        text = "JupyterLab finds no widget manager: sliders would be missing"
        return problem("widgets", text, cure.format(plain(needs[0]) if needs else "jupyterlab_widgets"))
    manager = json.loads(file.read_text(encoding="utf-8"))["version"]
    return good("widgets", f"ipywidgets {version} and JupyterLab's manager {manager} fit together")


def browser() -> list[Check]:
    """Whether there is a Chromium for the browser test; no lesson needs it."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found:
        return good("browser test", f"can run, with {found}")
    text = "there is no Chromium on the search path: the browser test skips itself; the course does without"
    return note("browser test", text, "if you want it: install Chromium")
