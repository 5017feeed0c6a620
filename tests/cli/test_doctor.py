"""`doctor`: every kind of problem is planted, and named with what to do; nothing is called fine by habit."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pets
import pytest
import torch

import dlmone_lite
from dlmone_lite.__main__ import main
from dlmone_lite.checkpoints import zoo
from dlmone_lite.cli.doctor import checks, doctor, installed, kit_files, machine
from dlmone_lite.cli.doctor.checks import NOTE, OK, PROBLEM, Check, ask, guarded, problem
from dlmone_lite.corpora import world as worlds
from dlmone_lite.errors import InputError
from dlmone_lite.files import ROOT

Patch = pytest.MonkeyPatch


def only(found: list[Check], verdict: str, *words: str) -> Check:
    """The one finding, whose verdict and words (in the text or the cure) are as they should be."""
    (check,) = found
    assert check.verdict == verdict, check
    assert [word for word in words if word not in f"{check.text} {check.cure}"] == [], check
    return check


def plant_program(folder: Path, name: str) -> Path:
    """A program on no search path yet."""
    path = folder / (f"{name}.exe" if os.name == "nt" else name)
    path.write_text("", encoding="utf-8")
    path.chmod(0o755)
    return path


def plant_package(folder: Path, name: str, version: str, more: str = "") -> None:
    """What pip writes about an installed package."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{more}"
    (info / "METADATA").write_text(about, encoding="utf-8")


def plant_project(
    folder: Path, monkeypatch: Patch, needs: str, python: str = ">=3.10", extra: str = "nbval"
) -> None:
    """A pyproject.toml in place of ours; read from installed metadata where Python cannot read TOML."""
    text = f'[project]\nrequires-python = "{python}"\ndependencies = ["{needs}"]\n'
    path = folder / "pyproject.toml"
    path.write_text(text + f"[project.optional-dependencies]\nmore = [{extra!r}]\n", encoding="utf-8")
    monkeypatch.setattr(installed, "PYPROJECT", path)
    lines = f"Requires-Python: {python}\nRequires-Dist: {needs}\nProvides-Extra: more\n"
    plant_package(folder, "dlmone_lite", "0.1", f'{lines}Requires-Dist: {extra}; extra == "more"\n')
    monkeypatch.syspath_prepend(folder)


# ---- verdicts, errors, other programs


def test_bad_news_comes_with_a_cure_and_good_news_without() -> None:
    assert str(Check("gpu", OK, "fine")) == "ok       gpu            fine"
    assert str(Check("gpu", NOTE, "odd\nthing", "try")).splitlines() == [
        "note     gpu            odd thing", " " * 24 + " -> try"
    ]  # fmt: skip
    for wrong in (("gpu", NOTE, "odd"), ("gpu", OK, "fine", "try"), ("gpu", "well", "odd", "try")):
        with pytest.raises(ValueError, match="has a cure"):
            Check(*wrong)


@pytest.mark.parametrize(
    ("error", "text", "cure"),
    [
        (InputError("a; b is gone; bring it back"), "a; b is gone", "bring it back"),
        (ModuleNotFoundError("No module named 'packaging'"), "No module named 'packaging'", "pip install"),
        (KeyError("x"), "failed with KeyError: 'x'", "git checkout"),
    ],
)
def test_a_check_that_raises_is_a_problem(error: Exception, text: str, cure: str) -> None:
    def check() -> list[Check]:
        raise error

    assert only(guarded("c", check), PROBLEM, text, cure).name == "c"


def test_other_programs_are_asked_with_patience_but_not_for_ever(monkeypatch: Patch) -> None:
    def python(code: str) -> tuple[bool, str]:
        return ask([sys.executable, "-c", code])

    assert python("print(2)") == (True, "2")
    assert python("raise OSError('planted')") == (False, "OSError: planted")
    assert python("import os; os._exit(7)")[1].endswith("exit code 7")
    assert "does not start" in ask(["no-such-program-here"])[1]
    if os.name == "posix":
        assert python("import os; os.abort()")[1].endswith("crashed (signal 6)")
    monkeypatch.setattr(checks, "PATIENCE", 0.2)
    assert python("import time; time.sleep(60)") == (False, "no answer within 0.2 s")


# ---- Python and packages


def test_what_is_declared_is_read_from_either_place(monkeypatch: Patch, tmp_path: Path) -> None:
    plant_project(tmp_path, monkeypatch, "numpy>=1,<9", extra="nbval>=0.1")
    for path in (tmp_path / "pyproject.toml", tmp_path / "none"):
        monkeypatch.setattr(installed, "PYPROJECT", path)
        needs = installed.declared()
        assert installed.allowed_python() == ">=3.10"
        assert [[installed.plain(r) for r in needs[extra]] for extra in ("", "more")] == [
            ["numpy<9,>=1"], ["nbval>=0.1"]
        ]  # fmt: skip
    monkeypatch.setattr(installed.metadata, "metadata", raise_missing)
    only(guarded("p", installed.packages), PROBLEM, "is not installed", "pip install -r")


def raise_missing(name: str) -> None:
    raise installed.metadata.PackageNotFoundError(name)


def test_this_environment_is_in_range() -> None:
    """The tests run in one: whatever is wrong with it would show elsewhere too."""
    only(installed.python(), OK, sys.executable)
    only(installed.packages(), OK, f"all {len(installed.declared()[''])} that")


def test_another_python(monkeypatch: Patch, tmp_path: Path) -> None:
    """On both sides, and at the edges; in words where the range is not one that can be read."""
    major, minor = sys.version_info[:2]
    ranges = {
        f">={major}.{minor},<{major}.{minor + 1}": OK,
        f">={major}.{minor + 1}": PROBLEM,
        f">=3.0,<{major}.{minor}": PROBLEM,
        "any": PROBLEM,
    }
    for number, (allowed, verdict) in enumerate(ranges.items()):
        (folder := tmp_path / str(number)).mkdir()
        plant_project(folder, monkeypatch, "torch", python=allowed)
        only(installed.python(), verdict, f"within {allowed}")


def test_a_missing_package(monkeypatch: Patch, tmp_path: Path) -> None:
    plant_project(tmp_path, monkeypatch, "no-such-package>=1,<2")
    only(installed.packages(), PROBLEM, "no-such-package is not installed", '"no-such-package<2,>=1"')


def test_a_package_too_old_and_a_damaged_one(monkeypatch: Patch, tmp_path: Path) -> None:
    plant_package(tmp_path, "tokenizers", "0.1.2")
    plant_package(tmp_path, "tqdm", "")
    monkeypatch.syspath_prepend(tmp_path)
    old, damaged = installed.packages()
    only([old], PROBLEM, "tokenizers 0.1.2 is not within", 'pip install "tokenizers')
    only([damaged], PROBLEM, "tqdm", "is not within")


def test_an_extra_is_only_a_note(monkeypatch: Patch, tmp_path: Path) -> None:
    plant_project(tmp_path, monkeypatch, "torch", extra="no-such-package>=1")
    check = only(installed.extras(), NOTE, "no-such-package is not installed", "if you want it")
    assert check.name == "extra more"
    (tmp_path / "b").mkdir()
    plant_project(tmp_path / "b", monkeypatch, "torch", extra="torch")
    only(installed.extras(), OK, "in range")


# ---- Jupyter


def plant_kernel(folder: Path, monkeypatch: Patch, *argv: str, env: dict[str, str] | None = None) -> Path:
    spec = folder / "kernels" / "python3"
    spec.mkdir(parents=True)
    about = {"argv": list(argv), "display_name": "planted", "language": "python", "env": env or {}}
    (spec / "kernel.json").write_text(json.dumps(about), encoding="utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(folder))
    return spec


LAUNCH = ("-m", "ipykernel_launcher", "-f", "{connection_file}")


def test_a_kernel_that_works(monkeypatch: Patch, tmp_path: Path) -> None:
    """It finds the kit although it starts in another folder."""
    plant_kernel(tmp_path, monkeypatch, "python", *LAUNCH, env={"PYTHONPATH": str(ROOT)})
    only(installed.kernel(), OK, sys.executable)


def test_a_kernel_that_points_nowhere(monkeypatch: Patch, tmp_path: Path) -> None:
    gone = str(tmp_path / "gone" / "python")
    spec = plant_kernel(tmp_path, monkeypatch, gone, *LAUNCH)
    only(installed.kernel(), PROBLEM, f"{gone} does not start", f"remove the folder {spec}")


def test_a_kernel_without_the_kit(monkeypatch: Patch, tmp_path: Path) -> None:
    plant_kernel(tmp_path, monkeypatch, sys.executable, "-I", "-S", *LAUNCH)
    only(installed.kernel(), PROBLEM, "No module named 'ipykernel'", "-m pip install -r requirements.txt")


def test_no_kernel_an_odd_one_and_a_damaged_one(monkeypatch: Patch, tmp_path: Path) -> None:
    spec = plant_kernel(tmp_path, monkeypatch, "start-a-container")
    only(installed.kernel(), NOTE, "unusual way", "import dlmone_lite")
    (spec / "kernel.json").write_text("{", encoding="utf-8")
    only(guarded("kernel", installed.kernel), PROBLEM, "JSONDecodeError")
    monkeypatch.setattr(installed, "KERNEL", "no-such-kernel")
    only(installed.kernel(), PROBLEM, "no kernel no-such-kernel", "ipykernel install")


def test_a_kernel_of_another_place(monkeypatch: Patch, tmp_path: Path) -> None:
    answers = tmp_path / "answers.py"
    plant_kernel(tmp_path, monkeypatch, sys.executable, str(answers), *LAUNCH)
    answers.write_text(f"print({str(tmp_path)!r}); print({dlmone_lite.__file__!r})", encoding="utf-8")
    only(installed.kernel(), NOTE, f"another environment than this command: {tmp_path}", "doctor")
    copy = str(tmp_path / "kit" / "dlmone_lite" / "__init__.py")
    answers.write_text(f"print({sys.prefix!r}); print({copy!r})", encoding="utf-8")
    only(installed.kernel(), NOTE, f"another copy of the kit than this command: {tmp_path / 'kit'}", "-e .")


def test_which_jupyter_is_on_the_path(monkeypatch: Patch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    only(installed.jupyter(), NOTE, "no command `jupyter`", "python -m jupyterlab")
    plant_program(tmp_path, "jupyter")
    only(installed.jupyter(), NOTE, "another environment's", "python -m jupyterlab")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    only(installed.jupyter(), OK, str(tmp_path))


def test_widgets_and_their_manager(monkeypatch: Patch, tmp_path: Path) -> None:
    only(installed.widgets(), OK, "fit together")
    with monkeypatch.context() as here:
        here.setattr("jupyter_core.paths.jupyter_path", lambda *parts: [str(tmp_path)])
        only(installed.widgets(), PROBLEM, "finds no widget manager", "--force-reinstall")
    with monkeypatch.context() as here:
        here.setattr(installed.metadata, "version", raise_missing)
        only(installed.widgets(), PROBLEM, "ipywidgets is not installed", "requirements.txt")
    plant_package(tmp_path, "jupyterlab_widgets", "0.9")
    monkeypatch.syspath_prepend(tmp_path)
    only(installed.widgets(), PROBLEM, "0.9 is not within", 'pip install "jupyterlab')


def test_a_browser_is_only_a_note(monkeypatch: Patch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    only(installed.browser(), NOTE, "no Chromium", "install")
    path = plant_program(tmp_path, "chromium")
    only(installed.browser(), OK, str(path))


# ---- torch


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise ImportError('planted')", "ImportError: planted"),
        pytest.param(
            "import os; os.abort()", "signal 6",
            marks=pytest.mark.skipif(os.name != "posix", reason="no signals"),
        ),
    ],
)  # fmt: skip
def test_a_broken_torch(monkeypatch: Patch, tmp_path: Path, source: str, said: str) -> None:
    (tmp_path / "torch.py").write_text(source, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    only(machine.torch(), PROBLEM, "cannot be imported", said, "requirements.txt", "--force-reinstall")
    monkeypatch.setattr(machine.metadata, "version", raise_missing)
    assert only(machine.torch(), PROBLEM, said).cure == installed.EVERYTHING


def test_doctor_runs_without_torch_and_says_so(tmp_path: Path) -> None:
    """The whole command, in a process of its own, where torch fails."""
    (tmp_path / "torch.py").write_text("raise ImportError('planted')", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "dlmone_lite", "doctor", "--json", str(tmp_path / "found.json")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert (done.returncode, done.stderr) == (1, "")
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    verdicts = {check["name"]: check for check in found["checks"]}
    assert verdicts["torch"]["verdict"] == PROBLEM and "planted" in verdicts["torch"]["text"]
    for name in doctor.ON_TORCH:
        assert verdicts[name]["verdict"] == NOTE and "not checked" in verdicts[name]["text"]
    assert not found["ready"] and done.stdout.splitlines()[-1].startswith(found["summary"])


def test_threads(monkeypatch: Patch) -> None:
    monkeypatch.setattr(machine, "ask", lambda command: (True, ""))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(os, "cpu_count", lambda: 2 * torch.get_num_threads() + 1)
    only(machine.torch(), NOTE, torch.__version__, "unset the environment variable")
    monkeypatch.delenv("OMP_NUM_THREADS")
    only(machine.torch(), OK, torch.__version__)


def test_gpu(monkeypatch: Patch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine.shutil, "which", lambda name: None)
    only(machine.gpu(), OK, "none is needed")
    monkeypatch.setattr(machine.shutil, "which", lambda name: f"bin/{name}")
    only(machine.gpu(), NOTE, "bin/nvidia-smi", "newer driver")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "planted GPU")
    for error in (1.0, float("nan")):
        monkeypatch.setattr(machine, "product_error", lambda device, error=error: error)
        only(machine.gpu(), PROBLEM, "planted GPU multiplies wrongly", "CUDA_VISIBLE_DEVICES")

    def fails(device: str) -> float:
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(machine, "product_error", fails)
    only(machine.gpu(), PROBLEM, "no kernel image", "driver")


def test_the_gpu_s_product_is_compared() -> None:
    assert machine.product_error("cpu") == 0.0
    if torch.cuda.is_available():
        only(machine.gpu(), OK, torch.cuda.get_device_name())


# ---- the kit's files


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: Patch) -> Path:
    """A folder of one small world and its two networks in place of `data/`."""
    monkeypatch.setitem(worlds.PAIRS, "train", 300)
    world = pets.make_lab(tmp_path)
    (tmp_path / "vocabulary.txt").write_text("\n".join(world.vocabulary()), encoding="utf-8")
    monkeypatch.setattr(worlds, "FOLDER", tmp_path)
    monkeypatch.setattr(zoo, "FOLDER", tmp_path)
    monkeypatch.setattr(zoo, "HASHES", tmp_path / "hashes.json")
    for role in ("teacher", "student"):
        zoo.register((tmp_path / f"{role}.safetensors").rename(tmp_path / f"pets-{role}.safetensors"))
    only(kit_files.worlds(), OK, "pets")
    only(kit_files.checkpoints(), OK, "all 2")
    return tmp_path


def test_missing_splits(lab: Path) -> None:
    (lab / "pets" / "valid.jsonl").unlink()
    only(kit_files.worlds(), PROBLEM, "valid.jsonl is missing", "world ", "pets.grammar --build")


def test_a_shortened_and_a_changed_split(lab: Path) -> None:
    train, test = lab / "pets" / "train.jsonl", lab / "pets" / "test.jsonl"
    train.write_text(train.read_text(encoding="utf-8").split("\n", 1)[1], encoding="utf-8")
    test.write_text(test.read_text(encoding="utf-8").replace("horse", "house"), encoding="utf-8")
    short, changed = kit_files.worlds()
    only([short], PROBLEM, "train.jsonl has 299 rows, not 300", "--build")
    only([changed], PROBLEM, "test.jsonl is not what the grammar says", "--build")


def test_missing_words_and_a_missing_vocabulary(lab: Path) -> None:
    path = lab / "vocabulary.txt"
    path.write_text(path.read_text(encoding="utf-8").replace("parrot", ""), encoding="utf-8")
    only(kit_files.worlds(), PROBLEM, "lacks 1 words of the shipped worlds, 'parrot'", "git checkout")
    path.unlink()
    only(kit_files.worlds(), PROBLEM, "vocabulary.txt is missing", "git checkout")


def test_a_missing_and_a_damaged_grammar(lab: Path) -> None:
    """The networks tell which worlds there should be."""
    path = lab / "pets.grammar"
    path.write_text(pets.GRAMMAR.replace("frame race", "frame race race"), encoding="utf-8")
    assert {check.verdict for check in guarded("worlds", kit_files.worlds)} == {PROBLEM}
    path.unlink()
    only(kit_files.worlds(), PROBLEM, "pets.grammar is missing", "git checkout")
    (lab / "hashes.json").unlink()
    only(kit_files.worlds(), PROBLEM, "holds none", "git checkout")


def test_ones_own_world_needs_no_shared_vocabulary(lab: Path) -> None:
    """`train` gives it a vocabulary of its own."""
    (lab / "vocabulary.txt").write_text("other words", encoding="utf-8")
    assert kit_files.vocabulary({"shipped"}) == [] != kit_files.vocabulary({"pets"})


def test_a_changed_and_a_missing_network(lab: Path) -> None:
    student, teacher = lab / "pets-student.safetensors", lab / "pets-teacher.safetensors"
    data = bytearray(student.read_bytes())
    data[-1] ^= 1
    student.write_bytes(data)
    teacher.unlink()
    changed, missing = kit_files.checkpoints()
    only([changed], PROBLEM, f"{student} was changed", f"git checkout -- {student}")
    only([missing], PROBLEM, f"{teacher} is missing", f"git checkout -- {teacher}")
    (lab / "hashes.json").unlink()
    only(kit_files.checkpoints(), PROBLEM, "no network is known", "git checkout")


# ---- room to work


def test_a_folder_that_can_be_written(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.chdir(tmp_path)
    for free, verdict in ((5e9, OK), (machine.DISK[1] - 1, NOTE), (machine.DISK[0] - 1, PROBLEM)):
        disk = SimpleNamespace(disk_usage=lambda place, free=free: SimpleNamespace(free=free))
        monkeypatch.setattr(machine, "shutil", disk)
        only(machine.runs(), verdict, f"{free / 1e9:.1f} GB free", *["free some space"] * (verdict != OK))
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").write_text("a file in its place", encoding="utf-8")
    only(machine.runs(), PROBLEM, "cannot be written to", "--out")
    (tmp_path / "runs").unlink()

    def full(**_: object) -> None:
        raise OSError(errno.EDQUOT if hasattr(errno, "EDQUOT") else errno.ENOSPC, "Disk quota exceeded")

    with monkeypatch.context() as here:
        here.setattr(machine.tempfile, "TemporaryFile", full)
        only(machine.runs(), PROBLEM, "Disk quota exceeded", "--out")
    if os.name == "posix" and os.geteuid():  # root may write anywhere
        (tmp_path / "runs").mkdir(mode=0o500)
        only(machine.runs(), PROBLEM, "Permission denied", "--out")


def test_memory(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(machine, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(machine, "CONTAINER", tmp_path / "memory.max")
    for kb, verdict in ((8_000_000, OK), (1_000_000, NOTE), (100_000, PROBLEM)):
        (tmp_path / "meminfo").write_text(f"MemTotal: 9 kB\nMemAvailable:   {kb} kB\n", encoding="utf-8")
        only(machine.memory(), verdict, f"{kb * 1024 / 1e9:.1f} GB available")
    (tmp_path / "meminfo").write_text("MemAvailable:   8000000 kB\n", encoding="utf-8")
    for limit, verdict in (("max", OK), ("1000000000", NOTE)):
        (tmp_path / "memory.max").write_text(f"{limit}\n", encoding="utf-8")
        only(machine.memory(), verdict)


def test_memory_of_other_systems(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(machine, "MEMINFO", tmp_path / "none")
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1_000_000}
    monkeypatch.setattr(machine, "os", SimpleNamespace(name="posix", sysconf=sizes.get))
    only(machine.memory(), OK, "4.1 GB in all")

    def answer(reference: object) -> int:
        status = reference._obj
        assert status[0] == 64  # the length comes first, the bytes available third
        status[2] = 1_500_000_000
        return 1

    kernel32 = SimpleNamespace(GlobalMemoryStatusEx=answer)
    monkeypatch.setattr(machine.ctypes, "windll", SimpleNamespace(kernel32=kernel32), raising=False)
    monkeypatch.setattr(machine, "os", SimpleNamespace(name="nt"))
    only(machine.memory(), NOTE, "1.5 GB available")
    kernel32.GlobalMemoryStatusEx = lambda reference: 0
    only(guarded("memory", machine.memory), PROBLEM, "Windows does not tell")


# ---- speed


def clock(ms: float) -> Callable:
    return lambda checkpoint, texts, steps: (lambda seed: ms, "float32")


def test_a_sentence_in_time_and_right(monkeypatch: Patch) -> None:
    monkeypatch.setattr(machine, "stopwatch", clock(7.0))
    only(machine.sentence(), OK, "7.0 ms in one step", "are right", "README's machine")
    monkeypatch.setattr(machine, "ROOT", ROOT / "tests")
    monkeypatch.setattr(machine, "stopwatch", clock(machine.SLOW_SENTENCE + 1))
    assert "README" not in only(machine.sentence(), NOTE, "101.0 ms", "close other programs").text


def test_nonsense_is_a_problem(monkeypatch: Patch) -> None:
    monkeypatch.setattr(machine, "stopwatch", clock(7.0))
    monkeypatch.setattr("dlmone_lite.generation.generate", lambda *_, samples: [["nonsense"] * samples])
    only(machine.sentence(), PROBLEM, "0% are right", "torch calculates wrongly")


def test_a_slow_machine(monkeypatch: Patch) -> None:
    monkeypatch.setattr(machine, "SLOW_PRODUCT", 0.0)
    only(machine.product(), OK, "GFLOP/s")
    monkeypatch.setattr(machine, "SLOW_PRODUCT", float("inf"))
    only(machine.product(), NOTE, "GFLOP/s", "close other programs")


# ---- the command


def plant_checks(monkeypatch: Patch, *found: Check) -> None:
    monkeypatch.setattr(doctor, "FIRST", {"planted": lambda: list(found)})
    monkeypatch.setattr(doctor, "ON_TORCH", {})


FINE, ODD, BAD = Check("a", OK, "fine"), Check("b", NOTE, "odd", "try"), problem("c", "bad", "do")[0]


@pytest.mark.parametrize(
    ("found", "code", "summary"),
    [
        ([FINE], 0, "no problem, no note, 1 ok in 0 s: this machine is ready"),
        ([FINE, ODD, ODD], 0, "no problem, 2 notes, 1 ok in 0 s: this machine is ready"),
        ([BAD, ODD], 1, "1 problem, 1 note, 0 ok in 0 s: do what the arrows say, then run doctor again"),
    ],
)
def test_exit_codes_and_summary(
    monkeypatch: Patch, capsys: pytest.CaptureFixture[str], found: list[Check], code: int, summary: str
) -> None:
    plant_checks(monkeypatch, *found)
    assert main(["doctor"]) == code
    first, *lines, last = capsys.readouterr().out.splitlines()
    assert "network is not needed and not touched" in first and last == summary
    assert lines == [line for check in found for line in str(check).splitlines()]


def test_json_holds_the_same(monkeypatch: Patch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    plant_checks(monkeypatch, ODD, BAD)
    assert main(["doctor", "--json", str(tmp_path / "new" / "d.json")]) == 1
    found = json.loads((tmp_path / "new" / "d.json").read_text(encoding="utf-8"))
    assert [Check(**check) for check in found["checks"]] == [ODD, BAD]
    assert (found["ready"], found["summary"]) == (False, "1 problem, 1 note, 0 ok")
    assert "is a folder" in pets.fail(capsys, "doctor", "--json", tmp_path)
    assert "unrecognized" in pets.fail(capsys, "doctor", "--fix")


def test_every_check_of_the_modules_is_asked_and_none_fails_by_itself() -> None:
    """Whatever this machine is like, a check comes to a verdict."""
    asked = [*doctor.FIRST.values(), *doctor.ON_TORCH.values()]
    public = [
        f
        for module in (installed, kit_files, machine)
        for f in vars(module).values()
        if callable(f) and getattr(f, "__module__", "") == module.__name__
        and not f.__name__.startswith("_") and f.__annotations__ == {"return": "list[Check]"}
    ]  # fmt: skip
    assert set(asked) == set(public) and len(asked) == len(public)
    assert [check for check in doctor.checkup() if "the check failed" in check.text] == []
