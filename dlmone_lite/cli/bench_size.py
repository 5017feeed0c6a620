"""The part of `bench` for one preset: training against plain baselines, writing, and memory."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from dlmone_lite.jobs.console import Table

if TYPE_CHECKING:
    import torch

    from dlmone_lite.evaluation.speed import Speed
    from dlmone_lite.model import ModelConfig
    from dlmone_lite.teacher import TeacherConfig

WORDS = {"classroom": 256, "lite": 8192, "paper": 30522}
ROWS = 64


def bench_size(args: argparse.Namespace, device: str) -> dict[str, Any]:
    """Print the tables of training and of writing; return the record."""
    import torch

    from dlmone_lite.distill import DistillConfig
    from dlmone_lite.evaluation.memory import distillation_memory
    from dlmone_lite.evaluation.speed import matmul_peak, peak_memory
    from dlmone_lite.model import preset
    from dlmone_lite.teacher import RECIPES
    from dlmone_lite.training.precision import candidate_precisions, reuse_memory

    shape, where = preset(args.preset, vocab_size=WORDS.get(args.preset, 0)), torch.device(device)
    rows = args.batch_size or (4 if args.preset == "paper" and where.type == "cpu" else ROWS)
    reuse_memory()
    peaks = {name: matmul_peak(name, where) for name in candidate_precisions(where)}
    if where.type == "cuda":
        torch.cuda.reset_peak_memory_stats(where)  # without the products above
    rates = ", ".join(f"{rate / 1e9:.0f} GFLOP/s in {name}" for name, rate in peaks.items())
    print(f"{device}, {torch.get_num_threads()} threads: matrix products at {rates}")
    print(f"training, preset {args.preset}, {rows} rows of {shape.length}, median of {args.repeats} updates")
    recipe = replace(RECIPES[args.preset], batch_size=rows, compile=args.compile)
    speeds = training_table(shape, recipe, where, peaks, args.repeats)
    print(f"writing {rows} rows from noise, median of {args.repeats}")
    writing = writing_table(shape, where, rows, args.nfe, speeds[0].precision, args.repeats)

    memory = peak_memory(where)
    owner = "the GPU" if where.type == "cuda" else "this process"
    print(f"memory at most: {memory / 2**20:.0f} MiB of {owner}")
    needs = distillation_memory(shape, DistillConfig(batch_size=rows, precision=speeds[0].precision), where)
    print(
        f"two-stage distillation: {needs.total(0) / 2**20:.0f} MiB for networks, gradients, optimisers and "
        f"copies, {needs.activations / 2**20:.1f} MiB for each row; 16 GiB hold {needs.rows(0.9 * 2**34)} "
        "rows at a time (micro_batch), a tenth left free"
    )
    return {
        "preset": args.preset,
        "rows": rows,
        "length": shape.length,
        "matmul_flops": peaks,
        "training": [
            {**asdict(speed), "share_of_peak": speed.share(peaks[speed.precision])} for speed in speeds
        ],
        "writing": writing,
        "peak_memory_bytes": memory,
        "distillation": asdict(needs),
    }


def training_table(
    shape: ModelConfig, recipe: TeacherConfig, device: torch.device, peaks: dict[str, float], repeats: int
) -> list[Speed]:
    """Time our network in the fastest precision, compiled first if asked, in float32, then the baselines."""
    from dlmone_lite.evaluation.speed import BASELINES, training_speed
    from dlmone_lite.training.precision import resolve_precision

    table = Table(
        ("", -27), ("precision", -9), ("ms", 9), ("positions/s", 11), ("of products", 11), ("ours is", 8)
    )
    fast = resolve_precision(recipe.precision, device, shape.width)
    own = dict.fromkeys([(fast, recipe.compile), (fast, False), ("float32", False)])  # without repetition
    cases = [*((*one, None) for one in own), *(("float32", False, library) for library in BASELINES)]
    speeds: list[Speed] = []
    for name, compiled, library in cases:
        changed = replace(recipe, precision=name, compile=compiled)
        speed = training_speed(shape, changed, device, repeats, library)
        speeds.append(speed)
        table.row(
            speed.name,
            speed.precision,
            f"{1000 * speed.seconds:.1f}",
            f"{speed.tokens:.0f}",
            f"{speed.share(peaks[speed.precision]):.0%}",
            f"{speeds[0].tokens / speed.tokens:.2f}x",
        )
    return speeds


def writing_table(
    shape: ModelConfig, device: torch.device, rows: int, steps: list[int], precision: str, repeats: int
) -> list[dict[str, Any]]:
    """Time a student at one step, then a teacher's sampler at each number of steps."""
    from dlmone_lite.evaluation.speed import writing_seconds

    table = Table(("", -8), ("NFE", 5), ("ms", 10), ("rows/s", 9), ("against student", 15))
    times: list[dict[str, Any]] = []
    for role, nfe in [("student", 1), *(("teacher", nfe) for nfe in steps)]:
        seconds = writing_seconds(shape, device, rows, nfe, role, precision, repeats)
        times.append({"role": role, "nfe": nfe, "seconds": seconds})
        slower = f"{seconds / times[0]['seconds']:.1f}x"
        table.row(role, str(nfe), f"{1000 * seconds:.1f}", f"{rows / seconds:.1f}", slower)
    return times
