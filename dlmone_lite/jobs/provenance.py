"""How a result was made: command, device, versions, data; and the checkpoint that says so."""

from __future__ import annotations

import argparse
import copy
import platform
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlmone_lite.files import write_json

if TYPE_CHECKING:
    from dlmone_lite.checkpoints.checkpoint import Checkpoint
    from dlmone_lite.jobs.loop import Wrap
    from dlmone_lite.jobs.task import Task
    from dlmone_lite.training.run import Run


def command_line(argv: Sequence[str]) -> str:
    """The command as it would be typed."""
    return "python -m dlmone_lite " + shlex.join(argv)


def environment(device: str) -> dict[str, Any]:
    """Device, versions and date of a result."""
    from importlib.metadata import PackageNotFoundError, version

    import torch

    try:
        ours = version("dlmone_lite")
    except PackageNotFoundError:  # used from a checkout
        ours = "not installed"
    name = (
        torch.cuda.get_device_name(device)
        if device.startswith("cuda")
        else f"{torch.get_num_threads()} threads"
    )
    return {
        "device": f"{device} ({name})",
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "dlmone_lite": ours},
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def wrapper(task: Task, role: str, sampling: dict[str, int]) -> Wrap:
    """A function that makes a checkpoint of a network and its provenance."""
    from dlmone_lite.checkpoints.checkpoint import Checkpoint

    def wrap(network: Any, provenance: dict[str, Any]) -> Checkpoint:
        return Checkpoint(network, task.codec, task.name, role, sampling, provenance)

    return wrap


def describe(name_or_file: str) -> dict[str, str]:
    """The teacher as provenance: its name and its file's hash."""
    from dlmone_lite.checkpoints import zoo
    from dlmone_lite.files import digest

    path = Path(name_or_file) if name_or_file.endswith(zoo.SUFFIX) else zoo.path_of(name_or_file)
    return {"name": path.name.removesuffix(zoo.SUFFIX), "sha256": digest(path)}


def finish(
    args: argparse.Namespace, out: Path, runs: list[Run], made: Checkpoint, task: Task, device: str
) -> None:
    """Measure a finished network on the test split, complete its provenance, save it, say so.

    `runs` are the stages that led to it.
    """
    from dlmone_lite.checkpoints.checkpoint import save

    argv = [word for word in args.argv if word != "--resume"]
    if args.half:  # what is measured is what will be stored
        made.model = copy.deepcopy(made.model)
        for weights in made.model.state_dict().values():
            weights.copy_(weights.half())
    metrics = task.measure(made, args, "test") if task.held_out("test") else {}
    steps, seconds = sum(run.step for run in runs), sum(run.seconds for run in runs)
    made.provenance = {
        "command": command_line(argv),
        "seed": args.seed,
        "steps": steps,
        "seconds": round(seconds, 2),
        "tokens": sum(run.tokens for run in runs),
        "config": asdict(runs[-1].config),
        "stages": [
            {"steps": run.step, "seconds": round(run.seconds, 2), "config": asdict(run.config)}
            for run in runs
        ],
        **made.provenance,
        "metrics": metrics,
        **environment(device),
    }
    save(out, made, args.half)
    if metrics:
        print(f"{metrics['split']}: {task.told(metrics)} at {metrics['nfe']} NFE")
    print(f"{made.role} after {steps} steps, {seconds:.0f} s of training: {out}")
    if args.json:
        write_json(args.json, {"world": task.name, "made": made.role, **made.provenance})
