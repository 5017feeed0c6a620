"""What notebooks measure: small truths by hand, and that every lesson draws what it says."""

from __future__ import annotations

import math
import re

import pytest
import torch
from torch import Tensor

from dlmone_lite import World, held_out_sources, load
from dlmone_lite.corpora.pairs import PairedText
from dlmone_lite.corpora.world import load_split
from dlmone_lite.evaluation import bayes_floor
from dlmone_lite.exact import ExactDenoiser, GaussianMixture
from dlmone_lite.figures import style
from dlmone_lite.lessons import nb01, nb02, nb03, nb04, nb07, nb09
from dlmone_lite.sample import ancestral
from dlmone_lite.schedule import Schedule
from dlmone_lite.text import Codec, Vocabulary


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """(alt text, numbers) of every figure that a lesson shows."""
    found: list[tuple[str, str]] = []
    monkeypatch.setattr(style, "show", lambda fig, alt, numbers="": found.append((alt, numbers)))
    return found


def test_a_walk_of_one_step_is_the_mean_and_of_many_a_sample() -> None:
    points = torch.tensor([[3.0, 0.0], [-3.0, 0.0]], dtype=torch.float64)
    two = GaussianMixture(points, torch.tensor([0.5, 0.5], dtype=torch.float64).log())
    rng = torch.Generator().manual_seed(0)

    def noise() -> torch.Tensor:
        return torch.randn(200, 2, generator=rng, dtype=torch.float64)

    one = nb01.walk(two, nb01.ancestral_step, noise, 1, Schedule())
    assert one.abs().max() < 0.5
    many = nb01.walk(two, nb01.ancestral_step, noise, 50, Schedule())
    assert torch.allclose(many[:, 0].abs(), torch.tensor(3.0, dtype=torch.float64), atol=1e-3)
    assert 0.35 < float((many[:, 0] > 0).double().mean()) < 0.65


def test_half_are_decided_where_the_formula_says(shown: list[tuple[str, str]]) -> None:
    """Two points at distance d: at sigma/alpha = d / sqrt(2 log 9)."""
    points = torch.tensor([[4.0, 0.0], [-4.0, 0.0]], dtype=torch.float64)
    two = GaussianMixture(points, torch.tensor([0.5, 0.5], dtype=torch.float64).log())
    half = nb01.when_half_are_decided([two, two], ["sqrt", "linear"], 2000)
    for name, t in half.items():
        assert float(Schedule(name).ratio(t)) == pytest.approx(8 / math.sqrt(2 * math.log(9)), rel=0.06)
    assert len(shown) == 1 and f"{half['sqrt']} (sqrt, " in shown[0][1]


def test_a_walk_is_the_library_s_ancestral_sampling() -> None:
    world, schedule = World.load("paraphrase"), Schedule()
    codec = Codec(Vocabulary(world.vocabulary()), world.max_source + 1, world.max_target + 1)
    rng = torch.Generator().manual_seed(0)
    table = torch.randn(len(codec.vocabulary), 8, generator=rng, dtype=torch.float64)
    source, cut = held_out_sources(world, 1)[0], codec.source_length
    batch = codec.encode([source]).repeat(6)
    clean, exact = table[batch.ids], ExactDenoiser(world.support, codec, table, schedule)
    noises = [torch.randn(clean.shape, generator=rng.manual_seed(7), dtype=torch.float64)]
    noises += [torch.randn(clean.shape, generator=rng, dtype=torch.float64) for _ in range(7)]
    flat = iter([noise[:, cut:].flatten(1) for noise in noises])
    walked = nb01.walk(exact.mixture(source), nb01.ancestral_step, flat.__next__, 8, schedule)
    sampled = ancestral(exact, schedule, batch, clean, steps=8, generator=rng.manual_seed(7))
    assert torch.allclose(sampled[:, cut:].flatten(1), walked, atol=1e-8)


def test_words_drawn_independently_agree_as_often_as_by_hand() -> None:
    ids, p = torch.tensor([[1, 2], [3, 4]]), torch.tensor([0.75, 0.25])
    assert nb02.share_right(ids, p) == pytest.approx(0.75**2 + 0.25**2)
    assert float(nb02.pair_error(torch.tensor(2.0), 1.0, 1.0)) == pytest.approx(0.1587, abs=1e-4)


def test_the_space_of_the_paraphrases(shown: list[tuple[str, str]]) -> None:
    world, teacher = World.load("paraphrase"), load("paraphrase-teacher")
    sources = held_out_sources(world, 3)
    space = nb02.Space(world, teacher, sources)
    assert space.neighbours() > 0.5 and 1 < space.misreading(nb02.pair_error) < 2
    clean = space.table[space.used]
    apart = space.distance[space.used].scatter(1, space.used[:, None], torch.inf).amin(1)
    assert torch.allclose(space.margins(clean, space.used), apart / 2, atol=1e-3), (
        "half the way to the next word"
    )
    ids, p = space.candidates(sources[0])
    for probability in space.readers(space.table[ids[:1]], 0.01, ids, p).values():
        assert torch.equal(probability[0].argmax(-1), ids[0]), "without noise everybody reads"
    assert 0 <= space.independent_words(nb02.share_right) < 0.05 and len(shown) == 2
    _, measured, lower, upper = space.error_curves(nb02.pair_error)
    slack = 4 * (measured * (1 - measured) / (100 * len(space.used))).sqrt() + 1e-3  # four standard errors
    assert ((measured > lower - slack) & (measured < upper + slack)).all()


def test_what_pad_tells_and_where_walks_lead(
    shown: list[tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    world = World.load("paraphrase")
    space = nb02.Space(world, load("paraphrase-teacher"), held_out_sources(world, 2))
    space.layouts()
    assert "6 different starts" in shown[0][1] and "Left: all targets start at position 12" in shown[0][0]
    space.walks()
    share_of_pad, share_left, walks = capsys.readouterr().out.splitlines()
    assert share_of_pad.startswith("[PAD] is right at 2") and share_left.endswith("%")
    pairs = sum(n * (n - 1) // 2 for n in (len(world.support(source)) for source in space.sources))
    assert walks.startswith(f"of {pairs} walks")


def test_what_a_teacher_can_learn_at_a_level() -> None:
    world, teacher = World.load("paraphrase"), load("paraphrase-teacher")
    perfect, sources = bayes_floor.perfect(teacher, world), held_out_sources(world, 2)
    guesses = nb03.three_guesses(perfect, sources[0], t=1900)
    for error, floor, gap in guesses.values():
        assert error == pytest.approx(floor + gap, abs=1e-4) and error >= floor > 0
    assert [gap > 0 for _, _, gap in guesses.values()] == [False, True, True]
    open_choice, readable = nb03.choice_by_level(perfect, sources, [100, 2000])
    assert open_choice[0] < 0.01 and open_choice[1] > 0.9 and readable[0] > 0.99 and readable[1] < 0.2

    rows = load_split(world, "train")
    data = PairedText(rows["src"][:40], rows["trg"][:40], teacher.codec)
    x_t, drawn, references, counts, exact = nb03.noisy_pairs(perfect, data, 100, n=4)
    for i in range(4):  # at little noise the target that was drawn is the only one left
        stable = nb03.stable_target(x_t[i : i + 1], references[i], counts[i], *teacher.model.schedule(100))
        assert torch.allclose(stable, drawn[i : i + 1], atol=1e-4)
    assert torch.allclose(exact, drawn, atol=1e-3)


def test_a_reading_ends_before_the_separator() -> None:
    teacher = load("paraphrase-teacher")
    row = teacher.codec.encode(["who teaches skating in rome ?"], ["who teaches skating ?"])
    found = nb03.reading(teacher, 7, teacher.model.embed(row.ids))
    assert found.t == 7 and found.words == ("who", "teaches", "skating", "?")
    assert found.sureness == pytest.approx((1.0,) * 4, abs=1e-3)


def test_what_the_gradient_does(shown: list[tuple[str, str]]) -> None:
    assert nb04.gradient_by_mu(range(2)) == 0.5
    view = nb04.two_pulls(0.5, 500, "sid", 0)
    assert "cosine 1.00" in view.readout and len(shown) == 1


def test_averages_of_the_terms_tell_an_exact_psi_from_a_late_one(capsys: pytest.CaptureFixture[str]) -> None:
    def terms(x_g: Tensor, f_phi: Tensor, f_psi: Tensor) -> tuple[Tensor, Tensor]:
        d = f_phi - f_psi
        return (d * d).sum(-1), (d * (f_phi - x_g)).sum(-1)

    nb04.average_terms(terms)
    for row in capsys.readouterr().out.splitlines()[1:]:
        pairs = [cell.split(" ± ") for cell in re.findall(r"-?[\d.]+ ± [\d.]+", row)]
        zero = [abs(float(mean)) < 4 * float(error) for mean, error in pairs]
        assert zero == [False, False, True, False, False]


def test_a_discriminator_knows_most_at_little_noise(shown: list[tuple[str, str]]) -> None:
    nb04.what_a_discriminator_knows(range(1))
    ((_, numbers),) = shown
    assert numbers.startswith("start, over the levels: 0.97 to 0.56 (best)")


def test_a_table_without_rounding_collapses() -> None:
    loose, _ = nb02.train_table(True, 0.0, seed=0)
    kept, table = nb02.train_table(True, 1.0, seed=0)
    assert loose[-1] < 0.1 * loose[0] and kept[-1] > 0.4 * kept[0]
    assert torch.allclose(table.norm(dim=1), torch.full((24,), 4.0), atol=1e-4)


def test_the_look_that_is_kept_and_the_interval_of_a_ratio() -> None:
    rows = [
        {"stage": 0, "step": 9, "tv": 0.0},
        {"stage": 2, "step": 1, "tv": 0.2},
        {"stage": 1, "step": 5, "tv": 0.2},
    ]
    assert nb07.best_look(rows) == (1, 5)
    draws = [[0, 1]] * 90 + [[0, 0]] * 5 + [[1, 1]] * 5
    assert nb09.ratio_interval([1.0, 2.0], [1.0, 1.0], draws) == (1.0, 2.0)
    assert nb09.ratio_interval([1.0, 2.0], [1.0, 1.0], [[0, 1]] * 100) == (1.5, 1.5)
