"""The methods past the paper: their gradients, their limits in which they are the kit's own, their bounds."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import SOURCES, make_codec, make_model, make_pairs, make_world

from dlmone_lite.beyond import masked, spaces, teachers, trial
from dlmone_lite.beyond.anchors import AnchorConfig, AnchorRun
from dlmone_lite.beyond.diversity import RepulsionConfig, RepulsionRun, at_entropy, inversions, repulsion
from dlmone_lite.beyond.learned_embeddings import EmbeddingConfig, EmbeddingRun
from dlmone_lite.beyond.several_calls import CallsConfig, CallsRun
from dlmone_lite.beyond.teacher_free import RatioConfig, RatioRun
from dlmone_lite.distill import DistillConfig, DistillRun
from dlmone_lite.model import Denoiser
from dlmone_lite.sample import ddim_step, snr_timesteps
from dlmone_lite.schedule import Schedule
from dlmone_lite.teacher import TeacherConfig
from dlmone_lite.training.seeds import generator_at

SMALL = {"steps": 3, "batch_size": 8, "psi_warmup": 0, "precision": "float32", "group": 4}


@pytest.fixture
def tiny(tmp_path: Path):
    """(teacher, pairs, world, codec)."""
    world = make_world(tmp_path)
    codec = make_codec(world)
    teacher = make_model(codec, output="linear", discriminator="head")
    return teacher, make_pairs(world, codec), world, codec


def weights(run: DistillRun) -> list[torch.Tensor]:
    for _ in run:
        pass
    return [p.detach().clone() for p in run.theta.parameters()]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


KL = {**SMALL, "divergence": "reverse_kl", "b_d": 0.0, "b_g": 0.0, "rho": 1.0}


@pytest.mark.parametrize(
    ("kind", "config", "off"),
    [
        (AnchorRun, AnchorConfig, {"anchor": 1.0}),
        (RepulsionRun, RepulsionConfig, {"repulsion": 0.0, "loud": 1.0}),
        (CallsRun, CallsConfig, {"calls": 1}),
    ],
)
def test_each_method_switched_off_is_the_kits_own(tiny, kind, config, off) -> None:
    teacher, data, *_ = tiny
    plain = weights(DistillRun(teacher, data, DistillConfig(**KL)))
    assert same(weights(kind(teacher, data, config(**KL, **off))), plain)
    on = {name: 0.5 if name != "calls" else 2 for name in off}
    assert not same(weights(kind(teacher, data, config(**KL, **on))), plain)


def test_without_an_anchor_the_gradient_is_the_teachers_alone(tiny) -> None:
    teacher, data, *_ = tiny
    run = AnchorRun(teacher, data, AnchorConfig(**{**KL, "group": 1}, anchor=0.0))
    draw = run.draw(generator_at(0, 1))
    x_g = run.generate(draw).detach().requires_grad_(True)
    loss = run.theta_terms(x_g, draw)["reverse_kl"].sum()
    (gradient,) = torch.autograd.grad(loss, x_g)
    with torch.no_grad():
        x_t = torch.where(
            draw.batch.target[..., None], teacher.schedule.diffuse(x_g, draw.t, draw.noise), draw.clean
        )
        gap = (x_g - teacher(x_t, draw.t, draw.batch)) * draw.batch.target[..., None]
    scale = (gradient / gap)[draw.batch.target].view(len(draw), -1)
    assert torch.allclose(scale, scale[:, :1].expand_as(scale), rtol=1e-3) and (scale > 0).all()


def test_a_ratio_run_asks_no_teacher_and_follows_its_classifier(tiny) -> None:
    teacher, data, *_ = tiny
    run = RatioRun(teacher, data, RatioConfig(**{**KL, "group": 1}))
    calls = []
    run.phi.register_forward_hook(lambda *_: calls.append(1))
    before = [p.clone() for p in run.theta.parameters()]
    steps = list(run)
    assert set(steps[-1].losses) == {"discriminator", "ratio"} and not calls
    assert not same([p.detach() for p in run.theta.parameters()], before)
    draw = run.draw(generator_at(0, 9))
    x_g = run.generate(draw).detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(run.theta_terms(x_g, draw)["ratio"].sum(), x_g)
    with torch.no_grad():
        step = x_g - 1e-3 * gradient / gradient.norm()
        assert run.logits(step, draw).mean() > run.logits(x_g, draw).mean(), "it moves to where it looks real"


def test_learned_embeddings_move_and_frozen_ones_do_not(tiny) -> None:
    teacher, data, *_ = tiny
    for shared in (False, True):
        c = EmbeddingConfig(**{**KL, "b_d": 0.5, "b_g": 0.2}, commitment=0.1, apart=0.1, shared=shared)
        run = EmbeddingRun(teacher, data, c)
        list(run)
        assert not torch.equal(run.theta.words, teacher.words) and torch.equal(run.psi.words, teacher.words)
        assert torch.equal(run.phi.words, teacher.words)
        assert torch.allclose(run.result.embedding().norm(dim=-1), torch.tensor(8.0).sqrt())
    keep = EmbeddingRun(teacher, data, EmbeddingConfig(**KL, commitment=0.1, apart=50.0))
    loose = EmbeddingRun(teacher, data, EmbeddingConfig(**KL, commitment=0.1))
    nearest = [torch.pdist(run.theta.embedding()).min() for run in (keep, loose) if list(run)]
    assert nearest[0] > nearest[1]


def test_repulsion_is_one_for_equal_samples_and_falls_with_distance() -> None:
    target = torch.ones(4, 3, dtype=torch.bool)
    x = torch.zeros(4, 3, 2)
    assert torch.allclose(repulsion(x, target, 2), torch.ones(4))
    x[1] = 1.0  # squared distance 1 per element within the first pair
    assert torch.allclose(repulsion(x, target, 2), torch.tensor([math.exp(-1)] * 2 + [1.0] * 2))


def test_later_calls_begin_at_the_samplers_times_with_fresh_noise(tiny) -> None:
    teacher, data, *_ = tiny
    run = CallsRun(teacher, data, CallsConfig(**KL, calls=2))
    seen = []
    run.theta.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1]))
    draw = run.draw(generator_at(0, 1))
    x_g = run.generate(draw)
    first, second = seen
    assert first.unique().tolist() == [1490] and second.tolist() == [1490] * 4 + [745] * 4
    assert torch.equal(x_g[:4], DistillRun.generate(run, draw)[:4]), "the first call is the sampler's"


def test_a_frontier_is_read_at_an_entropy() -> None:
    points = [{"entropy": 0.5, "kl": 3.0}, {"entropy": 1.0, "kl": 1.0}, {"entropy": 2.0, "kl": 2.0}]
    assert at_entropy(points, 1.5, "kl") == pytest.approx(1.5)
    assert at_entropy(points, 0.75, "kl") == pytest.approx(2.0) and at_entropy(points, 2.5, "kl") is None
    rows = [
        {"cross_entropy": 1.0, "kl": 1.0},
        {"cross_entropy": 2.0, "kl": 0.5},
        {"cross_entropy": 3.0, "kl": 2.0},
    ]
    assert inversions(rows, 0.1) == (1, 3) and inversions(rows, 0.7) == (0, 2)


# ---- masked models


def test_a_perfect_masked_model_is_right_only_word_by_word(tiny) -> None:
    _, _, world, codec = tiny
    predict = masked.truth_predicts(codec, world.support)
    batch = codec.encode(SOURCES[:1]).repeat(4000)
    support = world.support(SOURCES[0])
    distances = {}
    for calls in (1, codec.target_length):
        ids = masked.reveal(predict, batch, calls, torch.Generator().manual_seed(0))
        texts = codec.decode(ids)
        distances[calls] = 0.5 * sum(abs(texts.count(t) / 4000 - p) for t, p in support.items())
        distances[calls] += 0.5 * sum(text not in support for text in texts) / 4000
        assert torch.equal(ids[:, : codec.source_length], batch.ids[:, : codec.source_length])
    exact = masked.product_distances(support, codec.target_length)
    assert distances[codec.target_length] < 0.03, "each word given all before: the truth itself"
    assert distances[1] == pytest.approx(exact["marginals"], abs=0.03)
    assert masked.product_bound(support, codec.target_length) <= exact["best"] <= exact["marginals"] + 1e-6


@pytest.mark.parametrize("seed", range(4))
def test_no_product_is_nearer_than_the_bound(seed: int) -> None:
    support = {"a b c": 0.5, "d e f": 0.3, "a e c g": 0.2}
    bound = masked.product_bound(support, 5)
    rng, strings = torch.Generator().manual_seed(seed), masked.positions_of(support, 5)
    words = [sorted(set(column)) for column in zip(*strings, strict=True)]
    nearest = 1.0
    for _ in range(3000):
        q = [torch.softmax(4 * torch.randn(len(own), generator=rng), 0).tolist() for own in words]
        chance = [math.prod(q[i][words[i].index(w)] for i, w in enumerate(string)) for string in strings]
        nearest = min(nearest, 1 - sum(map(min, chance, support.values())))
    assert 0 < bound <= nearest
    assert masked.product_bound({"a b": 1.0}, 3) == pytest.approx(0), "one sentence is a product"


def test_a_masked_network_learns_what_the_truth_predicts(tiny) -> None:
    _, data, world, codec = tiny
    model = make_model(codec, evidence=False)
    config = TeacherConfig(steps=400, batch_size=24, t_sampling="uniform", precision="float32")
    run = masked.MaskedRun(model, data, config)
    steps = list(run)
    assert steps[-1].losses["denoising"] < 0.5 * steps[0].losses["denoising"]
    batch = codec.encode(SOURCES)
    hidden = batch.target.clone()
    p = masked.network_predicts(run.result)(batch, hidden)
    q = masked.truth_predicts(codec, world.support)(batch, hidden)
    assert float((p - q).abs().sum(-1).mean()) < 0.25


def test_what_is_seen_fixes_what_fits() -> None:
    references = torch.tensor([[[1, 2], [1, 3], [4, 3]]])
    share = torch.tensor([[0.5, 0.25, 0.25]]).log()
    nothing, first = torch.tensor([[True, True]]), torch.tensor([[False, True]])
    assert torch.allclose(masked.fitting(references, share, torch.tensor([[0, 0]]), nothing), share.exp())
    seen = masked.fitting(references, share, torch.tensor([[1, 0]]), first)
    assert torch.allclose(seen, torch.tensor([[2 / 3, 1 / 3, 0.0]]))
    unknown = masked.fitting(references, share, torch.tensor([[9, 0]]), first)
    assert torch.allclose(unknown, share.exp()), "where nothing fits, the prior"


# ---- spaces, teachers, samplers


def test_a_simplex_students_output_is_a_mean_of_embeddings(tiny) -> None:
    teacher, _, _, codec = tiny
    student = spaces.simplex(teacher)
    batch = codec.encode(SOURCES)
    x, t = torch.randn(3, codec.length, 8), torch.full((3,), 900)
    weight = (teacher(x, t, batch) @ teacher.embedding().T).softmax(-1)
    assert torch.allclose(student(x, t, batch), weight @ teacher.embedding(), atol=1e-5)


def test_one_hot_words_have_one_distance_and_stay(tiny) -> None:
    _, data, _, codec = tiny
    config = replace(make_model(codec).config, output="linear", embed_dim=8)
    model = spaces.one_hot(config)
    words = model.words.clone()
    list(spaces.TeacherRun(model, data, TeacherConfig(steps=2, batch_size=8, rounding=0.0, prior=0.0)))
    assert torch.equal(model.words, words)
    assert torch.allclose(torch.pdist(model.embedding()), torch.tensor(2.0 * config.vocab_size).sqrt())


def test_an_encoders_states_are_read_back(tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    _, data, _, codec = tiny
    monkeypatch.setattr(spaces, "ENCODER", replace(spaces.ENCODER, steps=300))
    monkeypatch.setattr(
        spaces, "SHAPE", replace(make_model(codec).config, output="linear", width=48, heads=4)
    )
    model, _ = spaces.latent_teacher(codec, data, replace(trial.TEACHER, steps=2, batch_size=8))
    batch = data.batch[:12]
    states = model.embed(batch.ids)
    assert torch.equal(model.round(states[batch.target]), batch.ids[batch.target]), "each word comes back"
    assert torch.allclose(states.norm(dim=-1), torch.tensor(model.config.embed_dim).sqrt(), atol=1e-4)
    ids = batch.ids[:, codec.source_length :]
    other = ids.clone()
    other[:, -1] = 5
    assert not torch.allclose(model.encode(ids)[:, 0], model.encode(other)[:, 0]), (
        "a state knows its neighbours"
    )
    assert not any(p.requires_grad for p in model.codec_parameters())


def test_levels_move_with_the_distance_of_the_words() -> None:
    schedule = Schedule()
    moved = spaces.rescaled({}, schedule, 2.0)
    for name, t in moved.items():
        assert float(schedule.ratio(t)) == pytest.approx(
            2 * float(schedule.ratio(getattr(trial.RECIPE, name))), rel=0.1
        )


def test_self_conditioning_reads_its_own_estimate_but_every_other_row_in_training(tiny) -> None:
    _, _, _, codec = tiny
    model = teachers.SelfConditioned(make_model(codec, output="linear").config)
    batch, t = codec.encode(SOURCES + SOURCES[:1]), torch.full((4,), 900)
    x = torch.randn(4, codec.length, 8)
    nothing = torch.cat([x, torch.zeros_like(x)], -1)
    blind = model.x0_from_hidden(x, t, Denoiser.hidden(model, nothing, t))
    told = model.x0_from_hidden(x, t, Denoiser.hidden(model, torch.cat([x, blind], -1), t))
    assert torch.allclose(model.eval()(x, t, batch), told, atol=1e-6)
    trained = model.train()(x, t, batch)
    assert torch.allclose(trained[::2], blind[::2], atol=1e-6)
    assert torch.allclose(trained[1::2], told[1::2], atol=1e-6)


def test_the_second_order_solver_converges_faster_than_ddim(tiny) -> None:
    """On a Gaussian the probability flow is known: x_t / s(t) stays, with s(t) the standard deviation."""
    schedule, std = Schedule(), 0.5
    x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))

    def mean(x_t: torch.Tensor, t: int) -> torch.Tensor:
        alpha, sigma = schedule(t)
        return alpha * std**2 / (alpha**2 * std**2 + sigma**2) * x_t

    def spread(t: int) -> float:
        alpha, sigma = schedule(t)
        return float((alpha**2 * std**2 + sigma**2).sqrt())

    errors = {}
    for calls in (8, 16):
        times = snr_timesteps(schedule, calls, last=0.2)[1:-1]  # in between the ends of the chain
        exact = x / spread(times[0]) * spread(times[-1])
        second, a, b = teachers.second_order(schedule), x, x
        for t, s in zip(times, times[1:], strict=False):
            a = second(a, mean(a, t), t, s)
            b = ddim_step(schedule, b, mean(b, t), t, s)
        errors[calls] = [float((own - exact).abs().mean()) for own in (a, b)]
    assert errors[8][0] < errors[8][1] / 2 and errors[16][0] < errors[8][0] / 2.5 < errors[8][1]
