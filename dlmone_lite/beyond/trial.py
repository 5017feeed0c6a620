"""What the experiments of this room share: the first networks, training, samples, scores, records.

Most of them take place in the lab's world pocket, whose networks train in half a minute on one core.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from dlmone_lite.checkpoints import zoo
from dlmone_lite.checkpoints.checkpoint import Checkpoint
from dlmone_lite.corpora.pairs import PairedText
from dlmone_lite.corpora.pocket import POCKET, lab_data, lab_world
from dlmone_lite.corpora.world import World
from dlmone_lite.distill import DistillConfig
from dlmone_lite.errors import Diverged
from dlmone_lite.evaluation.measure import held_out_sources
from dlmone_lite.evaluation.metrics import world_metrics
from dlmone_lite.files import rounded
from dlmone_lite.generation import generate
from dlmone_lite.lab.experiment import Spec, train_teacher
from dlmone_lite.model import Denoiser
from dlmone_lite.sample import anchor, noise_like, share_noise
from dlmone_lite.teacher import TeacherConfig
from dlmone_lite.text import Batch
from dlmone_lite.training.run import Run
from dlmone_lite.training.seeds import seed_weights
from dlmone_lite.variants.recipes import RECIPES

SOURCES, SAMPLES = 24, 128  # held-out sources of an evaluation, and samples of each
LENGTH = 8  # target positions in pocket
RECIPE = replace(RECIPES["pocket"].first, steps=800, keep=0.0)  # of the students that are compared
TEACHER = TeacherConfig(steps=1500, batch_size=32, precision="float32")  # where a row trains its own
Record = dict[str, Any]
Texts = list[list[str]]


def specs(
    group: str, arms: Mapping[str, Mapping[str, Any]], seeds: int, world: str = POCKET
) -> Iterator[Spec]:
    """Every arm, a name with its settings, for every seed; all arms of one seed come before the next seed."""
    for seed in range(seeds):
        for arm, settings in arms.items():
            yield Spec(group, arm, (dict(settings),), start="teacher", seed=seed, world=world)


def shipped_teacher(world: str, folder: Path) -> Checkpoint:
    """The shipped teacher of a world, or of pocket."""
    return train_teacher("trained", LENGTH, folder) if world == POCKET else zoo.load(f"{world}-teacher")


def untrained(teacher: Denoiser, seed: int) -> Denoiser:
    """A network of the teacher's shape and words with random weights."""
    with torch.random.fork_rng():
        seed_weights(seed)
        fresh = type(teacher)(teacher.config)
    fresh.words.data.copy_(teacher.words)
    return fresh


def train(run: Run) -> float:
    """Train a run to its end -> CPU seconds."""
    began = time.process_time()
    for _ in chain(run.prepare(), run):
        pass
    return time.process_time() - began


def config_of(settings: Mapping[str, Any], kind: type[DistillConfig] = DistillConfig) -> DistillConfig:
    """`RECIPE` with an arm's settings, as a configuration of a kind."""
    return kind(**{**vars(RECIPE), **settings})


def teacher_config(settings: Mapping[str, Any], seed: int) -> TeacherConfig:
    """`TEACHER` for a row; in a quick run its teacher is shorter, too."""
    return replace(TEACHER, steps=min(TEACHER.steps, 2 * settings.get("steps", TEACHER.steps)), seed=seed)


def student_row(
    spec: Spec,
    folder: Path,
    start: Callable[[Checkpoint, PairedText, dict[str, Any]], Run],
    calls: Sequence[int] = (1,),
    more: Callable[[Checkpoint, Checkpoint], Record] | None = None,
) -> Record:
    """Train the student of a row and score it at numbers of calls -> the row's record.

    `start` makes the run from the teacher, the pairs, and the row's settings with its seed; `more` adds what
    else is found of (student, teacher).
    """
    teacher = shipped_teacher(spec.world, folder)
    try:
        run = start(teacher, lab_data(teacher.codec, spec.world), {**spec.stages[0], "seed": spec.seed})
        seconds = train(run)
    except Diverged as error:
        return record(spec, []) | {"diverged": str(error)}
    student = student_of(run, teacher)
    found = more(student, teacher) if more else {}
    return record(spec, [scores(student, nfe, spec.seed) for nfe in calls], seconds, **found)


def student_of(run: Run, teacher: Checkpoint) -> Checkpoint:
    """The run's averaged network as a student, with the teacher's codec and world."""
    return Checkpoint(run.result, teacher.codec, teacher.world, "student", run.config.sampling)


def in_groups(flat: Sequence[str], samples: int) -> Texts:
    """`samples` texts for each source, of texts that stand source by source."""
    return [list(flat[i : i + samples]) for i in range(0, len(flat), samples)]


def decode(checkpoint: Checkpoint, batch: Batch, x: Tensor) -> list[str]:
    """The sentences nearest to x (B, L, D)."""
    ids = batch.ids.clone()
    ids[batch.target] = checkpoint.model.round(x[batch.target])
    return checkpoint.codec.decode(ids)


@torch.no_grad()
def louder(student: Checkpoint, sources: Sequence[str], samples: int, seed: int, scale: float) -> Texts:
    """`samples` sentences of each source in one call, from input noise that is `scale` times as large."""
    batch, model = student.codec.encode(sources).repeat(samples), student.model
    clean, t_init = model.embed(batch.ids), int(student.sampling["t_init"])
    z = noise_like(clean, torch.Generator().manual_seed(seed))
    z = scale * share_noise(z, student.sampling.get("rho", 0.0))
    t = torch.full((len(batch),), t_init)
    x = model(anchor(model.schedule.like(t_init, z)[1] * z, clean, batch), t, batch)
    return in_groups(decode(student, batch, x), samples)


def sources_of(world: str) -> list[str]:
    """The held-out sources on which this room scores."""
    return held_out_sources(lab_world(world), SOURCES)


def scores(checkpoint: Checkpoint, steps: int | Sequence[int] = 1, seed: int = 0) -> Record:
    """`score_texts` of a checkpoint at `steps` calls on held-out sources."""
    chosen = sources_of(checkpoint.world)
    texts = generate(checkpoint, chosen, steps=steps, samples=SAMPLES, seed=seed, batch_size=2048)
    calls = steps if isinstance(steps, int) else len(steps) - 1
    return {"nfe": calls, **score_texts(texts, checkpoint.world)}


def score_texts(texts: Texts, world: str) -> Record:
    """`score_against` of samples for `sources_of(world)`."""
    return score_against(texts, sources_of(world), lab_world(world))


def score_against(texts: Texts, sources: Sequence[str], world: World) -> Record:
    """World metrics of samples for sources, and the parts of the exact KL, means over the sources."""
    supports = [world.support(source) for source in sources]
    words, length = len(world.vocabulary()) + 1, world.max_target + 1
    parts = [kl_parts(own, support, words, length) for own, support in zip(texts, supports, strict=True)]
    means = dict(zip(("cross_entropy", "entropy"), map(fmean, zip(*parts, strict=True)), strict=True))
    kl = means["cross_entropy"] - means["entropy"]
    means |= {"kl": kl, "perplexity": math.exp(means["cross_entropy"])}
    return {**world_metrics(texts, supports), **means}


def kl_parts(
    texts: Sequence[str], support: Mapping[str, float], words: int, length: int, slip: float = 0.01
) -> tuple[float, float]:
    """(E_q[-log p], H(q)) in nats, whose difference is KL(q || p), for samples of q and the truth p.

    A KL is finite only where the truth forbids nothing. So each of a sentence's `length` positions, the empty
    ones included, is replaced with probability `slip` by one of `words` words. exp of the first part is the
    perplexity under p. The entropy of the counts is corrected for their number (Miller and Madow).
    """
    counts, n = Counter(texts), len(texts)
    spelled = {text: positions(text, length) for text in [*counts, *support]}
    cross = 0.0
    for text, count in counts.items():
        p = 0.0
        for target, share in support.items():
            same = sum(a == b for a, b in zip(spelled[text], spelled[target]))
            p += share * (1 - slip + slip / words) ** same * (slip / words) ** (length - same)
        cross -= count / n * math.log(p)
    entropy = -sum(c / n * math.log(c / n) for c in counts.values()) + (len(counts) - 1) / (2 * n)
    return cross, entropy


def positions(text: str, length: int) -> list[str]:
    """The words of a text and empty places, `length` in all."""
    return (text.split() + [""] * length)[:length]


def record(spec: Spec, final: Sequence[Record], seconds: float = 0.0, **more: Any) -> Record:
    """The record of a row: its spec, its scores, CPU seconds of training, and what else was found."""
    parts = {"key": spec.key, "spec": asdict(spec), "final": list(final), **more}
    return rounded(parts) | {"diverged": None, "seconds": round(seconds, 1)}
