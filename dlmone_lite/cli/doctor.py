"""`doctor`: check a classroom machine and say what to do, even where torch is missing or broken."""

from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from dlmone_lite.cli.options import command
from dlmone_lite.errors import InputError
from dlmone_lite.files import ROOT, check_output, read_bytes, write_json
from dlmone_lite.jobs.provenance import command_line

EXAMPLES = "\n--json doctor.json"
MORE = """One line a check: ok, note (the course works all the same) or problem, and what to do. Nothing is
changed or installed; the network is not needed and not touched. Exit code 0: no problem, 1: there is one."""
OK, NOTE, PROBLEM = "ok", "note", "problem"
PATIENCE = 60.0  # seconds for another program; the first import of torch after a boot is slow
INSTALL = "python -m pip install -r requirements.txt"
PYPROJECT = ROOT / "pyproject.toml"
KERNEL = "python3"  # the notebooks' kernel
KERNEL_TEST = "import sys, ipykernel; from dlmone_lite.files import ROOT; print(sys.prefix); print(ROOT)"
MANAGER = "@jupyter-widgets/jupyterlab-manager/package.json"  # draws the sliders in JupyterLab
SLOW_SENTENCE = 100.0  # milliseconds
RIGHT = 0.5  # share of right sentences; shipped students have 0.9 and more, a broken torch none


@dataclass(frozen=True)
class Finding:
    """A verdict with its reason; a note (the course works without it) and a problem have a cure."""

    verdict: str
    text: str
    cure: str = ""

    def line(self, name: str) -> str:
        """The finding of the check `name` as printed, the cure on a second line."""
        first = f"{self.verdict:7}  {name:14} {' '.join(self.text.split())}"
        return first + (f"\n{'':24} -> {' '.join(self.cure.split())}" if self.cure else "")


Check = Callable[..., Iterable[Finding]]


def guarded(check: Check, *arguments: object) -> Iterator[Finding]:
    """The findings of a check; an exception becomes a problem, so that the other checks still run."""
    try:
        yield from check(*arguments)
    except InputError as error:  # it reads "what is wrong; what to do"
        text, _, cure = str(error).rpartition("; ")
        yield Finding(PROBLEM, text or cure, cure)
    except ModuleNotFoundError as error:
        yield Finding(PROBLEM, f"not checked, {error}", INSTALL)
    except Exception as error:
        cure = "cure the other problems first; if this stays, restore the kit's files with: git checkout -- ."
        yield Finding(PROBLEM, f"the check failed with {type(error).__name__}: {error}", cure)


def restore(path: Path, text: str) -> Finding:
    """A shipped file is missing or damaged."""
    return Finding(PROBLEM, f"{path} {text}", f"restore it with: git checkout -- {path}")


def ask(program: Sequence[str], cwd: Path | None = None, env: dict | None = None) -> tuple[bool, str]:
    """Run another program: (True, what it printed) or (False, the last line of its error)."""
    options = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "errors": "replace"}
    try:
        done = subprocess.run(program, timeout=PATIENCE, cwd=cwd, env=env, **options)
    except subprocess.TimeoutExpired:
        return False, f"no answer within {PATIENCE:g} s"
    except OSError as error:
        return False, f"{program[0]} does not start ({error.strerror})"
    if done.returncode == 0:
        return True, done.stdout.strip()
    if done.returncode < 0:
        return False, f"{program[0]} crashed (signal {-done.returncode})"
    lines = done.stderr.strip().splitlines()
    return False, lines[-1] if lines else f"{program[0]} ended with exit code {done.returncode}"


# ---- installed software; these checks run where everything else is broken


def python() -> list[Finding]:
    """Whether this Python lies in the range of pyproject.toml, which is read without any package."""
    version = platform.python_version()
    allowed = re.search(r'^requires-python = "(.+)"', PYPROJECT.read_text(encoding="utf-8"), re.M)[1]
    bounds = re.findall(r"(>=|<)\s*(\d+)\.(\d+)", allowed)
    fits = [(sys.version_info[:2] >= (int(x), int(y))) == (sign == ">=") for sign, x, y in bounds]
    if fits and all(fits):
        return [Finding(OK, f"{version}, within {allowed}; {sys.executable}")]
    cure = f"install a Python within {allowed}, make an environment with it, then: {INSTALL}"
    return [Finding(PROBLEM, f"{version} is not within {allowed}", cure)]


def packages() -> list[Finding]:
    """Whether every package that pyproject.toml declares is installed and in its range."""
    from packaging.requirements import Requirement  # Python 3.10 has no reader of TOML

    block = re.search(r"^dependencies = \[$(.*?)^\]$", PYPROJECT.read_text(encoding="utf-8"), re.M | re.S)[1]
    declared, wrong = re.findall(r'^\s*"([^"]+)"', block, re.M), []
    for requirement in map(Requirement, declared):
        name, allowed = requirement.name, requirement.specifier
        try:
            version = metadata.version(name)
            if version and allowed.contains(version, prereleases=True):
                continue
            text = f"{name} {version} is not within {allowed}"
        except metadata.PackageNotFoundError:
            text = f"{name} is not installed"
        wrong.append(Finding(PROBLEM, text, f'python -m pip install "{requirement}"'))
    return wrong or [Finding(OK, f"all {len(declared)} that the kit declares are installed and in range")]


def kernel() -> list[Finding]:
    """Whether the notebooks' kernel starts this environment and imports this copy of the kit."""
    from jupyter_client.kernelspec import NoSuchKernel
    from jupyter_client.manager import KernelManager

    install = "python -m ipykernel install --sys-prefix"
    try:
        manager = KernelManager(kernel_name=KERNEL)
        start, spec = manager.format_kernel_cmd(), manager.kernel_spec
    except NoSuchKernel:
        return [Finding(PROBLEM, f"Jupyter knows no kernel {KERNEL}", install)]
    if "-m" not in start:
        text = f"the kernel {KERNEL} starts in an unusual way, which is not checked: {' '.join(start)}"
        return [Finding(NOTE, text, "run `import dlmone_lite` in a notebook to see whether it works")]

    # Start the kernel's interpreter in the notebooks' folder, because in ROOT it would find any package.
    program = [*start[: start.index("-m")], "-c", KERNEL_TEST]
    works, answer = ask(program, ROOT / "notebooks", {**os.environ, **spec.env})
    if not works:
        cure = f"remove the folder {spec.resource_dir}, then: {install}"
        if "No module named" in answer:
            cure = f"in the kit's folder: {start[0]} -m pip install -r requirements.txt"
        return [Finding(PROBLEM, f"the notebooks' kernel: {answer}", cure)]
    prefix, root = (Path(line).resolve() for line in answer.splitlines()[-2:])
    if (prefix, root) == (Path(sys.prefix).resolve(), ROOT):
        return [Finding(OK, f"{KERNEL} starts {start[0]}, which finds the kit")]
    text = f"notebooks run in another environment, or with another copy of the kit: {prefix}, {root}"
    return [Finding(NOTE, text, f"check that one: {start[0]} -m dlmone_lite doctor")]


def widgets() -> list[Finding]:
    """Whether sliders appear: JupyterLab finds the widget manager that comes with ipywidgets."""
    from jupyter_core.paths import jupyter_path

    version = metadata.version("ipywidgets")
    if any(Path(folder, MANAGER).is_file() for folder in jupyter_path("labextensions")):
        return [Finding(OK, f"ipywidgets {version}, and JupyterLab finds their manager")]
    cure = "python -m pip install --force-reinstall --no-deps ipywidgets jupyterlab_widgets"
    return [Finding(PROBLEM, "JupyterLab finds no widget manager: sliders would be missing", cure)]


def torch() -> list[Finding]:
    """Whether torch can be imported. Another process tries it, because a broken torch may crash."""
    program = "import torch; print(torch.__version__, torch.get_num_threads())"
    works, answer = ask([sys.executable, "-c", program])
    if not works:
        cure = f"{INSTALL}; if that does not help, add --force-reinstall"
        return [Finding(PROBLEM, f"torch cannot be imported: {answer}", cure)]
    version, threads = answer.split()[-2:]
    return [Finding(OK, f"{version}; works with {threads} of {os.cpu_count()} cores")]


# ---- the kit's files and its speed; these checks import torch


def worlds() -> list[Finding]:
    """Whether each world, also one that only a shipped network names, has its grammar, splits and words."""
    from dlmone_lite.checkpoints import zoo
    from dlmone_lite.corpora.world import FOLDER, World
    from dlmone_lite.evaluation.published import TASKS

    shipped = {re.sub(r"-(teacher|student).*", "", name) for name in zoo.names()} - {*TASKS}
    names = sorted({*World.names(), *shipped})
    if not names:
        return [Finding(PROBLEM, f"{FOLDER} holds none", f"restore them with: git checkout -- {FOLDER}")]
    wrong = [finding for name in names for finding in guarded(lacking, name, name in shipped)]
    return wrong or [Finding(OK, f"complete, splits and words: {', '.join(names)}")]


def lacking(name: str, shipped: bool) -> Iterator[Finding]:
    """What a world lacks: the large split is compared by its number of rows, the others word for word."""
    from dlmone_lite.corpora.world import FOLDER, PAIRS, World

    if not (grammar := FOLDER / f"{name}.grammar").is_file():
        yield restore(grammar, "is missing")
        return
    world = World.load(name)
    for split, pairs in PAIRS.items():
        path = world.split_path(split)
        if not path.is_file():
            text = "is missing"
        elif (rows := read_bytes(path).count(b"\n")) != pairs:
            text = f"has {rows} rows, not {pairs}"
        elif split != "train" and path.read_text(encoding="utf-8") != world.split_text(split):
            text = "is not what the grammar says"
        else:
            continue
        cure = f"write it with: python -m dlmone_lite world {grammar} --build"
        yield Finding(PROBLEM, f"{path} {text}", cure)

    file = FOLDER / "vocabulary.txt"
    words = file.read_text(encoding="utf-8").split() if file.is_file() else []
    if shipped and (missing := sorted({*world.vocabulary()} - {*words})):  # training gives others their own
        yield restore(file, f"lacks {len(missing)} words of {name}, {missing[0]!r} for one")


def checkpoints() -> list[Finding]:
    """Whether every shipped network has the SHA-256 that is recorded for it, those of the lab too."""
    from dlmone_lite.checkpoints import zoo
    from dlmone_lite.files import read_tensors

    def changed(name: str) -> tuple[()]:
        zoo.path_of(name)  # raises for a file that is missing or was changed
        return ()

    if not (names := zoo.names()):
        return [restore(zoo.HASHES, "is missing or empty: no network is known")]

    def unreadable(name: str) -> tuple[()]:
        read_tensors(zoo.LAB / name)  # the same
        return ()

    wrong = [finding for name in names for finding in guarded(changed, name)]
    wrong += [finding for name in zoo.lab_names() for finding in guarded(unreadable, name)]
    return wrong or [Finding(OK, f"all {len(names)} shipped networks are there, SHA-256 as recorded")]


def sentence() -> list[Finding]:
    """The time of one sentence on the device that notebooks use, and whether its sentences are right."""
    from dlmone_lite.checkpoints import zoo
    from dlmone_lite.corpora.world import World
    from dlmone_lite.evaluation.measure import held_out_sources
    from dlmone_lite.evaluation.speed import stopwatch
    from dlmone_lite.generation import generate
    from dlmone_lite.training.precision import pick_device

    device = pick_device()
    hide = "update the GPU's driver, or hide it: set the environment variable CUDA_VISIBLE_DEVICES to -1"
    try:
        student = zoo.load("paraphrase-student", device)
        world = World.load(student.world)
        source = held_out_sources(world, 1)
        milliseconds, precision = stopwatch(student, source, 1)
        ms = statistics.median(milliseconds(seed) for seed in range(10))
        texts, support = generate(student, source, samples=64)[0], world.support(source[0])
    except RuntimeError as error:
        if device == "cpu":
            raise
        return [Finding(PROBLEM, f"torch sees a GPU, but it does not work: {error}", hide)]

    right = sum(text in support for text in texts) / len(texts)
    text = f"{ms:.1f} ms in one step on {device} in {precision}; {right:.0%} are right"
    if right < RIGHT:
        cure = "torch calculates wrongly here: install the version that requirements.txt names"
        return [Finding(PROBLEM, text, cure if device == "cpu" else f"{cure}, or {hide}")]
    cure = "close other programs, plug in the power supply; notebooks then take longer, but work"
    return [Finding(NOTE, text, cure) if ms > SLOW_SENTENCE else Finding(OK, text)]


# In their order: where torch cannot be imported, the checks after it are left out.
CHECKS = {"python": python, "packages": packages, "kernel": kernel, "widgets": widgets, "torch": torch}
CHECKS |= {"worlds": worlds, "checkpoints": checkpoints, "one sentence": sentence}


def add(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    parser = command(commands, "doctor", "check this machine and say what to do", EXAMPLES, run, MORE)
    parser.add_argument("--json", metavar="FILE", help="write the findings there")


def run(args: argparse.Namespace) -> int:
    """Print each finding as soon as its check is done, then a summary; return the exit code."""
    check_output(args.json)
    start = time.perf_counter()
    print("Nothing is changed, and the network is not needed and not touched.", flush=True)
    rows = []
    for name, finding in checkup():
        rows.append({"name": name, **asdict(finding)})
        print(finding.line(name), flush=True)

    number, seconds = Counter(row["verdict"] for row in rows), time.perf_counter() - start
    plural = (f"{number[word] or 'no'} {word}{'s' * (number[word] > 1)}" for word in (PROBLEM, NOTE))
    summary = f"{', '.join(plural)}, {number[OK]} ok"
    if args.json:
        record = {"command": command_line(args.argv), "platform": platform.platform()}
        record |= {"ready": not number[PROBLEM], "summary": summary, "seconds": round(seconds, 1)}
        write_json(args.json, {**record, "checks": rows})
    advice = "do what the arrows say, then run doctor again" if number[PROBLEM] else "this machine is ready"
    print(f"{summary} in {seconds:.0f} s: {advice}")
    return 1 if number[PROBLEM] else 0


def checkup() -> Iterator[tuple[str, Finding]]:
    """(name of the check, finding) of every check in turn."""
    broken = False
    skipped = Finding(NOTE, "not checked, because it needs torch", "repair torch, then run doctor again")
    for name, check in CHECKS.items():
        for finding in [skipped] if broken else guarded(check):
            broken |= name == "torch" and finding.verdict == PROBLEM
            yield name, finding
