"""What the tests of the command line share: a small world on disk, tiny networks, ways to call it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dlmone_lite.__main__ import main
from dlmone_lite.checkpoints.checkpoint import Checkpoint, load, save
from dlmone_lite.corpora.world import World
from dlmone_lite.jobs.task import codec_of
from dlmone_lite.model import Denoiser, ModelConfig

# Four right targets a source, of probability 1/2, 1/4, 1/6, 1/12; it has sources in every split.
GRAMMAR = """
world pets
about  small enough to check by hand
max-source 5
max-target 5

slot animal
  cat
  dog
  horse
  parrot
  fish
  hamster

slot place
  here
  there
  outside
  inside
  upstairs
  downstairs
  away
  home

words fast
  fast * 2
  quickly

frame race
  source can a {animal} race {place}
  target * 3 {animal} races {fast} {place}
  target a {animal} is {fast} {place}
"""
SOURCE, UNKNOWN = "can a horse race away", "can a horse race fast"  # held out from training; not in the world
SHAPE = {"embed_dim": 8, "width": 32, "depth": 1, "heads": 2}
TINY = ["--set-model", *(f"{name}={value}" for name, value in SHAPE.items())]
FAST = ["--set", "batch_size=8", "warmup=2", "precision=float32"]
EVALUATION = ["--eval-sources", "2", "--eval-samples", "4"]


def make_world(folder: Path, pairs: int = 300) -> World:
    """The world with its splits on disk."""
    (folder / "pets.grammar").write_text(GRAMMAR, encoding="utf-8")
    world = World.load(folder / "pets.grammar")
    world.write_splits(pairs=pairs)
    return world


def make_checkpoint(path: Path, world: World, role: str, seed: int = 0) -> Path:
    """An untrained tiny network as a checkpoint file."""
    codec = codec_of(world)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Denoiser(ModelConfig(vocab_size=len(codec.vocabulary), length=codec.length, **SHAPE))
    sampling = {"t_init": 1490} if role == "student" else {}
    save(path, Checkpoint(model.eval(), codec, world.name, role, sampling, {"made": "for a test"}))
    return path


def make_lab(folder: Path) -> World:
    """The world, `teacher.safetensors` and `student.safetensors` in `folder`."""
    world = make_world(folder)
    make_checkpoint(folder / "teacher.safetensors", world, "teacher")
    make_checkpoint(folder / "student.safetensors", world, "student")
    return world


def run(capsys: pytest.CaptureFixture[str], *argv: str | Path) -> str:
    """The standard output of a command that must succeed."""
    code = main([str(word) for word in argv])
    out, err = capsys.readouterr()
    assert code == 0, err
    return out


def fail(capsys: pytest.CaptureFixture[str], *argv: str | Path, code: int = 2) -> str:
    """The one line on stderr of a command that must fail with `code`, without its `error: `."""
    assert main([str(word) for word in argv]) == code
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), lines
    return lines[0].removeprefix("error: ")


def same_network(a: Path, b: Path) -> bool:
    """Whether two checkpoints hold the same numbers, bit for bit."""
    left, right = load(a).model.state_dict(), load(b).model.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


def distil_command(folder: Path, out: Path, *more: object) -> list[str]:
    """`distill` with the small world's teacher in `folder`, and further options."""
    argv = ["distill", "--teacher", folder / "teacher.safetensors", "--world", folder / "pets.grammar"]
    return [str(word) for word in [*argv, "--out", out, *more]]
