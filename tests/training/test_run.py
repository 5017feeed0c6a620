"""training: averages, learning rates and updates by hand; a killed run goes on as if nothing had happened."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny import make_codec, make_model, make_pairs, make_world, normal, same_weights
from torch import nn

from dlmone_lite.checkpoints import checkpoint
from dlmone_lite.distill import DistillConfig, DistillRun
from dlmone_lite.errors import Diverged, InputError
from dlmone_lite.files import ROOT
from dlmone_lite.teacher import TeacherConfig, TeacherRun
from dlmone_lite.training.run import EMA, lr_at
from dlmone_lite.training.seeds import generator_at, randn, seed_weights

TESTS = Path(__file__).resolve().parent


@pytest.fixture
def tiny(tmp_path):
    world = make_world(tmp_path)
    codec = make_codec(world)
    return codec, make_pairs(world, codec)


def teacher_run(tiny, model_seed=0, shape=None, **changes):
    codec, pairs = tiny
    config = TeacherConfig(**{"steps": 6, "batch_size": 8, "warmup": 2, "precision": "float32", **changes})
    return TeacherRun(make_model(codec, model_seed, **(shape or {})), pairs, config)


def distill_run(tiny, model_seed=0, shape=None, **changes):
    codec, pairs = tiny
    defaults = {"steps": 6, "batch_size": 8, "warmup": 2, "psi_warmup": 2, "precision": "float32"}
    config = DistillConfig(**{**defaults, **changes})
    return DistillRun(make_model(codec, model_seed, **(shape or {})), pairs, config)


RUNS = {"teacher": teacher_run, "distill": distill_run}


def all_state(run):
    """Every tensor of a run: weights, averages, optimisers' moments."""
    state = {f"{n}/{k}": v for n, module in run.modules.items() for k, v in module.state_dict().items()}
    for name, optimiser in run.optimisers.items():
        for i, slots in optimiser.state_dict()["state"].items():
            state |= {f"{name}/{i}/{slot}": torch.as_tensor(v) for slot, v in slots.items()}
    return {key: value.clone() for key, value in state.items()}


def assert_same(a, b):
    assert a.keys() == b.keys()
    different = [key for key in a if not torch.equal(a[key], b[key])]
    assert not different, different


# ---- parts


def test_ema_is_the_hand_loop():
    model = nn.Linear(2, 1)
    ema, decay = EMA(model, 0.8), 0.8
    average = [float(v) for v in model.weight.flatten().detach()]
    for step in range(1, 60):
        with torch.no_grad():
            model.weight.copy_(normal(1, 2, seed=step))
        before = model.weight.detach().clone()
        ema.update(model, step)
        d = min(decay, step / (step + 9))  # early on it averages over few steps
        average = [d * a + (1 - d) * float(w) for a, w in zip(average, before.flatten(), strict=True)]
        assert ema.model.weight.flatten().tolist() == pytest.approx(average, abs=1e-6)
        assert torch.equal(model.weight, before)
    assert not ema.model.training and not any(p.requires_grad for p in ema.model.parameters())
    assert (59 / 68 > 0.8) and (35 / 44 < 0.8)  # both branches of the minimum were used


def test_learning_rates_by_hand():
    for shape in ("constant", "linear", "cosine"):
        assert [lr_at(s, 100, 2.0, 4, shape) for s in (1, 2, 3, 4)] == [0.5, 1.0, 1.5, 2.0]
    halfway = 4 + 48
    assert lr_at(halfway, 100, 2.0, 4, "constant") == 2.0
    assert lr_at(halfway, 100, 2.0, 4, "linear") == pytest.approx(1.0)
    assert lr_at(28, 100, 2.0, 4, "linear") == pytest.approx(1.5)
    assert lr_at(halfway, 100, 2.0, 4, "cosine") == pytest.approx(1.0)
    assert lr_at(28, 100, 2.0, 4, "cosine") == pytest.approx(1 + math.cos(math.pi / 4))
    for shape in ("linear", "cosine"):
        assert lr_at(100, 100, 2.0, 4, shape) == pytest.approx(0, abs=1e-12)
        assert lr_at(130, 100, 2.0, 4, shape) == pytest.approx(0, abs=1e-12)
        values = [lr_at(s, 100, 2.0, 4, shape) for s in range(4, 101)]
        assert all(a > b for a, b in zip(values, values[1:], strict=False))
    assert lr_at(1, 10, 2.0, 0, "linear") == pytest.approx(1.8)  # no warm-up
    with pytest.raises(InputError, match="constant, linear, cosine"):
        lr_at(5, 10, 1.0, 0, "cosin")


def test_generators_belong_to_seed_and_step():
    pairs = [(seed, step) for seed in range(4) for step in range(8)]
    drawn = {pair: torch.rand(4, generator=generator_at(*pair)) for pair in pairs}
    assert len({tuple(v.tolist()) for v in drawn.values()}) == 32
    assert torch.equal(drawn[2, 5], torch.rand(4, generator=generator_at(2, 5)))


def test_randn_on_a_cpu_is_torchs_own():
    drawn = randn((3, 4), torch.Generator().manual_seed(7), torch.device("cpu"))
    assert torch.equal(drawn, torch.randn(3, 4, generator=torch.Generator().manual_seed(7)))


@pytest.mark.parametrize("kind, term", [("teacher", "denoising"), ("distill", "dsm")])
def test_a_poisoned_run_keeps_its_weights(tiny, kind, term):
    run = RUNS[kind](tiny)
    run.advance()
    network = run.modules["model" if kind == "teacher" else "psi"]
    with torch.no_grad():
        network.down.bias[0] = math.nan
    before = all_state(run)
    with pytest.raises(Diverged, match=f"'{term}' is nan at step 2"):
        run.advance()
    after = all_state(run)
    assert all(torch.equal(before[k].nan_to_num(7), after[k].nan_to_num(7)) for k in before)
    assert run.step == 1


# ---- runs


@pytest.mark.parametrize("kind", RUNS)
def test_same_seed_same_numbers(tiny, kind):
    a, b = RUNS[kind](tiny), RUNS[kind](tiny)
    torch.manual_seed(1)
    first = [step.losses for step in a]
    torch.manual_seed(2)  # the global generator plays no part
    assert [step.losses for step in b] == first
    assert_same(all_state(a), all_state(b))
    assert [step.losses for step in RUNS[kind](tiny, seed=1)] != first


@pytest.mark.parametrize("kind", RUNS)
def test_numbers_belong_to_the_step(tiny, kind):
    run, by_hand = RUNS[kind](tiny, seed=5), RUNS[kind](tiny, seed=5)
    for step in (1, 2, 3):
        losses, norms, tokens = by_hand.update(generator_at(5, step))
        by_hand.step += 1
        done = run.advance()
        assert (done.losses, done.grad_norms) == (losses, norms) and done.tokens % tokens == 0


@pytest.mark.parametrize("kind", RUNS)
def test_a_run_yields_what_it_did(tiny, kind):
    run = RUNS[kind](tiny)
    steps = list(run)
    assert [s.step for s in steps] == list(range(1, 7)) and run.step == run.total == 6
    for s in steps:
        assert s.lr == lr_at(s.step, 6, run.config.lr, 2, run.config.lr_shape)
        assert all(math.isfinite(v) for v in [*s.losses.values(), *s.grad_norms.values()])
    seconds = [s.seconds for s in steps]
    assert seconds[0] > 0 and seconds == sorted(seconds)
    per_update = 8 * 6  # rows times target positions
    updates = [1] * 6 if kind == "teacher" else [1, 1, 2, 2, 2, 2]  # the student waits for two updates of psi
    assert [s.tokens for s in steps] == [per_update * sum(updates[: i + 1]) for i in range(6)]
    assert list(run) == []  # it is over


@pytest.mark.parametrize("kind", RUNS)
def test_coefficients_may_change_between_steps(tiny, kind):
    run, plain = RUNS[kind](tiny), RUNS[kind](tiny)
    for r in (run, plain):
        r.advance(), r.advance()
    run.config.lr *= 3
    run.config.batch_size = 4
    changed, usual = run.advance(), plain.advance()
    assert changed.lr == pytest.approx(3 * usual.lr)
    assert changed.losses != usual.losses
    assert (changed.tokens, usual.tokens) == ((120, 144) if kind == "teacher" else (144, 192))


def test_evaluation_sees_the_average(tiny):
    run = teacher_run(tiny)
    seen = []
    assert run.advance().evaluation is None
    step = run.advance(lambda model: seen.append(model) or {"score": 0.5})
    assert step.evaluation == {"score": 0.5} and seen == [run.ema.model] and seen[0] is run.result
    assert not same_weights(run.result, run.model)


# ---- precision


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("kind", RUNS)
def test_precisions_by_name(tiny, kind, precision):
    full, half = RUNS[kind](tiny, steps=2), RUNS[kind](tiny, steps=2, precision=precision)
    assert (full.dtype, half.dtype) == (torch.float32, getattr(torch, precision))
    a, b = full.advance().losses, half.advance().losses
    assert a != b
    for name in a:
        assert b[name] == pytest.approx(a[name], rel=0.05)
    assert all(p.dtype == torch.float32 for p in half.result.parameters())
    auto = RUNS[kind](tiny, precision="auto")
    assert auto.config.precision == {torch.float32: "float32", torch.bfloat16: "bfloat16"}[auto.dtype]
    with pytest.raises(InputError, match="unknown precision 'half'; known: auto, float32, bfloat16, float16"):
        RUNS[kind](tiny, precision="half")


@pytest.mark.parametrize("kind", RUNS)
def test_in_float16_the_loss_is_scaled_and_the_update_is_not(tiny, kind):
    """A scale so large that gradients overflow leaves the weights alone and is halved until they fit."""
    first = RUNS[kind](tiny, steps=40, precision="float16", warmup=0)
    small = RUNS[kind](tiny, steps=40, precision="float16", warmup=0)
    assert first.scale is not None and RUNS[kind](tiny, precision="bfloat16").scale is None
    first.scale.value, small.scale.value = 2.0**14, 2.0**13
    norms = first.advance().grad_norms
    for name, norm in small.advance().grad_norms.items():
        assert math.isfinite(norm) and norm == pytest.approx(norms[name], rel=0.02), "told without the scale"
    before = [p.clone() for p in first.result.parameters()]
    first.scale.value = 2.0**60
    assert not any(map(math.isfinite, first.advance().grad_norms.values())) and first.scale.value < 2.0**60
    for old, new in zip(before, first.result.parameters(), strict=True):
        assert torch.allclose(old, new, atol=0.05) and new.isfinite().all()
    first.scale.value = 2.0**20
    while first.step < 40 and first.scale.value > 2.0**13:
        step = first.advance()
    assert all(p.isfinite().all() for p in first.result.parameters())
    assert all(map(math.isfinite, step.losses.values()))


# ---- exact resume

CASES = [
    ("teacher", {}),
    ("teacher", {"target": "sample", "loss": "mse", "optimiser": "adamw", "sigma_0": 0.121}),
    ("teacher", {"target": "stable", "loss": "ce", "optimiser": "muon", "t_sampling": "late"}),
    ("teacher", {"t_sampling": "loss-aware"}),
    ("teacher", {"shape": {"dropout": 0.2}}),
    ("teacher", {"precision": "bfloat16"}),
    ("teacher", {"precision": "float16"}),
    ("distill", {"precision": "float16"}),
    ("distill", {"optimiser": "muon"}),
    ("distill", {"optimiser": "adam"}),
    ("distill", {"psi_steps": 2, "b_g": 0.0, "b_d": 0.0, "commitment": 0.3}),
]


@pytest.mark.parametrize("kind, changes", CASES)
def test_a_resumed_run_equals_an_uninterrupted_one(tiny, tmp_path, kind, changes):
    whole = RUNS[kind](tiny, **changes)
    steps = list(whole)
    first = RUNS[kind](tiny, **changes)
    for _ in range(3):
        first.advance()
    if whole.scale:
        assert first.scale.fitted >= 3  # which is part of the state
    first.save(tmp_path / "state.safetensors")
    at_save = all_state(first)
    first.advance()  # what happens after saving is lost
    second = RUNS[kind](tiny, **changes)
    for module in second.modules.values():
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(1.0)  # nothing of the new object's own weights may survive
    second.load(tmp_path / "state.safetensors")
    assert second.step == 3 and second.tokens == steps[2].tokens
    assert_same(all_state(second), at_save)
    rest = list(second)
    assert [(s.step, s.losses, s.grad_norms, s.lr, s.tokens) for s in rest] == [
        (s.step, s.losses, s.grad_norms, s.lr, s.tokens) for s in steps[3:]
    ]
    assert_same(all_state(second), all_state(whole))
    assert second.scale == whole.scale and rest[0].seconds > 0


KILLED = """
import os, pathlib, signal, sys
sys.path[:0] = sys.argv[1:3]
from test_run import RUNS
from tiny import make_codec, make_pairs, make_world
folder = pathlib.Path(sys.argv[3])
world = make_world(folder)
codec = make_codec(world)
for kind, make in RUNS.items():
    run = make((codec, make_pairs(world, codec)))
    for _ in range(3):
        run.advance()
    run.save(folder / f"{kind}.safetensors")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_is_continued_by_another(tiny, tmp_path):
    command = [sys.executable, "-c", KILLED, str(TESTS), str(ROOT / "tests" / "support"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    assert done.returncode == -signal.SIGKILL, done.stderr
    for kind, make in RUNS.items():
        whole, resumed = make(tiny), make(tiny)
        steps = list(whole)
        resumed.load(tmp_path / f"{kind}.safetensors")
        assert [s.losses for s in resumed] == [s.losses for s in steps[3:]]
        assert_same(all_state(resumed), all_state(whole))


def test_a_state_of_another_optimiser_is_refused(tiny, tmp_path):
    path = tmp_path / "state.safetensors"
    run = teacher_run(tiny, optimiser="muon")
    run.advance()
    run.save(path)
    with pytest.raises(InputError, match="differently shaped run"):
        teacher_run(tiny, optimiser="adamw").load(path)


def test_a_run_leaves_the_callers_config_alone(tiny):
    codec, pairs = tiny
    shared = TeacherConfig(steps=2, batch_size=4, precision="auto")
    run = TeacherRun(make_model(codec), pairs, shared)
    run.config.lr = 1.0
    assert shared == TeacherConfig(steps=2, batch_size=4, precision="auto")


def test_a_state_of_another_origin_is_refused(tiny, tmp_path):
    path, run, other = tmp_path / "state.safetensors", teacher_run(tiny), teacher_run(tiny)
    run.origin, other.origin = {"teacher": "abc"}, {"teacher": "def"}
    run.save(path)
    with pytest.raises(InputError, match=r"another teacher \(abc, now def\)"):
        other.load(path)
    other.origin = {"teacher": "abc"}
    other.load(path)


def test_foreign_states_are_refused(tiny, tmp_path):
    teacher, path = teacher_run(tiny), tmp_path / "state.safetensors"
    teacher.advance()
    teacher.save(path)
    with pytest.raises(InputError, match="no training state of a distill run"):
        distill_run(tiny).load(path)
    with pytest.raises(InputError, match="differently shaped run"):
        teacher_run(tiny, shape={"width": 16}).load(path)
    with pytest.raises(InputError, match="differently shaped run"):
        teacher_run(tiny, shape={"depth": 2}).load(path)
    codec, _ = tiny
    checkpoint.save(path, checkpoint.Checkpoint(make_model(codec), codec, "tiny", "teacher"))
    with pytest.raises(InputError, match="no training state"):
        teacher_run(tiny).load(path)
    with pytest.raises(InputError, match="no file"):
        teacher_run(tiny).load(tmp_path / "none.safetensors")
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match="damaged"):
        teacher_run(tiny).load(path)


def test_first_weights_and_first_noise_differ():
    for seed in (0, 1, 7):
        seed_weights(seed)
        weights = torch.randn(4)
        noise = torch.randn(4, generator=torch.Generator().manual_seed(seed))
        assert not torch.isclose(weights, noise).any()
        seed_weights(seed)
        assert torch.equal(weights, torch.randn(4))
