"""Options that change a configuration by name, `--set name=value`, and checks of what they say."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dlmone_lite.errors import InputError, nearest
from dlmone_lite.files import check_output
from dlmone_lite.jobs.corpus_task import CorpusTask
from dlmone_lite.jobs.log import check_log
from dlmone_lite.jobs.records import Changes, Job
from dlmone_lite.training import processes

if TYPE_CHECKING:
    from dlmone_lite.model import ModelConfig

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
) -> dict[str, Any]:
    """{field: value} of `name=value` texts for the dataclass `config`, without its `fixed` fields."""
    kinds = {f.name: str(f.type) for f in dataclasses.fields(config) if f.name not in fixed}
    values = {}
    for pair in pairs or ():
        name, equals, text = pair.partition("=")
        if not equals:
            raise InputError(
                f"{option} takes name=value, not {pair!r}; for example {option} {next(iter(kinds))}=..."
            )
        if name in fixed:
            raise InputError(
                f"{option} does not change {name!r}; it has an option of its own or follows from the data"
            )
        if name not in kinds:
            hint = nearest(name, kinds)
            raise InputError(f"{option} knows no {name!r}{hint}; known: {', '.join(kinds)}")
        try:
            values[name] = _read(text, kinds[name])
        except (ValueError, KeyError):
            kind = KINDS.get(kinds[name], kinds[name])
            raise InputError(f"{option} {pair}: {name} is {kind}, not {text!r}") from None
    return values


def changes_of(changes: Changes, config: Any) -> dict[str, Any]:
    """{field: value} of what the command line changes in `config`; its seed has an option of its own."""
    values = settings(changes.pairs, config, changes.option, ("seed",))
    return values if changes.steps is None else {**values, "steps": changes.steps}


def changed(config: Config, changes: dict[str, Any], T: int) -> Config:
    """`config` with `changes`; InputError if a value makes no sense for T noise levels."""
    new = dataclasses.replace(config, **changes)
    values = dataclasses.asdict(new)

    if not 3 <= values.get("nfe", 3) <= T:
        raise InputError(f"nfe must lie in 3..{T}, not {values['nfe']}")
    if not 0 <= values.get("share_step", 0) < values.get("nfe", 1):
        raise InputError(f"share_step must lie in 0..nfe - 1, not {values['share_step']}")

    rows, keep = values["batch_size"], values.get("keep", 0)
    if keep and not 0.5 < keep * rows < rows - 0.5:
        raise InputError(f"keep = {keep} of {rows} rows leaves one kind without any; change one of them")
    for name in ("lr", "lr_muon", "lr_psi"):  # 0 is for experiments that freeze a network
        if values.get(name) == 0:
            raise InputError(f"{name} must be above 0, not 0")
    late = ("late_from", "late_to") if values.get("late_share") else ()
    for name in ("t_init", "t_min", "t_max", *late):
        if not 1 <= values.get(name, 1) <= T:
            raise InputError(f"{name} must lie in 1..{T}, not {values[name]}")
    for first, last in (("t_min", "t_max"), ("late_from", "late_to")):
        if values.get(first, 1) > values.get(last, T):
            raise InputError(f"{first} = {values[first]} lies above {last} = {values[last]}")
    return new


def listing(title: str, config: Any, fixed: Collection[str] = ()) -> str:
    """The names, defaults and types of the settings that an option takes, one a line."""
    lines = [f"{title}:"]
    for f in dataclasses.fields(config):
        if f.name not in fixed:
            lines.append(f"  {f'{f.name}={getattr(config, f.name)}':28} {KINDS.get(str(f.type), f.type)}")
    return "\n".join(lines)


def shape_of(preset_name: str, pairs: Sequence[str] | None, fixed: Collection[str]) -> ModelConfig:
    """A network's shape, of a preset and --set-model, which does not change `fixed` fields."""
    from dlmone_lite.model import preset

    shape = preset(preset_name, **settings(pairs, preset(preset_name), "--set-model", fixed))
    if not shape.depth:
        raise InputError("--set-model depth must be at least 1, not 0")
    if not 2 <= shape.source_length <= shape.length - 2:
        lengths = f"of length {shape.length}, source_length {shape.source_length}"
        raise InputError(f"--set-model: {lengths} leaves no room for a word and its end on either side")
    return shape


def output(path: str) -> Path:
    """The checkpoint to write; InputError before any work is done, if it could not be written or loaded."""
    if not path.endswith(".safetensors"):
        raise InputError(f"{path}: a checkpoint's name ends in .safetensors; give it that ending")
    check_output(path)
    return Path(path)


def check_job(job: Job, longest: int) -> None:
    """Refuse what would fail at the first evaluation; a sampler takes at most `longest` steps."""
    evaluation = job.evaluation
    check_output(job.keeping.log)
    check_log(job.keeping.log)
    check_output(job.keeping.json)
    if evaluation.steps > longest:
        raise InputError(f"--eval-steps is at most {longest} here, not {evaluation.steps}")
    if evaluation.time_to is not None:
        if not evaluation.every:
            raise InputError("--time-to looks at evaluations; give --eval-every a number")
        if processes.world_size() > 1:
            raise InputError("--time-to is for one process; leave it out under torchrun")
        if isinstance(job.task, CorpusTask):
            raise InputError("--time-to waits for a validity, which a corpus does not have; leave it out")
    if evaluation.every and not job.task.held_out("valid"):
        raise InputError(f"world {job.task.name} has no valid source; use --eval-every 0, or add fillers")
