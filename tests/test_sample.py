"""sample: anchoring, exact marginals, DiffuSeq's variance, and a tiny world's frequencies."""

from __future__ import annotations

import itertools
import math
from functools import partial

import pytest
import torch
from tiny import make_codec, make_world, normal, random_table, rng

from dlmone_lite import sample
from dlmone_lite.errors import InputError
from dlmone_lite.exact import ExactDenoiser
from dlmone_lite.schedule import Schedule
from dlmone_lite.text import Batch

SCHEDULE = Schedule()
SAMPLERS = {
    "posterior": sample.ancestral,
    "beta": partial(sample.ancestral, variance="beta"),
    "ddim": sample.ddim,
    "eta": partial(sample.ddim, eta=0.6),
    "student": partial(sample.student, t_init=1490),
}


def half(B=3, L=8, D=4):
    """A batch whose second half is the target, and clean embeddings."""
    target = torch.zeros(B, L, dtype=torch.bool)
    target[:, L // 2 :] = True
    return Batch(torch.zeros(B, L, dtype=torch.long), target), normal(B, L, D, seed=1)


def bent(x, t, batch):
    """Any smooth function of x and t, which also writes into the source positions."""
    return torch.tanh(x + 0.3 * x.roll(1, 1)) + t[:, None, None] / 4000


# ---- time steps


@pytest.mark.parametrize("start", [1, 2, 7, 50, 1490, 2000])
def test_timesteps_descend_evenly_to_zero(start):
    for steps in {1, 2, 3, start // 3, start // 2, start - 1, start} & set(range(1, start + 1)):
        times = sample.timesteps(2000, steps, start)
        assert times[0] == start and times[-1] == 0 and len(times) == steps + 1
        assert all(t > s for t, s in itertools.pairwise(times))
        for i, t in enumerate(times):
            assert abs(t - start * (steps - i) / steps) <= 0.5 + 1e-9
    assert sample.timesteps(start, start) == list(range(start, -1, -1))


def test_times_evenly_in_log_snr():
    times = sample.snr_timesteps(SCHEDULE, 8)
    assert times[0] == 2000 and times[-1] == 0 and len(times) == 9
    levels = SCHEDULE.ratio(torch.tensor(times[1:-1])).log()
    assert levels[0] == pytest.approx(math.log(28), abs=0.05) and levels[-1] == pytest.approx(0, abs=0.01)
    assert torch.allclose(levels.diff(), levels.diff().mean(), atol=0.1)  # t is a whole number
    for steps in (2, 2001):
        with pytest.raises(InputError, match="between 3 and 2000"):
            sample.snr_timesteps(SCHEDULE, steps)
    with pytest.raises(InputError, match="do not fit into T = 2000"):
        sample.snr_timesteps(SCHEDULE, 1900)


def test_more_steps_than_there_are_and_none_are_refused():
    batch, clean = half()
    for name, most in [("posterior", 2000), ("ddim", 2000), ("student", 1490)]:
        for steps in (0, -1, most + 1):
            with pytest.raises(InputError, match=f"between 1 and {most} steps, got {steps}"):
                SAMPLERS[name](bent, SCHEDULE, batch, clean, steps=steps, generator=rng())
    with pytest.raises(InputError, match="known: posterior, beta"):
        sample.ancestral(bent, SCHEDULE, batch, clean, steps=2, generator=rng(), variance="betas")


# ---- what every sampler keeps


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("steps", [1, 5])
def test_source_is_anchored_at_every_step(name, steps):
    batch, clean = half()
    seen = []

    def watch(x, t, given):
        assert given is batch and t.shape == (3,) and (t == t[0]).all()
        seen.append((int(t[0]), x.clone()))
        return bent(x, t, given)

    traced = []

    def trace(t, x_t, x0_hat):
        traced.append((t, x_t.clone(), x0_hat.clone()))

    x = SAMPLERS[name](watch, SCHEDULE, batch, clean, steps=steps, generator=rng(), trace=trace)
    source = ~batch.target
    assert len(seen) == steps  # the number of function evaluations
    for _, x_t in seen:
        assert torch.equal(x_t[source], clean[source])
        assert not torch.isclose(x_t[batch.target], clean[batch.target]).all(-1).any()
    assert torch.equal(x[source], clean[source])
    assert [t for t, _ in seen] == sample.timesteps(2000, steps, 1490 if name == "student" else None)[:-1]
    # The trace tells what the network saw and said, and the last word is the network's.
    assert [t for t, _, _ in traced] == [t for t, _ in seen]
    for (_, x_t, x0_hat), (t, at) in zip(traced, seen, strict=True):
        assert torch.equal(x_t, at) and torch.equal(x0_hat, bent(at, torch.full((3,), t), batch))
    assert torch.equal(x[batch.target], traced[-1][2][batch.target])


@pytest.mark.parametrize("name", ["posterior", "beta", "ddim", "eta"])
def test_clamp_acts_on_every_prediction(name):
    batch, clean = half()
    x = SAMPLERS[name](bent, SCHEDULE, batch, clean, steps=4, generator=rng(), clamp=torch.sign)
    assert torch.equal(x[batch.target].abs(), torch.ones_like(x[batch.target]))
    assert torch.equal(x[~batch.target], clean[~batch.target])
    # Clamping inside the loop is a network that clamps.
    inside = SAMPLERS[name](lambda *a: torch.sign(bent(*a)), SCHEDULE, batch, clean, steps=4, generator=rng())
    assert torch.equal(x, inside)


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_generator_decides(name):
    batch, clean = half()
    run = partial(SAMPLERS[name], bent, SCHEDULE, batch, clean, steps=3)
    a, b, c = (run(generator=rng(seed)) for seed in (4, 4, 5))
    assert torch.equal(a, b) and not torch.allclose(a, c)


# ---- the right distribution at every step


def test_ddim_with_eta_one_is_ancestral_sampling():
    batch, clean = half(B=4)
    clean = clean.double()
    for steps in (1, 2, 7, 40):
        a = sample.ancestral(bent, SCHEDULE, batch, clean, steps=steps, generator=rng(2))
        d = sample.ddim(bent, SCHEDULE, batch, clean, steps=steps, generator=rng(2), eta=1.0)
        assert (a - d).abs().max() < 1e-9
        if steps > 1:
            other = sample.ddim(bent, SCHEDULE, batch, clean, steps=steps, generator=rng(2), eta=0.9)
            assert not torch.allclose(a, other, atol=1e-3)


def reference(x_0hat, batch, clean, steps, generator, variance="posterior", previous=None):
    """Ancestral sampling written out; `previous(t, s)` is the step that the update believes it goes to."""
    times = [round(2000 * (steps - i) / steps) for i in range(steps + 1)]
    x = torch.randn(clean.shape, generator=generator)
    for t, s in itertools.pairwise(times):
        x = torch.where(batch.target[..., None], x, clean)
        x0_hat = x_0hat(x, torch.full((len(x),), t), batch)
        if s == 0:
            return torch.where(batch.target[..., None], x0_hat, clean)
        s = previous(t, s) if previous else s
        abar_t, abar_s = (float(SCHEDULE(k, torch.float64)[0]) ** 2 for k in (t, s))
        beta = 1 - abar_t / abar_s
        mean = math.sqrt(abar_s) * beta / (1 - abar_t) * x0_hat
        mean = mean + math.sqrt(1 - beta) * (1 - abar_s) / (1 - abar_t) * x
        v = beta if variance == "beta" else beta * (1 - abar_s) / (1 - abar_t)
        x = mean + math.sqrt(v) * torch.randn(clean.shape, generator=generator)
    raise AssertionError


@pytest.mark.parametrize("variance", ["posterior", "beta"])
@pytest.mark.parametrize("steps", [2, 9, 64])
def test_ancestral_is_the_written_out_loop(variance, steps):
    batch, clean = half()
    x = sample.ancestral(bent, SCHEDULE, batch, clean, steps=steps, generator=rng(3), variance=variance)
    assert torch.allclose(x, reference(bent, batch, clean, steps, rng(3), variance), atol=2e-5)
    # The mistake of DiffuSeq's strided sampler, an update that goes to t - 1 whatever the stride, is seen.
    wrong = reference(bent, batch, clean, steps, rng(3), variance, previous=lambda t, s: t - 1)
    assert (x - wrong).abs().max() > 0.01


@pytest.mark.parametrize("name", ["posterior", "ddim", "eta"])
@pytest.mark.parametrize("steps", [4, 11])
def test_marginals_of_a_point_mass_at_every_step(name, steps):
    """If all x0 are one point and the network knows it, x_t ~ N(alpha_t x0, sigma_t^2) at every visited t."""
    batch, clean = half(B=400, L=16, D=8)
    point, seen = torch.tensor(1.7), []
    SAMPLERS[name](
        lambda x, t, b: point.expand_as(x),
        SCHEDULE,
        batch,
        clean,
        steps=steps,
        generator=rng(6),
        trace=lambda t, x, _: seen.append((t, x[batch.target])),
    )
    for t, x in seen:
        alpha, sigma = (float(v) for v in SCHEDULE(t))
        assert float(x.mean()) == pytest.approx(alpha * 1.7, abs=4 * sigma / math.sqrt(x.numel()) + 2e-3)
        assert float(x.std()) == pytest.approx(sigma, rel=4 / math.sqrt(2 * x.numel()))


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_ddim_is_the_written_out_loop(eta):
    """Song et al. 2021, eqs. 12 and 16."""
    batch, clean = half()
    clean, steps, g = clean.double(), 6, rng(3)
    found = sample.ddim(bent, SCHEDULE, batch, clean, steps=steps, generator=rng(3), eta=eta)
    x = torch.randn(clean.shape, generator=g, dtype=torch.float64)
    for i in range(steps):
        x = torch.where(batch.target[..., None], x, clean)
        t, s = (round(2000 * (steps - k) / steps) for k in (i, i + 1))
        abar_t, abar_s = (float(SCHEDULE(k, torch.float64)[0]) ** 2 for k in (t, s))
        x0_hat = bent(x, torch.full((len(x),), t), batch)
        eps = (x - math.sqrt(abar_t) * x0_hat) / math.sqrt(1 - abar_t)
        std = eta * math.sqrt((1 - abar_s) / (1 - abar_t)) * math.sqrt(1 - abar_t / abar_s)
        x = math.sqrt(abar_s) * x0_hat + math.sqrt(1 - abar_s - std**2) * eps
        if eta and s:
            x = x + std * torch.randn(clean.shape, generator=g, dtype=torch.float64)
    assert torch.allclose(found, torch.where(batch.target[..., None], x, clean), atol=1e-10)


def test_ddim_from_given_noise():
    batch, clean = half()
    drawn = sample.ddim(bent, SCHEDULE, batch, clean, steps=5, generator=rng(4))
    z = torch.randn(clean.shape, generator=rng(4))
    given = sample.ddim(bent, SCHEDULE, batch, clean, steps=5, start=z)
    assert torch.equal(given, drawn)
    for noisy in ({}, {"start": z, "eta": 0.5}):  # chance without a generator would be torch's own
        with pytest.raises(InputError, match="give it a generator"):
            sample.ddim(bent, SCHEDULE, batch, clean, steps=5, **noisy)


def test_variance_of_the_beta_sampler_follows_its_recursion():
    batch, clean = half(B=400, L=16, D=8)
    seen = []
    SAMPLERS["beta"](
        lambda x, t, b: torch.zeros_like(x),
        SCHEDULE,
        batch,
        clean,
        steps=6,
        generator=rng(6),
        trace=lambda t, x, _: seen.append((t, float(x[batch.target].std()))),
    )
    variance = 1.0
    for (t, std), (s, _) in itertools.pairwise([*seen, (0, 0.0)]):
        assert std == pytest.approx(math.sqrt(variance), rel=4 / math.sqrt(2 * 400 * 8 * 8))
        if s:
            abar_t, abar_s = (float(SCHEDULE(k, torch.float64)[0]) ** 2 for k in (t, s))
            beta = 1 - abar_t / abar_s
            variance = (1 - beta) * ((1 - abar_s) / (1 - abar_t)) ** 2 * variance + beta


def test_beta_variance_is_diffuseqs_at_full_steps():
    """The noise that is added at every step of a full run has DiffuSeq's beta_t, clipped betas included."""
    T = 60
    schedule, seen = Schedule("sqrt", T), []
    batch, clean = half(B=2, L=4, D=3)
    clean, zero = clean.double(), lambda x, t, b: torch.zeros_like(x)
    sample.ancestral(
        zero,
        schedule,
        batch,
        clean,
        steps=T,
        generator=rng(8),
        variance="beta",
        trace=lambda t, x, _: seen.append((t, x)),
    )

    def abar(s):
        return 1 - math.sqrt(s + 1e-4)

    betas = [min(1 - abar((i + 1) / T) / abar(i / T), 0.999) for i in range(T)]
    products = torch.cumprod(1 - torch.tensor(betas, dtype=torch.float64), 0).tolist()
    g = rng(8)
    torch.randn(clean.shape, generator=g, dtype=torch.float64)  # x_T
    for (t, x_t), (_, x_s) in itertools.pairwise(seen):
        noise = torch.randn(clean.shape, generator=g, dtype=torch.float64)
        beta, abar_t, abar_s = betas[t - 1], products[t - 1], products[t - 2]
        mean = math.sqrt(1 - beta) * (1 - abar_s) / (1 - abar_t) * x_t  # x0_hat is 0
        std = ((x_s - mean) / noise)[batch.target]
        assert torch.allclose(std**2, torch.full_like(std, beta), rtol=1e-6)


def test_ddim_without_noise_keeps_its_noise():
    """eta = 0: with a known x0 the sampler moves along alpha_t x0 + sigma_t eps, eps constant."""
    batch, clean = half()
    seen, x0 = [], 0.5
    sample.ddim(
        lambda x, t, b: torch.full_like(x, x0),
        SCHEDULE,
        batch,
        clean,
        steps=5,
        generator=rng(9),
        trace=lambda t, x, _: seen.append((t, x[batch.target])),
    )
    eps = [(x - float(SCHEDULE(t)[0]) * x0) / float(SCHEDULE(t)[1]) for t, x in seen]
    for other in eps[1:]:
        assert torch.allclose(other, eps[0], atol=1e-4)


# ---- a world's own frequencies


def chi_square_p(counts, p):
    """p-value of Pearson's chi-square test of observed counts against probabilities."""
    n = sum(counts)
    statistic = sum((c - n * q) ** 2 / (n * q) for c, q in zip(counts, p, strict=True))
    return float(torch.special.gammaincc(torch.tensor((len(p) - 1) / 2), torch.tensor(statistic / 2)))


@pytest.fixture
def tiny(tmp_path):
    world = make_world(tmp_path)
    codec = make_codec(world)
    return world, codec, random_table(len(codec.vocabulary), 6)


def frequencies(world, codec, table, support, seed, steps=80, n=300):
    """Counts and probabilities of two sources' targets, sampled with the exact denoiser of `support`."""
    sources = ["can a cat run here", "can a dog run there"]
    batch = codec.encode(sources).repeat(n)
    clean = table[batch.ids]
    exact = ExactDenoiser(support, codec, table, SCHEDULE)
    x = sample.ancestral(exact, SCHEDULE, batch, clean, steps=steps, generator=rng(seed))
    texts = codec.decode((x @ table.T).argmax(-1))
    truth = [world.support(source) for source in sources]
    return [
        ([texts[i * n : (i + 1) * n].count(target) for target in exact], list(exact.values()))
        for i, exact in enumerate(truth)
    ]


def test_ancestral_with_the_exact_denoiser_reproduces_the_world(tiny):
    world, codec, table = tiny
    p_values = []
    for seed in (1, 2, 3):
        for counts, p in frequencies(world, codec, table, world.support, seed):
            assert sum(counts) == 300  # every text is a right one
            p_values.append(chi_square_p(counts, p))
    assert min(p_values) > 0.05 / len(p_values), p_values  # Bonferroni: six tests

    # The test has power: a denoiser that takes all right targets to be equally likely is found out each time.
    def flat(source):
        return dict.fromkeys(world.support(source), 0.25)

    for counts, p in frequencies(world, codec, table, flat, 1):
        assert chi_square_p(counts, p) < 1e-6


# ---- the student's sampler


def test_student_in_one_step_is_the_network_on_pure_noise():
    batch, clean = half()
    seen = []

    def watch(x, t, given):
        seen.append((x.clone(), t.tolist()))
        return bent(x, t, given)

    x = sample.student(watch, SCHEDULE, batch, clean, t_init=1490, generator=rng(3))
    abar = (1 - math.sqrt(1490 / 2000 + 1e-4)) / 0.99
    z = torch.randn(clean.shape, generator=rng(3))
    noise = torch.where(batch.target[..., None], math.sqrt(1 - abar) * z, clean)  # .928 z
    assert len(seen) == 1 and seen[0][1] == [1490] * 3
    assert torch.allclose(seen[0][0], noise, atol=1e-6)
    expected = torch.where(batch.target[..., None], bent(noise, torch.full((3,), 1490), batch), clean)
    assert torch.allclose(x, expected, atol=1e-6)


@pytest.mark.parametrize("t_init, steps", [(1490, 2), (1490, 4), (1000, 8)])
def test_student_in_several_steps_renoises_to_even_levels(t_init, steps):
    batch, clean = half()
    seen = []

    def watch(x, t, given):
        x0_hat = bent(x, t, given)
        seen.append((int(t[0]), x.clone(), x0_hat.clone()))
        return x0_hat

    x = sample.student(watch, SCHEDULE, batch, clean, t_init=t_init, steps=steps, generator=rng(3))
    g = rng(3)
    torch.randn(clean.shape, generator=g)  # the first input
    for i, (t, x_t, _) in enumerate(seen):
        assert abs(t - t_init * (1 - i / steps)) <= 0.5  # SiD-LSG: t_init (1 - i / K)
        if i:
            alpha, sigma = (float(v) for v in SCHEDULE(t))
            renoised = alpha * seen[i - 1][2] + sigma * torch.randn(clean.shape, generator=g)
            assert torch.allclose(x_t[batch.target], renoised[batch.target], atol=1e-6)
    assert len(seen) == steps and torch.equal(x[batch.target], seen[-1][2][batch.target])
