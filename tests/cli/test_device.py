"""A GPU, where there is one, does what a CPU does: commands in each precision, a state that moves there."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import SimpleNamespace

import pets
import pytest
import torch

from dlmone_lite import __main__ as program
from dlmone_lite.checkpoints.checkpoint import load
from dlmone_lite.corpora.tables import read_jsonl
from dlmone_lite.jobs import loop
from dlmone_lite.training.precision import candidate_precisions

GPU = pytest.param(
    "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here: nothing ran on one")
)


@pytest.mark.slow
@pytest.mark.parametrize("device", ["cpu", GPU])
def test_the_chain_of_commands(device: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A teacher, its sharpened copy, a student of two stages after a warm start; written and measured."""
    pets.make_world(tmp_path)
    where = ["--world", tmp_path / "pets.grammar", "--device", device]
    for precision in candidate_precisions(torch.device(device)):
        teacher, sharp, student = (tmp_path / f"{name}.safetensors" for name in ("t", "sharp", "s"))
        how = ["--set", "batch_size=8", f"precision={precision}"]
        pets.run(capsys, "train", "--out", teacher, "--steps", "3", *pets.TINY, *where, *how)
        few = ["sources=4", "samples=2", "nfe=3"]
        pets.run(capsys, "sharpen", "--teacher", teacher, "--out", sharp, "--steps", "2", *where, *how, *few)
        more = ["--stages", "2", "--steps", "2", "--eval-every", "1", *pets.EVALUATION, "--warm-start", "2"]
        more += ["--set0", *few, *how[1:]]
        pets.run(capsys, "distill", "--teacher", sharp, "--out", student, *more, *where, *how, "psi_warmup=1")
        assert load(student).provenance["stages"][-1]["config"]["precision"] == precision
        for network in (teacher, student):
            seen = ["--steps", "2", "--sources", "2", "--samples", "3", "--precision", precision]
            assert "TV" in pets.run(capsys, "evaluate", "--checkpoint", network, *seen, *where)


@pytest.mark.parametrize("device", ["cpu", GPU])
def test_a_state_of_a_cpu_goes_on_there(
    device: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pets.make_world(tmp_path)
    out, log = tmp_path / "t.safetensors", tmp_path / "t.jsonl"
    argv = ["train", "--world", tmp_path / "pets.grammar", "--steps", "4", *pets.TINY, *pets.FAST]
    argv = [str(word) for word in [*argv, "--out", out, "--log", log]]
    with monkeypatch.context() as hurried:  # stopped after the first update
        hurried.setattr(loop, "Stopper", lambda: contextlib.nullcontext(SimpleNamespace(asked=True)))
        assert program.main([*argv, "--device", "cpu"]) == 130
    capsys.readouterr()
    pets.run(capsys, *argv, "--device", device, "--resume")
    rows = read_jsonl(log, ())
    assert [row["step"] for row in rows] == [1, 2, 3, 4] and load(out).provenance["steps"] == 4
