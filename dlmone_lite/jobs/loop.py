"""The loop around a training `Run`: progress, log, evaluation, saved state, Ctrl-C, the best network."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlmone_lite.errors import Diverged
from dlmone_lite.jobs.log import Log
from dlmone_lite.jobs.records import Job
from dlmone_lite.jobs.state import Stopper, best_of, clean
from dlmone_lite.training import processes

if TYPE_CHECKING:
    from tqdm import tqdm

    from dlmone_lite.checkpoints.checkpoint import Checkpoint
    from dlmone_lite.evaluation.degeneration import EarlyWarning
    from dlmone_lite.model import Denoiser
    from dlmone_lite.training.run import Run, Step

Say = Callable[[str], None]


@dataclass
class Loop:
    """Trains one run to its end.

    `state` is the file of the training state; `state`.best holds the best network so far. role and sampling
    are those of its checkpoints. With keep "best", the result is the network that the task ranks first on
    valid sources, else the last one.
    """

    run: Run
    title: str
    state: Path
    job: Job
    role: str
    sampling: dict[str, int] = field(default_factory=dict)
    stage: int = 1
    keep: str = "last"
    seconds_before: float = 0.0  # of training in earlier stages
    warning: EarlyWarning | None = None  # of degeneration
    best: dict[str, Any] | None = None  # step and evaluation of the best network
    notes: dict[str, Any] = field(default_factory=dict)  # for provenance: which network is kept, time_to
    saved: int = 0  # the step of the saved state
    fresh: bool = False  # whether the saved state holds no work yet
    warned: tuple[str, ...] = ()  # the failures of the last warning

    def checkpoint(self, network: Denoiser, provenance: dict[str, Any]) -> Checkpoint:
        """The network as a checkpoint of the task."""
        from dlmone_lite.checkpoints.checkpoint import Checkpoint

        task = self.job.task
        return Checkpoint(network, task.codec, task.name, self.role, self.sampling, provenance)

    def train(self) -> Denoiser:
        """Train to the end, or to --time-to, and return the network to keep."""
        from tqdm import tqdm

        self.open()
        run, leads = self.run, processes.is_main()
        continues = bool(run.step or self.seconds_before)
        path = self.job.keeping.log if leads else None
        shown = {"desc": self.title, "total": run.total, "initial": run.step, "unit": "step"}
        shown |= {"disable": None if leads else True, "file": sys.stderr}
        try:
            with (
                closing(Log(path, self.stage, run.step, continues)) as log,
                tqdm(**shown) as bar,
                Stopper() as stopper,
            ):
                self.prepare(stopper, bar)
                bar.set_description(self.title)
                while run.step < run.total and "time_to" not in self.notes:
                    self.advance(log, bar)
                    self.stop_if(stopper.asked)
                self.save()
        except Exception as error:
            if self.fresh and not run.step:  # nothing is lost, and the corrected command can begin
                if leads:
                    clean(self.state)
            elif isinstance(error, Diverged):
                kept = f"the state of step {self.saved} is kept in {self.state}"
                raise Diverged(f"{error} ({kept})") from error
            raise
        return self.result()

    def open(self) -> None:
        """Load the state under --resume, else write the first one, so that there is always a state."""
        if self.job.keeping.resume and self.state.is_file():
            self.run.load(self.state)
            if self.keep == "best" and best_of(self.state).is_file():
                from dlmone_lite.checkpoints.checkpoint import load

                self.best = load(best_of(self.state)).provenance
            self.saved = self.run.step
        elif processes.is_main():
            best_of(self.state).unlink(missing_ok=True)
            self.save()
            self.fresh = True

    def save(self) -> None:
        """Write the training state; of several processes the first does."""
        if processes.is_main():
            self.run.save(self.state)
        self.saved = self.run.step

    def stop_if(self, asked: bool) -> None:
        """Save and stop, if Ctrl-C asked for it, here or in another process."""
        if processes.any_process(asked or processes.orphaned()):
            self.save()
            processes.shutdown()
            raise KeyboardInterrupt(
                f"{self.title} at step {self.run.step} of {self.run.total}; go on with --resume"
            )

    def prepare(self, stopper: Stopper, bar: tqdm) -> None:
        """Do the run's work before its first update."""
        printed = 0
        for done, parts in self.run.prepare():
            text = f"{self.title}, prepared {done} of {parts}"
            bar.set_description(text)
            if bar.disable and 10 * done // parts > printed:  # no terminal: a line for each tenth
                printed = 10 * done // parts
                bar.write(text)
            self.stop_if(stopper.asked)
            if done == parts:  # minutes of work, which a kill must not lose
                self.save()
                self.fresh = False

    def advance(self, log: Log, bar: tqdm) -> None:
        """Make one update, then log it, judge its evaluation and save.

        The state is saved last, because a resumed run then repeats what was lost.
        """
        run, task = self.run, self.job.task
        every = self.job.evaluation.every if processes.is_main() else 0
        due = every and ((run.step + 1) % every == 0 or run.step + 1 == run.total)
        step = run.advance(self.evaluate if due and task.held_out("valid") else None)

        log.write(step)
        losses = {name: f"{value:.3g}" for name, value in step.losses.items()}
        bar.set_postfix(losses, refresh=False)
        bar.update()

        if step.evaluation:
            self.judge(step, bar.write)
        if run.step % self.job.keeping.save_every == 0:
            self.save()
            if bar.disable and processes.is_main():  # no terminal: a line for each saved state
                bar.write(f"{self.title} step {run.step} of {run.total}: {losses}")

    def evaluate(self, network: Denoiser) -> dict[str, Any]:
        """The task's scores of a network on valid sources."""
        return self.job.task.measure(self.checkpoint(network, {}), self.job.evaluation, "valid")

    def judge(self, step: Step, say: Say) -> None:
        """Report an evaluation, warn, keep the best network, and see whether --time-to is reached."""
        scores, task, goal = step.evaluation, self.job.task, self.job.evaluation.time_to
        say(f"{self.title} step {step.step}: {task.describe(scores)}, {step.seconds:.0f} s of training")
        if self.warning and "signs" in scores:
            self.warn(step, say)

        # The best network is kept in a file, because training changes its weights.
        if self.keep == "best" and (
            self.best is None or task.rank(scores) < task.rank(self.best["validation"])
        ):
            from dlmone_lite.checkpoints.checkpoint import save

            self.best = {"kept_step": step.step, "validation": scores}
            save(best_of(self.state), self.checkpoint(self.run.result, self.best))

        # A reached goal ends the loop in `train`.
        if goal is not None and scores["validity"] >= goal:
            seconds = self.seconds_before + step.seconds
            self.notes["time_to"] = {"validity": goal, "step": step.step, "seconds": round(seconds, 3)}
            say(f"validity {goal:g} reached at step {step.step} in {seconds:.1f} s of training")

    def warn(self, step: Step, say: Say) -> None:
        """Name the failures that the student shows, if they are not those of the last evaluation."""
        from dlmone_lite.evaluation.degeneration import Signs

        # The discriminator's loss is a sign too, where there is one.
        loss = {"discriminator": step.losses["discriminator"]} if "discriminator" in step.losses else {}
        findings = self.warning.check(Signs(**step.evaluation["signs"], **loss))
        mechanisms = tuple(finding.mechanism for finding in findings)
        if mechanisms != self.warned:
            for finding in findings:
                say(f"{self.title} step {step.step}: warning, {finding}")
            if not findings:
                say(f"{self.title} step {step.step}: no failure shows any more")
        self.warned = mechanisms

    def result(self) -> Denoiser:
        """The network to keep; under --time-to the one that reached the goal."""
        goal = self.job.evaluation.time_to
        if goal is not None and "time_to" not in self.notes:
            self.notes["time_to"] = None
            print(f"validity {goal:g} was not reached in {self.run.step} steps")
        self.notes.update(kept="last", kept_step=self.run.step)
        if self.keep == "best" and self.best is not None and not self.notes.get("time_to"):
            from dlmone_lite.checkpoints.checkpoint import load

            self.notes.update(kept="best", **self.best)
            return load(best_of(self.state), str(self.run.device)).model
        return self.run.result
