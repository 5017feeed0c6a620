"""The checks of `doctor` of torch, the kit's files, and speed."""

from __future__ import annotations

import os
import re
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

from dlmone_lite.cli.doctor.installed import INSTALL, NOTE, OK, PROBLEM, Finding, ask, failure
from dlmone_lite.errors import InputError
from dlmone_lite.files import read_bytes

STUDENT = "paraphrase-student"
SLOW_SENTENCE = 100.0  # milliseconds
RIGHT = 0.5  # share of right sentences; shipped students have 0.9 and more, a broken torch none


def torch() -> Iterator[Finding]:
    """Whether torch can be imported. Another process tries it, because a broken torch may crash."""
    program = "import torch; print(torch.__version__, torch.get_num_threads())"
    works, answer = ask([sys.executable, "-c", program])
    if works:
        version, threads = answer.split()[-2:]
        yield Finding(OK, f"{version}; works with {threads} of {os.cpu_count()} cores")
    else:
        cure = f"{INSTALL}; if that does not help, add --force-reinstall"
        yield Finding(PROBLEM, f"torch cannot be imported: {answer}", cure)


# ---- the kit's files


def worlds() -> Iterator[Finding]:
    """Whether each world, also one that only a shipped network names, has its grammar, splits and words."""
    from dlmone_lite.checkpoints import zoo
    from dlmone_lite.corpora.world import FOLDER, World
    from dlmone_lite.evaluation.published import TASKS

    shipped = {re.sub(r"-(teacher|student).*", "", name) for name in zoo.names()} - {*TASKS}
    names = sorted({*World.names(), *shipped})
    if not names:
        yield Finding(PROBLEM, f"{FOLDER} holds none", f"restore them with: git checkout -- {FOLDER}")
        return
    wrong = []
    for name in names:
        try:
            wrong += lacking(name, name in shipped)
        except InputError as error:
            wrong.append(failure(error))
    yield from wrong or [Finding(OK, f"complete, splits and words: {', '.join(names)}")]


def lacking(name: str, shipped: bool) -> list[Finding]:
    """What a world lacks: the large split is compared by its number of rows, the others word for word.

    The shared vocabulary must have the words of a `shipped` world; training gives others their own.
    """
    from dlmone_lite.corpora.world import FOLDER, PAIRS, World

    if not (grammar := FOLDER / f"{name}.grammar").is_file():
        return [restore(grammar, "is missing")]
    world, wrong = World.load(name), []
    for split, pairs in PAIRS.items():
        path, text = world.split_path(split), ""
        if not path.is_file():
            text = "is missing"
        elif (rows := read_bytes(path).count(b"\n")) != pairs:
            text = f"has {rows} rows, not {pairs}"
        elif split != "train" and path.read_text(encoding="utf-8") != world.split_text(split):
            text = "is not what the grammar says"
        if text:
            cure = f"write it with: python -m dlmone_lite world {grammar} --build"
            wrong.append(Finding(PROBLEM, f"{path} {text}", cure))

    file = FOLDER / "vocabulary.txt"
    words = file.read_text(encoding="utf-8").split() if file.is_file() else []
    if shipped and (missing := sorted({*world.vocabulary()} - {*words})):
        wrong.append(restore(file, f"lacks {len(missing)} words of {name}, {missing[0]!r} for one"))
    return wrong


def restore(path: Path, text: str) -> Finding:
    """A shipped file is missing or damaged."""
    return Finding(PROBLEM, f"{path} {text}", f"restore it with: git checkout -- {path}")


def checkpoints() -> Iterator[Finding]:
    """Whether every shipped network has the SHA-256 that is recorded for it."""
    from dlmone_lite.checkpoints import zoo

    names, wrong = zoo.names(), []
    if not names:
        wrong.append(restore(zoo.HASHES, "is missing or empty: no network is known"))
    for name in names:
        try:
            zoo.path_of(name)
        except InputError as error:
            wrong.append(failure(error))
    yield from wrong or [Finding(OK, f"all {len(names)} shipped networks are there, SHA-256 as recorded")]


# ---- speed


def sentence() -> Iterator[Finding]:
    """The time of one sentence on the device that notebooks use, and whether its sentences are right."""
    from dlmone_lite.checkpoints import zoo
    from dlmone_lite.corpora.world import World
    from dlmone_lite.evaluation.measure import held_out_sources
    from dlmone_lite.evaluation.speed import stopwatch
    from dlmone_lite.generation import generate
    from dlmone_lite.training.precision import pick_device

    device = pick_device()
    hide = "update the GPU's driver, or hide it: set the environment variable CUDA_VISIBLE_DEVICES to -1"
    try:
        student = zoo.load(STUDENT, device)
        world = World.load(student.world)
        source = held_out_sources(world, 1)
        milliseconds, precision = stopwatch(student, source, 1)
        ms = statistics.median(milliseconds(seed) for seed in range(10))
        texts, support = generate(student, source, samples=64)[0], world.support(source[0])
    except RuntimeError as error:
        if device == "cpu":
            raise
        yield Finding(PROBLEM, f"torch sees a GPU, but it does not work: {error}", hide)
        return

    right = sum(text in support for text in texts) / len(texts)
    text = f"{ms:.1f} ms in one step on {device} in {precision}; {right:.0%} are right"
    if right < RIGHT:
        cure = "torch calculates wrongly here: install the version that requirements.txt names"
        yield Finding(PROBLEM, text, cure if device == "cpu" else f"{cure}, or {hide}")
    elif ms > SLOW_SENTENCE:
        cure = "close other programs, plug in the power supply; notebooks then take longer, but work"
        yield Finding(NOTE, text, cure)
    else:
        yield Finding(OK, text)
