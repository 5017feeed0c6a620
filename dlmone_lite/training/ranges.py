"""What the values of a configuration may be: one table, because a name means one thing in all of them."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from dlmone_lite.errors import InputError

Range = tuple[float, float, str]  # least, most, and both in words
COUNT: Range = (1, 10**9, "at least 1 and at most 10^9")
COUNT_OR_0: Range = (0, 10**9, "at least 0 and at most 10^9")
SIZE: Range = (1, 2**16, "at least 1 and at most 65,536")
SHARE: Range = (0, 1, "a share, 0..1")
DECAY: Range = (0, math.nextafter(1, 0), "at least 0 and below 1")
RATE: Range = (0, 1000, "at least 0 and at most 1000")
WEIGHT: Range = (0, 10**6, "at least 0 and at most 10^6")
RANGES: dict[str, Range] = {
    **dict.fromkeys(("steps", "samples", "nfe", "psi_steps", "group"), COUNT),
    "batch_size": (1, 2**20, "at least 1 and at most 2^20"),
    **dict.fromkeys(
        ("micro_batch", "warmup", "psi_warmup", "sources", "share_step", "vocab_size"), COUNT_OR_0
    ),
    **dict.fromkeys(("embed_dim", "width", "length"), SIZE),
    **dict.fromkeys(("heads", "expand"), (1, 1000, "at least 1 and at most 1000")),
    "depth": (0, 1000, "at least 0 and at most 1000"),
    "source_length": (0, 2**16, "at least 0 and at most 65,536"),
    **dict.fromkeys(("reread_at", "clamp", "late_share", "keep", "rho"), SHARE),
    **dict.fromkeys(("ema", "beta1", "beta2", "momentum", "dropout"), DECAY),
    **dict.fromkeys(("lr", "lr_muon", "lr_psi", "clip"), RATE),
    **dict.fromkeys(("weight_decay", "b_d", "b_g", "commitment", "sigma_0", "rounding", "prior"), WEIGHT),
    "late_weight": (1e-3, 1000, "at least .001 and at most 1000"),
    "mu": (-1000, 1000, "at least -1000 and at most 1000"),
    "rope": (0, 10**9, "at least 0 and at most 10^9"),
    "T": (10, 10**5, "at least 10 and at most 10^5"),
    "seed": (0, 2**63 - 1, "at least 0 and below 2^63"),
}
NUMBERS = {"int": int, "float": (int, float)}


def check(config: Any, **words: Sequence[str]) -> None:
    """InputError for a field of a configuration that has no sense; `words` lists those of a field of text."""
    for f in fields(config):
        value, kind = getattr(config, f.name), NUMBERS.get(str(f.type))
        if f.name in words and value not in words[f.name]:
            raise InputError(f"unknown {f.name} {value!r}; known: {', '.join(words[f.name])}")
        if kind and (not isinstance(value, kind) or isinstance(value, bool)):
            raise InputError(f"{f.name} must be a number, not {value!r}")
        if kind and f.name in RANGES:
            least, most, text = RANGES[f.name]
            if not least <= value <= most:
                raise InputError(f"{f.name} must be {text}, not {value}")


def memory() -> float:
    """Bytes of this machine's memory; inf where that is not told."""
    known = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" not in known or "SC_PAGE_SIZE" not in known:
        return math.inf
    return float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES")


def check_memory(needed: float, what: str, remedy: str) -> None:
    """InputError if something surely needs more memory than there is."""
    if needed > memory():
        sizes = f"{needed / 2**30:,.0f} GB of memory, and there are {memory() / 2**30:.0f}"
        raise InputError(f"{what} needs about {sizes}; {remedy}")
