"""progressive: the target of two calls, rounds, a whole run replayed in plain torch, resume, the student."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from tiny import make_codec, make_model, make_pairs, make_world, normal, rng, same_weights

from dlmone_lite.checkpoints.checkpoint import Checkpoint
from dlmone_lite.errors import InputError
from dlmone_lite.generation import generate
from dlmone_lite.sample import anchor, ddim_step, denoise_along, student
from dlmone_lite.schedule import Schedule
from dlmone_lite.teacher import TeacherConfig, TeacherRun
from dlmone_lite.text import Batch
from dlmone_lite.variants.progressive import ProgressiveConfig, ProgressiveRun, call_times, two_calls

SCHEDULE = Schedule()


@pytest.fixture
def codec(tmp_path):
    return make_codec(make_world(tmp_path))


@pytest.fixture
def pairs(codec, tmp_path):
    return make_pairs(make_world(tmp_path), codec)


def make_run(codec, pairs, **changes):
    settings = {"steps": 6, "batch_size": 16, "calls": 4, "warmup": 1, "lr": 1e-2, "precision": "float32"}
    return ProgressiveRun(make_model(codec), pairs, ProgressiveConfig(**{**settings, **changes}))


class Gaussian:
    """The exact denoiser of x0 ~ N(mean, v); `calls` lists its inputs."""

    schedule, mean, v = SCHEDULE, 0.7, 0.3

    def __init__(self):
        self.calls = []

    def __call__(self, x, t, batch):
        self.calls.append((x, t))
        alpha, sigma = SCHEDULE.like(t, x)
        return self.mean + self.v * alpha / (alpha**2 * self.v + sigma**2) * (x - alpha * self.mean)

    def gain(self, t, s):
        """x_s - alpha_s mean over x_t - alpha_t mean, after one DDIM step from t to s."""
        (alpha_t, sigma_t), (alpha_s, sigma_s) = (SCHEDULE(time, torch.float64) for time in (t, s))
        return (self.v * alpha_s * alpha_t + sigma_s * sigma_t) / (self.v * alpha_t**2 + sigma_t**2)


@pytest.mark.parametrize("times", [(1490, 1100, 600), (900, 850, 1), (1490, 700, 0)])
def test_one_step_with_the_target_lands_where_two_steps_land(times):
    teacher, x_t, clean = (
        Gaussian(),
        normal(3, 5, 4, dtype=torch.float64),
        torch.full((3, 5, 4), 2.0).double(),
    )
    target = torch.tensor([False, False, True, True, True]).expand(3, 5)
    batch = Batch(torch.zeros(3, 5, dtype=torch.long), target)
    x_t = anchor(x_t, clean, batch)
    found = two_calls(teacher, x_t, *(torch.full((3,), time) for time in times), batch, clean)
    t, m, s = times

    x_m = anchor(ddim_step(SCHEDULE, x_t, teacher(x_t, t, batch), t, m), clean, batch)
    x_s = ddim_step(SCHEDULE, x_m, teacher(x_m, m, batch), m, s)
    own = target[..., None].expand_as(x_t)
    once = ddim_step(SCHEDULE, x_t, found, t, s)
    assert torch.allclose(once[own], x_s[own], rtol=0, atol=1e-12)
    if s == 0:
        assert torch.allclose(found[own], teacher(x_m, m, batch)[own], rtol=0, atol=1e-12)

    # The teacher's second call sees the source as it is, and the closed form is the paper's.
    assert torch.equal(teacher.calls[1][0][~own], clean[~own]) and (teacher.calls[1][1] == m).all()
    (alpha_t, sigma_t), (alpha_s, sigma_s) = (SCHEDULE(time, torch.float64) for time in (t, s))
    r = sigma_s / sigma_t
    x_s = alpha_s * teacher.mean + teacher.gain(m, s) * teacher.gain(t, m) * (x_t - alpha_t * teacher.mean)
    closed = (x_s - r * x_t) / (alpha_s - r * alpha_t)
    assert torch.allclose(found[own], closed[own], rtol=0, atol=1e-10)


def test_rows_of_one_batch_have_their_own_times():
    teacher, x_t = Gaussian(), normal(3, 2, 4, dtype=torch.float64)
    batch = Batch(torch.zeros(3, 2, dtype=torch.long), torch.ones(3, 2, dtype=torch.bool))
    t, m, s = torch.tensor([[1490, 900, 300], [1000, 500, 200], [400, 300, 0]])
    whole = two_calls(teacher, x_t, t, m, s, batch, x_t)
    for i in range(3):
        row = slice(i, i + 1)
        alone = two_calls(teacher, x_t[row], t[row], m[row], s[row], batch[row], x_t[row])
        assert torch.allclose(whole[row], alone, rtol=0, atol=1e-12)


def test_times_of_the_calls():
    times = call_times(SCHEDULE, 8, 1490, 0.3)
    assert times[0] == 1490 and times[-1] == 0 and len(times) == 9
    levels = SCHEDULE.ratio(times[:-1]).log()
    assert levels[-1] == pytest.approx(math.log(0.3), abs=0.01)
    assert torch.allclose(levels.diff(), levels.diff().mean(), atol=0.02)
    assert call_times(SCHEDULE, 2, 2000, 1.0).tolist() == [2000, SCHEDULE.at_ratio(1.0), 0]
    for calls, t_init, last in ((1024, 1490, 2.0), (8, 100, 2.0), (8, 1, 0.3)):
        with pytest.raises(InputError, match=f"{calls} calls do not fit between t = {t_init}"):
            call_times(SCHEDULE, calls, t_init, last)
    for t_init, last in ((0, 0.3), (2001, 0.3), (1490, 0.0), (1490, -1.0)):
        with pytest.raises(InputError):
            call_times(SCHEDULE, 8, t_init, last)


@pytest.mark.parametrize("calls", [0, 1, 3, 12])
def test_calls_are_a_power_of_two(calls):
    with pytest.raises(InputError, match="calls must be "):
        ProgressiveConfig(calls=calls)


def test_the_updates_are_shared_out_among_the_rounds():
    config = ProgressiveConfig(steps=10, calls=8)
    assert [config.round_at(step)[0] for step in range(10)] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 2]
    assert {config.round_at(step) for step in range(10)} == {(0, 0, 3), (1, 3, 6), (2, 6, 10)}
    assert config.round_at(10) == (2, 6, 10), "after the last update"
    for calls, steps in ((32, 5), (32, 99), (2, 1)):
        config = ProgressiveConfig(steps=steps, calls=calls)
        counts = [[config.round_at(step)[0] for step in range(steps)].count(k) for k in range(config.rounds)]
        assert sum(counts) == steps and max(counts) - min(counts) <= 1
    with pytest.raises(InputError, match="32 calls take 5 updates or more, not 4"):
        ProgressiveConfig(steps=4, calls=32)


def test_the_learning_rate_begins_anew_in_each_round(codec, pairs):
    run = make_run(codec, pairs, steps=8, lr=1.0, warmup=2)
    assert [step.lr for step in run] == pytest.approx([0.5, 1, 0.5, 0] * 2)


ROWS, CUT, LR, BETAS, EMA, CLIP, SEED = 8, 6, 1e-2, (0.8, 0.95), 0.5, 0.3, 3


def level(t):
    """alpha and sigma (B, 1, 1) of DiffuSeq's square-root schedule."""
    abar = (1 - (torch.as_tensor(t).double() / 2000 + 1e-4).sqrt()) / 0.99
    return abar.sqrt().float()[..., None, None], (1 - abar).sqrt().float()[..., None, None]


class Replay:
    """The same run with nothing of the library but its networks and pairs."""

    def __init__(self, teacher, data, calls):
        self.data, self.calls, self.number = data, calls, 0
        self.teacher, self.theta, self.ema = (copy.deepcopy(teacher).eval() for _ in range(3))
        alpha, sigma = (part.flatten() for part in level(torch.arange(1, 1999)))
        ratios = torch.logspace(math.log10(sigma[1489] / alpha[1489]), math.log10(0.4), calls)
        self.times = [int(((sigma / alpha).log() - ratio.log()).abs().argmin()) + 1 for ratio in ratios] + [0]
        self.restart()

    def restart(self):
        self.weights = [p for name, p in self.theta.named_parameters() if name != "words"]
        self.m, self.v = ([torch.zeros_like(p) for p in self.weights] for _ in range(2))

    def ddim(self, x, x0, t, s):
        (alpha_t, sigma_t), (alpha_s, sigma_s) = level(t), level(s)
        return alpha_s * x0 + sigma_s / sigma_t * (x - alpha_t * x0)

    def update(self, step, in_round, lr, calls):
        """One update in the round whose teacher makes `calls` calls; step and in_round are from 1."""
        if in_round == 1 and step > 1:
            self.teacher, self.theta = copy.deepcopy(self.ema), copy.deepcopy(self.ema).requires_grad_(True)
            self.restart()
        generator = torch.Generator().manual_seed(SEED * 1_000_003 + step)
        batch = self.data.batch[torch.randint(len(self.data), (ROWS,), generator=generator)]
        call = torch.randint(calls // 2, (ROWS,), generator=generator).tolist()
        z = torch.randn(ROWS, 12, 8, generator=generator)
        clean = (F.normalize(self.theta.words, dim=-1) * math.sqrt(8))[batch.ids].detach()
        stride = self.calls // calls
        t, m, s = (torch.tensor([self.times[stride * (2 * c + i)] for c in call]) for i in range(3))

        alpha, sigma = level(t)
        signal = torch.tensor([float(c > 0) for c in call])[:, None, None]
        x_t = torch.cat([clean[:, :CUT], (alpha * signal * clean + sigma * z)[:, CUT:]], 1)
        with torch.no_grad():
            x_m = self.ddim(x_t, self.teacher(x_t, t, batch), t, m)
            x_m = torch.cat([clean[:, :CUT], x_m[:, CUT:]], 1)
            x_s = self.ddim(x_m, self.teacher(x_m, m, batch), m, s)
        (alpha_s, sigma_s), r = level(s), level(s)[1] / sigma
        target = (x_s - r * x_t) / (alpha_s - r * alpha)
        loss = (self.theta(x_t, t, batch) - target)[:, CUT:].square().mean()

        gradients = torch.autograd.grad(loss, self.weights, allow_unused=True)
        gradients = [torch.zeros_like(p) if g is None else g for p, g in zip(self.weights, gradients)]
        norm = math.sqrt(sum(float(g.square().sum()) for g in gradients))
        for p, g, m_, v in zip(self.weights, gradients, self.m, self.v):
            g = g * min(1.0, CLIP / norm)
            m_.lerp_(g, 1 - BETAS[0])
            v.lerp_(g**2, 1 - BETAS[1])
            m_hat, v_hat = m_ / (1 - BETAS[0] ** in_round), v / (1 - BETAS[1] ** in_round)
            p.data -= lr * m_hat / (v_hat.sqrt() + 1e-8)
        for average, p in zip(self.ema.parameters(), self.theta.parameters()):
            average.data.lerp_(p.data, 1 - min(EMA, in_round / (in_round + 9)))
        return loss.item(), norm


def test_a_run_of_two_rounds_replayed_by_hand(codec, pairs):
    teacher = make_model(codec, output="linear", dropout=0.3)
    config = ProgressiveConfig(
        steps=5, batch_size=ROWS, calls=4, last=0.4, lr=LR, warmup=1, beta1=BETAS[0], beta2=BETAS[1],
        clip=CLIP, ema=EMA, precision="float32", seed=SEED,
    )  # fmt: skip
    run, replay = ProgressiveRun(teacher, pairs, config), Replay(teacher, pairs, calls=4)
    assert run.times.tolist() == replay.times
    plan = [(1, LR, 4), (2, 0.0, 4), (1, LR, 2), (2, LR / 2, 2), (3, 0.0, 2)]  # update, rate, teacher's calls
    for number, (in_round, lr, calls) in enumerate(plan, start=1):
        step = run.advance()
        loss, norm = replay.update(number, in_round, lr, calls)
        assert step.losses == pytest.approx({"regression": loss}, rel=1e-3) and step.lr == pytest.approx(lr)
        assert step.grad_norms == pytest.approx({"theta": norm}, rel=1e-3)
        for name in ("theta", "ema", "teacher"):
            own, other = run.modules[name].state_dict(), getattr(replay, name).state_dict()
            apart = torch.cat([(own[key] - other[key]).abs().flatten() for key in own])
            assert float(apart.mean()) < 2e-3 * LR, (name, number)
    assert torch.equal(run.result.words, teacher.words)


def test_micro_batches_change_nothing(codec, pairs):
    whole, parts = (make_run(codec, pairs, micro_batch=size) for size in (0, 5))
    for a, b in zip(whole, parts):
        assert a.losses == pytest.approx(b.losses, rel=1e-3) and a.tokens == b.tokens == 96 * a.step


@pytest.mark.parametrize("stop", [2, 3, 4])
def test_a_resumed_run_equals_an_uninterrupted_one(codec, pairs, tmp_path, stop):
    """Before, on and after the border of two rounds."""
    whole, first, second = (make_run(codec, pairs) for _ in range(3))
    steps = list(whole)
    for _ in range(stop):
        first.advance()
    first.save(tmp_path / "state.safetensors")
    second.load(tmp_path / "state.safetensors")
    assert [step.losses for step in second] == [step.losses for step in steps[stop:]]
    assert all(same_weights(second.modules[name], whole.modules[name]) for name in whole.modules)
    assert not same_weights(whole.teacher, make_model(codec))


def test_one_call_of_the_student_lands_near_the_teachers_chain(codec, pairs):
    """From the same noise, on a tiny trained teacher, and nearer than the teacher's own single call."""
    model = make_model(codec, output="linear")
    taught = TeacherRun(model, pairs, TeacherConfig(steps=80, batch_size=32, warmup=5, precision="float32"))
    list(taught)
    teacher = taught.result
    run = ProgressiveRun(
        teacher, pairs, ProgressiveConfig(steps=100, batch_size=32, calls=4, lr=5e-3, precision="float32")
    )
    list(run)

    batch = pairs.batch[torch.arange(12).repeat(20)]
    clean, sigma = teacher.embed(batch.ids), SCHEDULE(1490)[1]
    start = anchor(sigma * torch.randn(clean.shape, generator=rng(5)), clean, batch)
    with torch.no_grad():

        def step(x, x0, t, s):
            return ddim_step(SCHEDULE, x, x0, t, s)

        chain = denoise_along(teacher, step, start, run.times.tolist(), batch, clean)
        once, before = (
            student(network, SCHEDULE, batch, clean, **run.config.sampling, generator=rng(5))
            for network in (run.result, teacher)
        )
    errors = [float((x - chain)[batch.target].square().mean()) for x in (once, before)]
    assert errors[0] < 0.5 * errors[1], errors


def test_the_result_writes_sentences(codec, pairs):
    run = make_run(codec, pairs)
    list(run)
    checkpoint = Checkpoint(run.result, codec, "tiny", "student", run.config.sampling)
    (texts,) = generate(checkpoint, ["can a cat run here"], steps=1, samples=3)
    assert len(texts) == 3
