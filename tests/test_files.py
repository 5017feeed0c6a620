"""files: what is written stays whole, what is damaged is noticed, records of runs come back."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
import safetensors.torch
import torch

from dlmone_lite import files
from dlmone_lite.errors import Diverged, InputError
from dlmone_lite.files import pack, read_records, recorded, rounded


def test_measurements_have_four_digits() -> None:
    assert rounded({"a": [1 / 3, 12345.678, 7, "x", None]}) == {"a": [0.3333, 12350.0, 7, "x", None]}


def test_a_line_that_a_kill_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_text('{"key": 1}\n{"key": 2, "cu', encoding="utf-8")
    assert read_records(path) == [{"key": 1}] and read_records(tmp_path / "none") == []


def test_packed_records_come_back_and_are_the_same_bytes(tmp_path: Path) -> None:
    runs = [{"key": "a", "score": 0.5}, {"key": "ü"}]
    a, b = tmp_path / "a.jsonl.gz", tmp_path / "b.jsonl.gz"
    pack(runs, a)
    pack(runs, b)
    assert read_records(a) == runs and a.read_bytes() == b.read_bytes()


def test_a_missing_record_says_how_to_restore_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "RUNS", tmp_path)
    with pytest.raises(InputError, match="sweep-none.jsonl.gz is missing; restore it with: git checkout"):
        recorded("none")


@pytest.mark.parametrize("name", ["coefficients", "stages", "clinic"])
def test_shipped_records_are_runs_of_their_sweep(name: str) -> None:
    from dlmone_lite.beyond.catalogue import plan

    found = recorded(name)
    keys = [record["key"] for record in found]
    assert found and len(keys) == len(set(keys)) and set(keys) <= {spec.key for spec in plan(name)}


@pytest.mark.parametrize(
    "text", ["notes of mine", '{"src": "a"}\n', '{"key": 1}\nnotes\n{"key": 2}\n', "[1]\n"]
)
def test_a_file_of_something_else_is_no_sweeps(tmp_path: Path, text: str) -> None:
    path = tmp_path / "notes.txt"
    path.write_text(text)
    with pytest.raises(InputError, match="no record of a sweep; choose another"):
        read_records(path)


# ---- writing: devices, pipes, links, modes, half files


def test_a_device_is_written_to_and_stays(tmp_path: Path) -> None:
    device = tmp_path / "null"
    try:
        os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except (PermissionError, AttributeError):
        device = Path(os.devnull)
    files.check_output(device)
    files.write_text(device, "gone")
    files.write_jsonl(device, [{"a": 1}])
    assert stat.S_ISCHR(device.stat().st_mode)


def test_a_pipe_gets_the_text(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE)
    files.write_text(pipe, "hello")
    assert reader.communicate(timeout=20)[0] == b"hello" and stat.S_ISFIFO(pipe.stat().st_mode)


def test_the_target_of_a_link_is_written_and_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    target, link = tmp_path / "disk" / "a.txt", tmp_path / "link.txt"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    files.write_text(link, "new")
    assert link.is_symlink() and target.read_text() == "new" and stat.S_IMODE(target.stat().st_mode) == 0o640
    dangling = tmp_path / "dangling.txt"
    dangling.symlink_to(tmp_path / "disk" / "b.txt")
    files.write_text(dangling, "made")
    assert dangling.is_symlink() and (tmp_path / "disk" / "b.txt").read_text() == "made"


@pytest.mark.parametrize(
    ("path", "stream"),
    [
        ("/dev/stdout", True),
        ("/dev/fd/1", True),
        ("/proc/self/fd/1", True),
        ("/dev/shm/a.txt", False),
        ("a.txt", False),
    ],
)
def test_what_is_replaced_and_what_is_written_to(path: str, stream: bool) -> None:
    assert files.is_stream(path) == stream


def test_half_files_of_killed_processes_are_cleared(tmp_path: Path) -> None:
    state = tmp_path / "a.safetensors.state"
    left = [tmp_path / ".a.safetensors.state.123.tmp", tmp_path / ".a.safetensors.state.9.tmp"]
    others = [tmp_path / ".b.state.1.tmp", tmp_path / ".a.safetensors.state.best.7.tmp", state]
    for path in left + others:
        path.touch()
    files.clear_half_files(state)
    assert not any(path.exists() for path in left) and all(path.exists() for path in others)


def test_a_name_as_long_as_a_name_may_be(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 251 + ".txt")
    files.check_output(path)
    files.write_text(path, "a")
    assert path.read_text() == "a"
    with pytest.raises(InputError, match="cannot be made"):
        files.check_output(tmp_path / ("n" * 300))


# ---- tensors: digests, numbers that are not finite


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    files.write_tensors(path, {"a": torch.arange(6.0), "b": torch.ones(2, 2)}, {"x": "1", "y": "é"})
    data = path.read_bytes()
    tensors, metadata = files.read_tensors(path)
    assert tensors["a"].tolist() == [0, 1, 2, 3, 4, 5] and metadata == {"x": "1", "y": "é"}
    for bit in range(0, 8 * len(data), 5):
        path.write_bytes(flipped(data, bit))
        with contextlib.suppress(InputError):
            again, metadata = files.read_tensors(path)
            assert (metadata["x"], metadata["y"]) == ("1", "é"), f"bit {bit}"  # the digest's name was hit
            assert all(torch.equal(again[name], tensors[name]) for name in tensors), f"bit {bit}"
    for length in (0, 4, 8, 20, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(InputError, match="damaged"):
            files.read_tensors(path)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_replaces_nothing(tmp_path: Path, bad: float) -> None:
    path = tmp_path / "a.safetensors"
    files.write_tensors(path, {"a": torch.ones(2)}, {})
    with pytest.raises(Diverged, match="a is no longer finite"):
        files.write_tensors(path, {"a": torch.tensor([1.0, bad])}, {})
    assert files.read_tensors(path)[0]["a"].tolist() == [1, 1] and len(list(tmp_path.iterdir())) == 1
    path.write_bytes(safetensors.torch.save({"a": torch.tensor([bad])}))
    with pytest.raises(InputError, match="a is not finite"):
        files.read_tensors(path)


def test_a_shipped_network_of_the_lab_is_the_one_that_was_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in sorted((files.DATA / "lab").rglob("*.safetensors")):
        assert files.recorded_digest(path) == files.digest(path), path.name
    lab = tmp_path / "lab"
    shutil.copytree(files.DATA / "lab", lab)
    monkeypatch.setattr(files, "DATA", tmp_path)
    path = lab / "clinic" / "A-student.safetensors"
    path.write_bytes(flipped(path.read_bytes(), 99_999))
    with pytest.raises(InputError, match="was changed .*restore it with: git checkout"):
        files.read_tensors(path)
