"""dlmone_lite: one-step diffusion language models, small enough to read, with worlds whose truth is known.

The method lies in the files beside this one. The names below are all that most notebooks and users need; each
is imported when it is first used, so that `import dlmone_lite` itself takes no time.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

PUBLIC = {
    "World": "corpora.world",
    "course": "checkpoints.zoo",
    "load": "checkpoints.zoo",
    "generate": "generation",
    "measure": "evaluation.measure",
    "held_out_sources": "evaluation.measure",
    "Schedule": "schedule",
    "Denoiser": "model",
    "TeacherConfig": "teacher",
    "TeacherRun": "teacher",
    "DistillConfig": "distill",
    "DistillRun": "distill",
    "check": "exercises",
    "hint": "exercises",
    "predict": "exercises.ask",
    "question": "exercises.ask",
    "reveal": "exercises.ask",
    "solution": "exercises",
    "use": "exercises",
}  # name: the room that defines it
__all__ = sorted(PUBLIC)


def __getattr__(name: str) -> Any:
    """A public name, imported on first use (PEP 562)."""
    if name not in PUBLIC:
        raise AttributeError(f"module 'dlmone_lite' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(import_module(f"dlmone_lite.{PUBLIC[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC])
