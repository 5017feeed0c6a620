"""parallel: two processes over gloo have the numbers of one; the state of either goes on in the other."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pets
import pytest
import torch

from dlmone_lite.__main__ import main
from dlmone_lite.checkpoints.checkpoint import load
from dlmone_lite.corpora.tables import read_jsonl
from dlmone_lite.errors import InputError
from dlmone_lite.files import ROOT, read_tensors
from dlmone_lite.jobs.state import state_of
from dlmone_lite.training import processes

TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])}


def command(kind: str, folder: Path, out: Path, *more: str) -> list[str]:
    argv = [kind, "--world", folder / "pets.grammar", "--out", out, "--log", out.with_suffix(".jsonl")]
    argv += ["--device", "cpu", *more]
    argv += pets.TINY if kind == "train" else ["--teacher", folder / "teacher.safetensors"]
    return [str(word) for word in [*argv, *pets.FAST, *(["psi_warmup=1"] if kind == "distill" else [])]]


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *argv], capture_output=True, text=True, env=ENVIRONMENT, timeout=240
    )


def close(a: Path, b: Path) -> bool:
    left, right = load(a).model.state_dict(), load(b).model.state_dict()
    return all(torch.allclose(left[key], right[key], rtol=1e-4, atol=1e-5) for key in left)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("two")
    pets.make_checkpoint(made / "teacher.safetensors", pets.make_world(made), "teacher")
    return made


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["train", "distill"])
def test_two_processes_have_the_numbers_of_one(kind: str, folder: Path, capsys, tmp_path: Path) -> None:
    alone, both = tmp_path / "alone.safetensors", tmp_path / "both.safetensors"
    more = ["--steps", "6", "--eval-every", "3", *pets.EVALUATION]
    more += ["--set", "t_sampling=loss-aware"] if kind == "train" else ["--keep", "last"]
    pets.run(capsys, *command(kind, folder, alone, *more))
    done = run("-m", "dlmone_lite", *command(kind, folder, both, *more, "--processes", "2"))
    assert done.returncode == 0, done.stderr
    assert close(alone, both)
    rows = [read_jsonl(path.with_suffix(".jsonl"), ()) for path in (alone, both)]
    for one, other in zip(*rows, strict=True):
        assert one["tokens"] == other["tokens"] and one["losses"] == pytest.approx(other["losses"], rel=1e-4)
    assert done.stdout.count("steps, ") == 1, "one process speaks"


SCRIPT = """
import sys
from pathlib import Path
import pets, torch
from dlmone_lite.training import processes
from dlmone_lite.checkpoints.checkpoint import load
from dlmone_lite.distill import DistillConfig, DistillRun
from dlmone_lite.corpora.pairs import PairedText
from dlmone_lite.corpora.world import World

folder, state, steps = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
processes.init("cpu")
torch.set_num_threads(1)
teacher, world = load(folder / "teacher.safetensors"), World.load(folder / "pets.grammar")
data = PairedText(*zip(*world.pairs("train", 60)), teacher.codec)
config = DistillConfig(steps=8, batch_size=8, warmup=2, psi_warmup=1, precision="float32")
run = DistillRun(teacher.model, data, config)
if state.is_file():
    run.load(state)
processes.barrier()
for _ in range(steps):
    run.advance()
if processes.is_main():
    run.save(state)
processes.shutdown()
threads = [task.joinpath("comm").read_text() for task in Path("/proc/self/task").glob("*")]  # Linux
assert not any("gloo" in name for name in threads), f"left behind: {threads}; it may abort at exit"
"""


@pytest.mark.slow
def test_a_state_of_two_goes_on_in_one_and_back(folder: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    ways = {"alone": [(1, 8)], "two, then one": [(2, 4), (1, 4)], "one, then two": [(1, 4), (2, 4)]}
    ends = {}
    for name, parts in ways.items():
        state = tmp_path / f"{name}.state"
        for count, steps in parts:
            start = [] if count == 1 else TORCHRUN
            done = run(*start, str(script), str(folder), str(state), str(steps))
            assert done.returncode == 0, done.stderr
        ends[name] = read_tensors(state)[0]
    for name in ("two, then one", "one, then two"):
        for key, value in ends["alone"].items():
            assert torch.allclose(value.float(), ends[name][key].float(), rtol=1e-3, atol=1e-5), (name, key)


@pytest.mark.slow
def test_ctrl_c_saves_once_and_resume_goes_on_to_the_numbers_of_one(
    folder: Path, capsys, tmp_path: Path
) -> None:
    alone, both = tmp_path / "alone.safetensors", tmp_path / "both.safetensors"
    pets.run(capsys, *command("train", folder, alone, "--steps", "150"))
    argv = ["-m", "dlmone_lite", *command("train", folder, both, "--steps", "150", "--processes", "2")]
    started = subprocess.Popen([sys.executable, *argv], env=ENVIRONMENT, start_new_session=True,
                               stderr=subprocess.PIPE, text=True)  # fmt: skip
    log, state = both.with_suffix(".jsonl"), tmp_path / "both.safetensors.state"
    end = time.monotonic() + 120
    while not (log.is_file() and log.stat().st_size):  # it trains
        assert time.monotonic() < end and started.poll() is None
        time.sleep(0.02)
    os.killpg(started.pid, signal.SIGINT)
    said = started.communicate(timeout=60)[1]
    assert started.returncode == 130 and "stopped: teacher at step" in said and state.is_file()
    done = run(*argv, "--resume")
    assert done.returncode == 0, done.stderr
    assert close(alone, both) and len(read_jsonl(log, ())) == 150


LEFT = """
import sys
from pathlib import Path
from dlmone_lite.training import processes
from dlmone_lite.__main__ import main

processes.init("cpu")
processes.barrier()
code = main(["train", "--no-such-option"])
threads = [task.joinpath("comm").read_text() for task in Path("/proc/self/task").glob("*")]  # Linux
assert code == 2 and not any("gloo" in name for name in threads), (code, threads)
"""


WRITERS = """
import sys
from pathlib import Path
import pets, torch
from dlmone_lite.training import processes
from dlmone_lite.checkpoints.checkpoint import load
from dlmone_lite.files import write_tensors
from dlmone_lite.corpora.pairs import PairedText
from dlmone_lite.variants.sharpen import SharpenConfig, SharpenRun
from dlmone_lite.variants.warm_start import WarmStartConfig, WarmStartRun
from dlmone_lite.corpora.world import World

folder, out = Path(sys.argv[1]), Path(sys.argv[2])
processes.init("cpu")
torch.set_num_threads(1)
teacher, world = load(folder / "teacher.safetensors"), World.load(folder / "pets.grammar")
data = PairedText(*zip(*world.pairs("train", 60)), teacher.codec)
how = {"samples": 2, "nfe": 4, "precision": "float32"}
sharpen = SharpenRun(teacher.model, data, SharpenConfig(steps=2, **how))
warm = WarmStartRun(teacher.model, data, WarmStartConfig(steps=2, share_step=1, **how))
told = []
for run in (sharpen, warm):
    run.rows_per_call = 2 * int(sys.argv[3])
    told.append(list(run.prepare()))
if processes.is_main():
    print(told)
    pool = {"pool_ids": warm.pool.ids, "share": warm.pool.share, "direction": warm.pool.direction}
    write_tensors(out, {"ids": sharpen.sentences.ids, **pool}, {})
processes.shutdown()
"""


@pytest.mark.slow
@pytest.mark.parametrize("sources", [3, 7])  # at once: no part left at the end, or none for the last process
def test_the_teachers_sentences_are_written_by_all(sources: int, folder: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(WRITERS, encoding="utf-8")
    found = {}
    for name, start in (("alone", []), ("two", TORCHRUN)):
        done = run(*start, str(script), str(folder), str(tmp_path / name), str(sources))
        assert done.returncode == 0, done.stderr
        found[name] = read_tensors(tmp_path / name)[0], len(eval(done.stdout)[0])
    (alone, parts), (two, rounds) = found["alone"], found["two"]
    assert rounds == (parts + 1) // 2 > 1
    assert torch.equal(alone["ids"], two["ids"]) and torch.equal(alone["pool_ids"], two["pool_ids"])
    for key in ("share", "direction"):
        assert torch.allclose(alone[key], two[key], atol=1e-5)


@pytest.mark.slow
def test_a_mistake_leaves_no_thread_behind(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(LEFT, encoding="utf-8")
    done = run(*TORCHRUN, str(script))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("error: ") == 1, "one process speaks"


@pytest.mark.slow
def test_a_mistake_is_one_line_and_nobody_waits(folder: Path, tmp_path: Path) -> None:
    argv = command("train", folder, tmp_path / "t.safetensors", "--steps", "2", "--processes", "2")
    done = run("-m", "dlmone_lite", *[*argv, "batch_size=9"])
    assert done.returncode == 2 and done.stderr.count("error: ") == 1
    assert "a batch of 9 cannot be shared by 2 processes" in done.stderr


def test_alone_nothing_is_shared() -> None:
    assert (processes.world_size(), processes.is_main(), processes.own_rows(6)) == (1, True, slice(0, 6))
    tensor = torch.ones(3)
    processes.all_reduce_mean([tensor])
    assert torch.equal(tensor, torch.ones(3)) and processes.all_gather_rows(tensor) is tensor
    assert processes.rank() == 0 and processes.all_gather_uneven(tensor, 9) is tensor
    assert processes.any_process(True) and not processes.any_process(False) and processes.broadcast(1) == 1
    processes.barrier(), processes.shutdown()
    assert processes.init("cpu") == "cpu"


def test_a_batch_is_shared_evenly_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "world_size", lambda: 4)
    with pytest.raises(InputError, match="a batch of 6 cannot be shared by 4 processes"):
        processes.own_rows(6)


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    several = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "here", "MASTER_PORT": "1"}
    for name, value in several.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match=r"2 processes, but 1 GPU\(s\): start as many, or add --device cpu"):
        processes.init("cuda")


def test_a_process_that_hangs_is_ended() -> None:
    """As one does that waits on a GPU for a process that has failed: it does not hear SIGTERM."""
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True)"
    process = subprocess.Popen([sys.executable, "-c", f"{deaf}; time.sleep(90)"], stdout=subprocess.PIPE)
    process.stdout.readline()
    process.terminate()
    began = time.monotonic()
    processes._ended(process, 0.3)
    assert process.returncode == -9 and 0.3 <= time.monotonic() - began < 30


@pytest.mark.parametrize("names", [["RANK"], ["RANK", "LOCAL_RANK"], ["RANK", "LOCAL_RANK", "WORLD_SIZE"]])
def test_variables_left_over_make_no_processes(
    names: list[str], monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    for name in names:
        monkeypatch.setenv(name, "1")
    assert not processes.one_of_several() and processes.init("cpu") == "cpu"
    assert main(["world", "parafrase"]) == 2 and "error: " in capsys.readouterr().err


def alive(text: str) -> list[int]:
    """The processes whose command line holds `text`."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if text.encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/cmdline").is_file(), reason="needs /proc")
@pytest.mark.parametrize("how", ["launcher killed", "launcher terminated", "child killed"])
def test_nothing_goes_on_when_a_process_ends(how: str, folder: Path, tmp_path: Path) -> None:
    out, log = tmp_path / "t.safetensors", tmp_path / "l.jsonl"
    argv = ["train", "--world", folder / "pets.grammar", "--out", out, "--log", log, "--steps", 100_000]
    argv += [
        *pets.TINY,
        *pets.FAST,
        *pets.EVALUATION,
        "--eval-steps",
        2,
        "--processes",
        2,
        "--save-every",
        20,
    ]
    launcher = subprocess.Popen(
        [sys.executable, "-m", "dlmone_lite", *map(str, argv)], stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 60
    while not (log.is_file() and len(log.read_bytes().splitlines()) > 21) and time.monotonic() < until:
        time.sleep(0.2)
    children = [pid for pid in alive(str(out)) if pid != launcher.pid]
    assert len(children) == 2
    if how == "child killed":
        os.kill(children[0], signal.SIGKILL)
    else:
        launcher.send_signal(signal.SIGKILL if how == "launcher killed" else signal.SIGTERM)
    error = launcher.communicate(timeout=60)[1]
    until = time.monotonic() + 30
    while alive(str(out)) and time.monotonic() < until:
        time.sleep(0.2)
    assert not alive(str(out)) and "Traceback" not in error
    step = json.loads(read_tensors(state_of(out))[1]["training_state"])["step"]
    last = json.loads(log.read_text().splitlines()[-1])["step"]
    assert step % 20 == 0 if how == "child killed" else step == last
    if how == "child killed":
        assert "a process was ended by signal 9; go on with --resume" in error and launcher.returncode == 1
