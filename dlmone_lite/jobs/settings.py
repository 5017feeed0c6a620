"""`--set name=value`: fields of a configuration by name, with their types checked."""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, TypeVar

from dlmone_lite.errors import InputError, nearest
from dlmone_lite.files import check_output
from dlmone_lite.jobs.task import Task
from dlmone_lite.training import processes

Config = TypeVar("Config")
KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "a word"}


def _read(text: str, kind: str) -> Any:
    """`text` as a value of the annotated type `kind`; ValueError where it is none."""
    if kind == "bool":
        return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
    if kind == "int":
        return int(text)
    if kind == "float":
        value = float(text)
        if not math.isfinite(value):
            raise ValueError
        return value
    return text


def settings(
    pairs: Sequence[str] | None, config: Any, option: str = "--set", fixed: Collection[str] = ()
) -> dict:
    """{field: value} of `name=value` texts for the dataclass `config`, `fixed` fields excepted."""
    known = {f.name: str(f.type) for f in dataclasses.fields(config) if f.name not in fixed}
    chosen = {}
    for pair in pairs or ():
        name, equals, text = pair.partition("=")
        if not equals:
            raise InputError(
                f"{option} takes name=value, not {pair!r}; for example {option} {next(iter(known))}=..."
            )
        if name in fixed:
            raise InputError(
                f"{option} does not change {name!r}; it has an option of its own or follows from the data"
            )
        if name not in known:
            hint = nearest(name, known)
            raise InputError(f"{option} knows no {name!r}{hint}; known: {', '.join(known)}")
        try:
            chosen[name] = _read(text, known[name])
        except (ValueError, KeyError):
            kind = KINDS.get(known[name], known[name])
            raise InputError(f"{option} {pair}: {name} is {kind}, not {text!r}") from None
    return chosen


def changed(config: Config, changes: dict[str, Any], T: int) -> Config:
    """`config` with `changes`, if the values make sense: counts of at least 1, steps t in 1..T."""
    new = dataclasses.replace(config, **changes)
    values = dataclasses.asdict(new)
    for name in ("steps", "batch_size", "psi_steps", "samples"):
        if values.get(name, 1) < 1:
            raise InputError(f"{name} must be at least 1, not {values[name]}")
    if values.get("sources", 0) < 0:
        raise InputError(f"sources must be at least 0, which means all, not {values['sources']}")
    if not 3 <= values.get("nfe", 3) <= T:
        raise InputError(f"nfe must lie in 3..{T}, not {values['nfe']}")
    if not 0 <= values.get("share_step", 0) < values.get("nfe", 1):
        raise InputError(f"share_step must lie in 0..nfe - 1, not {values['share_step']}")
    rows, keep = values["batch_size"], values.get("keep", 0)
    if keep and not 0.5 < keep * rows < rows - 0.5:
        raise InputError(f"keep = {keep} of {rows} rows leaves one kind without any; change one of them")
    if not 0 <= values.get("reread_at", 0) <= 1:
        raise InputError(f"reread_at is a share of the updates, 0..1, not {values['reread_at']}")
    if not 0 <= values.get("clamp", 0) <= 1:
        raise InputError(f"clamp is a share of the way to the nearest embedding, 0..1, not {values['clamp']}")
    for name in ("lr", "lr_muon", "lr_psi", "clip"):
        if values.get(name, 1.0) <= 0:
            raise InputError(f"{name} must be above 0, not {values[name]}")
    for name in ("t_init", "t_min", "t_max", "late_from"):
        if not 1 <= values.get(name, 1) <= T:
            raise InputError(f"{name} must lie in 1..{T}, not {values[name]}")
    if values.get("t_min", 1) > values.get("t_max", T):
        raise InputError(f"t_min = {values['t_min']} lies above t_max = {values['t_max']}")
    return new


def listing(title: str, config: Any, fixed: Collection[str] = ()) -> str:
    """The names, types and defaults that an option knows, one a line."""
    lines = [f"{title}:"]
    for f in dataclasses.fields(config):
        if f.name not in fixed:
            lines.append(f"  {f'{f.name}={getattr(config, f.name)}':28} {KINDS.get(str(f.type), f.type)}")
    return "\n".join(lines)


def output(path: str) -> Path:
    """The checkpoint to write, refused now if it could not be written or found again later."""
    if not path.endswith(".safetensors"):
        raise InputError(f"{path}: a checkpoint's name ends in .safetensors; give it that ending")
    check_output(path)
    return Path(path)


def steps_and_settings(
    steps: int | None, pairs: list[str] | None, config: Any, option: str = "--set"
) -> dict[str, Any]:
    """What --steps and --set change."""
    chosen = settings(pairs, config, option, ("seed",))
    return chosen if steps is None else {**chosen, "steps": steps}


def check_evaluation(args: argparse.Namespace, task: Task, longest: int) -> None:
    """Refuse now what would fail at the first evaluation; samplers take at most `longest` steps."""
    check_output(args.log)
    check_output(args.json)
    if args.eval_steps > longest:
        raise InputError(f"--eval-steps is at most {longest} here, not {args.eval_steps}")
    if args.time_to is not None and not args.eval_every:
        raise InputError("--time-to looks at evaluations; give --eval-every a number")
    if args.time_to is not None and processes.world_size() > 1:
        raise InputError("--time-to is for one process; leave it out under torchrun")
    if args.time_to is not None and args.corpus:
        raise InputError("--time-to waits for a validity, which a corpus does not have; leave it out")
    if args.eval_every and not task.held_out("valid"):
        raise InputError(f"world {task.name} has no valid source; use --eval-every 0, or add fillers")
