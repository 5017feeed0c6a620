"""The student's exact score from its samples, and theta's gradients, against closed forms."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dlmone_lite.distill import Draw
from dlmone_lite.exact import ExactDenoiser
from dlmone_lite.lab import exact_psi
from dlmone_lite.lab.exact_psi import SampledStudent, errors, gradients, mean_of
from dlmone_lite.lab.experiment import Spec, lab_world, start_networks, start_stage
from dlmone_lite.lab.sweeps import causes
from dlmone_lite.sample import anchor


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact_psi, "COUNTS", (64, 512))
    monkeypatch.setattr(exact_psi, "NOISE_LEVELS", (600, 1490))
    monkeypatch.setattr(exact_psi, "FRESH", 32)


@pytest.fixture
def run(tmp_path: Path):
    spec = Spec("try", "x")
    teacher, student = start_networks(spec, tmp_path)
    return start_stage(spec, teacher, student, None, 1), teacher, lab_world().split_sources("test")[0]


def write_the_truth(run, teacher, source: str) -> None:
    """Let the student write the source's right sentences with their exact shares."""
    support = lab_world().support(source)
    points = teacher.model.embedding()[teacher.codec.encode([source] * len(support), list(support)).ids]
    shares = torch.tensor(list(support.values()))

    def generate(draw: Draw) -> torch.Tensor:
        chance = torch.special.ndtr(draw.z[:, -1, 0])  # uniform
        which = torch.searchsorted(shares.cumsum(0), chance).clamp(max=len(shares) - 1)
        return anchor(points[which].detach(), draw.clean, draw.batch)

    run.generate = generate


def test_a_students_score_by_samples_is_the_exact_one(run, few) -> None:
    """A student that writes the truth: f* by its samples is the world's exact denoiser."""
    run, teacher, source = run
    write_the_truth(run, teacher, source)
    student = SampledStudent(run, teacher, source, 20_000)
    x_g, batch, clean = student.sample(64, seed=5)
    table = teacher.model.embedding()
    exact = ExactDenoiser(lab_world().support, teacher.codec, table, teacher.model.schedule)
    for level in (600, 1490, 1900):
        t = torch.full((64,), level)
        x_t = anchor(teacher.model.schedule.diffuse(x_g, t, torch.randn(x_g.shape)), clean, batch)
        assert (student.mean(x_t, t) - exact(x_t, t, batch)).square().mean() < 2e-4


def test_a_perfect_psi_has_no_error_and_the_samples_are_fresh(run, few) -> None:
    run, teacher, source = run
    student = SampledStudent(run, teacher, source, 512)
    x_g, _, _ = student.sample(exact_psi.FRESH, seed=1)
    assert torch.cdist(x_g[:, student.cut :].flatten(1), student.points).min() > 1e-3, "none is among the N"
    learned = run.psi
    run.psi = lambda x_t, t, batch: student.mean(x_t, t)
    perfect = errors(run, teacher, source)
    run.psi = learned
    for one, other in zip(perfect, errors(run, teacher, source)):
        assert one["psi"] == 0 and other["psi"] > 10 * other["doubt"] and other["signal"] == one["signal"]
        assert one["by_number"][-1] == 0 and one["by_number"][0] > 0


def test_the_gradient_under_the_perfect_psi_is_its_own(run, few, monkeypatch: pytest.MonkeyPatch) -> None:
    run, teacher, source = run
    cosines = gradients(run, teacher, source)
    assert all(abs(cosines[kind]) <= 1 + 1e-9 for kind in ("sid", "teacher", "adversarial", "both", "again"))
    monkeypatch.setattr(exact_psi, "ExactModel", lambda checkpoint, world: run.phi)
    assert gradients(run, teacher, source)["teacher"] == pytest.approx(1, abs=1e-5), (
        "the teacher is the oracle"
    )


def test_means_and_the_plan() -> None:
    rows = [{"a": 1.0, "b": [1.0, 2.0]}, {"a": 2.0, "b": [3.0, 6.0]}]
    assert mean_of(rows) == {"a": 1.5, "b": [2.0, 4.0]}
    assert len({spec.key for spec in causes()}) == len(list(causes())) == 10
