"""The loop around a training `Run`: progress, log, evaluation, saved state, Ctrl-C, the best network."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlmone_lite.cli.options import count, device_option, positive, share
from dlmone_lite.errors import InputError
from dlmone_lite.jobs.log import Log
from dlmone_lite.jobs.state import Stopper, best_of
from dlmone_lite.jobs.task import Task
from dlmone_lite.training import processes

if TYPE_CHECKING:
    from tqdm import tqdm

    from dlmone_lite.checkpoints.checkpoint import Checkpoint
    from dlmone_lite.evaluation.degeneration import EarlyWarning
    from dlmone_lite.model import Denoiser
    from dlmone_lite.training.run import Run, Step

Wrap = Callable[["Denoiser", dict[str, Any]], "Checkpoint"]


def options(parser: argparse.ArgumentParser, eval_every: int, eval_steps: int) -> None:
    """The options that `train` and `distill` share."""
    parser.add_argument("--world", help="name of a shipped world, or a .grammar file")
    parser.add_argument(
        "--corpus", help="a folder of JSONL, CSV or TSV, a file, or qqp, wiki_auto (the hub's)"
    )
    parser.add_argument("--seed", type=count, default=0, help="of weights, batches and noise (default 0)")
    parser.add_argument(
        "--resume", action="store_true", help="go on where FILE.state stands, to the same numbers"
    )
    parser.add_argument(
        "--save-every", type=positive, default=500, metavar="N", help="state every N steps (500)"
    )
    parser.add_argument(
        "--log", metavar="FILE.jsonl", help="one JSON line a step: losses, norms, lr, evaluation"
    )
    parser.add_argument(
        "--eval-every",
        type=count,
        default=eval_every,
        metavar="N",
        help=f"evaluate on held-out valid sources every N steps; 0: never (default {eval_every})",
    )
    parser.add_argument("--eval-sources", type=positive, default=32, metavar="N", help="sources of it (32)")
    parser.add_argument(
        "--eval-samples", type=positive, default=16, metavar="N", help="samples a source (16)"
    )
    parser.add_argument(
        "--eval-steps",
        type=positive,
        default=eval_steps,
        metavar="N",
        help=f"network evaluations (NFE, {eval_steps})",
    )
    parser.add_argument(
        "--time-to",
        type=share,
        metavar="V",
        help="stop when that validity is reached; reports training seconds without evaluation",
    )
    _what_else(parser)


def _what_else(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--settings", action="store_true", help="list what can be set, with defaults, and stop"
    )
    parser.add_argument("--json", metavar="FILE", help="write there what the checkpoint says of its making")
    parser.add_argument("--half", action="store_true", help="store the weights in half the size, as float16")
    parser.add_argument(
        "--processes",
        type=positive,
        default=1,
        metavar="N",
        help="train in N processes, a GPU each if there are",
    )
    device_option(parser)


def check_keep(args: argparse.Namespace) -> None:
    """Refuse --keep best without evaluations to choose by."""
    if args.keep == "best" and not args.eval_every:
        raise InputError("--keep best needs evaluations; give --eval-every a number, or --keep last")


@dataclass
class Loop:
    """One run to its end. `state` is the file of its training state; `state`.best holds the best network.

    wrap(network, provenance) makes a checkpoint, which `task` evaluates. With keep "best", the network that
    it ranks first on valid sources is the result, else the last one.
    """

    run: Run
    title: str
    state: Path
    wrap: Wrap
    task: Task
    args: argparse.Namespace
    stage: int = 1
    keep: str = "last"
    best: dict[str, Any] | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    saved: int = 0
    seconds_before: float = 0.0  # of training in earlier stages
    lookout: EarlyWarning | None = None  # warns when a student degenerates
    warned: tuple[str, ...] = ()  # what was said last

    def open(self) -> None:
        """Load the state under --resume, else write the first one: whatever happens, there is a state."""
        if self.args.resume and self.state.is_file():
            self.run.load(self.state)
            if self.keep == "best" and best_of(self.state).is_file():
                from dlmone_lite.checkpoints.checkpoint import load

                self.best = load(best_of(self.state)).provenance
            self.saved = self.run.step
        elif processes.is_main():
            best_of(self.state).unlink(missing_ok=True)
            self.save()

    def save(self) -> None:
        """Write the training state; of several processes one does."""
        if processes.is_main():
            self.run.save(self.state)
        self.saved = self.run.step

    def train(self) -> Denoiser:
        """Train to the end (or to --time-to) and return the network to keep."""
        from tqdm import tqdm

        from dlmone_lite.training.update import Diverged

        self.open()
        run, leads = self.run, processes.is_main()
        again = bool(run.step or self.seconds_before)
        log = Log(self.args.log if leads else None, self.stage, run.step, again)
        bar = tqdm(
            desc=self.title,
            total=run.total,
            initial=run.step,
            unit="step",
            disable=None if leads else True,
            file=sys.stderr,
        )
        try:
            with Stopper() as stopper:
                tenth = 0
                for done, parts in run.prepare():
                    bar.set_description(said := f"{self.title}, prepared {done} of {parts}")
                    if bar.disable and 10 * done // parts > tenth:  # no terminal: a line now and then
                        tenth = 10 * done // parts
                        bar.write(said)
                    self.stop_if(stopper.asked)
                    if done == parts:  # minutes of work: a kill must not lose it
                        self.save()
                bar.set_description(self.title)
                while run.step < run.total and "time_to" not in self.notes:
                    self.advance(log, bar)
                    self.stop_if(stopper.asked)
                self.save()
        except Diverged as error:
            raise Diverged(f"{error} (the state of step {self.saved} is kept in {self.state})") from error
        finally:
            bar.close()
            log.close()
        return self.result()

    def stop_if(self, asked: bool) -> None:
        """Save and stop, if Ctrl-C asked for it, here or in another process."""
        if processes.any_process(asked):
            self.save()
            processes.shutdown()
            raise KeyboardInterrupt(
                f"{self.title} at step {self.run.step} of {self.run.total}; go on with --resume"
            )

    def advance(self, log: Log, bar: tqdm) -> None:
        """One update and what is due after it. The state comes last: a resumed run repeats what was lost."""
        run, every = self.run, self.args.eval_every if processes.is_main() else 0
        due = every and ((run.step + 1) % every == 0 or run.step + 1 == run.total)
        step = run.advance(self.evaluate if due and self.task.held_out("valid") else None)
        log.write(step)
        losses = {name: f"{value:.3g}" for name, value in step.losses.items()}
        bar.set_postfix(losses, refresh=False)
        bar.update()
        if step.evaluation:
            self.judge(step, bar.write)
        if run.step % self.args.save_every == 0:
            self.save()
            if bar.disable and processes.is_main():  # no terminal: a line now and then
                bar.write(f"{self.title} step {run.step} of {run.total}: {losses}")

    def evaluate(self, network: Denoiser) -> dict[str, Any]:
        """What the task finds of a network on valid sources."""
        return self.task.measure(self.wrap(network, {}), self.args, "valid")

    def judge(self, step: Step, say: Callable[[str], None]) -> None:
        """Report an evaluation, remember the best, and see whether --time-to is reached."""
        e = step.evaluation
        say(f"{self.title} step {step.step}: {self.task.told(e)}, {step.seconds:.0f} s of training")
        self.warn(step, say)
        if self.keep == "best" and (
            self.best is None or self.task.rank(e) < self.task.rank(self.best["validation"])
        ):
            from dlmone_lite.checkpoints.checkpoint import save

            self.best = {"kept_step": step.step, "validation": e}
            save(best_of(self.state), self.wrap(self.run.result, self.best))
        if self.args.time_to is not None and e["validity"] >= self.args.time_to:
            seconds = self.seconds_before + step.seconds
            reached = {"validity": self.args.time_to, "step": step.step, "seconds": round(seconds, 3)}
            self.notes["time_to"] = reached
            say(f"validity {self.args.time_to:g} reached at step {step.step} in {seconds:.1f} s of training")

    def warn(self, step: Step, say: Callable[[str], None]) -> None:
        """Say what failures the student shows, when that has changed."""
        if self.lookout is None or "signs" not in step.evaluation:
            return
        from dlmone_lite.evaluation.degeneration import Signs

        judge = {"discriminator": step.losses["discriminator"]} if "discriminator" in step.losses else {}
        found = self.lookout.check(Signs(**step.evaluation["signs"], **judge))
        names = tuple(finding.mechanism for finding in found)
        if names != self.warned:
            for finding in found:
                say(f"{self.title} step {step.step}: warning, {finding}")
            if not found:
                say(f"{self.title} step {step.step}: no failure shows any more")
        self.warned = names

    def result(self) -> Denoiser:
        """The network to keep; under --time-to the one that reached the goal."""
        if self.args.time_to is not None and "time_to" not in self.notes:
            self.notes["time_to"] = None
            print(f"validity {self.args.time_to:g} was not reached in {self.run.step} steps")
        self.notes.update(kept="last", kept_step=self.run.step)
        if self.keep == "best" and self.best is not None and not self.notes.get("time_to"):
            from dlmone_lite.checkpoints.checkpoint import load

            self.notes.update(kept="best", **self.best)
            return load(best_of(self.state), str(self.run.device)).model
        return self.run.result
