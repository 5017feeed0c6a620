"""A few damaged files, bad inputs, random calls and kills; `python tests/fuzz.py` is the long form."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

SPEC = importlib.util.spec_from_file_location("fuzz", Path(__file__).with_name("fuzz.py"))
fuzz = importlib.util.module_from_spec(SPEC)
sys.modules["fuzz"] = fuzz
SPEC.loader.exec_module(fuzz)

FEW = {"damaged_files": 60, "grammars": 40, "corpora": 25, "calls": 40, "kills": 4}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> fuzz.Lab:
    return fuzz.Lab(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.skipif(not hasattr(fuzz.signal, "SIGALRM"), reason="needs an alarm")
@pytest.mark.parametrize("kind", FEW)
def test_nothing_ends_in_a_traceback_or_a_hang(kind: str, lab: fuzz.Lab) -> None:
    assert fuzz.failures(kind, range(FEW[kind]), lab) == []


def test_the_fuzzers_do_damage(lab: fuzz.Lab) -> None:
    """Most of their cases are refused, else they would test nothing."""
    for kind, least in (("damaged_files", 0.6), ("grammars", 0.4), ("corpora", 0.3)):
        said = [fuzz.KINDS[kind][0](number, lab) for number in range(30)]
        assert sum(line.startswith("2 error: ") for line in said) >= least * 30, kind
