"""Number formats and memory: what this machine multiplies faster, and how it is told to."""

from __future__ import annotations

import ctypes
import shutil
import sys
import time
from collections.abc import Iterable
from functools import cache

import torch
from torch import nn

from dlmone_lite.errors import InputError


def fast_precision(device: torch.device) -> torch.dtype:
    """bfloat16 where this machine multiplies it clearly faster than float32 (it measures), else float32."""
    a = torch.randn(2048, 256, device=device)
    b = torch.randn(256, 256, device=device)
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        x, y = a.to(dtype), b.to(dtype)
        for repeat in range(4):
            if repeat == 1:  # the first call warms up
                began = time.perf_counter()
            float((x @ y)[0, 0])
        seconds[dtype] = time.perf_counter() - began
    return torch.bfloat16 if seconds[torch.bfloat16] < 0.6 * seconds[torch.float32] else torch.float32


PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def precise(name: str, device: torch.device) -> str:
    """The precision called `name`, where "auto" is what this machine does faster; unknown: InputError."""
    if name == "auto":
        return "bfloat16" if fast_precision(device) == torch.bfloat16 else "float32"
    if name not in PRECISIONS:
        raise InputError(f"unknown precision {name!r}; known: auto, {', '.join(PRECISIONS)}")
    return name


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context in which networks are evaluated with their matrix products in `precision`."""
    return torch.autocast(device.type, PRECISIONS[precision], enabled=precision != "float32")


def compile_blocks(networks: Iterable[nn.Module], backend: str = "inductor") -> None:
    """Let torch.compile fuse what lies between the matrix products of these networks' blocks.

    The first call then takes a minute. Weights and saved states stay as they are.
    """
    for network in networks:
        on_gpu = next(network.parameters()).is_cuda
        if not on_gpu and not any(map(shutil.which, ("c++", "g++", "clang++", "cl"))):
            raise InputError("compile=true needs a C++ compiler on a CPU, and none was found; leave it out")
        for block in network.blocks:
            block.compile(backend=backend)


@cache
def reuse_memory() -> None:
    """Let glibc keep freed memory instead of returning it each step, which costs a fifth of the time."""
    if sys.platform == "linux":
        try:
            mallopt = ctypes.CDLL(None).mallopt
        except AttributeError:  # another C library
            return
        for option in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
            mallopt(option, 2**31 - 1)
