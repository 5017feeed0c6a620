"""What every training run shares: seeds, EMA, the learning rate, the `Step` record, and exact resume."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from dlmone_lite.errors import InputError
from dlmone_lite.files import read_tensors, write_tensors
from dlmone_lite.training import processes
from dlmone_lite.training.precision import PRECISIONS, autocast, resolve_precision, reuse_memory
from dlmone_lite.training.seeds import generator_at
from dlmone_lite.training.update import LossScale

Evaluate = Callable[[nn.Module], dict[str, float]]


@dataclass
class Step:
    """One finished update; seconds count training only, tokens the target positions seen since the start."""

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
    """Exponential moving average of a model's weights, held in `.model`; early on over few steps."""

    def __init__(self, model: nn.Module, decay: float):
        self.model, self.decay = copy.deepcopy(model).eval().requires_grad_(False), decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """After update `step` (from 1): average <- decay average + (1 - decay) weights."""
        decay = min(self.decay, step / (step + 9))
        averages, weights = list(self.model.parameters()), list(model.parameters())
        torch._foreach_lerp_(averages, weights, 1 - decay)


class Run:
    """A training run as an iterator of `Step`s, which can be saved at any step and continued exactly.

    A subclass fills `modules` (name -> module, EMA copies included) and `optimisers`, and defines `update`.
    `config` is a dataclass that may be changed between steps: that is what the notebooks' sliders turn.
    """

    kind = "run"

    def __init__(self, config, modules: dict[str, nn.Module], optimisers: dict[str, torch.optim.Optimizer]):
        reuse_memory()
        self.config, self.modules, self.optimisers = config, modules, optimisers
        self.step, self.seconds, self.tokens = 0, 0.0, 0
        self.origin: dict[str, str] = {}  # what the run starts from, by name: a state of another is refused
        self.device = next(next(iter(modules.values())).parameters()).device
        known, shapes = list(PRECISIONS), [m.config for m in modules.values() if hasattr(m, "words")]
        own = resolve_precision(
            config.precision, self.device, max((shape.width for shape in shapes), default=256)
        )
        config.precision = known[
            processes.broadcast(known.index(own))
        ]  # each process may have measured another
        self.dtype = PRECISIONS[config.precision]
        self.scale = LossScale() if self.dtype == torch.float16 else None
        self.dropout = any(shape.dropout for shape in shapes)

    def autocast(self) -> torch.autocast:
        """The context in which networks are evaluated: matrix products in the run's precision."""
        return autocast(self.device, self.config.precision)

    @property
    def total(self) -> int:
        """Updates in the whole run."""
        return self.config.steps

    @property
    def result(self) -> nn.Module:
        """The network this run makes."""
        raise NotImplementedError

    def prepare(self) -> Iterator[tuple[int, int]]:
        """What is to be done once before the first update, in parts: yields (parts done, parts in all)."""
        yield from ()

    def update(self, generator: torch.Generator) -> tuple[dict[str, float], dict[str, float], int]:
        """One update -> (losses by name, gradient norms by network, target positions)."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[Step]:
        while self.step < self.total:
            yield self.advance()

    def advance(self, evaluate: Evaluate | None = None) -> Step:
        """One update, its `Step`; with `evaluate`, the result is evaluated after it."""
        began, lr = time.perf_counter(), self.lr()
        generator = generator_at(self.config.seed, self.step + 1)
        here = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(here) if self.dropout else nullcontext():  # dropout draws from torch's own
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
        """What every learning rate is multiplied by at the next update."""
        c = self.config
        return lr_at(self.step + 1, self.total, 1.0, c.warmup, c.lr_shape)

    def save(self, path: str | Path) -> None:
        """Everything a resumed run needs, in one safetensors file, written atomically."""
        tensors = {
            f"module/{name}/{key}": value
            for name, module in self.modules.items()
            for key, value in module.state_dict().items()
        }
        for name, optimiser in self.optimisers.items():
            for i, slots in optimiser.state_dict()["state"].items():
                for slot, value in slots.items():
                    tensors[f"optimiser/{name}/{i}/{slot}"] = torch.as_tensor(value)
        progress = {"kind": self.kind, "step": self.step, "seconds": self.seconds, "tokens": self.tokens}
        progress["config"] = asdict(self.config) if is_dataclass(self.config) else {}
        progress["origin"] = self.origin
        progress["scale"] = asdict(self.scale) if self.scale else None
        write_tensors(path, tensors, {"training_state": json.dumps(progress)})

    def load(self, path: str | Path) -> None:
        """Continue from `save`; a state of another kind of run or other shapes is an InputError."""
        tensors, metadata = read_tensors(path)
        progress = json.loads(metadata.get("training_state", "{}"))
        if progress.get("kind") != self.kind:
            raise InputError(
                f"{path} holds no training state of a {self.kind} run; start anew without --resume"
            )
        for name, value in self.origin.items():
            if (saved := progress.get("origin", {}).get(name, value)) != value:
                raise InputError(f"{path} belongs to a run with another {name} ({saved}, now {value})")
        own = {f"module/{n}/{k}": v for n, m in self.modules.items() for k, v in m.state_dict().items()}
        slots = {name: self._slots(name, tensors) for name in self.optimisers}
        named = {key.split("/")[1] for key in tensors if key.startswith("optimiser/")}
        shapes = {k: v.shape for k, v in tensors.items() if k.startswith("module/")}
        same = {k: v.shape for k, v in own.items()} == shapes
        if not same or None in slots.values() or not named <= set(slots):
            raise InputError(f"{path} belongs to a differently shaped run; use that run's options")
        for name, module in self.modules.items():
            module.load_state_dict({k: tensors[f"module/{name}/{k}"] for k in module.state_dict()})
        for name, optimiser in self.optimisers.items():
            groups = optimiser.state_dict()["param_groups"]
            optimiser.load_state_dict({"state": slots[name], "param_groups": groups})
        self.step, self.seconds, self.tokens = (progress[key] for key in ("step", "seconds", "tokens"))
        if self.scale and progress.get("scale"):
            self.scale = LossScale(**progress["scale"])

    def _slots(self, name: str, tensors: dict[str, Tensor]) -> dict[int, dict[str, Tensor]] | None:
        """The saved state of one optimiser by parameter, or None where it does not fit its parameters."""
        parameters = [p for group in self.optimisers[name].param_groups for p in group["params"]]
        slots: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith(f"optimiser/{name}/"):
                _, _, i, slot = key.split("/")
                if int(i) >= len(parameters) or (value.ndim and value.shape != parameters[int(i)].shape):
                    return None
                slots.setdefault(int(i), {})[slot] = value
        return slots
