"""No command overwrites what it reads, what it writes elsewhere, or what another run is making."""

from __future__ import annotations

import argparse
import errno
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import filelock
import pets
import pytest

from dlmone_lite.__main__ import main, parser
from dlmone_lite.cli import options
from dlmone_lite.errors import InputError
from dlmone_lite.jobs.state import alone, best_of, clean, finished, state_of


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    pets.make_lab(tmp_path)
    (tmp_path / "in.jsonl").write_text('{"src": "can a cat race here"}\n')
    shutil.copy(tmp_path / "student.safetensors", tmp_path / "hard.safetensors")
    os.link(tmp_path / "student.safetensors", tmp_path / "same.safetensors")
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "in.jsonl")
    return tmp_path


GENERATE = "generate --checkpoint student.safetensors --input in.jsonl --output"
TRAIN = "train --world pets.grammar --steps 2"
DISTIL = "distill --teacher teacher.safetensors --world pets.grammar --steps 2"
EVALUATE = "evaluate --checkpoint student.safetensors --world pets.grammar --steps 1"
OVERWRITING = [
    f"{GENERATE} student.safetensors",
    f"{GENERATE} same.safetensors",
    f"{GENERATE} in.jsonl",
    f"{GENERATE} ./in.jsonl",
    f"{GENERATE} link.jsonl",
    f"{TRAIN} --out a.safetensors --json a.safetensors",
    f"{TRAIN} --out a.safetensors --log a.safetensors.state",
    f"{TRAIN} --out a.safetensors --json b.json --log b.json",
    f"{TRAIN} --out a.safetensors --json pets.grammar",
    f"{TRAIN} --out a.safetensors --log pets/train.jsonl",
    f"{TRAIN} --out a.safetensors --log pets/valid.jsonl",
    f"{DISTIL} --out teacher.safetensors",
    f"{DISTIL} --out a.safetensors --json teacher.safetensors",
    f"{DISTIL} --out a.safetensors --out-last a.safetensors",
    f"{DISTIL} --out a.safetensors --stages 2 --out-stage1 a.safetensors",
    f"{DISTIL} --out a.safetensors --start student.safetensors --out-last student.safetensors",
    f"{EVALUATE} --json student.safetensors",
    f"{EVALUATE} --json pets.grammar",
    "world pets.grammar --json pets.grammar",
    "world pets.grammar --json pets/test.jsonl",
    "sharpen --teacher teacher.safetensors --world pets.grammar --out teacher.safetensors",
]


@pytest.mark.parametrize("command", OVERWRITING)
def test_an_output_is_no_input_and_no_other_output(
    lab: Path, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(lab)
    before = {path: hashlib.sha256(path.read_bytes()).digest() for path in lab.rglob("*") if path.is_file()}
    assert main(command.split()) == 2
    assert "would overwrite the file of --" in capsys.readouterr().err
    after = {path: hashlib.sha256(path.read_bytes()).digest() for path in lab.rglob("*") if path.is_file()}
    assert before == after


@pytest.mark.parametrize(
    "command",
    [
        f"{TRAIN} --out a.safetensors --log notes.txt",
        "sweep stages --out notes.txt",
        "sweep stages --out in.jsonl",
    ],
)
def test_what_is_no_log_or_record_stays(
    lab: Path, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(lab)
    Path("notes.txt").write_text("my notes")
    before = Path("in.jsonl").read_bytes()
    assert main(command.split()) == 2 and "choose another" in capsys.readouterr().err
    assert Path("notes.txt").read_text() == "my notes" and Path("in.jsonl").read_bytes() == before


def test_every_option_that_names_a_file_is_checked() -> None:
    """A new option with FILE, FOLDER or PATH in its help must join `INPUTS` or `OUTPUTS`."""
    commands = next(a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    known = {*options.INPUTS, *options.OUTPUTS}
    for name, command in commands.choices.items():
        for action in command._actions:
            shown = str(action.metavar)
            if "FILE" in shown or "FOLDER" in shown:
                assert action.dest in known, f"{name} --{action.dest}"


def test_the_same_command_runs_twice(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run wrote beside its corpus is no input of the next."""
    monkeypatch.chdir(lab)
    command = (
        "train --world pets.grammar --steps 1 --out pets/t.safetensors --log pets/l.jsonl --json pets/j.json"
    )
    argv = [*command.split(), *pets.TINY, *pets.FAST, *pets.EVALUATION, "--eval-steps", "2"]
    assert main(argv) == 0 and main(argv) == 0


# ---- disks that refuse

WRITING = [
    f"{GENERATE} o.jsonl",
    f"{EVALUATE} --json o.json",
    "evaluate --floor teacher.safetensors --world pets.grammar --json o.json",
    f"{TRAIN} --out o.safetensors",
    f"{TRAIN} --out a.safetensors --log o.jsonl",
    f"{TRAIN} --out a.safetensors --json o.json",
    f"{DISTIL} --out o.safetensors",
    f"{DISTIL} --out a.safetensors --out-last o.safetensors",
    f"{DISTIL} --out a.safetensors --stages 2 --out-stage1 o.safetensors",
    "sharpen --teacher teacher.safetensors --world pets.grammar --out o.safetensors",
    "world pets.grammar --json o.json",
    "sweep stages --out o.jsonl",
    "bench --json o.json",
    "doctor --json o.json",
]


@pytest.mark.parametrize("command", WRITING)
def test_a_disk_that_refuses_is_told_before_any_work(
    lab: Path, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Full, read-only, or somebody else's: one line, the old file as it was, nothing beside it."""
    monkeypatch.chdir(lab)
    name = next(word for word in command.split() if word.startswith("o."))
    Path(name).touch()
    before, refusals = sorted(lab.rglob("*")), [errno.ENOSPC, errno.EROFS, errno.EACCES]

    def refuse(path: Path, data: bytes) -> None:
        if path.name.startswith(f".{name}"):
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    for code in refusals:
        message = pets.fail(capsys, *command.split())
        assert f"{name} cannot be made ({os.strerror(code)}); free some space or choose" in message
    assert sorted(lab.rglob("*")) == before and not Path(name).read_bytes()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("words", ["--help", "world pets.grammar"])
def test_a_full_standard_output_is_one_line(lab: Path, words: str) -> None:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open("/dev/full", "w") as full:
        argv = [sys.executable, "-m", "dlmone_lite", *words.split()]
        done = subprocess.run(argv, cwd=lab, env=env, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr == "error: standard output: No space left on device; check path and disk\n"


@pytest.mark.parametrize("name", ["o.safetensors", "o.json"])
def test_a_finished_run_that_cannot_be_written_goes_on(
    lab: Path, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(lab)
    argv = [*f"{TRAIN} --out o.safetensors --json o.json --eval-steps 2".split(), *pets.TINY, *pets.FAST]
    replace = os.replace

    def refuse(source: Path, goal: Path) -> None:
        if goal.name == name:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        replace(source, goal)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        assert main([*argv, *pets.EVALUATION]) == 2
        assert "then give the same command with --resume" in capsys.readouterr().err
    pets.run(capsys, *argv, *pets.EVALUATION, "--resume")
    assert Path("o.json").is_file() and not list(lab.glob("*.state"))


def test_a_log_that_cannot_be_begun_blocks_nothing(
    lab: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(lab)

    def refuse(path: str, rows: object) -> None:
        raise InputError(f"{path} could not be written")

    monkeypatch.setattr("dlmone_lite.jobs.log.write_jsonl", refuse)
    assert main([*f"{TRAIN} --out a.safetensors --log o.jsonl --eval-steps 2".split(), *pets.TINY]) == 2
    assert not list(lab.glob("*.state"))


# ---- one run at a time, and what a kill leaves


def test_a_second_run_is_refused_and_the_first_goes_on(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = lab / "a.safetensors"
    argv = ["train", "--world", lab / "pets.grammar", "--out", out, "--steps", 1, "--eval-steps", 2]
    argv = [str(word) for word in [*argv, *pets.TINY, *pets.FAST, *pets.EVALUATION]]
    with alone(out):
        assert main(argv) == 2 and main([*argv, "--resume"]) == 2
        assert "another run is at work on" in capsys.readouterr().err
    assert main(argv) == 0 and out.is_file()
    assert not [path.name for path in lab.iterdir() if "lock" in path.name or "tmp" in path.name]


def test_a_disk_without_locks_does_not_stop_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: object, timeout: float) -> None:
        raise NotImplementedError("no locks here")

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    with alone(tmp_path / "a.safetensors"):
        (tmp_path / "a.safetensors").touch()
    assert "cannot be locked (no locks here)" in capsys.readouterr().err


@pytest.mark.parametrize("removed", range(1, 6))
def test_a_kill_between_the_removals_leaves_a_finished_run(
    lab: Path, removed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    out = lab / "s.safetensors"
    warm = ["--warm-start", 2, "--set0", "samples=2", "nfe=3", "precision=float32"]
    argv = pets.distil_command(lab, out, "--steps", 2, "--stages", 2, *warm, "--eval-every", 2)
    argv += [*pets.FAST, "psi_warmup=1", *pets.EVALUATION]
    states = [state_of(out, stage) for stage in (".warm", "", ".stage2")]
    assert main(argv) == 0
    made = out.read_bytes()
    for path in [file for state in states for file in (state, best_of(state))][removed:]:
        path.write_bytes(b"left by a kill")
    capsys.readouterr()
    if removed == 5:  # the best network of the last stage alone is no state
        assert not finished(states)
        clean(states[-1])
        return
    assert main([*argv, "--resume"]) == 0
    assert "is finished" in capsys.readouterr().out and out.read_bytes() == made
    assert not [path for path in lab.iterdir() if ".state" in path.name]


def test_a_run_that_fails_at_its_first_step_blocks_nothing(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = lab / "a.safetensors"
    argv = ["train", "--world", lab / "pets.grammar", "--out", out, "--steps", 1, "--eval-steps", 2]
    argv = [str(word) for word in [*argv, *pets.TINY, *pets.FAST, *pets.EVALUATION]]
    assert main([*argv, "loss=nonsense"]) == 2
    assert not [path.name for path in lab.iterdir() if path.name.startswith((out.name, "."))]
    assert main(argv) == 0
