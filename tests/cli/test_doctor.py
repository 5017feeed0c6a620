"""`doctor`: every kind of problem is planted, and named with what to do; nothing is called fine by habit."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pets
import pytest
from shipping import record_hash

from dlmone_lite import files
from dlmone_lite.__main__ import main
from dlmone_lite.checkpoints import zoo
from dlmone_lite.cli import doctor
from dlmone_lite.cli.doctor import NOTE, OK, PROBLEM, Check, Finding, ask, guarded
from dlmone_lite.corpora import world as worlds
from dlmone_lite.errors import InputError
from dlmone_lite.files import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Patch = pytest.MonkeyPatch


def only(findings: Iterable[Finding], verdict: str, *words: str) -> Finding:
    """The one finding, whose verdict and words (in the text or the cure) are as they should be."""
    (finding,) = findings
    assert finding.verdict == verdict and bool(finding.cure) == (verdict != OK), finding
    assert [word for word in words if word not in f"{finding.text} {finding.cure}"] == [], finding
    return finding


# ---- findings, errors, other programs


def test_a_finding_is_printed_with_its_cure() -> None:
    assert Finding(OK, "fine").line("torch") == "ok       torch          fine"
    assert Finding(NOTE, "odd\nthing", "try").line("torch").splitlines() == [
        "note     torch          odd thing", " " * 24 + " -> try"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "text", "cure"),
    [
        (InputError("a; b is gone; bring it back"), "a; b is gone", "bring it back"),
        (ModuleNotFoundError("No module named 'packaging'"), "No module named 'packaging'", "pip install"),
        (KeyError("x"), "failed with KeyError: 'x'", "git checkout"),
    ],
)
def test_a_check_that_raises_is_a_problem(error: Exception, text: str, cure: str) -> None:
    def check() -> Iterable[Finding]:
        yield Finding(OK, "first")
        raise error

    first, last = guarded(check)
    assert first.text == "first"
    only([last], PROBLEM, text, cure)


def test_other_programs_are_asked_with_patience_but_not_for_ever(monkeypatch: Patch) -> None:
    def python(code: str) -> tuple[bool, str]:
        return ask([sys.executable, "-c", code])

    assert python("print(2)") == (True, "2")
    assert python("raise OSError('planted')") == (False, "OSError: planted")
    assert python("import os; os._exit(7)")[1].endswith("exit code 7")
    assert "does not start" in ask(["no-such-program-here"])[1]
    if os.name == "posix":
        assert python("import os; os.abort()")[1].endswith("crashed (signal 6)")
    monkeypatch.setattr(doctor, "PATIENCE", 0.2)
    assert python("import time; time.sleep(60)") == (False, "no answer within 0.2 s")


# ---- Python and packages


def plant_project(folder: Path, monkeypatch: Patch, needs: str, python: str = ">=3.10") -> None:
    text = f'[project]\nrequires-python = "{python}"\ndependencies = [\n    "{needs}",  # why\n]\n'
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(doctor, "PYPROJECT", folder / "pyproject.toml")


def plant_package(folder: Path, name: str, version: str) -> None:
    """What pip writes about an installed package."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (info / "METADATA").write_text(about, encoding="utf-8")


def test_this_environment_is_in_range() -> None:
    """The tests run in one: whatever is wrong with it would show elsewhere too."""
    only(doctor.python(), OK, sys.executable)
    project = tomllib.loads(doctor.PYPROJECT.read_text(encoding="utf-8"))["project"]
    only(doctor.packages(), OK, f"all {len(project['dependencies'])} that")


@pytest.mark.parametrize(
    ("allowed", "verdict"),
    [(">={0}.{1},<{0}.{2}", OK), (">={0}.{2}", PROBLEM), (">=3.0,<{0}.{1}", PROBLEM), ("any", PROBLEM)],
)
def test_another_python(monkeypatch: Patch, tmp_path: Path, allowed: str, verdict: str) -> None:
    """On both sides, and at the edges; a problem where the range is not one that can be read."""
    major, minor = sys.version_info[:2]
    allowed = allowed.format(major, minor, minor + 1)
    plant_project(tmp_path, monkeypatch, "torch", python=allowed)
    only(doctor.python(), verdict, f"within {allowed}")


def test_a_missing_package(monkeypatch: Patch, tmp_path: Path) -> None:
    plant_project(tmp_path, monkeypatch, "no-such-package>=1,<2")
    only(doctor.packages(), PROBLEM, "no-such-package is not installed", '"no-such-package<2,>=1"')
    monkeypatch.setattr(doctor, "PYPROJECT", tmp_path / "none")
    only(guarded(doctor.packages), PROBLEM, "FileNotFoundError", "git checkout")


def test_a_package_too_old_and_a_damaged_one(monkeypatch: Patch, tmp_path: Path) -> None:
    plant_package(tmp_path, "tokenizers", "0.1.2")
    plant_package(tmp_path, "tqdm", "")
    monkeypatch.syspath_prepend(tmp_path)
    old, damaged = doctor.packages()
    only([old], PROBLEM, "tokenizers 0.1.2 is not within", 'pip install "tokenizers')
    only([damaged], PROBLEM, "tqdm", "is not within")


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
    only(doctor.kernel(), OK, sys.executable)


def test_a_kernel_that_points_nowhere(monkeypatch: Patch, tmp_path: Path) -> None:
    gone = str(tmp_path / "gone" / "python")
    spec = plant_kernel(tmp_path, monkeypatch, gone, *LAUNCH)
    only(doctor.kernel(), PROBLEM, f"{gone} does not start", f"remove the folder {spec}")


def test_a_kernel_without_the_kit(monkeypatch: Patch, tmp_path: Path) -> None:
    plant_kernel(tmp_path, monkeypatch, sys.executable, "-I", "-S", *LAUNCH)
    only(doctor.kernel(), PROBLEM, "No module named 'ipykernel'", "-m pip install -r requirements.txt")


def test_no_kernel_an_odd_one_and_a_damaged_one(monkeypatch: Patch, tmp_path: Path) -> None:
    spec = plant_kernel(tmp_path, monkeypatch, "start-a-container")
    only(doctor.kernel(), NOTE, "unusual way", "import dlmone_lite")
    (spec / "kernel.json").write_text("{", encoding="utf-8")
    only(guarded(doctor.kernel), PROBLEM, "JSONDecodeError")
    monkeypatch.setattr(doctor, "KERNEL", "no-such-kernel")
    only(doctor.kernel(), PROBLEM, "no kernel no-such-kernel", "ipykernel install")


def test_a_kernel_of_another_place(monkeypatch: Patch, tmp_path: Path) -> None:
    """Another environment, then another copy of the kit."""
    answers = tmp_path / "answers.py"
    plant_kernel(tmp_path, monkeypatch, sys.executable, str(answers), *LAUNCH)
    for prefix, root in ((str(tmp_path), str(ROOT)), (sys.prefix, str(tmp_path))):
        answers.write_text(f"print({prefix!r}); print({root!r})", encoding="utf-8")
        only(doctor.kernel(), NOTE, "another environment", str(tmp_path), "dlmone_lite doctor")


def test_widgets_need_their_manager(monkeypatch: Patch, tmp_path: Path) -> None:
    only(doctor.widgets(), OK, "finds their manager")
    monkeypatch.setattr("jupyter_core.paths.jupyter_path", lambda *parts: [str(tmp_path)])
    only(doctor.widgets(), PROBLEM, "finds no widget manager", "--force-reinstall")


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
    only(doctor.torch(), OK, "works with")
    (tmp_path / "torch.py").write_text(source, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    only(doctor.torch(), PROBLEM, "cannot be imported", said, "requirements.txt", "--force-reinstall")


def test_doctor_runs_without_torch_and_says_so(tmp_path: Path) -> None:
    """The whole command, in a process of its own, where torch fails."""
    (tmp_path / "torch.py").write_text("raise ImportError('planted')", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "dlmone_lite", "doctor", "--json", str(tmp_path / "found.json")],
        capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "")
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    verdicts = {check["name"]: check for check in found["checks"]}
    assert verdicts["torch"]["verdict"] == PROBLEM and "planted" in verdicts["torch"]["text"]
    for name in ("worlds", "checkpoints", "one sentence"):
        assert verdicts[name]["verdict"] == NOTE and "not checked" in verdicts[name]["text"]
    assert not found["ready"] and done.stdout.splitlines()[-1].startswith(found["summary"])


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
        record_hash((tmp_path / f"{role}.safetensors").rename(tmp_path / f"pets-{role}.safetensors"))
    only(doctor.worlds(), OK, "pets")
    only(doctor.checkpoints(), OK, "all 2")
    return tmp_path


def test_missing_splits(lab: Path) -> None:
    (lab / "pets" / "valid.jsonl").unlink()
    only(doctor.worlds(), PROBLEM, "valid.jsonl is missing", "world ", "pets.grammar --build")


def test_a_shortened_and_a_changed_split(lab: Path) -> None:
    train, test = lab / "pets" / "train.jsonl", lab / "pets" / "test.jsonl"
    train.write_text(train.read_text(encoding="utf-8").split("\n", 1)[1], encoding="utf-8")
    test.write_text(test.read_text(encoding="utf-8").replace("horse", "house"), encoding="utf-8")
    short, changed = doctor.worlds()
    only([short], PROBLEM, "train.jsonl has 299 rows, not 300", "--build")
    only([changed], PROBLEM, "test.jsonl is not what the grammar says", "--build")


def test_missing_words_and_a_missing_vocabulary(lab: Path) -> None:
    path = lab / "vocabulary.txt"
    path.write_text(path.read_text(encoding="utf-8").replace("parrot", ""), encoding="utf-8")
    only(doctor.worlds(), PROBLEM, "lacks 1 words of pets, 'parrot'", "git checkout")
    path.unlink()
    only(doctor.worlds(), PROBLEM, "vocabulary.txt lacks", "git checkout")
    (lab / "hashes.json").unlink()
    only(doctor.worlds(), OK, "pets")  # `train` gives one's own world a vocabulary of its own


def test_a_missing_and_a_damaged_grammar(lab: Path) -> None:
    """The networks tell which worlds there should be."""
    path = lab / "pets.grammar"
    path.write_text(pets.GRAMMAR.replace("frame race", "frame race race"), encoding="utf-8")
    only(doctor.worlds(), PROBLEM, "pets.grammar:")
    path.unlink()
    only(doctor.worlds(), PROBLEM, "pets.grammar is missing", "git checkout")
    (lab / "hashes.json").unlink()
    only(doctor.worlds(), PROBLEM, "holds none", "git checkout")


def test_a_changed_and_a_missing_network(lab: Path) -> None:
    student, teacher = lab / "pets-student.safetensors", lab / "pets-teacher.safetensors"
    data = bytearray(student.read_bytes())
    data[-1] ^= 1
    student.write_bytes(data)
    teacher.unlink()
    changed, missing = doctor.checkpoints()
    only([changed], PROBLEM, f"{student} was changed", f"git checkout -- {student}")
    only([missing], PROBLEM, f"{teacher} is missing", f"git checkout -- {teacher}")
    (lab / "hashes.json").unlink()
    only(doctor.checkpoints(), PROBLEM, "no network is known", "git checkout")


# ---- speed


def test_a_sentence_in_time_and_right(monkeypatch: Patch) -> None:
    for ms, verdict in ((7.0, OK), (doctor.SLOW_SENTENCE + 1, NOTE)):
        clock = (lambda seed, ms=ms: ms), "float32"
        monkeypatch.setattr("dlmone_lite.evaluation.speed.stopwatch", lambda *_, clock=clock: clock)
        only(doctor.sentence(), verdict, f"{ms} ms in one step", "are right")


def test_nonsense_and_a_broken_gpu_are_problems(monkeypatch: Patch) -> None:
    monkeypatch.setattr("dlmone_lite.evaluation.speed.stopwatch", lambda *_: (lambda seed: 7.0, "float32"))
    with monkeypatch.context() as here:
        here.setattr("dlmone_lite.generation.generate", lambda *_, samples: [["nonsense"] * samples])
        only(doctor.sentence(), PROBLEM, "0% are right", "torch calculates wrongly")

    def broken(name: str, device: str) -> None:
        raise RuntimeError(f"no kernel image for {device}")

    monkeypatch.setattr(zoo, "load", broken)
    monkeypatch.setattr("dlmone_lite.training.precision.pick_device", lambda: "cuda")
    only(doctor.sentence(), PROBLEM, "no kernel image for cuda", "CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr("dlmone_lite.training.precision.pick_device", lambda: "cpu")
    only(guarded(doctor.sentence), PROBLEM, "failed with RuntimeError")


# ---- the command

FINE, ODD, BAD = Finding(OK, "fine"), Finding(NOTE, "odd", "try"), Finding(PROBLEM, "bad", "do")


def plant_checks(monkeypatch: Patch, *findings: Finding) -> None:
    planted: dict[str, Check] = {"planted": lambda: iter(findings)}
    monkeypatch.setattr(doctor, "CHECKS", planted)


@pytest.mark.parametrize(
    ("findings", "code", "summary"),
    [
        ([FINE], 0, "no problem, no note, 1 ok in 0 s: this machine is ready"),
        ([FINE, ODD, ODD], 0, "no problem, 2 notes, 1 ok in 0 s: this machine is ready"),
        ([BAD, ODD], 1, "1 problem, 1 note, 0 ok in 0 s: do what the arrows say, then run doctor again"),
    ],
)
def test_exit_codes_and_summary(
    monkeypatch: Patch, capsys: pytest.CaptureFixture[str], findings: list[Finding], code: int, summary: str
) -> None:
    plant_checks(monkeypatch, *findings)
    assert main(["doctor"]) == code
    first, *lines, last = capsys.readouterr().out.splitlines()
    assert "network is not needed and not touched" in first and last == summary
    assert lines == [line for finding in findings for line in finding.line("planted").splitlines()]


def test_json_holds_the_same(monkeypatch: Patch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    plant_checks(monkeypatch, ODD, BAD)
    assert main(["doctor", "--json", str(tmp_path / "new" / "d.json")]) == 1
    found = json.loads((tmp_path / "new" / "d.json").read_text(encoding="utf-8"))
    assert found["checks"] == [
        {"name": "planted", "verdict": NOTE, "text": "odd", "cure": "try"},
        {"name": "planted", "verdict": PROBLEM, "text": "bad", "cure": "do"},
    ]
    assert (found["ready"], found["summary"]) == (False, "1 problem, 1 note, 0 ok")
    assert "is a folder" in pets.fail(capsys, "doctor", "--json", tmp_path)
    assert "unrecognized" in pets.fail(capsys, "doctor", "--fix")


def test_no_check_fails_by_itself() -> None:
    """Whatever this machine is like, a check comes to a verdict."""
    findings = list(doctor.checkup())
    assert {name for name, _ in findings} == {*doctor.CHECKS}
    assert [finding for _, finding in findings if "the check failed" in finding.text] == []


def test_a_changed_network_of_the_lab_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(files.DATA / "lab", tmp_path / "lab")
    monkeypatch.setattr(files, "DATA", tmp_path)
    monkeypatch.setattr(zoo, "LAB", tmp_path / "lab")
    path = tmp_path / "lab" / "clinic" / "B-psi.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    (tmp_path / "lab" / "clinic" / "A-psi.safetensors").unlink()
    found = [str(finding) for finding in doctor.checkpoints()]
    assert len(found) == 2 and "A-psi" in found[0] and "B-psi" in found[1] and "was changed" in found[1]
