"""exact: densities against torch.distributions, means against Bayes' rule, the SiD identity."""

from __future__ import annotations

import math

import pytest
import torch
from tiny import SHARES, make_codec, make_world, normal, random_table, rng

from dlmone_lite.exact import ExactDenoiser, GaussianMixture
from dlmone_lite.schedule import Schedule

LEVELS = [(0.99, 0.141), (0.7, 0.714), (0.2, 0.98)]  # (alpha, sigma)


def mixture(std=0.0, K=5, D=3, seed=0):
    means = 1.5 * normal(K, D, seed=seed, dtype=torch.float64)
    return GaussianMixture(means, normal(K, seed=seed + 1, dtype=torch.float64), std)


def noised(known, n, alpha, sigma, seed=3):
    g = rng(seed)
    x0 = known.sample(n, g)
    return x0, alpha * x0 + sigma * torch.randn(x0.shape, generator=g, dtype=x0.dtype)


def bayes(known, x, alpha, sigma):
    """(weights, posterior mean) of one point, term by term: FACTS of a finite support noised twice."""
    variance = sigma**2 + alpha**2 * known.std**2
    log_w = []
    for k in range(len(known.means)):
        squared = sum(float(x[d] - alpha * known.means[k, d]) ** 2 for d in range(len(x)))
        log_w.append(float(known.log_p[k]) - squared / (2 * variance))
    top = max(log_w)
    w = [math.exp(v - top) for v in log_w]
    w = [v / sum(w) for v in w]
    mean = torch.zeros_like(x)
    for k, e in enumerate(known.means):
        mean += w[k] * (e + alpha * known.std**2 / variance * (x - alpha * e))
    return w, mean


@pytest.mark.parametrize("std", [0.0, 0.3])
@pytest.mark.parametrize("alpha, sigma", LEVELS)
def test_density_is_torch_distributions(std, alpha, sigma):
    known = mixture(std)
    _, x = noised(known, 7, alpha, sigma)
    scale = math.sqrt(sigma**2 + alpha**2 * std**2)
    oracle = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(logits=known.log_p),
        torch.distributions.Independent(torch.distributions.Normal(alpha * known.means, scale), 1),
    )
    assert torch.allclose(known.log_prob(x, alpha, sigma), oracle.log_prob(x), atol=1e-11)


@pytest.mark.parametrize("std", [0.0, 0.121, 0.8])
@pytest.mark.parametrize("alpha, sigma", LEVELS)
def test_score_is_the_gradient_of_log_p(std, alpha, sigma):
    known = mixture(std)
    _, x = noised(known, 50, alpha, sigma)
    x = torch.cat([x, 4 * normal(10, 3, seed=9, dtype=torch.float64)]).requires_grad_()  # and far outside
    (gradient,) = torch.autograd.grad(known.log_prob(x, alpha, sigma).sum(), x)
    score = known.score(x, alpha, sigma)
    assert (score - gradient).abs().max() < 1e-10 * max(1, float(gradient.abs().max()))
    assert gradient.abs().max() > 0.1


@pytest.mark.parametrize("std", [0.0, 0.121, 0.8])
@pytest.mark.parametrize("alpha, sigma", LEVELS)
def test_weights_and_mean_term_by_term(std, alpha, sigma):
    known = mixture(std)
    _, x = noised(known, 12, alpha, sigma)
    weights, mean = known.weights(x, alpha, sigma), known.mean(x, alpha, sigma)
    for i in range(len(x)):
        w, m = bayes(known, x[i], alpha, sigma)
        assert weights[i].tolist() == pytest.approx(w, abs=1e-10)
        assert torch.allclose(mean[i], m, atol=1e-10)


@pytest.mark.parametrize("alpha, sigma", LEVELS)
def test_mean_is_the_quadrature_of_bayes_rule(alpha, sigma):
    # One dimension, a grid over x0: integral of x0 p(x0) q(x_t | x0) over that of p(x0) q(x_t | x0).
    shares, means = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64), [-1.0, 0.5, 2.0]
    known = GaussianMixture(torch.tensor(means, dtype=torch.float64)[:, None], shares.log(), 0.25)
    grid = torch.linspace(-6, 8, 14_001, dtype=torch.float64)
    prior = sum(p * torch.exp(-((grid - m) ** 2) / (2 * 0.25**2)) for p, m in zip(shares, means, strict=True))
    for x in (-1.0, 0.1, 0.8, 3.0):
        joint = prior * torch.exp(-((x - alpha * grid) ** 2) / (2 * sigma**2))
        expected = float((joint * grid).sum() / joint.sum())
        point = torch.tensor([[x]], dtype=torch.float64)
        assert float(known.mean(point, alpha, sigma)) == pytest.approx(expected, abs=1e-6)


def test_every_row_may_have_its_own_level():
    known = mixture(0.2)
    alpha, sigma = (torch.tensor(v, dtype=torch.float64) for v in zip(*LEVELS, strict=True))
    x = normal(3, 3, seed=4, dtype=torch.float64)
    for name in ("log_prob", "weights", "mean", "score"):
        together = getattr(known, name)(x, alpha, sigma)
        for i, level in enumerate(LEVELS):
            assert torch.allclose(together[i], getattr(known, name)(x[i : i + 1], *level)[0], atol=1e-12)


def test_unnormalised_probabilities_are_normalised():
    means = normal(3, 2, dtype=torch.float64)
    known = GaussianMixture(means, torch.tensor([2.0, 6.0, 8.0], dtype=torch.float64).log())
    assert known.log_p.exp().tolist() == pytest.approx([1 / 8, 3 / 8, 1 / 2])


def test_samples_have_the_shares_and_the_spread():
    means = torch.tensor([[-5.0, 0.0], [0.0, 5.0], [5.0, 0.0]], dtype=torch.float64)
    p, n = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64), 40_000
    x = GaussianMixture(means, p.log(), 0.5).sample(n, rng(1))
    k = torch.cdist(x, means).argmin(1)  # ten standard deviations apart
    for i in range(3):
        share = float((k == i).double().mean())
        assert abs(share - float(p[i])) < 4 * math.sqrt(p[i] * (1 - p[i]) / n)
    spread = (x - means[k]).square().mean()
    assert float(spread) == pytest.approx(0.25, abs=4 * 0.25 * math.sqrt(2 / (2 * n)))
    assert torch.equal(x, GaussianMixture(means, p.log(), 0.5).sample(n, rng(1)))


@pytest.mark.parametrize("std", [0.0, 0.4])
def test_the_sid_identity_by_monte_carlo(std):
    """E[u(x_t) . (E[x0 | x_t] - x0)] = 0 for every function u of x_t alone, and only for the true mean."""
    known, alpha, sigma, n = mixture(std, D=2), 0.6, 0.8, 50_000
    x0, x_t = noised(known, n, alpha, sigma)
    mean = known.mean(x_t, alpha, sigma)
    functions = {"1": torch.ones_like(x_t), "x": x_t, "x^2": x_t**2, "sin": torch.sin(3 * x_t), "mean": mean}
    for name, u in functions.items():
        values = (u * (mean - x0)).sum(1)
        error = float(values.std()) / math.sqrt(n)
        assert abs(float(values.mean())) < 4 * error, name
    # The test has power: a u that knows x0, or the mean of another mixture, is far from zero.
    for wrong in (x0 * (mean - x0), x_t * (mixture(std, D=2, seed=5).mean(x_t, alpha, sigma) - x0)):
        values = wrong.sum(1)
        assert abs(float(values.mean())) > 10 * float(values.std()) / math.sqrt(n)


# ---- the exact denoiser of a world


@pytest.fixture
def world(tmp_path):
    return make_world(tmp_path)


def brute_force(world, codec, table, schedule, x_t, t, source, sigma_0):
    """Posterior mean (L_t, D) of one row, looping over targets and positions in plain Python floats."""
    alpha, sigma = (float(v) for v in schedule(t, torch.float64))
    variance = sigma**2 + alpha**2 * sigma_0**2
    blocks, log_w = [], []
    for target, p in world.support(source).items():
        ids = codec.vocabulary.ids(target) + [2]
        ids += [0] * (codec.target_length - len(ids))
        blocks.append([[float(v) for v in table[i]] for i in ids])
        squared = 0.0
        for position, word in enumerate(blocks[-1]):
            for d, e in enumerate(word):
                squared += (float(x_t[codec.source_length + position, d]) - alpha * e) ** 2
        log_w.append(math.log(p) - squared / (2 * variance))
    top = max(log_w)
    w = [math.exp(v - top) for v in log_w]
    w = [v / sum(w) for v in w]
    flat = torch.tensor(blocks, dtype=torch.float64)
    e = torch.einsum("k,kld->ld", torch.tensor(w, dtype=torch.float64), flat)
    return e + alpha * sigma_0**2 / variance * (x_t[codec.source_length :] - alpha * e)


@pytest.mark.parametrize("sigma_0", [0.0, 0.121])
def test_exact_denoiser_is_the_brute_force_loop(world, sigma_0):
    codec, schedule = make_codec(world), Schedule()
    table = random_table(len(codec.vocabulary), 4, dtype=torch.float64)
    exact = ExactDenoiser(world.support, codec, table, schedule, sigma_0)
    sources = ["can a cat run here", "can a dog run there", "can a cat run here", "can a fish run inside"]
    targets = [list(world.support(s))[i % 4] for i, s in enumerate(sources)]
    batch, t = codec.encode(sources, targets), torch.tensor([1990, 1700, 1200, 10])
    clean = table[batch.ids]
    x_t = schedule.diffuse(clean, t, normal(*clean.shape, seed=5, dtype=torch.float64))
    x_t = torch.where(batch.target[..., None], x_t, clean)
    before = x_t.clone()
    x0_hat = exact(x_t, t, batch)
    assert torch.equal(x_t, before)
    assert torch.equal(x0_hat[~batch.target], x_t[~batch.target])  # source positions unchanged
    for row, source in enumerate(sources):
        expected = brute_force(world, codec, table, schedule, x_t[row], int(t[row]), source, sigma_0)
        assert torch.allclose(x0_hat[row, codec.source_length :], expected, atol=1e-9)
        alone = exact(x_t[row : row + 1], t[row : row + 1], batch[row : row + 1])
        assert torch.allclose(alone[0], x0_hat[row], atol=1e-12)
    if not sigma_0:  # at little noise the mean is the sentence that was noised
        assert (x0_hat[3] - clean[3]).abs().max() < 1e-6


def test_exact_denoiser_knows_the_worlds_probabilities(world):
    codec = make_codec(world)
    table = random_table(len(codec.vocabulary), 4)
    known = ExactDenoiser(world.support, codec, table, Schedule()).mixture("can a dog run there")
    assert sorted(known.log_p.exp().tolist(), reverse=True) == pytest.approx(SHARES)
    assert known.means.shape == (4, 6 * 4)
    best = codec.encode(["can a dog run there"], ["dog runs fast there"]).ids[0, 6:]
    assert torch.equal(known.means[0].view(6, 4), table[best])


def test_exact_denoiser_at_pure_noise_is_the_prior_mean(world):
    codec = make_codec(world)
    table = random_table(len(codec.vocabulary), 4, dtype=torch.float64)
    exact = ExactDenoiser(world.support, codec, table, Schedule())
    batch = codec.encode(["can a dog run there"])
    known = exact.mixture("can a dog run there")
    x0_hat = exact(torch.zeros(1, 12, 4, dtype=torch.float64), torch.tensor([2000]), batch)
    prior = (known.log_p.exp()[:, None] * known.means).sum(0).view(6, 4)
    assert torch.allclose(x0_hat[0, 6:], prior, atol=1e-4)  # alpha_T is .002, not 0
