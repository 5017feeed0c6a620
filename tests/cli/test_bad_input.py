"""What goes wrong at a desk: each mistake is one line on stderr that names it, and nothing good is lost."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pets
import pytest
import torch

from dlmone_lite import distill, teacher
from dlmone_lite.__main__ import main
from dlmone_lite.checkpoints import zoo
from dlmone_lite.corpora.tables import read_jsonl
from dlmone_lite.corpora.world import World
from dlmone_lite.files import digest, read_tensors
from dlmone_lite.training import ranges, run

Argv = list[str | Path]
LONG = "can a horse race away away away away"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the world, `teacher.safetensors` and `student.safetensors`."""
    folder = tmp_path_factory.mktemp("bad")
    pets.make_lab(folder)
    return folder


def train_argv(lab: Path, out: Path, steps: int = 12) -> Argv:
    argv = ["train", "--world", lab / "pets.grammar", "--out", out, "--steps", steps, "--save-every", 5]
    return [str(word) for word in [*argv, *pets.TINY, *pets.FAST, *pets.EVALUATION, "--eval-steps", "2"]]


def distill_argv(lab: Path, out: Path) -> Argv:
    steps = ["--steps", 6, "--stages", 2, "--steps2", 8, "--save-every", 3, "--eval-every", 2]
    return pets.distil_command(lab, out, *steps, *pets.FAST, "psi_warmup=1", *pets.EVALUATION)


# ---- sentences and files of sentences


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            ['{"src": "can a cat race here"}', '{"src": "can a hores race here"}'],
            ":2: .*'hores'.*did you mean 'horse'",
        ),
        (['{"src": "can a cat race here"}', "", json.dumps({"src": LONG})], ":3: .*8 words, at most 5 fit"),
        (['{"src": ""}'], ":1: 'src' is empty"),
        (['{"src": "can a cat race here"}', '{"trg": "cat races"}'], ":2: no column 'src'"),
        (['{"src": "can a cat race here"}', '{"src": "can a'], ":2: broken JSON"),
        (['{"src": ["can"]}'], ":1: 'src' is list, not text"),
        ([], "empty file"),
    ],
)
def test_a_bad_line_is_named(
    lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], lines: list[str], said: str
) -> None:
    (tmp_path / "in.jsonl").write_text("\n".join(lines), encoding="utf-8")
    argv = ["generate", "--checkpoint", lab / "student.safetensors", "--input", tmp_path / "in.jsonl"]
    message = pets.fail(capsys, *argv, "--output", tmp_path / "out.jsonl")
    assert message.startswith(f"{tmp_path}/in.jsonl:"), message
    assert re.search(f"in.jsonl{said}" if said.startswith(":") else said, message), message
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("can a hores race away", "'hores' (did you mean 'horse'?)"),
        (LONG, "8 words, at most 5 fit"),
        ("", "source sentence is empty"),
        ("  ", "source sentence is empty"),
    ],
)
def test_a_bad_sentence_is_named(
    lab: Path, capsys: pytest.CaptureFixture[str], sentence: str, said: str
) -> None:
    files = ["--teacher", lab / "teacher.safetensors", "--student", lab / "student.safetensors"]
    assert said in pets.fail(capsys, "demo", sentence, "--world", lab / "pets.grammar", *files)


def test_a_source_outside_the_world_has_no_targets(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = pets.fail(capsys, "world", lab / "pets.grammar", "--support", pets.UNKNOWN)
    assert f'no source "{pets.UNKNOWN}"; the nearest is "can a horse race ' in message


def test_a_broken_grammar_has_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.grammar").write_text(
        pets.GRAMMAR.replace("race {place}", "race {plaec}"), encoding="utf-8"
    )
    message = pets.fail(capsys, "world", tmp_path / "bad.grammar")
    line = pets.GRAMMAR.splitlines().index("  source can a {animal} race {place}") + 1
    assert f"bad.grammar:{line}:" in message and "plaec" in message and "place" in message


def test_missing_splits_say_how_to_write_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pets.grammar").write_text(pets.GRAMMAR, encoding="utf-8")
    message = pets.fail(capsys, *train_argv(tmp_path, tmp_path / "t.safetensors"))
    assert f"python -m dlmone_lite world {tmp_path}/pets.grammar --build" in message


# ---- options


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["--steps", "0"], "--steps: must be a whole number from 1 to 10^6, not '0'"),
        (["--steps", "many"], "not 'many'"),
        (["--device", "cuda:77"], "there is no device 'cuda:77' here; available: cpu"),
        (["--device", "toaster"], "there is no device 'toaster'"),
        (["--set", "lerning_rate=1"], "--set knows no 'lerning_rate'"),
        (["--set", "bach_size=1"], "did you mean 'batch_size'?"),
        (["--set", "lr=fast"], "--set lr=fast: lr is a number, not 'fast'"),
        (["--set", "lr=nan"], "lr is a number"),
        (["--set", "batch_size=1.5"], "batch_size is a whole number"),
        (["--set", "batch_size=0"], "batch_size must be at least 1"),
        (["--set", "lr=0"], "lr must be above 0"),
        (["--set", "late_from=2001"], "late_from must lie in 1..2000"),
        (["--set", "lr"], "--set takes name=value, not 'lr'"),
        (["--set", "seed=1"], "option of its own"),
        (["--set", "lr_shape=square"], "unknown learning-rate shape 'square'"),
        (["--set-model", "heads=5"], "no multiple of heads"),
        (["--set-model", "depth=0"], "depth must be at least 1"),
        (["--set-model", "vocab_size=9"], "follows from the data"),
        (["--set-model", "length=20"], "follows from the data"),
        (["--preset", "enormous"], "unknown preset 'enormous'"),
        (["--out", "teacher.bin"], ".safetensors"),
        (["--world", "paraphrese"], 'no world "paraphrese"'),
        (["--eval-steps", "2001"], "--eval-steps is at most 2000"),
        (["--time-to", "0.9"], "--time-to looks at evaluations"),
        (["--time-to", "90"], "number from 0 to 1"),
        (["--colour", "red"], "--colour"),
    ],
)
def test_a_bad_option_is_named(
    lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: list[str], said: str
) -> None:
    assert said in pets.fail(capsys, *train_argv(lab, tmp_path / "t.safetensors"), *changes)
    assert not (tmp_path / "t.safetensors").exists()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["distill", "--out", "{tmp}/s.safetensors"], "needs --teacher and --out"),
        (
            ["distill", "--teacher", "{lab}/student.safetensors", "--out", "{tmp}/s.safetensors"],
            "is a student",
        ),
        (["distill", "--teacher", "x", "--out", "{tmp}/s.safetensors", "--set2", "mu=1"], "add --stages 2"),
        (["distill", "--teacher", "x", "--out", "{tmp}/s.safetensors", "--like", "x"], "belongs to --corpus"),
        (
            ["distill", "--teacher", "x", "--out", "s.safetensors", "--keep", "last", "--out-last", "y"],
            "what --out holds here already",
        ),
        (
            ["distill", "--teacher", "x", "--out", "{tmp}/s.safetensors", "--eval-every", "0"],
            "--keep best needs",
        ),
        (
            ["evaluate", "--floor", "{lab}/student.safetensors", "--world", "{lab}/pets.grammar"],
            "this is a student",
        ),
        (["evaluate", "--checkpoint", "{lab}/student.safetensors"], 'no world "pets"'),
        (["evaluate", "--checkpoint", "{lab}/none.safetensors"], "there is no file"),
        (["evaluate", "--checkpoint", "paraphrase-teecher"], "there is no checkpoint 'paraphrase-teecher'"),
        (["evaluate", "--checkpoint", "x", "--steps", "4,0"], "from 1 to 10^6, not '0'"),
        (
            [
                "evaluate",
                "--checkpoint",
                "{lab}/student.safetensors",
                "--world",
                "{lab}/pets.grammar",
                "--steps",
                "1,1491",
            ],
            "between 1 and 1490 steps, got 1491",
        ),
        (["evaluate"], "one of the arguments --checkpoint --exact --floor is required"),
        (
            ["bench", "--teacher", "{lab}/student.safetensors", "--student", "{lab}/student.safetensors"],
            "got a student",
        ),
        (["bench", "--teacher", "paraphrase-teacher"], "give both --teacher and --student"),
        (["bench", "--preset", "huge"], "unknown preset 'huge'"),
        (["world", "{lab}/pets.grammar", "--json", "{lab}"], "is a folder; name a file in it"),
        (["dance"], "invalid choice: 'dance'"),
        ([], "COMMAND"),
    ],
)
def test_a_bad_command_is_named(
    lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], argv: list[str], said: str
) -> None:
    assert said in pets.fail(capsys, *(word.format(lab=lab, tmp=tmp_path) for word in argv))


def test_more_sources_than_there_are(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["evaluate", "--checkpoint", lab / "student.safetensors", "--world", lab / "pets.grammar"]
    assert "pets has 4 test sources, asked for 64" in pets.fail(capsys, *argv)


# ---- checkpoints


def use(lab: Path, file: Path | str) -> Argv:
    return [
        "evaluate",
        "--checkpoint",
        file,
        "--world",
        lab / "pets.grammar",
        "--sources",
        "2",
        "--samples",
        "2",
    ]


@pytest.mark.parametrize("keep", [0, 7, 2_000, -1])
def test_a_truncated_checkpoint(
    lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], keep: int
) -> None:
    whole = (lab / "student.safetensors").read_bytes()
    assert len(whole) > 2_000
    (tmp_path / "cut.safetensors").write_bytes(whole[:keep])
    assert "cut.safetensors is damaged" in pets.fail(capsys, *use(lab, tmp_path / "cut.safetensors"))


def test_a_checkpoint_of_another_world(lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "other.safetensors"
    world = World.load(lab / "pets.grammar")
    world.name = "plants"
    pets.make_checkpoint(path, world, "teacher")
    assert "the world 'plants', not 'pets'" in pets.fail(capsys, *use(lab, path))
    argv = distill_argv(lab, tmp_path / "s.safetensors")
    argv[argv.index("--teacher") + 1] = str(path)
    assert "the world 'plants', not 'pets'" in pets.fail(capsys, *argv)


def test_a_checkpoint_that_is_not_the_one_shipped(
    lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(lab / "teacher.safetensors", tmp_path / "pets-teacher.safetensors")
    hashes = {"pets-teacher.safetensors": digest(lab / "teacher.safetensors")}
    (tmp_path / "hashes.json").write_text(json.dumps(hashes), encoding="utf-8")
    monkeypatch.setattr(zoo, "FOLDER", tmp_path)
    monkeypatch.setattr(zoo, "HASHES", tmp_path / "hashes.json")
    pets.run(capsys, *use(lab, "pets-teacher"), "--steps", "1")
    (tmp_path / "pets-teacher.safetensors").write_bytes((lab / "student.safetensors").read_bytes())
    assert "wrong SHA-256" in pets.fail(capsys, *use(lab, "pets-teacher"), "--steps", "1")


# ---- interruptions


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Callable[[type, int], None]:
    """Makes the n-th update (counted over all runs of that class) receive Ctrl-C in its middle."""

    def at(kind: type, n: int) -> None:
        update, calls = kind.update, iter(range(1, 10_000))

        def interrupted(self, generator):
            if next(calls) == n:
                os.kill(os.getpid(), signal.SIGINT)
            return update(self, generator)

        monkeypatch.setattr(kind, "update", interrupted)

    return at


def losses(path: Path) -> list[tuple]:
    """What a log must repeat: everything but the seconds."""
    rows = read_jsonl(path, ())
    keep = ("nfe", "sources", "samples", "validity", "tv", "coverage")
    scores = [{key: row["evaluation"][key] for key in keep} if row["evaluation"] else None for row in rows]
    return [
        (row["stage"], row["step"], row["losses"], row["grad_norms"], row["lr"], row["tokens"], score)
        for row, score in zip(rows, scores, strict=True)
    ]


def test_ctrl_c_in_training_resumes_to_the_same_numbers(
    lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], interrupt, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    extra = ["--eval-every", "4", "--log"]
    pets.run(capsys, *train_argv(lab, one), *extra, tmp_path / "one.jsonl")
    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context():
        interrupt(teacher.TeacherRun, 7)
        assert main([*train_argv(lab, two), *extra, str(tmp_path / "two.jsonl")]) == 130
    err = capsys.readouterr().err
    assert "stopped: teacher at step 7 of 12; go on with --resume" in err
    assert signal.getsignal(signal.SIGINT) is before
    assert not two.exists() and (tmp_path / "two.safetensors.state").exists()
    assert "unfinished run; go on with --resume" in pets.fail(capsys, *train_argv(lab, two))
    monkeypatch.undo()
    pets.run(capsys, *train_argv(lab, two), "--resume", *extra, tmp_path / "two.jsonl")
    assert pets.same_network(one, two)
    assert losses(tmp_path / "one.jsonl") == losses(tmp_path / "two.jsonl")
    assert not (tmp_path / "two.safetensors.state").exists()


@pytest.mark.parametrize("n", [4, 9], ids=["stage one", "stage two"])
def test_ctrl_c_in_distillation_resumes_to_the_same_numbers(
    lab: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    interrupt,
    monkeypatch: pytest.MonkeyPatch,
    n: int,
) -> None:
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    pets.run(capsys, *distill_argv(lab, one), "--log", tmp_path / "one.jsonl")
    interrupt(distill.DistillRun, n)
    assert main([*distill_argv(lab, two), "--log", str(tmp_path / "two.jsonl")]) == 130
    assert f"stopped: stage {1 if n < 7 else 2} at step {n if n < 7 else n - 6} of" in capsys.readouterr().err
    monkeypatch.undo()
    pets.run(capsys, *distill_argv(lab, two), "--resume", "--log", tmp_path / "two.jsonl")
    assert pets.same_network(one, two)
    assert losses(tmp_path / "one.jsonl") == losses(tmp_path / "two.jsonl")
    assert {path.name for path in tmp_path.iterdir()} == {
        "one.jsonl",
        "one.safetensors",
        "two.jsonl",
        "two.safetensors",
    }


def test_a_second_ctrl_c_stops_at_once(lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The update under way is lost, the last state on disk is not."""
    update, out = teacher.TeacherRun.update, tmp_path / "t.safetensors"

    def twice(self, generator):
        if self.step == 6:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        return update(self, generator)

    monkeypatch.setattr(teacher.TeacherRun, "update", twice)
    assert main(train_argv(lab, out)) == 130
    assert saved_step(out) == 5


def saved_step(out: Path) -> int:
    return json.loads(read_tensors(out.with_name(out.name + ".state"))[1]["training_state"])["step"]


KILLED = """
import os, signal, sys
fsync, calls = os.fsync, iter(range(1, 100))
def kill_fourth(fd):
    if next(calls) == 4:  # the log's start and the states of steps 0 and 5 are on disk, that of 10 is half written
        os.kill(os.getpid(), signal.SIGKILL)
    return fsync(fd)
os.fsync = kill_fourth
from dlmone_lite.__main__ import main
main(sys.argv[1:])
"""


def test_sigkill_while_saving_resumes_to_the_same_numbers(
    lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    pets.run(capsys, *train_argv(lab, one), "--log", tmp_path / "one.jsonl")
    argv = [*train_argv(lab, two), "--log", str(tmp_path / "two.jsonl")]
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    done = subprocess.run([sys.executable, "-c", KILLED, *argv], cwd=zoo.DATA.parent, env=environment)
    assert done.returncode == -signal.SIGKILL
    assert saved_step(two) == 5 and not two.exists()
    with open(tmp_path / "two.jsonl", "a", encoding="utf-8") as log:
        log.write('{"stage": 1, "step": 11, "los')  # what a kill may leave
    pets.run(capsys, *argv, "--resume")
    assert pets.same_network(one, two)
    assert losses(tmp_path / "one.jsonl") == losses(tmp_path / "two.jsonl")


def test_resuming_with_other_options(
    lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], interrupt
) -> None:
    out = tmp_path / "t.safetensors"
    interrupt(teacher.TeacherRun, 3)
    assert main(train_argv(lab, out)) == 130
    capsys.readouterr()
    assert "differently shaped" in pets.fail(
        capsys, *train_argv(lab, out), "--set-model", "width=16", "--resume"
    )
    pairs = lab / "pets" / "train.jsonl"
    before = pairs.read_text(encoding="utf-8")
    pairs.write_text(before + before.splitlines()[0] + "\n", encoding="utf-8")
    assert "another training data" in pets.fail(capsys, *train_argv(lab, out), "--resume")
    pairs.write_text(before, encoding="utf-8", newline="\n")
    assert main([*train_argv(lab, out), "--set", "lr=0.0001", "--resume"]) == 0
    assert f"note: lr was {teacher.TeacherConfig().lr}, goes on with 0.0001" in capsys.readouterr().err


def test_a_damaged_state(lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = tmp_path / "t.safetensors.state"
    state.write_bytes(b"half a state")
    assert f"{state} is damaged" in pets.fail(
        capsys, *train_argv(lab, tmp_path / "t.safetensors"), "--resume"
    )
    shutil.copy(lab / "teacher.safetensors", state)
    assert "no training state" in pets.fail(capsys, *train_argv(lab, tmp_path / "t.safetensors"), "--resume")


# ---- losses that are not numbers


def test_nan_names_term_and_step_and_keeps_the_last_good_state(
    lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    pets.run(capsys, *train_argv(lab, one))
    loss, calls = teacher.teacher_loss, iter(range(1, 100))

    def broken(*args):
        terms = loss(*args)
        return {**terms, "rounding": terms["rounding"] * float("nan")} if next(calls) == 8 else terms

    monkeypatch.setattr(teacher, "teacher_loss", broken)
    message = pets.fail(capsys, *train_argv(lab, two), code=3)
    assert (
        "'rounding' is nan at step 8" in message and f"the state of step 5 is kept in {two}.state" in message
    )
    assert saved_step(two) == 5 and not two.exists()
    pets.run(capsys, *train_argv(lab, two), "--resume")
    assert pets.same_network(one, two)


def test_an_absurd_learning_rate_diverges(
    lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = [*train_argv(lab, tmp_path / "t.safetensors", 40), "--set", "lr=3e38"]
    assert "lr must be at least 0 and at most 1000, not 3e+38" in pets.fail(capsys, *argv)
    monkeypatch.setitem(ranges.RANGES, "lr", (0, 1e39, "anything"))
    message = pets.fail(capsys, *argv, code=3)
    assert "lower the learning rate" in message and not (tmp_path / "t.safetensors").exists()
    argv = [*train_argv(lab, tmp_path / "u.safetensors", 40), "--set", "lr=1e30"]
    message = pets.fail(capsys, *argv, code=3)
    assert "at step" in message and "lower the learning rate" in message
    tensors = read_tensors(tmp_path / "u.safetensors.state")[0]
    assert all(value.isfinite().all() for value in tensors.values())


# ---- a full disk


def test_a_full_disk_leaves_the_old_checkpoint(
    lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Full when the finished checkpoint is written: the old one stays, and --resume needs no further step."""
    out = tmp_path / "t.safetensors"
    shutil.copy(lab / "teacher.safetensors", out)
    fsync, calls = os.fsync, iter(range(1, 100))

    def full(fd: int) -> None:
        if next(calls) > 4:  # the states of steps 0, 5, 10 and 12 fit
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", full)
    message = pets.fail(capsys, *train_argv(lab, out))
    assert "No space left on device" in message and "intact" in message
    assert out.read_bytes() == (lab / "teacher.safetensors").read_bytes() and saved_step(out) == 12
    assert {path.name for path in tmp_path.iterdir()} == {"t.safetensors", "t.safetensors.state"}
    monkeypatch.undo()
    monkeypatch.setattr(run.Run, "advance", lambda *_: pytest.fail("trained again"))
    pets.run(capsys, *train_argv(lab, out), "--resume")
    assert not pets.same_network(out, lab / "teacher.safetensors")


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 128 KiB, where mounting is permitted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a file system is not permitted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_really_full_disk(lab: Path, tiny_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = (lab / "teacher.safetensors").read_bytes()
    (tiny_disk / "t.safetensors").write_bytes(old)
    message = pets.fail(capsys, *train_argv(lab, tiny_disk / "t.safetensors"))
    assert "No space left on device" in message and "intact" in message
    assert {path.name for path in tiny_disk.iterdir()} == {"t.safetensors"}
    (tiny_disk / "out.jsonl").write_text("old", encoding="utf-8")
    (tiny_disk / "filler").write_bytes(bytes(shutil.disk_usage(tiny_disk).free))
    argv = ["generate", "--checkpoint", lab / "student.safetensors", "--input", lab / "pets" / "test.jsonl"]
    message = pets.fail(capsys, *argv, "--output", tiny_disk / "out.jsonl")
    assert "out.jsonl" in message and "No space left on device" in message
    message = pets.fail(capsys, "world", lab / "pets.grammar", "--json", tiny_disk / "w.json")
    assert "No space left on device" in message
    assert {path.name for path in tiny_disk.iterdir()} == {"t.safetensors", "out.jsonl", "filler"}
    assert (tiny_disk / "t.safetensors").read_bytes() == old and (
        tiny_disk / "out.jsonl"
    ).read_text() == "old"
