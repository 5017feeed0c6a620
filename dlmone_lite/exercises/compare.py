"""What checks are made of: call a learner's function, read its result, compare it with right and wrong."""

from __future__ import annotations

import copy
import dis
import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from numbers import Real
from typing import Any

import torch
from torch import Tensor

LIMIT = 20.0  # seconds that a learner's function may take
# What a function of nothing but `...`, `pass`, a docstring or a constant compiles to.
STUB = {"RESUME", "NOP", "LOAD_CONST", "RETURN_CONST", "RETURN_VALUE"}

Check = Callable[[Any], None]  # returns when an answer is right and raises `Wrong` when it is not
CHECKS: dict[str, Check] = {}  # of the exercises in the files that were imported, by name


def checks(name: str) -> Callable[[Check], Check]:
    """A decorator that keeps a function as the check of the exercise called `name`."""
    return partial(CHECKS.setdefault, name)


class NotAttempted(Exception):
    """There is no answer yet: None, ..., or a function whose body is still a stub."""


class Wrong(Exception):
    """The answer is wrong; the message is the feedback for this very mistake."""


# ---- a learner's function


def is_stub(function: Callable[..., Any]) -> bool:
    """Whether the body of `function` is still empty: `...`, `pass`, `return None`."""
    code = getattr(function, "__code__", None)
    return code is not None and {step.opname for step in dis.get_instructions(code)} <= STUB


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in what runs longer, where a timer can: in the main thread, and not on Windows."""
    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise TimeoutError(f"it did not come back within {seconds:g} seconds; does a loop never end?")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def call(function: Callable[..., Any], *arguments: Any, own: Callable[..., Any] | None = None) -> Any:
    """What a learner's function does with copies of `arguments`, so that it cannot spoil those of the check.

    NotImplementedError and `...` are `NotAttempted`; any other exception is `Wrong` and names its line: that
    of `own` where `function` only calls it.
    """
    if not callable(function):
        raise Wrong(f"Pass the function itself, its name without brackets; not a {type(function).__name__}.")
    try:
        with time_limit(LIMIT):
            value = function(*map(_copied, arguments))
    except (NotAttempted, NotImplementedError) as error:
        raise NotAttempted from error
    except Wrong:  # from a check's own function that the learner's has called
        raise
    except Exception as error:
        where = _line(own or function, error)
        raise Wrong(f"Your function raised {type(error).__name__}: {error}{where}") from error
    if value is ...:
        raise NotAttempted
    return value


def attempt(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a learner's function that need not return anything; a stub is `NotAttempted`."""
    value = call(function, *arguments)
    if value is None and is_stub(function):
        raise NotAttempted
    return value


def ask(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a learner's function returns; None is `NotAttempted` from a stub, and `Wrong` from other code."""
    value = attempt(function, *arguments)
    if value is None:
        raise Wrong("Your function returned None: did you forget `return`?")
    return value


def _copied(argument: Any) -> Any:
    if isinstance(argument, Tensor) and not argument.requires_grad:
        return argument.clone()
    return copy.deepcopy(argument) if isinstance(argument, (list, dict)) else argument


def _line(function: Callable[..., Any], error: Exception) -> str:
    """The last line of the learner's own code on the way to the error, ` (line 3: return x @ y)`."""
    code = getattr(function, "__code__", None)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if code is not None and frame.filename == code.co_filename]
    if not own:
        return ""
    return f" (line {own[-1].lineno}{': ' if own[-1].line else ''}{own[-1].line})"


# ---- its result


def number(value: Any) -> float:
    """One number: of Python, numpy or torch, but neither a bool nor a text."""
    plain = _item(value)
    if isinstance(plain, bool) or not isinstance(plain, Real):
        raise Wrong(f"Return one number, not a {type(value).__name__}.")
    return float(plain)


def truth(value: Any) -> bool:
    """True or False, of Python, numpy or torch."""
    plain = _item(value)
    if not isinstance(plain, bool):
        raise Wrong(f"Return True or False, not a {type(value).__name__}.")
    return plain


def _item(value: Any) -> Any:
    """The Python number in a tensor or array of one entry; everything else as it is."""
    try:
        return value.item()
    except (AttributeError, TypeError, ValueError, RuntimeError):
        return value


def pair(value: Any, feedback: str) -> tuple[float, float]:
    """Two numbers from a tuple, list, array or tensor; `feedback` says what was asked."""
    try:
        first, second = value
    except (TypeError, ValueError):
        raise Wrong(feedback) from None
    return number(first), number(second)


def tensor(value: Any, kind: str = "") -> Tensor:
    """Numbers, arrays and lists of them as a float64 tensor with its graph; `kind` says which was asked.

    With a `kind`, a number of Python is refused, because a tensor was asked for.
    """
    if not kind or not isinstance(value, (int, float)):
        try:
            if isinstance(value, (list, tuple)):
                return torch.stack([tensor(entry) for entry in value])
            return torch.as_tensor(value).double().cpu()
        except (TypeError, ValueError, RuntimeError):
            pass
    raise Wrong(f"Return a tensor{' ' + kind if kind else ''}, not a {type(value).__name__}.")


def in_shape(value: Any, shape: torch.Size) -> Tensor:
    """`value` as a tensor, in `shape` if it has as many entries: (1, N) is fine where (N,) is asked."""
    got = tensor(value)
    return got.reshape(shape) if got.numel() == shape.numel() else got


# ---- right and wrong


def normal(*shape: int, seed: int) -> Tensor:
    """Standard normal numbers of one seed, in float64."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(got: Any, wanted: Any, rtol: float = 1e-5) -> bool:
    """Whether `got` has the shape and nearly the numbers of `wanted`; float32 is near enough."""
    got, wanted = tensor(got).detach(), tensor(wanted).detach()
    return got.shape == wanted.shape and torch.allclose(got, wanted, atol=1e-6, rtol=rtol)


def judge(
    got: Any, right: Any, mistakes: Iterable[tuple[Any, str]], otherwise: str, rtol: float = 1e-5
) -> None:
    """Return when `got` is close to `right`; else raise the feedback of the mistake that gives it.

    mistakes: (what a usual mistake gives, the feedback meant for it). `otherwise` is for all others.
    """
    if close(got, right, rtol):
        return
    for value, feedback in mistakes:
        if close(got, value, rtol):
            raise Wrong(feedback)
    shape, wanted = tuple(tensor(got).shape), tuple(tensor(right).shape)
    told = f"The shape should be {wanted}; yours is {shape}. " if shape != wanted else ""
    raise Wrong(told + otherwise)


def judge_each(
    answer: Any,
    cases: Sequence[tuple[Any, ...]],
    right: Callable[..., float],
    mistakes: Callable[..., Mapping[str, float]],
    otherwise: Callable[..., str],
) -> None:
    """Judge a learner's function, called with each of `cases`, by all numbers that it returns together.

    mistakes(*case): feedback -> what the mistake gives; otherwise(*case, wanted, got): for all others.
    """
    got, wanted = [number(ask(answer, *case)) for case in cases], [right(*case) for case in cases]
    tables = [mistakes(*case) for case in cases]
    usual = [([table[feedback] for table in tables], feedback) for feedback in tables[0]]
    i = next((i for i in range(len(cases)) if not close(got[i], wanted[i])), 0)
    judge(got, wanted, usual, otherwise(*cases[i], wanted[i], got[i]))
