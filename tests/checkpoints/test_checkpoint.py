"""checkpoint: an exact round trip, refusals that run nobody's code, and writes that are all or nothing."""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
import stat

import pytest
import torch
from safetensors.torch import save_file
from tiny import make_codec, make_model, make_world, normal, same_weights

from dlmone_lite.checkpoints import checkpoint
from dlmone_lite.checkpoints.checkpoint import Checkpoint
from dlmone_lite.corpora.word_pieces import WordPieces
from dlmone_lite.errors import InputError
from dlmone_lite.files import digest
from dlmone_lite.model import Denoiser, ModelConfig
from dlmone_lite.text import Codec
from dlmone_lite.training.precision import pick_device

PROVENANCE = {"command": "train --seed 3", "seed": 3, "steps": 12, "metrics": {"validity": 0.5, "tv": [0.1]}}


@pytest.fixture
def made(tmp_path):
    codec = make_codec(make_world(tmp_path))
    model = make_model(codec, output="linear", schedule="cosine", T=500)
    return Checkpoint(model, codec, "tiny", "student", {"t_init": 370}, PROVENANCE)


@pytest.fixture
def file(made, tmp_path):
    checkpoint.save(tmp_path / "made.safetensors", made)
    return tmp_path / "made.safetensors"


def test_round_trip_is_exact(made, file):
    loaded = checkpoint.load(file)
    assert same_weights(loaded.model, made.model) and loaded.model.config == made.model.config
    assert loaded.codec.vocabulary.words == made.codec.vocabulary.words
    assert (loaded.codec.source_length, loaded.codec.target_length) == (6, 6)
    assert (loaded.world, loaded.role, loaded.sampling) == ("tiny", "student", {"t_init": 370})
    assert loaded.provenance == PROVENANCE
    assert not loaded.model.training and not any(p.requires_grad for p in loaded.model.parameters())
    batch = made.codec.encode(["can a cat run here"])
    x, t = normal(1, 12, 8), torch.tensor([200])
    assert torch.equal(loaded.model(x, t, batch), made.model(x, t, batch))
    again = file.with_name("again.safetensors")
    checkpoint.save(again, loaded)
    assert again.read_bytes() == file.read_bytes()  # the same content is the same file
    assert digest(file) == hashlib.sha256(file.read_bytes()).hexdigest()


def test_half_size(made, file):
    small = file.with_name("small.safetensors")
    checkpoint.save(small, made, half=True)
    weights = sum(p.numel() for p in made.model.parameters())
    assert file.stat().st_size - small.stat().st_size == pytest.approx(2 * weights, rel=0.01)
    loaded = checkpoint.load(small)
    assert loaded.model.config == made.model.config and loaded.provenance == PROVENANCE
    for kept, given in zip(loaded.model.parameters(), made.model.parameters(), strict=True):
        assert kept.dtype == torch.float32 and torch.equal(kept, given.half().float())
    assert not same_weights(loaded.model, made.model)


def test_folders_are_made_and_the_file_is_readable_by_others(made, tmp_path):
    path = tmp_path / "new" / "folder" / "made.safetensors"
    mask = os.umask(0o022)
    try:
        checkpoint.save(path, made)
    finally:
        os.umask(mask)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


# ---- what is refused


def test_missing_truncated_and_foreign_files(file, tmp_path):
    with pytest.raises(InputError, match="there is no file .*none.safetensors"):
        checkpoint.load(tmp_path / "none.safetensors")
    with pytest.raises(InputError, match="there is no file"):
        checkpoint.load(tmp_path)
    data = file.read_bytes()
    for size in (0, 4, 100, len(data) // 2, len(data) - 1):
        file.write_bytes(data[:size])
        with pytest.raises(InputError, match="damaged or no safetensors file"):
            checkpoint.load(file)
    save_file({"weight": torch.ones(3)}, file)
    with pytest.raises(InputError, match="no checkpoint of this library"):
        checkpoint.load(file)
    save_file({"weight": torch.ones(3)}, file, {"format": "pt"})
    with pytest.raises(InputError, match="no checkpoint of this library"):
        checkpoint.load(file)


@pytest.mark.parametrize(
    "key, value",
    [
        ("config", None),
        ("vocabulary", None),
        ("config", "{"),
        ("config", '{"width": 32}'),
        ("config", '{"colour": "red"}'),
        ("codec", '{"size": 3}'),
        ("provenance", "not json"),
    ],
)
def test_broken_metadata_is_named(file, key, value):
    tensors, metadata = checkpoint.read_tensors(file)
    metadata = {k: v for k, v in metadata.items() if k != key} | ({key: value} if value else {})
    save_file(tensors, file, metadata)
    with pytest.raises(InputError, match="incomplete or of another version") as caught:
        checkpoint.load(file)
    assert str(file) in str(caught.value)


class Bomb:
    """Unpickling it makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_pickles_are_refused_unread(tmp_path):
    trap = tmp_path / "ran"
    for name, write in [("torch", torch.save), ("pickle", lambda o, p: p.write_bytes(pickle.dumps(o)))]:
        path = tmp_path / f"{name}.safetensors"
        write(Bomb(trap), path)
        for read in (checkpoint.load, checkpoint.read_tensors):
            with pytest.raises(InputError, match="damaged or no safetensors file"):
                read(path)
        assert not trap.exists()
        with path.open("rb") as opened:  # the trap works: reading it as a pickle springs it
            torch.load(opened, weights_only=False) if name == "torch" else pickle.load(opened)
        assert trap.exists()
        trap.rmdir()


# ---- all or nothing


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file(made, file, tmp_path, monkeypatch, call):
    before = file.read_bytes()
    made.model.words.data.add_(1)
    reached = []

    def fail(*_):
        reached.append(len(list(tmp_path.glob(".made*"))))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(InputError, match=r"could not be written \(No space left on device\)"):
            checkpoint.save(file, made)
    assert reached == [1]  # there was a temporary file at that moment
    assert file.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["made.safetensors", "tiny.grammar"]
    checkpoint.save(file, made)
    assert file.read_bytes() != before and same_weights(checkpoint.load(file).model, made.model)


def test_an_interrupted_write_leaves_no_litter(made, file, tmp_path, monkeypatch):
    before = file.read_bytes()

    def interrupt(_):
        raise KeyboardInterrupt  # the Stop button of a notebook

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            checkpoint.save(file, made)
    assert file.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["made.safetensors", "tiny.grammar"]


def test_a_folder_that_cannot_be_is_an_input_error(made, tmp_path):
    (tmp_path / "plain").write_text("a file, not a folder")
    with pytest.raises(InputError, match="could not be written"):
        checkpoint.save(tmp_path / "plain" / "made.safetensors", made)
    assert (tmp_path / "plain").read_text() == "a file, not a folder"


# ---- devices


def test_devices():
    assert pick_device("cpu") == "cpu"
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert pick_device() == pick_device("auto") == expected
    for name in ("cuda:99", "gpu", "tpu:0"):
        with pytest.raises(InputError, match=f"no device '{name}' here; available: cpu"):
            pick_device(name)


def test_word_pieces_come_back_as_word_pieces(tmp_path):
    pieces = WordPieces.learn(["the herons nested here", "nests and nesting"] * 3, 50)
    codec = Codec(pieces, 12, 12)
    model = Denoiser(ModelConfig(len(pieces), codec.length, codec.source_length, 8, 16, 1, 2))
    checkpoint.save(tmp_path / "p.safetensors", Checkpoint(model, codec, "herons", "teacher"))
    again = checkpoint.load(tmp_path / "p.safetensors").codec
    assert isinstance(again.vocabulary, WordPieces) and again.vocabulary.words == pieces.words
    assert torch.equal(again.encode(["nesting herons"]).ids, codec.encode(["nesting herons"]).ids)
