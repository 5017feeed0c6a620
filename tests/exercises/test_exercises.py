"""Exercises: stubs are not attempted, solutions pass, each planted mistake gets the feedback meant for it."""

from __future__ import annotations

import errno
import importlib.util
import re
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import torch

from dlmone_lite import exercises
from dlmone_lite.errors import InputError
from dlmone_lite.exercises import Exercise, check, compare, get, hint, progress, solution, use
from dlmone_lite.exercises.kinds import numbers, of_notebook
from dlmone_lite.files import ROOT


def planted_in(number: str) -> dict[str, list[tuple[Any, str]]]:
    path = ROOT / "tests" / "exercises" / "planted" / f"nb{number}.py"
    spec = importlib.util.spec_from_file_location(f"planted_{number}", path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded.WRONG


ALL = [exercise for number in numbers() for exercise in of_notebook(number).values()]
PLANTED = [
    pytest.param(name, wrong, piece, id=f"{name}-{i}")
    for number in numbers()
    for name, cases in planted_in(number).items()
    for i, (wrong, piece) in enumerate(cases)
]


def is_question(exercise: Exercise) -> bool:
    return not exercise.name.split(".")[1].isdigit()


def said(capsys: pytest.CaptureFixture[str], name: str, answer: Any) -> str:
    check(name, answer)
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 96 or " " not in line for line in lines)
    return " ".join(lines) + "\n"


def solved_by(exercise: Exercise) -> Any:
    """What the solution leaves in the exercise's variable."""
    names: dict[str, Any] = {}
    exec("import math\nimport torch\nimport torch.nn.functional as F\n" + exercise.solution, names)
    return names[exercise.variable]


def raises_not_implemented(*arguments: Any) -> None:
    raise NotImplementedError


@pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.name)
def test_a_stub_is_not_attempted(exercise: Exercise, capsys: pytest.CaptureFixture[str]) -> None:
    stubs: list[Any] = [None, ...]
    if not is_question(exercise) and "def " in exercise.solution:
        stubs += [raises_not_implemented, lambda *arguments: None, lambda *arguments: ...]
    for stub in stubs:
        out = said(capsys, exercise.name, stub)
        assert out == f"{exercise.name}: not attempted yet. {exercise.task}\n"


@pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.name)
def test_the_solution_is_right(exercise: Exercise, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, exercise.name, solved_by(exercise)) == f"{exercise.name}: {exercise.praise}\n"


@pytest.mark.parametrize(("name", "wrong", "piece"), PLANTED)
def test_a_planted_mistake_gets_its_own_feedback(
    name: str, wrong: Any, piece: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = said(capsys, name, wrong)
    assert out.startswith(f"{name}: not yet. ") and piece in out


@pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.name)
def test_hints_and_mistakes_are_there(exercise: Exercise, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(set(exercise.hints)) == 2 and all(exercise.hints)
    if not is_question(exercise):
        planted = planted_in(exercise.name.split(".")[0])
        assert len(planted.get(exercise.name, [])) >= 2, "plant at least two wrong answers"
        return
    right = exercise.solution.split("'")[1]
    replies = {said(capsys, exercise.name, letter) for letter in "abc" if letter != right}
    assert len(replies) == 2 and all("not yet" in reply and "not one of" not in reply for reply in replies)
    assert "not one of the choices" in said(capsys, exercise.name, "z")
    assert all(f"({letter})" in exercise.task for letter in "abc"), "the task names the choices (a), (b), (c)"


@pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.name)
def test_a_strange_answer_is_no_crash(exercise: Exercise, capsys: pytest.CaptureFixture[str]) -> None:
    for strange in ("words", {"a": 1}, object(), lambda *arguments: "words", lambda *arguments: {"a": 1}):
        assert said(capsys, exercise.name, strange).startswith(f"{exercise.name}: not yet. ")


def as_numpy(value: Any) -> Any:
    """`value` in float32 and numpy, as a learner's own code may return it."""
    if isinstance(value, torch.Tensor):
        value = value.detach().numpy()
    if isinstance(value, tuple):
        return np.array(value)
    if isinstance(value, str | dict) or value is None:
        return value
    return np.float32(value) if np.asarray(value).dtype.kind == "f" else np.asarray(value)[()]


DIFFERENTIATED = {"04.1", "04.3", "05.1"}  # autograd must go through the answer, so numpy is no answer
FUNCTIONS = [exercise for exercise in ALL if "def " in exercise.solution]


@pytest.mark.parametrize("exercise", FUNCTIONS, ids=lambda exercise: exercise.name)
def test_numbers_of_numpy_and_float32_are_accepted(
    exercise: Exercise, capsys: pytest.CaptureFixture[str]
) -> None:
    solve = solved_by(exercise)

    def single(*arguments: Any) -> Any:
        value = solve(*arguments)
        if exercise.name in DIFFERENTIATED:
            return value.float()
        return as_numpy(value)

    assert said(capsys, exercise.name, single) == f"{exercise.name}: {exercise.praise}\n"


@pytest.mark.parametrize("exercise", FUNCTIONS, ids=lambda exercise: exercise.name)
def test_a_forgotten_return_is_no_stub(exercise: Exercise, capsys: pytest.CaptureFixture[str]) -> None:
    solve = solved_by(exercise)

    def forgets(*arguments: Any) -> None:
        solve(*arguments)

    out = said(capsys, exercise.name, forgets)
    asks_for_no_value = {"04.4", "04.5", "07.1"}
    assert "did you forget `return`?" in out or "yield" in out or exercise.name in asks_for_no_value
    assert "not attempted" not in out


@pytest.mark.parametrize("exercise", FUNCTIONS, ids=lambda exercise: exercise.name)
def test_a_crash_names_its_line(exercise: Exercise, capsys: pytest.CaptureFixture[str]) -> None:
    def crashes(*arguments: Any) -> Any:
        return arguments[99]

    line = crashes.__code__.co_firstlineno + 1
    assert f"raised IndexError: tuple index out of range (line {line}: return arguments[99])" in said(
        capsys, exercise.name, crashes
    )


@pytest.mark.parametrize("typed", ["b", "B", "(b)", " b) ", "b."])
def test_a_letter_may_be_typed_with_its_brackets(typed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "00.a", typed) == f"00.a: {get('00.a').praise}\n"


def test_arguments_are_copies(capsys: pytest.CaptureFixture[str]) -> None:
    def in_place(x_t: Any, x0_hat: Any, alpha: float, sigma: float) -> Any:
        return x_t.neg_().add_(alpha * x0_hat).div_(sigma**2)

    assert "Right" in said(capsys, "01.1", in_place)


def test_the_product_of_two_gaussians_fails_only_where_sigma_is_zero(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The step by precisions, as its derivation suggests it: it divides by sigma_s, 0 in the last step."""

    def by_precisions(x_t, x0_hat, alpha_t, sigma_t, alpha_s, sigma_s, noise):
        ratio = alpha_t / alpha_s
        beta = sigma_t**2 - ratio**2 * sigma_s**2
        variance = 1 / (ratio**2 / beta + 1 / sigma_s**2)
        return variance * (ratio * x_t / beta + alpha_s * x0_hat / sigma_s**2) + variance**0.5 * noise

    def with_tensors(*arguments):
        return by_precisions(*map(torch.as_tensor, arguments))

    for answer in (by_precisions, with_tensors):
        assert "Right for sigma_s > 0" in said(capsys, "01.3", answer)


@pytest.mark.parametrize("method", ["linear", "lower", "higher", "nearest", "hazen", "weibull"])
def test_a_library_s_quantiles_are_an_interval(method: str, capsys: pytest.CaptureFixture[str]) -> None:
    def interval(student, teacher, draws):
        student, teacher, draws = map(np.array, (student, teacher, draws))
        ratios = student[draws].sum(1) / teacher[draws].sum(1)
        return tuple(np.percentile(ratios, [2.5, 97.5], method=method))

    assert "Right" in said(capsys, "09.3", interval)


def test_a_loop_without_an_end_is_stopped_and_its_line_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "LIMIT", 0.2)

    def never(logits: torch.Tensor) -> torch.Tensor:
        i = 0
        while True:
            i += 1

    out = said(capsys, "10.1", never)
    assert "did not come back within 0.2 seconds" in out and "(line " in out
    assert said(capsys, "10.1", lambda logits: -logits.mean()).startswith("10.1: Right"), (
        "the timer is off again"
    )


def test_names_are_unique_and_found() -> None:
    names = [exercise.name for exercise in ALL]
    assert len(names) == len(set(names))
    assert numbers() == sorted(path.name[:2] for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
    for number in numbers():
        for name, exercise in of_notebook(number).items():
            assert name.startswith(number + ".") and get(name) is exercise


def test_every_exercise_is_asked_once_in_its_notebook_under_its_own_variable() -> None:
    """So a printed solution can be pasted over the stub of its cell."""
    asked: dict[str, tuple[str, str, bool]] = {}
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            for name, variable in re.findall(r'^check\("([^"]+)", (\w+)\)', cell.source, re.MULTILINE):
                assert name not in asked, f"{name} is asked twice"
                stub = re.search(rf"^({variable} = |def {variable}\()", cell.source, re.MULTILINE)
                asked[name] = path.name[:2], variable, bool(stub)
            for name in re.findall(r'\bquestion\("([^"]+)"\)', cell.source):
                assert name not in asked, f"{name} is asked twice"
                asked[name] = path.name[:2], "answer", True
    assert asked == {e.name: (e.name[:2], e.variable, True) for e in ALL}


def telling(source: str) -> set[str]:
    """The lines of a solution that tell something, without spaces: no heads, imports, lone names."""
    dull = ("def ", "import ", "from ", "for ", "with ", "#", "else", "return None")
    lines = (line.strip() for line in source.splitlines())
    lines = (line.removeprefix("return ") for line in lines if not line.startswith(dull))
    return {short for line in lines if len(short := re.sub(r"\s", "", line)) >= 14}


@pytest.mark.parametrize("exercise", [e for e in ALL if not is_question(e)], ids=lambda e: e.name)
def test_no_solution_stands_in_its_notebook(exercise: Exercise) -> None:
    (path,) = (ROOT / "notebooks").glob(f"{exercise.name[:2]}_*.ipynb")
    cells = [re.sub(r"\s", "", cell.source) for cell in nbformat.read(path, as_version=4).cells]
    seen = [line for line in telling(exercise.solution) if any(line in cell for cell in cells)]
    assert seen == []


def test_a_planted_solution_would_be_found() -> None:
    assert telling("def f(a, b):\n    d = [x - y for x, y in zip(a, b)]\n    return d\n") == {
        "d=[x-yforx,yinzip(a,b)]"
    }


def test_later_cells_use_what_the_learner_wrote_if_it_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    def mine(logits: torch.Tensor) -> torch.Tensor:
        return -logits.mean()

    def library(logits: torch.Tensor) -> torch.Tensor:
        return logits.mean().neg()

    assert use("10.1", mine, library) is mine and "10.1 is used" in capsys.readouterr().out
    assert use("10.1", lambda logits: ..., library) is library and capsys.readouterr().out == ""
    for wrong in (None, lambda logits: logits.mean(), lambda logits: 1 / 0, 3):
        assert use("10.1", wrong, library) is library and "library's is used" in capsys.readouterr().out


def test_an_unknown_name_says_what_there_is() -> None:
    with pytest.raises(InputError, match=r"01\.9.*01\.1"):
        get("01.9")
    with pytest.raises(InputError, match="look like 01.1"):
        get("77.1")


def test_hints_come_one_by_one(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exercises, "_SHOWN", {})
    shown = []
    for _ in range(3):
        hint("01.1")
        shown.append(" ".join(capsys.readouterr().out.split()))
    first, second = get("01.1").hints
    assert first in shown[0] and "again" in shown[0] and second not in shown[0]
    assert shown[1] == shown[2] == f"Hint 2 of 2: {second}"
    solution("01.1")
    assert capsys.readouterr().out.strip() == get("01.1").solution.strip()


# ---- progress


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where progress is kept in this test."""
    monkeypatch.setenv(progress.VARIABLE, str(tmp_path / "new" / "progress.json"))
    return progress.place()


def test_what_is_solved_is_kept_and_shown(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    progress.progress()
    before = capsys.readouterr().out
    assert re.search(rf"so far: 0 of {len(ALL)}\n", before) and "open:" not in before
    assert before.splitlines()[0].startswith("00 start here") and not kept.exists()
    check("00.a", "b"), check("00.b", "a"), check("00.a", "c")
    assert list(progress.solved()) == ["00.a"], "only right answers; a later wrong one takes nothing away"
    capsys.readouterr()
    progress.progress()
    first, *_, last = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"00 start here +\[..#\.\] 1 of 4  open: 00.1, 00.2, 00.b", first)
    assert last == f"solved in the course so far: 1 of {len(ALL)}"


def test_the_course_is_all_exercises_in_order() -> None:
    assert [name for names in progress.course().values() for name in names] == [e.name for e in ALL]


@pytest.mark.parametrize("damaged", ["{", "[]", '{"solved": 3}', '"x"', ""])
def test_a_damaged_file_is_put_aside(kept: Path, capsys: pytest.CaptureFixture[str], damaged: str) -> None:
    kept.parent.mkdir()
    kept.write_text(damaged, encoding="utf-8")
    check("00.a", "b")
    assert "progress.json.damaged" in capsys.readouterr().out and list(progress.solved()) == ["00.a"]
    assert kept.with_name("progress.json.damaged").read_text(encoding="utf-8") == damaged


def test_a_disk_that_refuses_costs_only_the_note(
    kept: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    check("00.a", "b")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    check("00.b", "c")
    out = capsys.readouterr().out
    assert "00.b: Right" in out and "00.b is not remembered" in out and "No space left" in out
    assert list(progress.solved()) == ["00.a"] and [p.name for p in kept.parent.iterdir()] == [kept.name]


def test_the_file_lies_where_git_ignores_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(progress.VARIABLE)
    assert progress.place() == ROOT / "runs" / "progress.json"
    assert "/runs/" in (ROOT / ".gitignore").read_text(encoding="utf-8").split()
