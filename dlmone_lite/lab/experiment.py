"""The laboratory: a pocket world, a small teacher, and one distillation under watch, which makes a record.

Everything is so small that a run takes about a minute of one core, and hundreds can be compared.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from dlmone_lite.checkpoints import zoo
from dlmone_lite.checkpoints.checkpoint import Checkpoint, load, save
from dlmone_lite.corpora.pocket import GRAMMAR, POCKET, SHIPPED, lab_codec, lab_data, lab_world
from dlmone_lite.distill import DistillConfig, DistillRun
from dlmone_lite.errors import InputError
from dlmone_lite.evaluation.bayes_floor import ExactModel
from dlmone_lite.evaluation.degeneration import margin, signs
from dlmone_lite.evaluation.measure import field_scores, held_out_sources
from dlmone_lite.evaluation.metrics import world_metrics
from dlmone_lite.evaluation.psi_lag import lag
from dlmone_lite.files import digest, rounded
from dlmone_lite.generation import generate_batch
from dlmone_lite.model import Denoiser, ModelConfig, sized
from dlmone_lite.teacher import TeacherConfig, TeacherRun
from dlmone_lite.text import Codec
from dlmone_lite.training.run import Run
from dlmone_lite.training.seeds import seed_weights
from dlmone_lite.training.update import Diverged
from dlmone_lite.variants.warm_start import WarmStartConfig, WarmStartRun

SHAPE = ModelConfig(embed_dim=16, width=48, depth=3, heads=4)
SOURCES, SAMPLES = 24, 32  # of one evaluation, on held-out sources
LOOKS = 8  # evaluations of a stage
SHOWN, KINDS = 2, 8  # sources whose sentences a record counts, and how many different ones of each
TEACHERS = {"early": 500, "trained": 1500, "exact": 1500}  # updates; "exact" lends its embeddings only
BASE = DistillConfig(
    steps=400,
    batch_size=32,
    lr=3e-3,
    lr_psi=3e-3,
    mu=0.5,
    b_d=0.5,
    b_g=0.2,
    t_max=1000,  # sigma/alpha 1.5: below it x_t tells which sentence it was, and SiD alone is blind to shares
    psi_warmup=100,
    precision="float32",
)
WARM = WarmStartConfig(steps=1500, batch_size=64, samples=32, keep=0.25, precision="float32")
STARTS = ("warm", "teacher")


@dataclass(frozen=True)
class Spec:
    """One run: what each stage changes in `BASE`, a kind of teacher, a start, a target length, a seed.

    group and arm name it within its sweep. A stage may say `restart: False`: psi goes on from the one before.
    start: the student begins as a copy of the "teacher" (DLM-One), or "warm", as a healthy one-step student
    that a regression has made: then it is seen what the losses do to it. In a shipped world the teacher is
    the shipped one, warm its student of stage one, and `length` that of its sentences.
    """

    group: str
    arm: str
    stages: tuple[Mapping[str, Any], ...] = ({},)
    teacher: str = "trained"
    start: str = "warm"
    length: int = 8
    seed: int = 0
    world: str = POCKET

    @property
    def key(self) -> str:
        """The run's name, unique in a sweep."""
        return f"{self.group}/{self.arm}/{self.seed}"


def train_teacher(kind: str, length: int, folder: Path, seed: int = 0) -> Checkpoint:
    """The lab's teacher, `TEACHERS[kind]` updates: a shipped one, else trained once and kept in `folder`."""
    if kind not in TEACHERS:
        raise InputError(f"there is no teacher {kind!r} in the lab; known: {', '.join(TEACHERS)}")
    path = _place(f"pocket-teacher-{TEACHERS[kind]}-{length}.safetensors", folder)
    if path.is_file():
        return load(path)
    codec = lab_codec(length)
    with torch.random.fork_rng():
        seed_weights(seed)
        model = Denoiser(sized(SHAPE, codec))
    config = TeacherConfig(steps=TEACHERS[kind], batch_size=32, precision="float32", seed=seed)
    run = TeacherRun(model, lab_data(codec), config)
    return _finished(run, codec, "teacher", {}, path)


def warm_student(kind: str, length: int, folder: Path, seed: int = 0) -> Checkpoint:
    """The healthy one-step student that runs with start "warm" begin with: shipped, else made like it."""
    teacher = train_teacher(kind, length, folder)
    path = _place(f"pocket-warm-{TEACHERS[kind]}-{length}.safetensors", folder)
    if path.is_file():
        return load(path)
    run = WarmStartRun(teacher.model, lab_data(teacher.codec), replace(WARM, seed=seed))
    for _ in run.prepare():
        pass
    return _finished(run, teacher.codec, "student", {"t_init": run.config.t_init}, path)


def _place(name: str, folder: Path) -> Path:
    """Where a network of that name lies or will lie: among the shipped ones, else in `folder`."""
    return SHIPPED / name if (SHIPPED / name).is_file() else folder / name


def _finished(run: Run, codec: Codec, role: str, sampling: dict[str, int], path: Path) -> Checkpoint:
    """Train to the end, save."""
    for _ in run:
        pass
    told = {"command": "python -m dlmone_lite sweep", "seed": run.config.seed, "steps": run.step}
    told |= {"seconds": round(run.seconds, 1), "device": str(run.device), "config": asdict(run.config)}
    told |= {"grammar_sha256": digest(GRAMMAR), "versions": {"torch": str(torch.__version__)}}
    made = Checkpoint(run.result, codec, lab_world().name, role, sampling, told)
    seen = observe(made, 64 if role == "teacher" else 1)
    told["metrics"] = rounded({key: seen[key] for key in ("nfe", "validity", "tv", "tv_excess", "coverage")})
    save(path, made)
    return made


@torch.no_grad()
def observe(
    checkpoint: Checkpoint, steps: int, seed: int = 0, sources: int = SOURCES, field_too: bool = True
) -> dict[str, Any]:
    """Scores against the truth, the field's scores (unless not wanted), signs, and some sentences, at `steps`
    evaluations, on `sources` held-out sources."""
    world, model, samples = lab_world(checkpoint.world), checkpoint.model, SAMPLES
    chosen = held_out_sources(world, sources)
    batch = checkpoint.codec.encode(chosen).repeat(samples)
    rng = torch.Generator().manual_seed(7_000_003 + seed)
    x = generate_batch(checkpoint, batch, steps=steps, generator=rng).float()
    flat = checkpoint.codec.decode(model.round(x))
    texts = [flat[i * samples : (i + 1) * samples] for i in range(sources)]
    truth = random.Random(f"{world.name} references")
    references = [world.sample(source, truth) for source in chosen]
    return {
        "nfe": steps,
        **world_metrics(texts, [world.support(source) for source in chosen]),
        **(field_scores([own[:3] for own in texts], references) if field_too else {}),
        "signs": signs(texts, chosen, margin=margin(x[batch.target], model.embedding())).as_dict(),
        "sentences": {
            source: dict(Counter(own).most_common(KINDS)) for source, own in list(zip(chosen, texts))[:SHOWN]
        },
    }


def _known(values: Mapping[str, float]) -> dict[str, float]:
    """What was looked at: JSON has no nan."""
    return {name: value for name, value in values.items() if not math.isnan(value)}


@dataclass
class Watch:
    """What a run leaves: an evaluation every so often, with the mean losses since the one before."""

    codec: Codec
    world: str = POCKET
    evaluations: list[dict[str, Any]] = field(default_factory=list)

    def look(self, run: DistillRun, stage: int, step: int, losses: Sequence[dict[str, float]]) -> None:
        """Evaluate the run's student at one step of its own."""
        names = dict.fromkeys(name for row in losses for name in row)
        means = {name: fmean(row[name] for row in losses if name in row) for name in names}
        seen = observe(student_of(run, self.codec, self.world), 1)
        seen["signs"] |= _known({"discriminator": means.get("discriminator", math.nan), "lag": lag(run)})
        self.evaluations.append({"stage": stage, "step": step, **seen, "losses": means})


def student_of(run: DistillRun, codec: Codec, world: str = POCKET) -> Checkpoint:
    """The run's averaged student, ready to generate."""
    return Checkpoint(run.result, codec, world, "student", {"t_init": run.config.t_init})


def begin(
    spec: Spec, teacher: Checkpoint, student: Checkpoint, before: DistillRun | None, number: int
) -> DistillRun:
    """The run of stage `number` (from 1); the first begins with `student`."""
    changes = dict(spec.stages[number - 1])
    restart = changes.pop("restart", True)
    config = replace(BASE, **{"seed": 1000 * spec.seed + number, **changes})
    if before is None:
        phi = ExactModel(teacher, lab_world(spec.world)) if spec.teacher == "exact" else None
        return DistillRun(teacher.model, lab_data(teacher.codec, spec.world), config, student.model, phi)
    run = before.second_stage(config)
    if not restart:
        run.psi.load_state_dict(before.psi.state_dict())
    return run


def beginning(spec: Spec, folder: Path) -> tuple[Checkpoint, Checkpoint]:
    """Teacher and first student of a run, made where `folder` lacks them."""
    if spec.start not in STARTS:
        raise InputError(f"a run does not start {spec.start!r}; known: {', '.join(STARTS)}")
    if spec.world != POCKET:
        teacher = zoo.load(f"{spec.world}-teacher")
        return teacher, teacher if spec.start == "teacher" else zoo.load(f"{spec.world}-student-stage1")
    teacher = train_teacher(spec.teacher, spec.length, folder)
    return teacher, teacher if spec.start == "teacher" else warm_student(spec.teacher, spec.length, folder)


def distil(spec: Spec, folder: Path) -> tuple[dict[str, Any], DistillRun]:
    """Make the run of `spec` -> (its record, the run at its end). What it begins with is kept in `folder`."""
    teacher, student = beginning(spec, folder)
    watch, run, seconds, note = Watch(teacher.codec, spec.world), None, 0.0, None
    try:
        for number in range(1, len(spec.stages) + 1):
            run = begin(spec, teacher, student, run, number)
            follow(run, watch, number)
            seconds += run.seconds
    except Diverged as error:
        note = str(error)
    return report(spec, watch, run, seconds, note), run


def follow(run: DistillRun, watch: Watch, number: int = 1) -> None:
    """Train a stage to its end, with `LOOKS` evaluations on the way, and one before if it is the first."""
    if number == 1:
        watch.look(run, 1, 0, [])
    done, recent, every = watch.evaluations[-1]["step"], [], max(1, run.total // LOOKS)
    for step in run:
        recent.append(step.losses)
        if step.step % every == 0 or step.step == run.total:
            watch.look(run, number, done + step.step, recent)
            recent = []


def report(spec: Spec, watch: Watch, run: DistillRun, seconds: float, note: str | None) -> dict[str, Any]:
    """The record of a run that is over; `note` says how it diverged, if it did."""
    made = student_of(run, watch.codec, watch.world)
    final = [observe(made, nfe, seed=1) for nfe in (1, 2, 4, 8)]
    record = {"key": spec.key, "spec": asdict(spec), "evaluations": watch.evaluations, "final": final}
    return rounded(record) | {"diverged": note, "seconds": round(seconds, 1)}
