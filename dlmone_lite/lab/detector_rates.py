"""How often the detectors of `degeneration` are right: recorded runs against the exact truth."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from dlmone_lite.evaluation.degeneration import Signs, diagnose
from dlmone_lite.lab.lookup import group_by_arm

Record = Mapping[str, Any]
Evaluation = Mapping[str, Any]
HEALTHY = {"validity": 0.8, "coverage": 0.85}  # both at least; the exact truth decides, not the signs
BROKEN = {"validity": 0.7, "coverage": 0.65}  # one of them below; a student in between is neither


def signs_of(evaluation: Evaluation) -> Signs:
    """The signs in an evaluation; nan for those that are missing."""
    return Signs(**evaluation["signs"])


def final_evaluation(record: Record) -> dict[str, Any]:
    """A run's final evaluation in one step, with the signs of the losses from its last one in training."""
    final, last = record["final"][0], record["evaluations"][-1]["signs"]
    of_losses = {name: last[name] for name in ("discriminator", "lag") if name in last}
    return {**final, "signs": {**of_losses, **final["signs"]}}


def usual_signs(record: Record) -> Signs:
    """The usual signs for a run: those of the student with which it started."""
    return signs_of(record["evaluations"][0])


def is_healthy(evaluation: Evaluation) -> bool:
    """Whether a student is healthy by the exact truth."""
    return all(evaluation[score] >= least for score, least in HEALTHY.items())


def is_broken(evaluation: Evaluation) -> bool:
    """Whether a student is broken by the exact truth."""
    return any(evaluation[score] < least for score, least in BROKEN.items())


def mechanisms_in(evaluation: Evaluation, usual: Signs) -> list[str]:
    """The names of the detected failures, the diagnosis first."""
    return [finding.mechanism for finding in diagnose(signs_of(evaluation), usual)]


def later_evaluations(record: Record) -> list[Evaluation]:
    """A run's one-step evaluations after the first, which defines the usual signs."""
    return [*record["evaluations"][1:], final_evaluation(record)]


class Count(NamedTuple):
    """`right` of `all`."""

    right: int
    all: int

    @property
    def share(self) -> float:
        return self.right / self.all if self.all else 0.0

    def __str__(self) -> str:
        return f"{self.right} of {self.all} ({self.share:.3f})"

    @classmethod
    def of(cls, outcomes: Iterable[bool]) -> Count:
        outcomes = list(outcomes)
        return cls(sum(outcomes), len(outcomes))


def _fired(records: Iterable[Record], condition: Callable[[Evaluation], bool]) -> Iterator[bool]:
    """Whether a detector fires, for each later evaluation under `condition` of runs with a healthy start."""
    for record in records:
        if is_healthy(record["evaluations"][0]):
            for evaluation in filter(condition, later_evaluations(record)):
                yield bool(mechanisms_in(evaluation, usual_signs(record)))


def false_alarms(records: Iterable[Record]) -> Count:
    """Healthy evaluations at which a detector fires, of all healthy ones."""
    return Count.of(_fired(records, is_healthy))


def detections(records: Iterable[Record]) -> Count:
    """Broken evaluations at which a detector fires, of all broken ones."""
    return Count.of(_fired(records, is_broken))


def timely_warnings(records: Iterable[Record]) -> Count:
    """Runs that break after a healthy start in which a detector fires by the first broken evaluation."""
    outcomes = []
    for record in records:
        evaluations, usual = later_evaluations(record), usual_signs(record)
        first = next((i for i, evaluation in enumerate(evaluations) if is_broken(evaluation)), None)
        if first is not None and is_healthy(record["evaluations"][0]):
            outcomes.append(any(mechanisms_in(evaluation, usual) for evaluation in evaluations[: first + 1]))
    return Count.of(outcomes)


def right_diagnoses(records: Iterable[Record], mechanisms: Mapping[str, str]) -> dict[str, Count]:
    """For each arm of the clinic, its runs whose end shows its true mechanism {arm: mechanism}, of all."""
    counts = {}
    for arm, runs in group_by_arm(records).items():
        ends = (mechanisms_in(final_evaluation(run), usual_signs(run)) for run in runs)
        counts[arm] = Count.of(mechanisms[arm] in detected for detected in ends)
    return counts


def with_seeds(records: Sequence[Record], seeds: Container[int]) -> list[Record]:
    """The records of runs with one of these seeds."""
    return [record for record in records if record["spec"]["seed"] in seeds]
