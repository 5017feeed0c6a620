"""The checks of `doctor` that look at the machine: torch, GPU, disk, memory, speed."""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

from dlmone_lite.cli.bench import stopwatch
from dlmone_lite.cli.doctor.checks import Check, ask, good, note, problem
from dlmone_lite.cli.doctor.installed import EVERYTHING
from dlmone_lite.files import ROOT

GB = 1e9
# Less is a problem, a note. A checkpoint has 5 MB, what a run needs to be resumed some tens of MB.
DISK = 0.2 * GB, 1.0 * GB
# A kernel with torch, figures and a student at work has 0.35 GB; training, JupyterLab, a browser add to it.
MEMORY = 0.5 * GB, 2.0 * GB
AGAIN = "python -m pip install --force-reinstall --no-deps"
STUDENT = "paraphrase-student"
SLOW_SENTENCE = 100.0  # milliseconds
SLOW_PRODUCT = 10.0  # GFLOP/s; one core of an old laptop does more
RIGHT = 0.5  # share of right sentences; shipped students have 0.9 and more, a broken torch none
MEMINFO = Path("/proc/meminfo")
CONTAINER = Path("/sys/fs/cgroup/memory.max")  # a hub gives each learner less than the machine has
BUSY = "close other programs, plug in the power supply; notebooks then take longer, but work"


def torch() -> list[Check]:
    """Whether torch can be imported (first tried in another process: it may crash), and its threads."""
    fine, answer = ask([sys.executable, "-c", "import torch"])
    if not fine:
        return problem("torch", f"torch cannot be imported: {answer}", f"{EVERYTHING}{again()}")
    import torch

    threads, cores = torch.get_num_threads(), os.cpu_count() or 1
    text = f"{torch.__version__}; works with {threads} of {cores} cores"
    if 2 * threads < cores and "OMP_NUM_THREADS" in os.environ:
        return note("torch", text, "to use them all, unset the environment variable OMP_NUM_THREADS")
    return good("torch", text)


def again() -> str:
    """How to install a torch anew that is there but broken; nothing where none is."""
    try:
        return f"; if that does not help: {AGAIN} torch=={metadata.version('torch')}"
    except metadata.PackageNotFoundError:
        return ""


def gpu() -> list[Check]:
    """Whether a GPU, where torch sees one and so will use it, calculates as the CPU does."""
    import torch

    if not torch.cuda.is_available():
        if driver := shutil.which("nvidia-smi"):
            cure = "nothing here needs it; to use it, install torch for CUDA, or a newer driver (pytorch.org)"
            return note("gpu", f"there is an NVIDIA driver ({driver}), but torch cannot use it", cure)
        return good("gpu", "none that torch can use; none is needed")
    cure = "update its driver; or hide it: set the environment variable CUDA_VISIBLE_DEVICES to -1"
    try:
        name, error = torch.cuda.get_device_name(), product_error("cuda")
    except (RuntimeError, AssertionError) as failure:
        return problem("gpu", f"torch sees a GPU, but it does not work: {failure}", cure)
    if not error < 1e-2:  # a nan is an error too
        return problem("gpu", f"{name} multiplies wrongly (relative error {error:.1g})", cure)
    return good("gpu", f"{name} works, and will be used")


def product_error(device: str) -> float:
    """The largest error of a small matrix product on a device, against the CPU's, relative to its size."""
    import torch

    a = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    right, there = a @ a, (a.to(device) @ a.to(device)).cpu()
    return float((there - right).abs().max() / right.abs().max())


# ---- room to work


def runs() -> list[Check]:
    """Whether training can write into `runs/` (only writing shows a quota), and what space is left."""
    folder = Path("runs")
    place = (folder if folder.exists() else Path()).resolve()
    cure = "work in a folder of your own with some free space, or give --out FILE"
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(bytes(2**20))
            file.flush()
    except OSError as error:
        return problem("runs/", f"{place} cannot be written to ({error.strerror})", cure)
    free, (least, some) = shutil.disk_usage(place).free, DISK
    text = f"{place} can be written to; {free / GB:.1f} GB free"
    if free >= some:
        return good("runs/", text)
    return (problem if free < least else note)("runs/", text, f"free some space on this disk, or {cure}")


def memory() -> list[Check]:
    """Whether a notebook has the memory it needs."""
    (amount, kind), (least, some) = available_memory(), MEMORY
    text = f"{amount / GB:.1f} GB {kind}"
    if amount >= some:
        return good("memory", text)
    cure = "close other programs, and shut down notebooks that are done (Kernel > Shut Down)"
    return (problem if amount < least else note)("memory", text, cure)


def available_memory() -> tuple[float, str]:
    """(bytes, what they are): what programs can still have, or, where that is not told, what is built in."""
    if MEMINFO.is_file():
        amount = 1024.0 * int(re.search(r"^MemAvailable:\s*(\d+) kB", MEMINFO.read_text(), re.M)[1])
        limit = CONTAINER.read_text().strip() if CONTAINER.is_file() else "max"
        return min(amount, float("inf" if limit == "max" else limit)), "available"
    if os.name == "nt":
        # GlobalMemoryStatusEx fills: length, load (32 bits each), total, available, five more (64 bits each)
        status = (ctypes.c_uint64 * 8)(64)
        if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
            raise OSError("Windows does not tell its memory")
        return float(status[2]), "available"
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")), "in all"


# ---- speed


def sentence() -> list[Check]:
    """How long one sentence in one network call takes, and whether the sentences are right at all."""
    from dlmone_lite.checkpoints import zoo
    from dlmone_lite.corpora.world import World
    from dlmone_lite.evaluation.measure import held_out_sources
    from dlmone_lite.generation import generate
    from dlmone_lite.training.precision import pick_device

    student = zoo.load(STUDENT, device := pick_device())
    known = World.load(student.world)
    source = held_out_sources(known, 1)
    clock, precision = stopwatch(student, source, 1)
    ms = statistics.median(clock(seed) for seed in range(10))
    said, truth = generate(student, source, samples=64)[0], known.support(source[0])
    right = sum(text in truth for text in said) / len(said)
    text = f"{ms:.1f} ms in one step on {device} in {precision}{recorded()}; {right:.0%} are right"
    if right < RIGHT:
        cure = "torch calculates wrongly here: install the version that requirements.txt names"
        return problem("one sentence", text, cure)
    return note("one sentence", text, BUSY) if ms > SLOW_SENTENCE else good("one sentence", text)


def recorded() -> str:
    """The same time as `bench` recorded it on the machine of the README's results, for comparison."""
    path = ROOT / "data" / "runs" / "paraphrase-speed.json"
    if not path.is_file():
        return ""
    record = json.loads(path.read_text(encoding="utf-8"))
    times = next(row["student_ms"] for row in record["batches"] if row["batch"] == 1)
    return f" (the README's machine: {statistics.median(times):.1f} ms on {record['device']})"


def product() -> list[Check]:
    """How fast this machine's CPU multiplies: the best of several times, for other programs disturb."""
    import torch

    a, seconds = torch.randn(1024, 1024), []
    for _ in range(6):  # the first one warms up
        began = time.perf_counter()
        a @ a
        seconds.append(time.perf_counter() - began)
    best = min(seconds[1:])
    speed = 2 * 1024**3 / best / 1e9
    text = f"1024 x 1024 numbers in {1000 * best:.0f} ms, {speed:.0f} GFLOP/s"
    return note("product", text, BUSY) if speed < SLOW_PRODUCT else good("product", text)
