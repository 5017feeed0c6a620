"""distill: both losses written out again, who learns and who does not in each step, and the two stages."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch
from tiny import ExactModel, make_codec, make_model, make_pairs, make_world, normal, rng, same_weights

from dlmone_lite import distill, sample
from dlmone_lite.distill import DistillConfig, DistillRun, Draw, psi_loss, theta_loss
from dlmone_lite.errors import InputError
from dlmone_lite.training.update import optimiser_step

CUT = 6
T = torch.tensor([1900, 1200, 300])


@pytest.fixture
def codec(tmp_path):
    return make_codec(make_world(tmp_path))


@pytest.fixture
def pairs(codec, tmp_path):
    return make_pairs(make_world(tmp_path), codec)


def make_run(codec, pairs, teacher=None, **changes):
    defaults = {"steps": 6, "batch_size": 8, "warmup": 0, "psi_warmup": 0}
    plain = {"lr_shape": "constant", "optimiser": "adam", "precision": "float32"}
    config = DistillConfig(**{**defaults, **plain, **changes})
    return DistillRun(teacher or make_model(codec), pairs, config)


def three(codec, pairs):
    """Two different networks in float64, a draw at the steps T, and a student sample."""
    phi, psi = (make_model(codec, seed).double().requires_grad_(False) for seed in (0, 1))
    psi.words.copy_(phi.words)
    batch = pairs.batch[torch.tensor([0, 14, 30])]
    x_g, noise = (normal(3, 12, 8, seed=s, dtype=torch.float64) for s in (2, 3))
    return phi, psi, Draw(batch, phi.embed(batch.ids), torch.zeros_like(noise), T, noise), x_g


def by_hand(model, x, clean, noise, row):
    """x_t of one row: forward diffusion on the target, clean embeddings on the source."""
    abar = (1 - math.sqrt(int(T[row]) / 2000 + 1e-4)) / 0.99
    x_t = math.sqrt(abar) * x[row] + math.sqrt(1 - abar) * noise[row]
    x_t[:CUT] = clean[row, :CUT]
    return x_t[None], T[row : row + 1]


# ---- the losses


def test_psi_loss_written_out(codec, pairs):
    _, psi, draw, x_g = three(codec, pairs)
    batch, real, noise = draw.batch, draw.clean, draw.noise
    terms = psi_loss(psi, x_g, draw, DistillConfig(b_d=0.5))
    for row in range(3):
        fake_t, t = by_hand(psi, x_g, real, noise, row)
        real_t, _ = by_hand(psi, real, real, noise, row)  # the same t and the same noise
        f = psi(fake_t, t, batch)[0]
        assert terms["dsm"][row].item() == pytest.approx(((f - x_g[row])[CUT:] ** 2).mean().item(), rel=1e-9)
        on_real, on_fake = (psi.hidden(x, t).mean(-1)[0, CUT:] for x in (real_t, fake_t))
        bce = -(torch.sigmoid(on_real).log() + (1 - torch.sigmoid(on_fake)).log()) / 2
        assert terms["discriminator"][row].item() == pytest.approx(bce.mean().item(), rel=1e-6)
    alone = psi_loss(psi, x_g, draw, DistillConfig(b_d=0.0))
    assert list(alone) == ["dsm"] and torch.allclose(alone["dsm"], terms["dsm"], atol=1e-12)


@pytest.mark.parametrize("mu", [0.5, 1.0, 1.2])
def test_theta_loss_written_out(codec, pairs, mu):
    phi, psi, draw, x_g = three(codec, pairs)
    batch, clean, noise = draw.batch, draw.clean, draw.noise
    config = DistillConfig(mu=mu, b_g=0.5, commitment=0.3)
    terms = theta_loss(phi, psi, x_g, draw, config)
    for row in range(3):
        x_t, t = by_hand(phi, x_g, clean, noise, row)
        f_phi, f_psi, x = phi(x_t, t, batch)[0, CUT:], psi(x_t, t, batch)[0, CUT:], x_g[row, CUT:]
        w = (x - f_phi).abs().mean().item()
        d = f_phi - f_psi
        sid = (d * (f_phi - x)).mean().item() - mu * (d**2).mean().item()
        assert terms["sid"][row].item() == pytest.approx(sid / w, rel=1e-9)
        logits = psi.hidden(x_t, t).mean(-1)[0, CUT:]
        gan = -torch.sigmoid(logits).log().mean().item()
        assert terms["generator"][row].item() == pytest.approx(gan / w, rel=1e-6)
        nearest = torch.cdist(x, phi.embedding()).min(1).values
        expected = (nearest**2).sum().item() / (6 * 8)
        assert terms["commitment"][row].item() == pytest.approx(expected, rel=1e-6)
    bare = theta_loss(phi, psi, x_g, draw, DistillConfig(mu=mu, b_g=0.0))
    assert list(bare) == ["sid"] and torch.equal(bare["sid"], terms["sid"])


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_clamp_moves_the_teachers_estimate(codec, pairs, share):
    """The same loss as of a teacher whose every x0_hat lies that share nearer to its nearest embedding."""
    phi, psi, draw, x_g = three(codec, pairs)
    batch, clean, noise = draw.batch, draw.clean, draw.noise

    class Moved(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.schedule = phi.schedule

        def forward(self, x_t, t, batch):
            f = phi(x_t, t, batch)
            nearest = phi.embedding()[torch.cdist(f, phi.embedding()).argmin(-1)].detach()
            return (1 - share) * f + share * nearest

    found = []
    for teacher, c in ((phi, DistillConfig(clamp=share)), (Moved(), DistillConfig())):
        x = x_g.clone().requires_grad_()
        sid = theta_loss(teacher, psi, x, draw, c)["sid"]
        found.append((sid, *torch.autograd.grad(sid.sum(), x)))
    for clamped, moved in zip(*found):
        assert torch.allclose(clamped, moved, rtol=1e-9, atol=1e-12)
    unmoved = theta_loss(phi, psi, x_g, draw, DistillConfig())["sid"]
    assert not torch.allclose(found[0][0], unmoved)


def test_source_positions_of_the_student_do_not_count(codec, pairs):
    phi, psi, draw, x_g = three(codec, pairs)
    batch, clean, noise = draw.batch, draw.clean, draw.noise
    moved, louder = x_g.clone(), noise.clone()
    moved[:, :CUT] += 3
    louder[:, :CUT] *= 5
    config = DistillConfig(commitment=0.1)
    for loss in (
        lambda x, n: theta_loss(phi, psi, x, replace(draw, noise=n), config),
        lambda x, n: psi_loss(psi, x, replace(draw, noise=n), config),
    ):
        a, b = loss(x_g, noise), loss(moved, louder)
        assert all(torch.equal(a[name], b[name]) for name in a)


def test_equal_scores_give_no_signal(codec, pairs):
    run = make_run(codec, pairs)
    draw = run.draw(rng(1))
    x_g = run.generate(draw)
    terms = theta_loss(run.phi, run.psi, x_g, draw, DistillConfig(b_g=0.0))
    assert torch.equal(terms["sid"], torch.zeros(8))  # psi starts as the teacher
    gradients = torch.autograd.grad(terms["sid"].sum(), run.theta.blocks[0].up.weight)
    with torch.no_grad():
        run.psi.down.bias.add_(0.5)
    x_g = run.generate(draw)
    terms = theta_loss(run.phi, run.psi, x_g, draw, DistillConfig())
    assert (terms["sid"] != 0).all() and gradients[0].abs().max() < 1e-4


def test_equal_scores_give_no_signal_with_dropout(codec, pairs):
    run = make_run(codec, pairs, teacher=make_model(codec, dropout=0.2))
    draw = run.draw(rng(1))
    terms = theta_loss(run.phi, run.psi, draw.z, draw, DistillConfig(b_g=0.0))
    assert torch.equal(terms["sid"], torch.zeros(8))


def test_gradient_passes_through_the_sample_and_both_networks(codec, pairs):
    """Against central differences; only the weight w is a constant."""
    phi, psi, draw, x_g = three(codec, pairs)
    batch, clean, noise = draw.batch, draw.clean, draw.noise
    config = DistillConfig(mu=1.2)

    def unweighted(x):
        x_t = torch.cat([by_hand(phi, x, clean, noise, row)[0] for row in range(3)])
        f_phi, f_psi = phi(x_t, T, batch), psi(x_t, T, batch)
        sid = ((f_phi - f_psi) * ((f_phi - x) - 1.2 * (f_phi - f_psi)))[:, CUT:].mean((1, 2))
        generator = -torch.sigmoid(psi.hidden(x_t, T).mean(-1)).log()[:, CUT:].mean(1)
        return sid, generator, (x - f_phi)[:, CUT:].abs().mean((1, 2))

    w = unweighted(x_g)[2]
    leaf = x_g.clone().requires_grad_()
    terms = theta_loss(phi, psi, leaf, draw, config)
    found = [torch.autograd.grad(terms[k].sum(), leaf, retain_graph=True)[0] for k in ("sid", "generator")]
    assert all(torch.equal(g[:, :CUT], torch.zeros(3, CUT, 8, dtype=torch.float64)) for g in found)
    for row, position, d in [(0, 6, 0), (0, 11, 7), (1, 8, 3), (2, 7, 5), (2, 10, 2)]:
        step = torch.zeros_like(x_g)
        step[row, position, d] = 1e-5
        ends = zip(found, unweighted(x_g + step), unweighted(x_g - step), strict=False)
        for gradient, up, down in ends:
            slope = float(up[row] - down[row]) / 2e-5 / float(w[row])
            assert gradient[row, position, d].item() == pytest.approx(slope, rel=1e-3, abs=1e-8)


# ---- who learns


def snapshot(module):
    return {k: v.clone() for k, v in module.state_dict().items()}


def unchanged(module, before):
    return all(torch.equal(v, before[k]) for k, v in module.state_dict().items())


def no_gradients(*modules):
    return all(p.grad is None for module in modules for p in module.parameters())


def test_theta_step_leaves_phi_and_psi_alone(codec, pairs):
    run = make_run(codec, pairs)
    with torch.no_grad():
        run.psi.down.bias.add_(0.3)  # so that there is something to learn
    phi, psi, theta = (snapshot(m) for m in (run.phi, run.psi, run.theta))
    draw = run.draw(rng(1))
    terms = theta_loss(run.phi, run.psi, run.generate(draw), draw, run.config)
    loss = sum(v.mean() for v in terms.values())
    optimiser_step(run.rates("theta"), [(1.0, loss, {"loss": loss})], 1, 1.0)
    assert no_gradients(run.phi, run.psi)
    assert unchanged(run.phi, phi) and unchanged(run.psi, psi) and not unchanged(run.theta, theta)
    moved = {name for name, p in run.theta.named_parameters() if not torch.equal(p, theta[name])}
    assert moved == {name for name, _ in run.theta.named_parameters()} - {"words"}


def test_psi_step_leaves_theta_and_phi_alone(codec, pairs):
    run = make_run(codec, pairs)
    phi, psi, theta = (snapshot(m) for m in (run.phi, run.psi, run.theta))
    draw = run.draw(rng(1))
    x_g = run.generate(draw)  # even with a graph that leads to theta
    assert x_g.requires_grad
    terms = psi_loss(run.psi, x_g, draw, DistillConfig(b_d=0.5))
    loss = sum(v.mean() for v in terms.values())
    to_theta = torch.autograd.grad(loss, x_g, retain_graph=True, allow_unused=True)[0]
    assert to_theta is None  # the sample is a constant for psi
    optimiser_step(run.rates("psi"), [(1.0, loss, {"loss": loss})], 1, 1.0)
    assert no_gradients(run.phi, run.theta)
    assert unchanged(run.phi, phi) and unchanged(run.theta, theta) and not unchanged(run.psi, psi)


@pytest.mark.parametrize("optimiser", ["adam", "muon"])
def test_every_update_of_a_run_touches_one_network(codec, pairs, monkeypatch, optimiser):
    run = make_run(codec, pairs, psi_steps=2, psi_warmup=1, optimiser=optimiser)
    networks = {"phi": run.phi, "psi": run.psi, "theta": run.theta}
    log = []

    def watched(*everything):
        before = {name: snapshot(m) for name, m in networks.items()}
        result = optimiser_step(*everything)
        log.append([name for name, m in networks.items() if not unchanged(m, before[name])])
        assert no_gradients(*networks.values())
        return result

    monkeypatch.setattr(distill, "optimiser_step", watched)
    first, second = run.advance(), run.advance()
    assert log == [["psi"], ["psi"], ["psi"], ["psi"], ["theta"]]
    assert set(first.losses) == {"dsm", "discriminator"} and set(first.grad_norms) == {"psi"}
    assert set(second.losses) == {"dsm", "discriminator", "sid", "generator"}
    assert set(second.grad_norms) == {"psi", "theta"}
    assert no_gradients(run.phi, run.ema.model)


@pytest.mark.parametrize("micro_batch", [4, 5, 12])
def test_parts_of_a_batch_add_up_to_the_whole(codec, pairs, micro_batch):
    settings = {"batch_size": 12, "psi_warmup": 0, "commitment": 0.3, "precision": "float32"}
    whole = make_run(codec, pairs, **settings)
    split = make_run(codec, pairs, **settings, micro_batch=micro_batch)
    a, b = whole.advance(), split.advance()
    assert a.losses == pytest.approx(b.losses, rel=1e-4) and a.tokens == b.tokens
    assert a.grad_norms == pytest.approx(b.grad_norms, rel=1e-3)


def test_student_waits_for_the_score_estimator(codec, pairs):
    run = make_run(codec, pairs, psi_warmup=3)
    theta = snapshot(run.theta)
    for _ in range(3):
        run.advance()
        assert unchanged(run.theta, theta) and unchanged(run.result, theta)
    run.advance()
    assert not unchanged(run.theta, theta) and not unchanged(run.result, theta)


@pytest.mark.parametrize("optimiser", ["adam", "muon"])
def test_embeddings_stay_the_teachers(codec, pairs, optimiser):
    teacher = make_model(codec)
    words = teacher.words.detach().clone()
    run = make_run(codec, pairs, teacher=teacher, lr=1e-2, lr_psi=1e-2, optimiser=optimiser)
    list(run)
    for network in (run.phi, run.psi, run.theta, run.ema.model, teacher):
        assert torch.equal(network.words, words)
    for name, network in [("theta", run.theta), ("psi", run.psi)]:
        groups = [group for optimiser in run.rates(name) for group in optimiser.param_groups]
        learned = [p for group in groups for p in group["params"]]
        assert all(p is not network.words for p in learned)
        assert len(learned) == len(list(network.parameters())) - 1
    assert same_weights(run.phi, make_model(codec)) and same_weights(teacher, make_model(codec))


# ---- its parts


def test_generate_is_the_one_step_sampler(codec, pairs):
    run = make_run(codec, pairs, t_init=1490)
    batch = pairs.batch[torch.arange(4)]
    clean = run.phi.embed(batch.ids)
    with torch.no_grad():
        x_g = run.generate(Draw(batch, clean, normal(4, 12, 8, seed=7), T, clean))
        x = sample.student(run.theta, run.phi.schedule, batch, clean, t_init=1490, generator=rng(7))
    assert torch.equal(x_g[batch.target], x[batch.target])


def test_draw_covers_its_range_and_depends_on_the_generator(codec, pairs):
    run = make_run(codec, pairs, t_min=5, t_max=8, batch_size=200)
    draw = run.draw(rng(1))
    batch, clean, z, t, noise = draw.batch, draw.clean, draw.z, draw.t, draw.noise
    assert set(t.tolist()) == {5, 6, 7, 8}
    assert torch.equal(clean, run.phi.embed(batch.ids))
    for a in (z, noise):
        assert a.shape == clean.shape
        assert float(a.mean()) == pytest.approx(0, abs=4 / math.sqrt(a.numel()))
        assert float(a.std()) == pytest.approx(1, abs=4 / math.sqrt(2 * a.numel()))
    assert abs(float((z * noise).mean())) < 4 / math.sqrt(z.numel())  # independent of each other
    again, other = run.draw(rng(1)), run.draw(rng(2))
    assert torch.equal(again.z, z) and torch.equal(again.batch.ids, batch.ids) and torch.equal(again.t, t)
    assert not torch.equal(other.z, z)


def test_learning_rates_of_both_networks(codec, pairs):
    run = make_run(codec, pairs, lr=1e-3, lr_psi=4e-4, lr_shape="linear")
    run.advance()
    step = run.advance()
    assert step.lr == pytest.approx(1e-3 * (1 - 2 / 6))
    used = {name: optimiser.param_groups[0]["lr"] for name, optimiser in run.optimisers.items()}
    assert used == pytest.approx({"theta": step.lr, "psi": 0.4 * step.lr})
    run = make_run(codec, pairs, lr=1e-3, lr_psi=4e-4, lr_muon=0.02, lr_shape="linear", optimiser="muon")
    run.advance()
    run.advance()
    used = {name: optimiser.param_groups[0]["lr"] for name, optimiser in run.optimisers.items()}
    rates = {"theta": 1e-3, "psi": 4e-4, "theta_muon": 0.02, "psi_muon": 0.008}
    assert used == pytest.approx({name: rate * (1 - 2 / 6) for name, rate in rates.items()})
    with pytest.raises(InputError, match="unknown optimiser 'sgd'; known: adam, muon"):
        make_run(codec, pairs, optimiser="sgd")


def test_a_student_learning_rate_of_zero_freezes_it(codec, pairs):
    run = make_run(codec, pairs, lr=0.0)
    theta, psi = snapshot(run.theta), snapshot(run.psi)
    run.advance()
    assert unchanged(run.theta, theta) and not unchanged(run.psi, psi)


def test_second_stage_restarts_psi_and_goes_on_with_theta(codec, pairs):
    teacher = make_model(codec)
    run = make_run(codec, pairs, teacher=teacher, lr=5e-3)
    list(run)
    theta = copy.deepcopy(run.theta)
    assert not same_weights(theta, run.result)
    second = run.second_stage(DistillConfig(steps=3, mu=0.5, b_d=0.9, b_g=0.1, precision="float32"))
    assert second.step == 0 and second.config.mu == 0.5
    assert same_weights(second.phi, teacher) and same_weights(second.psi, teacher)
    assert same_weights(second.theta, theta) and same_weights(second.result, theta)
    second.config.psi_warmup = 0
    second.advance()
    assert same_weights(run.theta, theta)  # stage one is over
    assert not same_weights(second.theta, theta)


def test_restarting_psi_is_what_a_second_stage_does_to_it(codec, pairs):
    config = DistillConfig(steps=8, batch_size=4, psi_warmup=0, precision="float32")
    run = DistillRun(make_model(codec), pairs, config)
    for _ in range(3):
        run.advance()
    theta, average = copy.deepcopy(run.theta), copy.deepcopy(run.result)
    run.restart_psi()
    assert same_weights(run.psi, run.teacher) and not run.optimisers["psi"].state
    assert (
        same_weights(run.theta, theta) and same_weights(run.result, average) and run.optimisers["theta"].state
    )
    run.advance()
    assert not same_weights(run.psi, run.teacher), "its optimiser still trains it"


def test_another_denoiser_can_give_the_target_scores(codec, pairs, tmp_path):
    teacher, exact = make_model(codec), ExactModel(make_world(tmp_path), codec)
    config = DistillConfig(steps=2, batch_size=4, psi_warmup=0, precision="float32")
    for run in (first := DistillRun(teacher, pairs, config, phi=exact), first.second_stage(config)):
        assert run.phi is exact and same_weights(run.psi, teacher) and same_weights(run.theta, teacher)
    assert first.advance().losses["sid"] != 0  # psi starts as the network, not as the target


def test_the_student_learns_what_the_terms_ask(codec, pairs):
    """With the commitment alone, samples move onto embeddings: the whole loop descends its loss."""
    run = make_run(codec, pairs, steps=60, mu=0.0, b_d=0.0, b_g=0.0, lr=2e-3, psi_steps=1, commitment=100.0)
    values = [step.losses["commitment"] for step in run]
    assert sum(values[-5:]) < 0.7 * sum(values[:5])
