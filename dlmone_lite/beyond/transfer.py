"""`sweep transfer`: does a student know what only its teacher has seen?

In pocket a student is distilled on the sources of one frame or of both, from a teacher of both. And the
shipped networks of the three worlds, which share their words, are asked the others' sources, zero-shot.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dlmone_lite.beyond import trial
from dlmone_lite.checkpoints import zoo
from dlmone_lite.checkpoints.checkpoint import Checkpoint
from dlmone_lite.corpora.pairs import PairedText
from dlmone_lite.corpora.pocket import PAIRS, POCKET, lab_world
from dlmone_lite.distill import DistillRun
from dlmone_lite.generation import generate
from dlmone_lite.lab.divergences import well_placed
from dlmone_lite.lab.experiment import Spec

WORLDS = ("paraphrase", "question", "simplify")
FRAMES = ("lessons", "pets")
ARMS: dict[str, dict[str, Any]] = {
    "both frames": {"frames": FRAMES},
    "lessons": {"frames": ["lessons"]},
    "pets": {"frames": ["pets"]},
    "both frames, both updates": {"frames": FRAMES, "steps": 2 * trial.RECIPE.steps},
}


def specs(seeds: int = 3) -> Iterator[Spec]:
    """Students of one frame and of both; then the shipped networks in the other worlds."""
    yield from trial.specs("frames", ARMS, seeds)
    shipped = [f"{world}-{role}" for world in WORLDS for role in ("teacher", "student")]
    yield from trial.specs("worlds", {name: {"network": name} for name in shipped}, seeds)


def frame_of(source: str) -> str:
    """The frame of a source in pocket."""
    return next(iter(lab_world().meanings_of(source))).frame


def pairs_of(frames: list[str], teacher: Checkpoint) -> PairedText:
    """Training pairs of some frames."""
    pairs = [pair for pair in lab_world().pairs("train", PAIRS) if frame_of(pair[0]) in frames]
    sources, targets = zip(*pairs, strict=True)
    return PairedText(sources, targets, teacher.codec)


def by_frame(student: Checkpoint, seed: int) -> dict[str, trial.Record]:
    """Frame -> scores on its held-out sources."""
    sources, world = trial.sources_of(POCKET), lab_world()
    texts = generate(student, sources, samples=trial.SAMPLES, seed=seed, batch_size=2048)
    found = {}
    for frame in FRAMES:
        own = [(texts[i], source) for i, source in enumerate(sources) if frame_of(source) == frame]
        found[frame] = trial.score_against([t for t, _ in own], [s for _, s in own], world)
    return found


def across_worlds(network: Checkpoint, seed: int) -> list[trial.Record]:
    """Scores of a shipped network, in one call or eight, on each world's held-out sources."""
    steps = 1 if network.role == "student" else well_placed(network.model.schedule, 8)
    rows = []
    for world in WORLDS:
        texts = generate(network, trial.sources_of(world), steps=steps, samples=trial.SAMPLES, seed=seed)
        rows.append({"nfe": 1 if steps == 1 else 8, "world": world, **trial.score_texts(texts, world)})
    return rows


def make(folder: Path, spec: Spec) -> trial.Record:
    """The record of a row: scores by frame or by world; the network's own come first."""
    (stage,) = spec.stages
    if name := stage.get("network"):
        network = zoo.load(name)
        rows = across_worlds(network, spec.seed)
        return trial.record(spec, sorted(rows, key=lambda row: row["world"] != network.world))

    def start(teacher: Checkpoint, data: PairedText, settings: dict[str, Any]) -> DistillRun:
        return DistillRun(teacher.model, pairs_of(settings.pop("frames"), teacher), trial.config_of(settings))

    def more(student: Checkpoint, teacher: Checkpoint) -> trial.Record:
        return {"frames": by_frame(student, spec.seed)}

    return trial.student_row(spec, folder, start, more=more)
