"""What a change of structure must leave as it was: texts of shipped checkpoints, updates of every run, help.

`python tests/golden/record.py` writes golden.json and the two training states beside it. They were written
before the house was rebuilt; rewrite them only when an output is meant to change, and say so in the commit.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent
if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

import torch  # noqa: E402
from tiny import make_codec, make_model, make_pairs, make_world  # noqa: E402

from dlmone_lite.__main__ import COMMANDS, main  # noqa: E402
from dlmone_lite.checkpoints import zoo  # noqa: E402
from dlmone_lite.distill import DistillConfig, DistillRun  # noqa: E402
from dlmone_lite.generation import generate  # noqa: E402
from dlmone_lite.lab.plane import ToyConfig, ToyRun  # noqa: E402
from dlmone_lite.teacher import DIFFUSEQ, TeacherConfig, TeacherRun  # noqa: E402
from dlmone_lite.training.run import Run  # noqa: E402
from dlmone_lite.variants.sharpen import SharpenConfig, SharpenRun  # noqa: E402
from dlmone_lite.variants.warm_start import WarmStartConfig, WarmStartRun  # noqa: E402

UPDATES = 3  # of each run
SOURCES = 4  # of each checkpoint
# Real text is not the kit's to ship: these sentences are.
REAL_SOURCES = ["how do i learn to cook ?", "what is the best way to save money ?"]
REAL_SOURCES += ["the city lies on a river .", "he was born in a small town ."]


def machine() -> str:
    """What the last digits of a float depend on: the processor, its instructions, and torch."""
    about = [platform.processor(), torch.backends.cpu.get_cpu_capability(), f"torch {torch.__version__}"]
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        known = [line for line in lines if line.startswith(("model name", "model\t", "stepping", "flags"))]
        about.append(hashlib.sha256("\n".join(known[:4]).encode()).hexdigest()[:12])
    return ", ".join(filter(None, about))


def texts() -> dict[str, list[list[str]]]:
    """Two sentences for each of four sources, by every shipped checkpoint."""
    found = {}
    for name in zoo.names():
        checkpoint = zoo.load(name)
        sources = REAL_SOURCES
        if checkpoint.world in ("paraphrase", "question", "simplify"):
            sources = sorted(zoo.world(checkpoint.world).split_sources("test"))[:SOURCES]
        steps = 2 if checkpoint.role == "student" else 8
        found[name] = generate(checkpoint, sources, steps=steps, samples=2, seed=5)
    return found


def runs(folder: Path) -> Iterator[tuple[str, Run]]:
    """Every kind of run, small: each optimiser, whole batches and parts of them, dropout, all loss terms."""
    world = make_world(folder)
    codec = make_codec(world)
    data = make_pairs(world, codec)
    plain = {"width": 16, "embed_dim": 8}

    one = TeacherConfig(steps=8, batch_size=8, precision="float32", seed=3, warmup=2)
    yield "teacher muon", TeacherRun(make_model(codec, **plain, output="linear"), data, one)
    other = replace(DIFFUSEQ, steps=8, batch_size=8, micro_batch=3, precision="float32", lr=1e-2, warmup=2)
    yield "teacher diffuseq", TeacherRun(make_model(codec, **plain, dropout=0.1), data, other)
    cross = replace(one, loss="ce", optimiser="adamw", micro_batch=4)
    yield "teacher ce", TeacherRun(make_model(codec, **plain), data, cross)

    teacher = make_model(codec, seed=1, **plain, output="linear", discriminator="head")
    student = make_model(codec, seed=2, **plain, output="linear", discriminator="head")
    c = DistillConfig(steps=8, batch_size=8, precision="float32", psi_warmup=1, b_d=0.9, b_g=0.1, mu=1.2)
    c = replace(c, warmup=2, seed=4)
    yield "distill adam", DistillRun(teacher, data, c)
    yield "distill muon", DistillRun(teacher, data, replace(c, optimiser="muon", psi_steps=2), student)
    full = replace(c, micro_batch=3, commitment=0.3, clamp=0.2)
    yield "distill parts", DistillRun(teacher, data, full, student)
    lonely = replace(c, b_d=0.0, b_g=0.0)
    first = DistillRun(teacher, data, lonely, student)
    for _ in range(2):
        first.advance()
    yield "distill stage two", first.second_stage(replace(lonely, psi_warmup=0))

    warm = WarmStartConfig(steps=8, batch_size=8, samples=4, nfe=4, precision="float32", keep=0.25, seed=2)
    yield "warm start", WarmStartRun(teacher, data, replace(warm, reread_at=0.25))
    sharp = SharpenConfig(steps=8, batch_size=8, samples=2, nfe=4, precision="float32", warmup=2)
    yield "sharpen", SharpenRun(teacher, data, sharp)
    yield "toy sid", ToyRun(ToyConfig(steps=8, batch_size=16, b_d=0.4, b_g=0.2, mu=1.1))
    yield "toy reverse kl", ToyRun(ToyConfig(steps=8, batch_size=16, divergence="reverse_kl", b_g=0.2))
    yield "toy exact", ToyRun(ToyConfig(steps=8, batch_size=16, exact=True))


def seen(run: Run) -> dict[str, Any]:
    """The next updates of a run as hex floats, and each module's weights summed up."""
    for _ in run.prepare():
        pass
    steps = []
    for _ in range(UPDATES):
        step = run.advance()
        numbers = {**step.losses, **{f"norm {name}": value for name, value in step.grad_norms.items()}}
        steps.append({**{name: value.hex() for name, value in numbers.items()}, "lr": step.lr.hex()})
    sums = {}
    for name, module in run.modules.items():
        values = [value.double().abs().sum() for value in module.state_dict().values() if value.numel()]
        sums[name] = float(sum(values)).hex()
    return {"steps": steps, "weights": sums, "tokens": step.tokens}


STATES = {"teacher muon": "teacher.safetensors", "distill muon": "distill.safetensors"}


def resumed() -> dict[str, Any]:
    """What the saved training states go on to."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, run in runs(Path(folder)):
            if name in STATES:
                run.load(FOLDER / STATES[name])
                found[name] = seen(run)
    return found


def helps() -> dict[str, str]:
    """`--help` of the program and of each command, 80 columns wide."""
    os.environ["COLUMNS"] = "80"
    found = {}
    for name in ["", *sorted(command.__name__.rpartition(".")[2] for command in COMMANDS)]:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            main([*([name] if name else []), "--help"])
        found[name] = printed.getvalue()
    for name in ("train", "distill", "sharpen"):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            main([name, "--settings"])
        found[f"{name} --settings"] = printed.getvalue()
    return found


def everything() -> dict[str, Any]:
    """The whole golden record, of the code as it stands."""
    with tempfile.TemporaryDirectory() as folder:
        updates = {name: seen(run) for name, run in runs(Path(folder))}
    return {
        "machine": machine(),
        "python": platform.python_version(),
        "texts": texts(),
        "updates": updates,
        "resumed": resumed(),
        "help": helps(),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        for label, training in runs(Path(scratch)):
            if label in STATES:
                for _ in range(2):
                    training.advance()
                training.save(FOLDER / STATES[label])
    (FOLDER / "golden.json").write_text(json.dumps(everything(), indent=1, ensure_ascii=False) + "\n")
