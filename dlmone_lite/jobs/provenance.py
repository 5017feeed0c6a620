"""How a result was made: command, device, versions, data; and the checkpoint that records it."""

from __future__ import annotations

import copy
import platform
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlmone_lite.errors import InputError
from dlmone_lite.files import write_json
from dlmone_lite.jobs.records import Job

if TYPE_CHECKING:
    from dlmone_lite.checkpoints.checkpoint import Checkpoint
    from dlmone_lite.training.run import Run


def command_line(argv: Sequence[str]) -> str:
    """The command as it would be typed."""
    return "python -m dlmone_lite " + shlex.join(argv)


def environment(device: str) -> dict[str, Any]:
    """Device, versions and date of a result."""
    from importlib.metadata import PackageNotFoundError, version

    import torch

    try:
        own_version = version("dlmone_lite")
    except PackageNotFoundError:  # used from a checkout
        own_version = "not installed"
    versions = {"python": platform.python_version(), "torch": torch.__version__, "dlmone_lite": own_version}
    threads = f"{torch.get_num_threads()} threads"
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else threads
    date = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {"device": f"{device} ({name})", "versions": versions, "date": date}


def describe(name_or_file: str) -> dict[str, str]:
    """A network that others are made from, as provenance: its name and its file's hash."""
    from dlmone_lite.checkpoints import zoo
    from dlmone_lite.files import digest

    path = Path(name_or_file) if name_or_file.endswith(zoo.SUFFIX) else zoo.path_of(name_or_file)
    return {"name": path.name.removesuffix(zoo.SUFFIX), "sha256": digest(path)}


def origin(provenance: dict[str, Any]) -> dict[str, str]:
    """The hashes of what a run starts from, by which a saved state is refused in another run."""
    hashes = {"training data": provenance["data"]["train_sha256"]}
    if "teacher" in provenance:
        hashes = {"teacher": provenance["teacher"]["sha256"], **hashes}
    if "start" in provenance:
        hashes["start"] = provenance["start"]["sha256"]
    return hashes


def fits_half(checkpoint: Checkpoint) -> bool:
    """Whether float16 can hold the weights; if not, a note says that they are stored whole."""
    weights = checkpoint.model.state_dict().values()
    if largest := next((float(w.abs().max()) for w in weights if w.abs().max() > 65_504), None):
        print(f"note: --half holds numbers up to 65,504; a weight is {largest:.3g}, so all are stored whole")
    return largest is None


def finish(job: Job, out: Path, runs: Sequence[Run], checkpoint: Checkpoint) -> None:
    """Measure a finished network on the test split, complete its provenance, save it, and print both.

    `runs` are the stages that led to the network. A complaint says that their work is not lost.
    """
    try:
        _finish(job, out, runs, checkpoint)
    except InputError as error:
        rescue = "all updates are done and saved; mend this, then give the same command with --resume"
        raise InputError(f"{error} ({rescue})") from error


def _finish(job: Job, out: Path, runs: Sequence[Run], checkpoint: Checkpoint) -> None:
    from dlmone_lite.checkpoints.checkpoint import save

    task, keeping, making = job.task, job.keeping, job.making
    half = keeping.half and fits_half(checkpoint)
    if half:  # measure the weights that will be stored
        checkpoint.model = copy.deepcopy(checkpoint.model)
        for weights in checkpoint.model.state_dict().values():
            weights.copy_(weights.half())
    metrics = task.measure(checkpoint, job.evaluation, "test") if task.held_out("test") else {}
    steps, seconds = sum(run.step for run in runs), sum(run.seconds for run in runs)
    stages = [
        {"steps": run.step, "seconds": round(run.seconds, 2), "config": asdict(run.config)} for run in runs
    ]
    checkpoint.provenance = {
        "command": command_line([word for word in making.argv if word != "--resume"]),
        "seed": making.seed,
        "steps": steps,
        "seconds": round(seconds, 2),
        "tokens": sum(run.tokens for run in runs),
        "config": asdict(runs[-1].config),
        "stages": stages,
        **checkpoint.provenance,
        "metrics": metrics,
        **environment(making.device),
    }
    save(out, checkpoint, half)

    if metrics:
        print(f"{metrics['split']}: {task.describe(metrics)} at {metrics['nfe']} NFE")
    print(f"{checkpoint.role} after {steps} steps, {seconds:.0f} s of training: {out}")
    if keeping.json:
        record = {"kind": "making", "world": task.name, "made": checkpoint.role, **checkpoint.provenance}
        write_json(keeping.json, record)
