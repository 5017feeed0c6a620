"""teacher: DiffuSeq's terms by hand, the stable target as exact posterior, choices of t, learning."""

from __future__ import annotations

import math
from dataclasses import asdict, replace

import pytest
import torch
from tiny import SOURCES, make_codec, make_model, make_pairs, make_world, normal, rng

from dlmone_lite.corpora.pairs import PairedText
from dlmone_lite.errors import Diverged, InputError
from dlmone_lite.exact import ExactDenoiser
from dlmone_lite.sample import anchor
from dlmone_lite.teacher import DIFFUSEQ, TeacherConfig, TeacherRun, teacher_loss
from dlmone_lite.training.times import TimeSampler

T = torch.tensor([1950, 1700, 1400, 300])  # one level per row of `drawn`
CUT = 6


@pytest.fixture
def world(tmp_path):
    return make_world(tmp_path)


@pytest.fixture
def codec(world):
    return make_codec(world)


@pytest.fixture
def pairs(world, codec):
    return make_pairs(world, codec)


def drawn(pairs, dim=8, seed=1):
    """Four rows of two sources, with their references, and noise of both kinds, in float64."""
    batch, references, log_share = pairs.rows(torch.tensor([0, 7, 17, 23]))
    return batch, references, log_share.double(), normal(4, 12, 2 * dim, seed=seed, dtype=torch.float64)


def noised(model, batch, noise, sigma_0):
    """(x0, x_t) as DiffuSeq makes them: sigma_0 noise everywhere, diffusion noise on the target."""
    x0 = model.embed(batch.ids) + sigma_0 * noise[..., 8:]
    return x0, anchor(model.schedule.diffuse(x0, T, noise[..., :8]), x0, batch)


# ---- terms of the loss


@pytest.mark.parametrize("sigma_0", [0.0, 0.121])
@pytest.mark.parametrize("loss", ["mse", "ce"])
def test_sample_target_by_hand(codec, pairs, loss, sigma_0):
    model = make_model(codec).double()
    batch, references, log_share, noise = drawn(pairs)
    config = TeacherConfig(target="sample", loss=loss, sigma_0=sigma_0)
    terms = teacher_loss(model, batch, references, log_share, T, noise, config)
    x0, x_t = noised(model, batch, noise, sigma_0)
    table = model.embedding()
    for row in range(4):
        if loss == "mse":
            x0_hat = model(x_t, T, batch)
            expected = (x0 - x0_hat)[row, CUT:].square().mean()
        else:
            log_p = model.logits(x_t, T, model.hidden(x_t, T)).log_softmax(-1)
            expected = -sum(log_p[row, i, batch.ids[row, i]] for i in range(CUT, 12)) / 6
        assert terms["denoising"][row].item() == pytest.approx(expected.item(), rel=1e-9)
        logits = [[float(x0[row, i].detach() @ e) for e in table.detach()] for i in range(CUT, 12)]
        nll = [
            math.log(sum(math.exp(v) for v in words)) - words[batch.ids[row, CUT + i]]
            for i, words in enumerate(logits)
        ]
        assert terms["rounding"][row].item() == pytest.approx(sum(nll) / 6, rel=1e-9)
        abar_T = (1 - math.sqrt(1999 / 2000 + 1e-4)) / 0.99 * 1e-3
        prior = abar_T * x0[row, CUT:].square().mean().item()
        assert terms["prior"][row].item() == pytest.approx(prior, rel=1e-6)


@pytest.mark.parametrize("output", ["linear", "softmax"])
def test_stable_target_is_the_exact_posterior_mean(world, codec, pairs, output):
    """References in the world's own shares: the regression target is what the exact denoiser says."""
    model = make_model(codec, output=output).double()
    batch, references, log_share, noise = drawn(pairs)
    exact = ExactDenoiser(world.support, codec, model.embedding(), model.schedule)
    config = TeacherConfig(target="stable", loss="mse")
    terms = teacher_loss(model, batch, references, log_share, T, noise, config)
    _, x_t = noised(model, batch, noise, 0.0)
    difference = model(x_t, T, batch) - exact(x_t, T, batch)
    expected = difference[:, CUT:].square().mean((1, 2))
    assert torch.allclose(terms["denoising"], expected, rtol=1e-6)
    assert expected.min() > 1e-6
    # Where noise is strong the target is a true mixture, far from the one sample that was drawn.
    assert (exact(x_t, T, batch) - model.embed(batch.ids))[0, CUT:].square().mean() > 0.05


def test_stable_cross_entropy_is_that_of_the_posterior_marginals(world, codec, pairs):
    model = make_model(codec).double()
    batch, references, log_share, noise = drawn(pairs)
    config = TeacherConfig(target="stable", loss="ce")
    terms = teacher_loss(model, batch, references, log_share, T, noise, config)
    _, x_t = noised(model, batch, noise, 0.0)
    exact = ExactDenoiser(world.support, codec, model.embedding(), model.schedule)
    log_p = model.logits(x_t, T, model.hidden(x_t, T)).log_softmax(-1)
    for row, source in enumerate(codec.sources(batch)):
        alpha, sigma = model.schedule(int(T[row]), torch.float64)
        w = exact.mixture(source).weights(x_t[row : row + 1, CUT:].flatten(1), alpha, sigma)[0]
        targets = list(world.support(source))
        ids = codec.encode([source] * len(targets), targets).ids[:, CUT:]
        marginals = torch.zeros(6, len(codec.vocabulary), dtype=torch.float64)
        for k, words in enumerate(ids):
            for position, word in enumerate(words):
                marginals[position, word] += w[k]
        expected = -(marginals * log_p[row, CUT:]).sum(-1).mean()
        assert terms["denoising"][row].item() == pytest.approx(expected.item(), rel=1e-6)


def test_stable_target_with_noisy_embeddings(world, codec, pairs):
    model = make_model(codec).double()
    batch, references, log_share, noise = drawn(pairs)
    config = TeacherConfig(target="stable", loss="mse", sigma_0=0.121)
    terms = teacher_loss(model, batch, references, log_share, T, noise, config)
    _, x_t = noised(model, batch, noise, 0.121)
    exact = ExactDenoiser(world.support, codec, model.embedding(), model.schedule, sigma_0=0.121)
    expected = (model(x_t, T, batch) - exact(x_t, T, batch))[:, CUT:].square().mean((1, 2))
    assert torch.allclose(terms["denoising"], expected, rtol=1e-6)


def test_empty_places_among_the_references_count_for_nothing(codec):
    s, other = "can a cat run here", "can a dog run there"
    texts = ["cat runs fast here", "cat runs quickly here", "dog runs fast there"]
    model = make_model(codec).double()
    batch = codec.encode([other], texts[2:])
    noise, t = normal(1, 12, 16, dtype=torch.float64), torch.tensor([1900])
    for loss in ("mse", "ce"):
        found = []
        for sources, targets in [([s, s, other], texts), ([other], texts[2:])]:
            data = PairedText(sources, targets, codec)
            _, references, log_share = data.rows(torch.tensor([len(sources) - 1]))
            config = TeacherConfig(target="stable", loss=loss)
            terms = teacher_loss(model, batch, references, log_share.double(), t, noise, config)
            found.append(terms["denoising"].item())
        assert math.isfinite(found[0]) and found[0] == pytest.approx(found[1], rel=1e-12)


@pytest.mark.parametrize("loss", ["mse", "ce"])
def test_stable_and_sample_targets_agree_in_expectation(codec, pairs, loss):
    """The same expected gradient, and less variance: both estimated over many batches of the same pairs."""
    model = make_model(codec)
    # Under "mse" the two differ in what moves the embeddings themselves; the network's part agrees.
    parameters = [p for n, p in model.named_parameters() if loss == "ce" or n != "words"]
    size = sum(p.numel() for p in parameters)
    directions = normal(size, 12, seed=3) / math.sqrt(size)
    g, found = rng(5), {"stable": [], "sample": []}
    for _ in range(80):
        batch, references, log_share = pairs.rows(pairs.draw(24, g))
        t = torch.randint(1300, 2001, (24,), generator=g)
        noise = torch.randn(24, 12, 16, generator=g)
        for target, kept in found.items():
            config = TeacherConfig(target=target, loss=loss)
            terms = teacher_loss(model, batch, references, log_share, t, noise, config)
            gradient = torch.autograd.grad(terms["denoising"].mean(), parameters, allow_unused=True)
            both = zip(parameters, gradient, strict=True)
            flat = [(torch.zeros_like(p) if d is None else d).flatten() for p, d in both]
            kept.append(torch.cat(flat) @ directions)
    stable, sample = (torch.stack(found[k]) for k in ("stable", "sample"))
    difference = stable - sample
    error = difference.std(0) / math.sqrt(len(difference))
    assert (difference.mean(0).abs() < 4 * error).all()
    assert error.max() < 0.5 * stable.mean(0).abs().max()  # a real difference would be seen
    assert stable.var(0).sum() < 0.95 * sample.var(0).sum()


def test_source_positions_carry_no_loss_and_targets_no_clue(codec, pairs):
    model = make_model(codec).double()
    batch, references, log_share, noise = drawn(pairs)
    config = TeacherConfig(target="sample", loss="mse")
    terms = teacher_loss(model, batch, references, log_share, T, noise, config)
    moved = noise.clone()
    moved[:, :CUT] += 5  # noise on source positions is never used without sigma_0
    moved[..., 8:] += 5
    again = teacher_loss(model, batch, references, log_share, T, moved, config)
    assert all(torch.equal(terms[name], again[name]) for name in terms)


# ---- the choice of t


def test_loss_aware_weights_unbias():
    config = TeacherConfig(t_sampling="loss-aware")
    times = TimeSampler(config, 2000)
    t = torch.arange(1, 2001)
    for _ in range(10):  # fill the history: large losses late
        times.record(t, 0.05 + (t / 2000.0) ** 4)
    n = 100_000
    drawn_t, w = times.draw(n, rng(1))
    assert drawn_t.min() >= 1 and drawn_t.max() <= 2000
    error = float(w.std()) / math.sqrt(n)
    assert float(w.mean()) == pytest.approx(1, abs=4 * error)
    for f in (lambda t: t / 2000, lambda t: torch.sin(t / 100), lambda t: (t < 300).float()):
        values = w * f(drawn_t)
        error = float(values.std()) / math.sqrt(n)
        assert float(values.mean()) == pytest.approx(float(f(t).mean()), abs=4 * error)
    assert float(drawn_t.float().mean()) > 1300  # without the weights late steps would be over-counted


def test_loss_aware_probabilities_follow_the_root_mean_square():
    times = TimeSampler(TeacherConfig(t_sampling="loss-aware"), 4, history=3)
    times.record(torch.tensor([1, 1, 2, 1, 3, 4, 4, 4, 2, 2]), torch.tensor([9.0, 3, 4, 4, 2, 1, 1, 6, 2, 2]))
    assert set(times.draw(200, rng(2))[1].tolist()) == {1.0}  # uniform, until there are three losses at each
    times.record(torch.tensor([3, 3, 1]), torch.tensor([2.0, 2.0, 5.0]))
    times.record(torch.tensor([4] * 6), torch.tensor([7.0, 9.0, 8.0, 6.0, 1.0, 1.0]))  # more than are kept
    rms = [math.sqrt(50 / 3), math.sqrt(8), 2, math.sqrt(38 / 3)]
    p = [0.999 * v / sum(rms) + 0.001 / 4 for v in rms]
    n = 40_000
    t, w = times.draw(n, rng(2))
    for step in range(1, 5):
        share = p[step - 1]
        found = float((t == step).double().mean())
        assert found == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / n))
        assert w[t == step].tolist() == pytest.approx([0.25 / share] * int((t == step).sum()), rel=1e-5)


def test_late_and_uniform_shares():
    n = 60_000
    config = TeacherConfig(t_sampling="late", late_from=1300, late_share=0.75)
    t, w = TimeSampler(config, 2000).draw(n, rng(3))
    expected = 0.75 + 0.25 * 701 / 2000
    assert float((t >= 1300).double().mean()) == pytest.approx(expected, abs=4 * math.sqrt(0.25 / n))
    assert (w == 1).all() and t.min() >= 1 and t.max() == 2000
    early = t[t < 1300].float()
    assert float(early.mean()) == pytest.approx(650, abs=4 * 375 / math.sqrt(len(early)))
    t, w = TimeSampler(TeacherConfig(t_sampling="uniform"), 2000).draw(n, rng(4))
    assert (w == 1).all() and float(t.double().mean()) == pytest.approx(1000.5, abs=4 * 577.4 / math.sqrt(n))
    assert set(TimeSampler(TeacherConfig(t_sampling="uniform"), 3).draw(500, rng(4))[0].tolist()) == {1, 2, 3}


def test_loss_aware_run_records_and_weighs(codec, pairs):
    config = TeacherConfig(steps=3, batch_size=16, t_sampling="loss-aware", precision="float32")
    run = TeacherRun(make_model(codec), pairs, config)
    run.advance()
    assert int(run.times.counts.sum()) == int((run.times.losses > 0).sum()) == 16  # one entry per row


def test_loss_aware_run_goes_on_after_a_divergence(codec, pairs):
    config = TeacherConfig(steps=5, batch_size=8, t_sampling="loss-aware", precision="float32")
    run = TeacherRun(make_model(codec), pairs, config)
    run.advance()
    saved = run.model.down.bias.detach().clone()
    with torch.no_grad():
        run.model.down.bias.fill_(math.nan)
    with pytest.raises(Diverged):
        run.advance()
    with torch.no_grad():
        run.model.down.bias.copy_(saved)  # the weights are mended, as a teacher at the panel would do
    assert run.advance().step == 2


# ---- training


def test_a_short_training_comes_near_the_bayes_floor(world, codec):
    """Excess of the mean squared error over the exact denoiser's, at levels where modes are decided."""
    sources = [next(iter(world.sources(meaning))) for meaning in world.meanings()]
    pairs = make_pairs(world, codec, sources)
    config = TeacherConfig(
        steps=350, batch_size=48, lr=6e-3, ema=0.97, loss="ce", t_sampling="late", precision="float32"
    )
    run = TeacherRun(make_model(codec), pairs, config)
    before, floor_before = errors(world, codec, pairs, run.model)
    losses = [step.losses["denoising"] for step in run]
    after, floor = errors(world, codec, pairs, run.result)
    assert sum(losses[-20:]) < 0.5 * sum(losses[:20])
    assert before - floor_before > 0.2
    assert after - floor < 0.15 * (before - floor_before)
    assert after > floor  # nobody is better than the truth


def errors(world, codec, pairs, model):
    """Mean squared errors of the network and of the exact denoiser over its embeddings, on the same noise."""
    exact = ExactDenoiser(world.support, codec, model.embedding(), model.schedule)
    g = rng(11)
    batch = pairs.batch[pairs.draw(400, g)]
    with torch.no_grad():
        x0 = model.embed(batch.ids)
        t = torch.randint(1200, 2001, (400,), generator=g)
        x_t = model.schedule.diffuse(x0, t, torch.randn(x0.shape, generator=g))
        x_t = anchor(x_t, x0, batch)
        return [float((f(x_t, t, batch) - x0)[:, CUT:].square().mean()) for f in (model.eval(), exact)]


def test_diffuseqs_recipe_is_the_published_one():
    """train.py, run_train.sh and the resampler of the published code, for QQP."""
    assert asdict(DIFFUSEQ) == {
        **{"steps": 50_000, "batch_size": 2048, "micro_batch": 64},
        **{"optimiser": "adamw", "lr": 1e-4, "lr_shape": "linear", "warmup": 0, "beta2": 0.999},
        **{"weight_decay": 0.0, "clip": 0.0, "ema": 0.9999, "ema_ramp": False},
        **{"target": "sample", "loss": "mse", "t_sampling": "loss-aware", "sigma_0": 0.121},
        **{"rounding": 1.0, "prior": 1.0},
        # What these recipes have no use for, and what changes no result.
        **{name: getattr(TeacherConfig(), name) for name in ("lr_muon", "late_from", "late_share")},
        **{name: getattr(TeacherConfig(), name) for name in ("precision", "compile", "seed")},
    }
    assert TimeSampler(DIFFUSEQ, 2000).history == 10


def test_the_published_recipe_neither_clips_nor_warms_up_nor_ramps(codec, pairs):
    config = replace(DIFFUSEQ, steps=10_000, batch_size=8, precision="float32", lr=0.1)
    run = TeacherRun(make_model(codec), pairs, config)
    start = run.model.down.bias.detach().clone()
    step = run.advance()
    assert step.grad_norms["teacher"] > 1 and step.lr == pytest.approx(0.1, rel=1e-3)
    moved = run.model.down.bias.detach() - start
    assert moved.abs().max() == pytest.approx(0.1, rel=1e-2)  # Adam's first step is the rate
    assert torch.allclose(run.result.down.bias - start, 1e-4 * moved, rtol=1e-2, atol=2e-8)


def test_the_first_steps_target_is_the_embedding(codec, pairs):
    model = make_model(codec).eval()
    batch, references, log_share = pairs.rows(torch.arange(6))
    config = TeacherConfig(target="sample", sigma_0=0.5)
    noise = torch.randn(6, codec.length, 2 * model.config.embed_dim, generator=rng(5))
    t = torch.tensor([1, 1, 1, 2, 2, 2])
    got = teacher_loss(model, batch, references, log_share, t, noise, config)["denoising"]
    clean = model.embedding()[batch.ids]
    x0 = clean + 0.5 * noise[..., model.config.embed_dim :]
    x_t = anchor(model.schedule.diffuse(x0, t, noise[..., : model.config.embed_dim]), x0, batch)
    target = torch.cat([clean[:3], x0[3:]])
    assert torch.allclose(got, (model(x_t, t, batch) - target)[:, CUT:].square().mean((1, 2)), rtol=1e-4)


@pytest.mark.parametrize(
    "field, known",
    [
        ("target", "stable, sample"),
        ("loss", "mse, ce"),
        ("optimiser", "muon, adamw"),
        ("t_sampling", "uniform, loss-aware, late"),
    ],
)
def test_unknown_choices_are_named(field, known):
    with pytest.raises(InputError, match=f"unknown {field} 'mean'; known: {known}"):
        TeacherConfig(**{field: "mean"})


def test_the_result_is_the_averaged_network(codec, pairs):
    run = TeacherRun(make_model(codec), pairs, TeacherConfig(steps=4, batch_size=8, precision="float32"))
    assert SOURCES[0] in codec.sources(pairs.batch)
    list(run)
    assert run.result is run.ema.model and not run.result.training
    weights = run.model.down.weight - run.result.down.weight
    assert 0 < weights.abs().max() < 0.1
