"""zoo: names, hashes and worlds of checkpoints; every shipped file is the one that was recorded."""

from __future__ import annotations

import pytest
import torch
from shipping import record_hash
from tiny import make_codec, make_model, make_world, same_weights

from dlmone_lite.checkpoints import checkpoint, zoo
from dlmone_lite.checkpoints.checkpoint import Checkpoint
from dlmone_lite.corpora.world import World
from dlmone_lite.errors import InputError
from dlmone_lite.evaluation.published import TASKS

SHIPPED = zoo.names()  # of the real folder, before any test redirects it


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A folder with one checkpoint, in place of the real one."""
    folder = tmp_path / "checkpoints"
    monkeypatch.setattr(zoo, "FOLDER", folder)
    monkeypatch.setattr(zoo, "HASHES", folder / "hashes.json")
    codec = make_codec(make_world(tmp_path))
    made = Checkpoint(make_model(codec), codec, "tiny", "teacher")
    checkpoint.save(folder / "tiny-teacher.safetensors", made)
    record_hash(folder / "tiny-teacher.safetensors")
    return folder, made


def test_loads_by_name_and_by_file(shipped):
    folder, made = shipped
    assert zoo.names() == ["tiny-teacher"]
    path = folder / "tiny-teacher.safetensors"
    for name in ("tiny-teacher", path, str(path)):
        assert same_weights(zoo.load(name).model, made.model)
    assert zoo.load("tiny-teacher", world="tiny").world == "tiny"
    assert zoo.path_of("tiny-teacher") == folder / "tiny-teacher.safetensors"


def test_only_a_recorded_hash_is_accepted(shipped):
    folder, made = shipped
    made.model.words.data.add_(1)
    checkpoint.save(folder / "tiny-student.safetensors", made)
    checkpoint.save(folder / "tiny-teacher.safetensors", made)
    with pytest.raises(InputError, match="wrong SHA-256"):
        zoo.load("tiny-teacher")
    for name in ("tiny-student", "tiny-teacher"):
        record_hash(folder / f"{name}.safetensors")
        assert same_weights(zoo.load(name).model, made.model)
    assert zoo.names() == ["tiny-student", "tiny-teacher"]


def test_one_changed_bit_is_noticed(shipped):
    folder, _ = shipped
    path = folder / "tiny-teacher.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"wrong SHA-256.*restore it") as caught:
        zoo.load("tiny-teacher")
    assert str(path) in str(caught.value)
    with pytest.raises(InputError, match="is damaged"):  # a file that is named as a file has a digest, too
        zoo.load(path)


def test_mistakes_are_named(shipped):
    folder, _ = shipped
    with pytest.raises(InputError, match=r"'tiny-techer' \(did you mean 'tiny-teacher'\?\); shipped: tiny-t"):
        zoo.load("tiny-techer")
    with pytest.raises(InputError, match="is of the world 'tiny', not 'paraphrase'; choose"):
        zoo.load("tiny-teacher", world="paraphrase")
    with pytest.raises(InputError, match="there is no file"):
        zoo.load(folder / "none.safetensors")
    path = folder / "tiny-teacher.safetensors"
    path.unlink()
    with pytest.raises(InputError, match="is missing; restore it") as caught:
        zoo.load("tiny-teacher")
    assert f"git checkout -- {path}" in str(caught.value)  # works from anywhere in the repository


def test_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "FOLDER", tmp_path)
    monkeypatch.setattr(zoo, "HASHES", tmp_path / "hashes.json")
    assert zoo.names() == [] and zoo.hashes() == {}
    with pytest.raises(InputError, match="no checkpoint 'paraphrase-teacher'; shipped: none"):
        zoo.load("paraphrase-teacher")


@pytest.mark.skipif(not SHIPPED, reason="no checkpoint is shipped yet")
@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_checkpoint_is_whole(name):
    loaded = zoo.load(name)  # verifies the hash
    assert loaded.role == ("student" if "student" in name else "teacher")
    assert name.startswith(f"{loaded.world}-")
    if loaded.world in TASKS:
        source, targets = "how can i learn to sail a small boat", ["what is a good way to learn sailing"] * 16
    else:
        world = World.load(loaded.world)
        source = world.split_sources("test")[0]
        targets = list(world.support(source))
    batch = loaded.codec.encode([source] * len(targets), targets)
    assert loaded.codec.decode(batch.ids) == targets  # its vocabulary and lengths fit its world
    if loaded.role == "student":
        assert 1 <= loaded.sampling["t_init"] <= loaded.model.schedule.T
    assert loaded.provenance["steps"] > 0 and "seed" in loaded.provenance
    weights = torch.cat([p.flatten() for p in loaded.model.parameters()])
    assert weights.isfinite().all()
    # At little noise a trained denoiser gives back what was noised: its words survive.
    clean = loaded.model.embed(batch.ids)
    t = torch.full((len(batch),), loaded.model.schedule.at_ratio(0.3))
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    x_t = torch.where(batch.target[..., None], loaded.model.schedule.diffuse(clean, t, noise), clean)
    if loaded.role == "teacher":
        right = loaded.model.round(loaded.model(x_t, t, batch)) == batch.ids
        assert float(right[batch.target].float().mean()) > 0.95


@pytest.mark.skipif(not SHIPPED, reason="no checkpoint is shipped yet")
def test_nothing_is_shipped_unrecorded():
    files = {path.name for path in zoo.FOLDER.glob("*.safetensors")}
    assert files == set(zoo.hashes())
