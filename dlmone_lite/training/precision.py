"""The device, the precision of matrix products, and the memory allocator."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Iterable
from functools import cache

import torch
from torch import nn

from dlmone_lite.errors import InputError

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def candidate_precisions(device: torch.device) -> list[str]:
    """The precisions that may be fastest on a device; a CPU is slow in float16."""
    return [name for name in PRECISIONS if name != "float16" or device.type != "cpu"]


def fastest_precision(device: torch.device, width: int = 256) -> str:
    """Measure which precision multiplies clearly faster than float32: bfloat16, float16, or else float32.

    A GPU is measured on the feed-forward layer of a network of that width, because with narrow layers it
    mostly starts kernels, which takes equally long in every precision.
    """
    rows, width, out, calls = (2048, 256, 256, 1) if device.type == "cpu" else (4096, width, 4 * width, 20)
    a, b = torch.randn(rows, width, device=device), torch.randn(width, out, device=device)
    seconds = {}
    for name in candidate_precisions(device):
        x, y = a.to(PRECISIONS[name]), b.to(PRECISIONS[name])
        for repeat in range(4):
            if repeat == 1:  # the first call warms up
                began = time.perf_counter()
            for _ in range(calls):  # then the device is waited for once
                z = x @ y
            float(z[0, 0])
        seconds[name] = time.perf_counter() - began
    fast = (name for name, took in seconds.items() if took < 0.6 * seconds["float32"])
    return next(fast, "float32")


def resolve_precision(name: str, device: torch.device, width: int = 256) -> str:
    """`name` itself, or for "auto" the faster precision for networks of that width; InputError if unknown."""
    if name == "auto":
        return fastest_precision(device, width)
    if name not in PRECISIONS:
        raise InputError(f"unknown precision {name!r}; known: auto, {', '.join(PRECISIONS)}")
    return name


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context that computes matrix products in `precision`."""
    return torch.autocast(device.type, PRECISIONS[precision], enabled=precision != "float32")


def compile_blocks(networks: Iterable[nn.Module], backend: str = "inductor") -> None:
    """Compile the blocks of these networks in place, at their first call, which then takes a minute; weights
    and saved states stay as they are. InputError where no compiler works."""
    for network in networks:
        number = next(network.parameters()).new_ones(2)
        try:
            torch.compile(torch.sin, backend=backend)(number)
        except Exception as error:  # a broken compiler fails in many ways, most of them a hundred lines long
            why = str(error).strip().split("\n")[0][:200]
            raise InputError(f"compile=true needs a compiler that works ({why}); leave it out") from error
        for block in network.blocks:
            block.compile(backend=backend)


@cache
def reuse_memory() -> None:
    """Let glibc keep freed memory, because returning it at every step and asking for it again is slow."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if hasattr(library, "mallopt"):
        for option in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
            library.mallopt(option, 2**31 - 1)


def pick_device(name: str | None = None) -> str:
    """`name`, or the GPU if there is one, or the CPU; a device that is not there is an InputError."""
    if name is None or name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        known = ["cpu"] + [f"cuda:{i}" for i in range(torch.cuda.device_count())]
        raise InputError(f"there is no device {name!r} here; available: {', '.join(known)}") from error
    return name
