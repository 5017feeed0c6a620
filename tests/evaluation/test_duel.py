"""A duel: its lanes are the samplers' own, its scores those of the metrics."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny import SOURCES, make_codec, make_model, make_world

from dlmone_lite.checkpoints.checkpoint import Checkpoint
from dlmone_lite.evaluation.duel import run_lane, score_samples
from dlmone_lite.generation import generate

SUPPORT = {"a b": 0.75, "c d": 0.25}


def checkpoint(folder: Path, role: str) -> Checkpoint:
    world = make_world(folder)
    codec = make_codec(world)
    sampling = {"t_init": 1490} if role == "student" else {}
    return Checkpoint(make_model(codec).eval().requires_grad_(False), codec, "tiny", role, sampling)


@pytest.mark.parametrize(("role", "steps"), [("teacher", 5), ("student", 1), ("student", 3)])
def test_a_lane_ends_where_the_sampler_ends(tmp_path: Path, role: str, steps: int) -> None:
    made = checkpoint(tmp_path, role)
    lane = run_lane(made, SOURCES[0], steps, seed=0)
    assert (lane.role, lane.calls) == (role, steps) and lane.seconds > 0
    assert lane.sentence == generate(made, SOURCES[:1], steps=steps, seed=0)[0][0]
    again, other = (run_lane(made, SOURCES[0], steps, seed=seed) for seed in (0, 1))
    assert again.readings == lane.readings != other.readings


def test_a_lane_reads_every_call(tmp_path: Path) -> None:
    made = checkpoint(tmp_path, "teacher")
    batch = made.codec.encode(SOURCES[:1])
    noise = torch.randn(1, 12, 8, generator=torch.Generator().manual_seed(4))
    x = torch.where(batch.target[..., None], noise, made.model.embed(batch.ids))
    first = made.codec.decode(made.model.round(made.model(x, torch.tensor([2000]), batch)))[0]
    assert run_lane(made, SOURCES[0], 3, seed=4).readings[0] == first


def test_scores_by_hand() -> None:
    s = score_samples("student", 1, 0.5, ["a b", "a b", "oops", "a b"], SUPPORT)
    assert (s.validity, s.tv) == (0.75, 0.25)  # half of |.75 - .75| + |0 - .25| + .25
    assert s.coverage == pytest.approx(1 / ((1 - 0.25**4) + (1 - 0.75**4)))
