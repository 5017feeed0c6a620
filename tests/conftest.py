"""What the whole test run shares: kernel environment, notebook comparison, order of the tests."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
BROWSER = "test_browser.py"

# Inherited by every kernel that a test starts. One thread everywhere: sums keep their order, small tensors
# are not spread over the cores of a large machine, the two processes of a run do not wait for each other.
ENVIRONMENT = {
    "DLMONE_BUDGET": "fast",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",  # a notebook that needs the network must fail here
    "HF_DATASETS_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
}


def pytest_configure(config: pytest.Config) -> None:
    """Set the environment before any test module imports torch; a value the caller gave wins."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # What a learner has solved is neither asked nor changed here.
    os.environ["DLMONE_PROGRESS"] = str(Path(tempfile.mkdtemp(prefix="progress-")) / "progress.json")
    # Kernels run in the notebook's folder; a checkout that was never installed is still found.
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order, and what the notebooks' comparison leaves out.

    Cheap files first: unit tests and lint, then notebooks, files with something slow, and the browser (a
    stable sort). stderr is not compared: warnings and progress bars differ between honest runs.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}

    def late(item: pytest.Item) -> int:
        if item.path.name == BROWSER:
            return 3
        return 2 if item.path in slow else item.path.suffix == ".ipynb"

    items.sort(key=late)
    for notebook in {item.parent for item in items if item.path.suffix == ".ipynb"}:
        notebook.skip_compare += ("stderr",)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file stays in one process (a notebook's cells share a kernel); browser visits are shared out."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return nodeid if BROWSER in nodeid else super()._split_scope(nodeid)

    return ByFile(config, log)


@pytest.fixture(autouse=True)
def own_progress(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What tests solve goes to a file of theirs, so that of the notebooks' kernels stays empty."""
    monkeypatch.setenv("DLMONE_PROGRESS", str(tmp_path_factory.getbasetemp() / "solved" / "progress.json"))
