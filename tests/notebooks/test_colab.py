"""Colab, imitated: a bare environment with its own torch and ipywidgets 7, no repository by the notebook.

The set-up cell runs there as it is shipped; git is told to take a local clone for the repository's address.
What the environment has, it borrows from the one the tests run in, through links in a folder on its path:
nothing heavy is installed, and what the cell installs can be seen, for its own folder starts out empty.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dlmone_lite.files import ROOT
from dlmone_lite.maintain import stamp

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
WIDGETS = ["ipywidgets==7.7.1", "ipython-genutils"]  # what Colab has, and what that imports
KEPT = ("ipywidgets", "dlmone_lite", "rouge_score", "__editable__", "__pycache__")  # not lent to it

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Colab is Linux: it was not imitated on Windows"),
]

# Runs cells as a notebook does, then tells where everything came from. On Colab the module is loaded early.
PROGRAM = """
import importlib, json, os, sys
import google.colab
from IPython.core.interactiveshell import InteractiveShell

shell, told, out = InteractiveShell.instance(), [], sys.argv[2]
for source in json.load(open(sys.argv[1], encoding="utf-8")):
    result = shell.run_cell(source)
    error = result.error_before_exec or result.error_in_exec
    told.append(f"{type(error).__name__}: {error}" if error else "")
report = {"errors": told}
for name in ("dlmone_lite", "torch", "rouge_score", "ipywidgets"):
    try:
        module = importlib.import_module(name)
        report[name] = [os.path.abspath(module.__file__), getattr(module, "__version__", "")]
    except ImportError:
        report[name] = ["nowhere", ""]
try:
    from dlmone_lite.corpora import world
    from dlmone_lite.checkpoints import zoo
    report["data"] = [len(zoo.names()), sum(zoo.path_of(name).is_file() for name in zoo.names())]
    report["data"] += [len(world.load_split(name, "test")) for name in world.World.names()]
except Exception as error:
    report["data"] = [f"{type(error).__name__}: {error}"]
json.dump(report, open(out, "w", encoding="utf-8"))
"""


def run(command: list[Any], **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=180, **options)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Colab has, in folders: `site-packages` (borrowed), `widgets` (ipywidgets 7), `colab` (a stub)."""
    shelf = tmp_path_factory.mktemp("shelf")
    got = run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--retries", "0", "--timeout", "20"]
              + ["--target", shelf / "widgets", *WIDGETS])  # fmt: skip
    if got.returncode:
        said = got.stderr.strip().splitlines()[-1]
        pytest.skip(f"no package index can be reached, Colab was not imitated ({said})")
    (shelf / "colab" / "google" / "colab").mkdir(parents=True)
    (shelf / "colab" / "google" / "colab" / "__init__.py").touch()
    borrowed = shelf / "site-packages"  # the name by which dill, say, knows what is installed
    borrowed.mkdir()
    for folder in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(folder).iterdir():
            if not entry.name.startswith(KEPT) and entry.suffix not in (".pth", ".egg-link"):
                (borrowed / entry.name).symlink_to(entry)
    return shelf


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare clone of this repository, which stands for the one at pyproject's address."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: there is nothing to clone")
    path = tmp_path_factory.mktemp("remote") / "kit.git"
    got = run(["git", "clone", "-q", "--bare", ROOT, path])
    assert got.returncode == 0, got.stderr
    return path


class Colab:
    """One fresh environment, and a working directory with nothing in it."""

    def __init__(self, folder: Path, shelf: Path, remote: Path):
        self.folder, self.work, self.shelf = folder, folder / "content", shelf
        self.work.mkdir()
        venv.create(folder / "venv", with_pip=False)  # pip is borrowed, too
        self.python = folder / "venv" / "bin" / "python"
        (self.site,) = (folder / "venv").glob("lib/python*/site-packages")
        lines = [f"{shelf / name}\n" for name in ("widgets", "colab", "site-packages")]
        (self.site / "colab.pth").write_text("".join(lines), encoding="utf-8")
        ours = ("PYTHON", "GIT_", "VIRTUAL_ENV")
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        self.env |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.{remote.as_uri()}.insteadOf"}
        self.env |= {"GIT_CONFIG_VALUE_0": stamp.address(), "GIT_ALLOW_PROTOCOL": "file"}
        self.env |= {"IPYTHONDIR": str(folder / "ipython")}

    def run(self, *sources: str) -> dict[str, Any]:
        """Run cells in a new process; what PROGRAM reports."""
        cells, report = self.folder / "cells.json", self.folder / "report.json"
        cells.write_text(json.dumps(sources), encoding="utf-8")
        got = run([self.python, "-c", PROGRAM, cells, report], cwd=self.work, env=self.env)
        assert got.returncode == 0, got.stderr[-2000:]
        return json.loads(report.read_text(encoding="utf-8"))

    def installed(self) -> set[str]:
        """The distributions in the environment's own folder."""
        return {path.name.split("-")[0].lower() for path in self.site.glob("*.dist-info")}

    def complaints(self, report: dict[str, Any]) -> list[str]:
        """What a reader on Colab would stumble over after the set-up cell."""
        said = [error for error in report["errors"] if error]
        came = {"dlmone_lite": self.work / "kit", "rouge_score": self.site}
        came |= {"torch": self.shelf / "site-packages", "ipywidgets": self.shelf / "widgets"}
        for name, folder in came.items():
            where = report[name][0]
            if not Path(where).is_relative_to(folder):
                said.append(f"{name} comes from {where}, not from {folder}")
        if self.installed() != {"rouge_score"}:
            said.append(f"installed: {sorted(self.installed())}, not rouge_score alone")
        if any(not isinstance(count, int) or count == 0 for count in report["data"]):
            said.append(f"data: {report['data']}")
        return said


@pytest.fixture
def colab(tmp_path: Path, shelf: Path, remote: Path) -> Iterator[Colab]:
    yield Colab(tmp_path, shelf, remote)
    shutil.rmtree(tmp_path)  # with a whole clone in it, too much for pytest to keep


def code_cells(path: Path) -> list[str]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_the_set_up_cell_then_the_first_imports_of_every_notebook(colab: Colab) -> None:
    setups, imports = zip(*(code_cells(path)[:2] for path in NOTEBOOKS), strict=True)
    assert len(set(setups)) == 1
    report = colab.run(setups[0], setups[0], *imports)  # twice: a reader may run it again
    assert colab.complaints(report) == []
    assert report["ipywidgets"][1] == "7.7.1" and report["data"][0] == report["data"][1] >= 3


def test_planted_faults_are_named(colab: Colab) -> None:
    """A set-up cell that forgets the path, installs what Colab has in place of what it lacks, and raises."""
    cell = code_cells(NOTEBOOKS[0])[0]
    for right, wrong in {
        'path.insert(0, "kit")': "path.copy()",
        "%pip install -q rouge-score": f"!mkdir {colab.site}/torch-9.dist-info",
    }.items():
        assert right in cell
        cell = cell.replace(right, wrong)
    said = colab.complaints(colab.run(cell, "import rouge_score"))
    for complaint in (
        "ModuleNotFoundError: No module named 'rouge_score'",
        "dlmone_lite comes from nowhere",
        "rouge_score comes from nowhere",
        "installed: ['torch'], not rouge_score alone",
        "data: ",
    ):
        assert any(line.startswith(complaint) for line in said), (complaint, said)


def test_panels_work_with_ipywidgets_7(colab: Colab) -> None:
    """The tests of both kinds of panel, run once more where ipywidgets is Colab's."""
    what = [ROOT / "tests" / "panels" / f"test_{name}.py" for name in ("panel", "live")]
    program = "import ipywidgets as w, pytest, sys; print(w.__version__); sys.exit(pytest.main(sys.argv[1:]))"
    got = run([colab.python, "-c", program, "-q", "-p", "no:cacheprovider", *what], cwd=ROOT, env=colab.env)
    assert got.returncode == 0, got.stdout[-3000:]
    assert got.stdout.startswith("7.7.1\n")
