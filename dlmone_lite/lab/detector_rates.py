"""How often the detectors of `degeneration` are right: recorded runs against the exact truth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dlmone_lite.evaluation.degeneration import Signs, diagnose

Record = Mapping[str, Any]
HEALTHY = {"validity": 0.8, "coverage": 0.85}  # at least; what the truth says, not the signs
BROKEN = {"validity": 0.7, "coverage": 0.65}  # one of them below; what lies between is neither


def signs_of(evaluation: Mapping[str, Any]) -> Signs:
    """The signs that a record holds; nan for those it does not."""
    return Signs(**evaluation["signs"])


def end_of(record: Record) -> dict[str, Any]:
    """A run's end at one step, with the signs that only its last look at the losses has."""
    end, last = record["final"][0], record["evaluations"][-1]
    return {**end, "signs": {**_of_losses(last), **end["signs"]}}


def _of_losses(look: Mapping[str, Any]) -> dict[str, float]:
    return {name: look["signs"][name] for name in ("discriminator", "lag") if name in look["signs"]}


def usual_of(record: Record) -> Signs:
    """What is usual for a run: the signs of the student that it began with."""
    return signs_of(record["evaluations"][0])


def is_healthy(evaluation: Mapping[str, float]) -> bool:
    """Whether a student is well by the exact truth."""
    return all(evaluation[score] >= least for score, least in HEALTHY.items())


def is_broken(evaluation: Mapping[str, float]) -> bool:
    """Whether a student is broken by the exact truth."""
    return any(evaluation[score] < most for score, most in BROKEN.items())


def findings(evaluation: Mapping[str, Any], usual: Signs) -> list[str]:
    """What the detectors name, the diagnosis first."""
    return [finding.mechanism for finding in diagnose(signs_of(evaluation), usual)]


def looks(records: Iterable[Record]) -> Iterator[tuple[Record, Mapping[str, Any]]]:
    """Every one-step evaluation of runs that began with a healthy student, but the first, which is usual."""
    for record in records:
        if is_healthy(record["evaluations"][0]):
            for evaluation in [*record["evaluations"][1:], end_of(record)]:
                yield record, evaluation


@dataclass(frozen=True)
class Count:
    """`right` of `all`."""

    right: int
    all: int

    @property
    def share(self) -> float:
        """right / all; 0 of 0 is 0."""
        return self.right / self.all if self.all else 0.0

    def __str__(self) -> str:
        return f"{self.right} of {self.all} ({self.share:.3f})"


def false_alarms(records: Iterable[Record]) -> Count:
    """Healthy evaluations at which a detector fires, of all healthy ones."""
    fired = [bool(findings(e, usual_of(r))) for r, e in looks(records) if is_healthy(e)]
    return Count(sum(fired), len(fired))


def noticed(records: Iterable[Record]) -> Count:
    """Broken evaluations at which a detector fires, of all broken ones."""
    fired = [bool(findings(e, usual_of(r))) for r, e in looks(records) if is_broken(e)]
    return Count(sum(fired), len(fired))


def in_time(records: Iterable[Record]) -> Count:
    """Runs that break after a healthy beginning, and in which a detector fires no later than the first broken
    evaluation."""
    told = []
    for record in records:
        seen = [*record["evaluations"][1:], end_of(record)]
        first = next((i for i, evaluation in enumerate(seen) if is_broken(evaluation)), None)
        if first is not None and is_healthy(record["evaluations"][0]):
            told.append(any(findings(evaluation, usual_of(record)) for evaluation in seen[: first + 1]))
    return Count(sum(told), len(told))


def named(records: Iterable[Record], mechanisms: Mapping[str, str]) -> dict[str, Count]:
    """For each arm of the clinic: runs at whose end its mechanism is named, of its runs; `mechanisms` maps
    arms to what is known to be wrong with them."""
    runs: dict[str, list[bool]] = {}
    for record in records:
        arm = record["spec"]["arm"]
        runs.setdefault(arm, []).append(mechanisms[arm] in findings(end_of(record), usual_of(record)))
    return {arm: Count(sum(right), len(right)) for arm, right in runs.items()}


def of_seeds(records: Sequence[Record], seeds: Iterable[int]) -> list[Record]:
    """The records of runs with one of these seeds."""
    wanted = set(seeds)
    return [record for record in records if record["spec"]["seed"] in wanted]
