"""One experiment of the laboratory: a small distillation with regular evaluations, which yields a record.

World and networks are so small that a run takes about a minute on one core and hundreds can be compared.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from dlmone_lite.checkpoints import zoo
from dlmone_lite.checkpoints.checkpoint import Checkpoint, load, save
from dlmone_lite.corpora.pocket import GRAMMAR, POCKET, SHIPPED, lab_codec, lab_data, lab_world
from dlmone_lite.distill import DistillConfig, DistillRun
from dlmone_lite.errors import Diverged, InputError
from dlmone_lite.evaluation.bayes_floor import ExactModel
from dlmone_lite.evaluation.degeneration import margin, signs
from dlmone_lite.evaluation.measure import field_scores, held_out_sources
from dlmone_lite.evaluation.metrics import world_metrics
from dlmone_lite.evaluation.psi_lag import lag
from dlmone_lite.files import check_output, digest, rounded
from dlmone_lite.generation import generate_batch
from dlmone_lite.model import Denoiser, ModelConfig, sized
from dlmone_lite.teacher import TeacherConfig, TeacherRun
from dlmone_lite.text import Codec
from dlmone_lite.training.run import Run
from dlmone_lite.training.seeds import seed_weights
from dlmone_lite.variants.recipes import RECIPES
from dlmone_lite.variants.warm_start import WarmStartConfig, WarmStartRun

SHAPE = ModelConfig(embed_dim=16, width=48, depth=3, heads=4)
SOURCES, SAMPLES = 24, 32  # held-out sources of one evaluation, and samples of each
EVALUATIONS = 8  # in one stage
SHOWN, KINDS = 2, 8  # sources with counted sentences in a record, and different sentences of each
TEACHERS = {"early": 500, "trained": 1500, "exact": 1500}  # updates; of "exact" only the embeddings are used
BASE = DistillConfig(
    steps=400,
    batch_size=32,
    lr=3e-3,
    lr_psi=3e-3,
    mu=0.5,
    b_d=0.5,
    b_g=0.2,
    t_max=1000,  # sigma/alpha 1.5; below it x_t reveals its sentence, and SiD alone is blind to frequencies
    psi_warmup=100,
    precision="float32",
)
WARM = WarmStartConfig(steps=1500, batch_size=64, samples=32, keep=0.25, precision="float32")
STARTS = ("warm", "teacher", "student")


@dataclass(frozen=True)
class Spec:
    """One run: each stage's changes of `BASE`, the kind of teacher, the start, the target length, the seed.

    `group` and `arm` name the run within its sweep. A stage with `restart: False` keeps the previous psi; its
    `halfway` are changes after half of it.
    `start` is "teacher" if the student starts as a copy of the teacher (DLM-One). It is "warm" or "student"
    if it starts as a healthy one-step student, so that its changes are the effect of the losses: one of a
    regression with independent noise, or one of score distillation with shared noise (the named recipe).
    In a shipped `world` the networks are the shipped ones and their codec, not `length`, sets the target
    length.
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


def train_teacher(kind: str, length: int, folder: Path) -> Checkpoint:
    """The lab's teacher, `TEACHERS[kind]` updates: the shipped one, else one trained once into `folder`."""
    if kind not in TEACHERS:
        raise InputError(f"there is no teacher {kind!r} in the lab; known: {', '.join(TEACHERS)}")
    path = _network_path(f"pocket-teacher-{TEACHERS[kind]}-{length}.safetensors", folder)
    if path.is_file():
        return load(path)
    codec = lab_codec(length)
    with torch.random.fork_rng():
        seed_weights(0)
        model = Denoiser(sized(SHAPE, codec))
    config = TeacherConfig(steps=TEACHERS[kind], batch_size=32, precision="float32")
    return _train_and_save(TeacherRun(model, lab_data(codec), config), codec, "teacher", path)


def warm_student(kind: str, length: int, folder: Path) -> Checkpoint:
    """The healthy one-step student of a warm start: the shipped one, else one trained once into `folder`."""
    teacher = train_teacher(kind, length, folder)
    path = _network_path(f"pocket-warm-{TEACHERS[kind]}-{length}.safetensors", folder)
    if path.is_file():
        return load(path)
    run = WarmStartRun(teacher.model, lab_data(teacher.codec), WARM)
    return _train_and_save(run, teacher.codec, "student", path)


def distilled_student(kind: str, length: int, folder: Path) -> Checkpoint:
    """The healthy student of the recipe "pocket": the shipped one, else one trained once into `folder`."""
    teacher = train_teacher(kind, length, folder)
    path = _network_path(f"pocket-student-{TEACHERS[kind]}-{length}.safetensors", folder)
    if path.is_file():
        return load(path)
    run = DistillRun(teacher.model, lab_data(teacher.codec), RECIPES["pocket"].first)
    return _train_and_save(run, teacher.codec, "student", path)


def _network_path(name: str, folder: Path) -> Path:
    """The path of a shipped network, else the path in `folder`."""
    return SHIPPED / name if (SHIPPED / name).is_file() else folder / name


def _train_and_save(run: Run, codec: Codec, role: str, path: Path) -> Checkpoint:
    """Train to the end, evaluate, and save a checkpoint with its provenance."""
    check_output(path)
    for _ in chain(run.prepare(), run):
        pass
    sampling = run.config.sampling if role == "student" else {}
    provenance = {"command": "python -m dlmone_lite sweep", "seed": run.config.seed, "steps": run.step}
    provenance |= {"seconds": round(run.seconds, 1), "device": str(run.device), "config": asdict(run.config)}
    provenance |= {"grammar_sha256": digest(GRAMMAR), "versions": {"torch": str(torch.__version__)}}
    checkpoint = Checkpoint(run.result, codec, lab_world().name, role, sampling, provenance)

    scores = evaluate(checkpoint, 64 if role == "teacher" else 1)
    names = ("nfe", "validity", "tv", "tv_excess", "coverage")
    provenance["metrics"] = rounded({name: scores[name] for name in names})
    save(path, checkpoint)
    return checkpoint


@torch.no_grad()
def evaluate(
    checkpoint: Checkpoint, steps: int, seed: int = 0, sources: int = SOURCES, with_field: bool = True
) -> dict[str, Any]:
    """World metrics, signs and sentences of a checkpoint at `steps` NFE, on `sources` held-out sources.

    `with_field` adds the field's scores. "sentences" counts the most frequent outputs of the first sources.
    """
    world, model, samples = lab_world(checkpoint.world), checkpoint.model, SAMPLES
    chosen = held_out_sources(world, sources)
    batch = checkpoint.codec.encode(chosen).repeat(samples)
    rng = torch.Generator().manual_seed(7_000_003 + seed)
    x = generate_batch(checkpoint, batch, steps=steps, generator=rng).float()
    flat = checkpoint.codec.decode(model.round(x))
    texts = [flat[i * samples : (i + 1) * samples] for i in range(sources)]

    result = {"nfe": steps, **world_metrics(texts, [world.support(source) for source in chosen])}
    if with_field:
        dice = random.Random(f"{world.name} references")
        references = [world.sample(source, dice) for source in chosen]
        result |= field_scores([own[:3] for own in texts], references)
    result["signs"] = signs(texts, chosen, margin=margin(x[batch.target], model.embedding())).as_dict()
    shown = list(zip(chosen, texts))[:SHOWN]
    result["sentences"] = {source: dict(Counter(own).most_common(KINDS)) for source, own in shown}
    return result


@dataclass
class History:
    """The evaluations of a run, in order, each with the mean losses since the previous one."""

    codec: Codec
    world: str = POCKET
    evaluations: list[dict[str, Any]] = field(default_factory=list)

    def evaluate(self, run: DistillRun, stage: int, step: int, losses: Sequence[dict[str, float]]) -> None:
        """Evaluate the run's student in one step, and append the result."""
        names = dict.fromkeys(name for row in losses for name in row)
        means = {name: fmean(row[name] for row in losses if name in row) for name in names}
        scores = evaluate(student_of(run, self.codec, self.world), 1)
        of_psi = {"discriminator": means.get("discriminator", math.nan), "lag": lag(run)}
        scores["signs"] |= {name: value for name, value in of_psi.items() if not math.isnan(value)}
        self.evaluations.append({"stage": stage, "step": step, **scores, "losses": means})


def student_of(run: DistillRun, codec: Codec, world: str = POCKET) -> Checkpoint:
    """The run's averaged student, ready to generate."""
    return Checkpoint(run.result, codec, world, "student", run.config.sampling)


def start_networks(spec: Spec, folder: Path) -> tuple[Checkpoint, Checkpoint]:
    """The teacher and the first student of a run; what is neither shipped nor in `folder` is trained."""
    if spec.start not in STARTS:
        raise InputError(f"a run does not start {spec.start!r}; known: {', '.join(STARTS)}")
    if spec.world != POCKET:
        names = {"warm": "student-warm", "teacher": "teacher", "student": "student"}
        return zoo.load(f"{spec.world}-teacher"), zoo.load(f"{spec.world}-{names[spec.start]}")
    make = {"warm": warm_student, "teacher": train_teacher, "student": distilled_student}[spec.start]
    where = spec.teacher, spec.length, folder
    return train_teacher(*where), make(*where)


def start_stage(
    spec: Spec, teacher: Checkpoint, student: Checkpoint, previous: DistillRun | None, number: int
) -> DistillRun:
    """The run of stage `number` (from 1): the first starts with `student`, a later one from `previous`."""
    changes = dict(spec.stages[number - 1])
    restart = changes.pop("restart", True)
    changes.pop("halfway", None)  # `train_stage` makes these changes
    config = replace(BASE, **{"seed": 1000 * spec.seed + number, **changes})
    if previous is None:
        phi = ExactModel(teacher, lab_world(spec.world)) if spec.teacher == "exact" else None
        return DistillRun(teacher.model, lab_data(teacher.codec, spec.world), config, student.model, phi)
    run = previous.second_stage(config)
    if not restart:
        run.psi.load_state_dict(previous.psi.state_dict())
    return run


def train_stage(
    run: DistillRun, history: History, number: int = 1, halfway: Mapping[str, Any] | None = None
) -> str | None:
    """Train a stage to its end and evaluate it `EVALUATIONS` times; the first stage also before its start.
    `halfway` are changes of its settings after half of its updates.

    Returns the message of the divergence that ended the stage early, else None.
    """
    if number == 1:
        history.evaluate(run, 1, 0, [])
    done, recent, every = history.evaluations[-1]["step"], [], max(1, run.total // EVALUATIONS)
    try:
        for step in run:
            recent.append(step.losses)
            if step.step == run.total // 2:
                vars(run.config).update(halfway or {})
            if step.step % every == 0 or step.step == run.total:
                history.evaluate(run, number, done + step.step, recent)
                recent = []
    except Diverged as error:
        return str(error)
    return None


def run_experiment(spec: Spec, folder: Path) -> tuple[dict[str, Any], DistillRun]:
    """Train the stages of `spec` -> (the record, the last stage's run). `folder` keeps the first networks."""
    teacher, student = start_networks(spec, folder)
    history, run, seconds, divergence = History(teacher.codec, spec.world), None, 0.0, None
    for number in range(1, len(spec.stages) + 1):
        run = start_stage(spec, teacher, student, run, number)
        divergence = train_stage(run, history, number, spec.stages[number - 1].get("halfway"))
        if divergence:
            break
        seconds += run.seconds
    return record_of(spec, history, run, seconds, divergence), run


def record_of(
    spec: Spec, history: History, run: DistillRun, seconds: float, divergence: str | None
) -> dict[str, Any]:
    """The record of a finished run: its spec, its evaluations, and final ones at 1, 2, 4 and 8 NFE."""
    student = student_of(run, history.codec, history.world)
    final = [evaluate(student, nfe, seed=1) for nfe in (1, 2, 4, 8)]
    record = {"key": spec.key, "spec": asdict(spec), "evaluations": history.evaluations, "final": final}
    return rounded(record) | {"diverged": divergence, "seconds": round(seconds, 1)}
