"""A training run: an iterator of `Step`s with learning-rate schedule, EMA, and exact resume."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dlmone_lite.errors import InputError
from dlmone_lite.files import read_tensors, write_tensors
from dlmone_lite.training import processes
from dlmone_lite.training.optimisers import Muon
from dlmone_lite.training.precision import PRECISIONS, autocast, resolve_precision, reuse_memory
from dlmone_lite.training.ranges import check_memory
from dlmone_lite.training.seeds import generator_at
from dlmone_lite.training.update import LossScale

Evaluate = Callable[[nn.Module], dict[str, float]]


@dataclass
class Step:
    """The record of one update. seconds count training only; tokens are target positions since the start."""

    step: int
    losses: dict[str, float]
    grad_norms: dict[str, float]
    lr: float
    seconds: float
    tokens: int
    evaluation: dict[str, float] | None = field(default=None)


def lr_at(step: int, steps: int, lr: float, warmup: int, shape: str = "cosine") -> float:
    """Learning rate of update `step` (from 1): linear warm-up, then "constant", "linear" or "cosine" to 0."""
    if step <= warmup:
        return lr * step / max(1, warmup)
    done = min(1.0, (step - warmup) / max(1, steps - warmup))
    factors = {"constant": 1.0, "linear": 1 - done, "cosine": 0.5 * (1 + math.cos(math.pi * done))}
    if shape not in factors:
        raise InputError(f"unknown learning-rate shape {shape!r}; known: {', '.join(factors)}")
    return lr * factors[shape]


class EMA:
    """Exponential moving average of a model's weights in `.model`, with `ramp` over fewer steps at first."""

    def __init__(self, model: nn.Module, decay: float, ramp: bool = True):
        self.model, self.decay, self.ramp = copy.deepcopy(model).eval().requires_grad_(False), decay, ramp

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Average the weights after update `step` (from 1): ema <- decay ema + (1 - decay) weights."""
        decay = min(self.decay, step / (step + 9)) if self.ramp else self.decay
        averages, weights = list(self.model.parameters()), list(model.parameters())
        torch._foreach_lerp_(averages, weights, 1 - decay)


class Run:
    """A training run: iterate for `Step`s; save after any step and continue exactly.

    A subclass passes `modules` (name -> module, EMA copies included) and `optimisers` (by name), and defines
    `update`. `config` is a dataclass whose fields may change between steps; the notebooks' sliders do that.
    """

    kind = "run"

    def __init__(self, config, modules: dict[str, nn.Module], optimisers: dict[str, torch.optim.Optimizer]):
        reuse_memory()
        self.config, self.modules, self.optimisers = config, modules, optimisers
        self.step, self.seconds, self.tokens = 0, 0.0, 0
        self.origin: dict[str, str] = {}  # hashes of what the run starts from; a state with others is refused
        self.device = next(next(iter(modules.values())).parameters()).device
        shapes = [module.config for module in modules.values() if hasattr(module, "words")]

        rows = getattr(config, "micro_batch", 0) or config.batch_size
        needed = max((40 * rows * shape.length * shape.depth * shape.width for shape in shapes), default=0)
        if self.device.type == "cpu":
            check_memory(needed, f"a batch of {rows} rows", "choose a smaller batch_size, or set micro_batch")

        # "auto" measures speed, and several processes must agree on the outcome: the first one decides.
        width = max((shape.width for shape in shapes), default=256)
        known = list(PRECISIONS)
        fastest = known.index(resolve_precision(config.precision, self.device, width))
        config.precision = known[processes.broadcast(fastest)]
        self.dtype = PRECISIONS[config.precision]
        for optimiser in optimisers.values():
            if isinstance(optimiser, Muon):
                optimiser.dtype = self.dtype
        self.scale = LossScale() if self.dtype == torch.float16 else None
        self.dropout = any(shape.dropout for shape in shapes)

    def autocast(self) -> torch.autocast:
        """The context that computes matrix products in the run's precision."""
        return autocast(self.device, self.config.precision)

    @property
    def total(self) -> int:
        """Number of updates in the whole run."""
        return self.config.steps

    @property
    def result(self) -> nn.Module:
        """The network that this run trains."""
        raise NotImplementedError

    def prepare(self) -> Iterator[tuple[int, int]]:
        """Work before the first update, if there is any; yields (parts done, parts in all)."""
        yield from ()

    def update(self, generator: torch.Generator) -> tuple[dict[str, float], dict[str, float], int]:
        """One update -> (losses by name, gradient norms by network, target positions)."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[Step]:
        while self.step < self.total:
            yield self.advance()

    def advance(self, evaluate: Evaluate | None = None) -> Step:
        """Make one update and return its `Step`; `evaluate` then measures the result."""
        began, lr = time.perf_counter(), self.lr()
        generator = generator_at(self.config.seed, self.step + 1)

        # Dropout draws from torch's global generator: seed it for this update and restore it afterwards.
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices) if self.dropout else nullcontext():
            if self.dropout:
                torch.manual_seed(generator.initial_seed() + processes.rank())
            losses, norms, tokens = self.update(generator)

        self.step += 1
        self.tokens += tokens
        self.seconds += time.perf_counter() - began
        evaluation = evaluate(self.result) if evaluate else None
        return Step(self.step, losses, norms, lr, self.seconds, self.tokens, evaluation)

    def lr(self) -> float:
        """Learning rate of the next update."""
        return self.config.lr * self.lr_factor()

    def lr_factor(self) -> float:
        """Factor of every learning rate at the next update."""
        c = self.config
        return lr_at(self.step + 1, self.total, 1.0, c.warmup, c.lr_shape)

    def save(self, path: str | Path) -> None:
        """Write all that a resumed run needs to one safetensors file, atomically."""
        tensors = self._module_tensors()
        for name, optimiser in self.optimisers.items():
            for i, slots in optimiser.state_dict()["state"].items():
                for slot, value in slots.items():
                    tensors[f"optimiser/{name}/{i}/{slot}"] = torch.as_tensor(value)
        progress = {
            "kind": self.kind,
            "step": self.step,
            "seconds": self.seconds,
            "tokens": self.tokens,
            "config": asdict(self.config),
            "origin": self.origin,
            "scale": asdict(self.scale) if self.scale else None,
        }
        write_tensors(path, tensors, {"training_state": json.dumps(progress)})

    def load(self, path: str | Path) -> None:
        """Continue from a saved state; InputError for another kind of run, origin or shape."""
        tensors, metadata = read_tensors(path)
        try:
            progress = json.loads(metadata.get("training_state", "{}"))
            if progress.get("kind") != self.kind:
                raise InputError(
                    f"{path} holds no training state of a {self.kind} run; start anew without --resume"
                )
            self._take(path, tensors, progress)
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, RecursionError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path} is damaged ({error}); delete it and start anew") from error

    def _take(self, path: str | Path, tensors: dict[str, Tensor], progress: dict[str, Any]) -> None:
        """Go on from the parts of a saved state, all of which are checked before anything is changed."""
        for name, value in self.origin.items():
            if (saved := progress.get("origin", {}).get(name, value)) != value:
                raise InputError(f"{path} belongs to a run with another {name} ({saved}, now {value})")

        step, seconds, tokens = (progress[key] for key in ("step", "seconds", "tokens"))
        step, seconds, tokens = int(step), float(seconds), int(tokens)
        scale = LossScale(**progress["scale"]) if self.scale and progress.get("scale") else self.scale
        expected = {key: value.shape for key, value in self._module_tensors().items()}
        saved_shapes = {key: value.shape for key, value in tensors.items() if key.startswith("module/")}
        slots = {name: self._slots(name, tensors) for name in self.optimisers}
        saved_names = {key.split("/")[1] for key in tensors if key.startswith("optimiser/")}
        if expected != saved_shapes or None in slots.values() or not saved_names <= set(slots):
            raise InputError(f"{path} belongs to a differently shaped run; use that run's options")

        for name, module in self.modules.items():
            module.load_state_dict({k: tensors[f"module/{name}/{k}"] for k in module.state_dict()})
        for name, optimiser in self.optimisers.items():
            groups = optimiser.state_dict()["param_groups"]
            optimiser.load_state_dict({"state": slots[name], "param_groups": groups})
        self.step, self.seconds, self.tokens, self.scale = step, seconds, tokens, scale

    def _module_tensors(self) -> dict[str, Tensor]:
        """All modules' weights and buffers by their names in a saved state."""
        tensors = {}
        for name, module in self.modules.items():
            for key, value in module.state_dict().items():
                tensors[f"module/{name}/{key}"] = value
        return tensors

    def _slots(self, name: str, tensors: dict[str, Tensor]) -> dict[int, dict[str, Tensor]] | None:
        """The saved state of one optimiser by parameter number, or None if it does not fit its parameters."""
        parameters = [p for group in self.optimisers[name].param_groups for p in group["params"]]
        slots: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith(f"optimiser/{name}/"):
                _, _, i, slot = key.split("/")
                if not 0 <= int(i) < len(parameters) or (
                    value.ndim and value.shape != parameters[int(i)].shape
                ):
                    return None
                slots.setdefault(int(i), {})[slot] = value
        return slots
