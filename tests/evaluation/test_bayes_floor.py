"""The loss above the Bayes floor: exactly zero for the exact denoiser, closed forms for constant answers."""

from __future__ import annotations

import pets
import pytest
import torch

from dlmone_lite.checkpoints.checkpoint import Checkpoint, load
from dlmone_lite.corpora.world import World
from dlmone_lite.errors import InputError
from dlmone_lite.evaluation.bayes_floor import loss_by_decile, perfect

DRAWS = 32


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkpoint, World]:
    folder = tmp_path_factory.mktemp("bayes")
    world = pets.make_world(folder)
    return load(pets.make_checkpoint(folder / "teacher.safetensors", world, "teacher")), world


def test_the_exact_denoiser_stands_on_the_floor(lab: tuple[Checkpoint, World]) -> None:
    checkpoint, world = lab
    for row in loss_by_decile(perfect(checkpoint, world), world, DRAWS)["deciles"]:
        assert row["excess"] == 0 and row["teacher"] == row["bayes"]


def test_answering_zero_costs_the_mean_square(
    lab: tuple[Checkpoint, World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Embeddings have norm sqrt(D): an element's mean square is 1, so that is the loss of the answer 0."""
    checkpoint, world = lab
    monkeypatch.setattr(checkpoint.model, "forward", lambda x_t, t, batch: torch.zeros_like(x_t))
    rows = loss_by_decile(checkpoint, world, DRAWS)["deciles"]
    for row in rows:
        assert row["teacher"] == pytest.approx(1, abs=1e-5)
        assert row["excess"] == pytest.approx(
            1 - row["bayes"], abs=5 * (row["excess_se"] + row["bayes_se"]) + 1e-5
        )
    assert rows[0]["bayes"] < 0.01 < rows[-1]["bayes"], "little noise decides every word, much noise does not"


def test_the_floor_never_exceeds_the_prior_variance(lab: tuple[Checkpoint, World]) -> None:
    """Not looking at x_t at all costs Var(x0 | source), computed here from the support by hand."""
    checkpoint, world = lab
    codec, model, variances = checkpoint.codec, checkpoint.model, []
    for source in world.split_sources("test"):
        support = world.support(source)
        points = model.embed(codec.encode([source] * len(support), list(support)).ids)[
            :, codec.source_length :
        ]
        p = torch.tensor(list(support.values()))[:, None, None]
        variances.append(float(1 - (p * points).sum(0).square().mean()))
    last = loss_by_decile(checkpoint, world, 200)["deciles"][-1]
    prior = sum(variances) / len(variances)
    assert 0.5 * prior < last["bayes"] < prior + 4 * last["bayes_se"]


def test_noisy_embeddings_leave_their_share(lab: tuple[Checkpoint, World]) -> None:
    """Where words are certain but x0's own noise drowns in that of x_t, it adds nearly its variance."""
    checkpoint, world = lab
    quiet = loss_by_decile(checkpoint, world, DRAWS)["deciles"][2]["bayes"]
    noisy = loss_by_decile(checkpoint, world, DRAWS, sigma_0=0.121)["deciles"][2]["bayes"]
    assert quiet + 0.5 * 0.121**2 < noisy < quiet + 1.2 * 0.121**2


def test_same_seed_same_numbers(lab: tuple[Checkpoint, World]) -> None:
    checkpoint, world = lab
    first, again, other = (loss_by_decile(checkpoint, world, 8, seed) for seed in (3, 3, 4))
    assert first == again and first["deciles"] != other["deciles"]
    assert [row["t_from"] for row in first["deciles"]] == list(range(1, 2001, 200))


def test_ratios_only_where_the_floor_counts(lab: tuple[Checkpoint, World]) -> None:
    result = loss_by_decile(*lab, DRAWS)
    for row in result["deciles"]:
        counts = row["bayes"] > 0.05 * result["embedding_variance"]
        assert row["ratio"] == (row["excess"] / row["bayes"] if counts else None)
    assert {row["ratio"] is None for row in result["deciles"]} == {True, False}


def test_one_draw_has_no_error(lab: tuple[Checkpoint, World]) -> None:
    with pytest.raises(InputError, match="at least 2 draws"):
        loss_by_decile(*lab, 1)
