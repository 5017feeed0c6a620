"""Every planted fault still fits the code: its right text stands once in its file, and its tests exist."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
import planted_faults  # noqa: E402


@pytest.mark.parametrize("fault", list(planted_faults.faults()), ids=lambda fault: fault.name)
def test_a_planted_fault_fits(fault: planted_faults.Fault) -> None:
    text = (planted_faults.ROOT / "dlmone_lite" / fault.file).read_text(encoding="utf-8")
    assert text.count(fault.right) == 1 and fault.right != fault.wrong
    assert [name for name in fault.tests if not (planted_faults.ROOT / name).is_file()] == []
