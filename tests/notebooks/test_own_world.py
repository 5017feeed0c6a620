"""A learner's own grammar, end to end: changed, checked, trained, distilled, and shown by the panels."""

from __future__ import annotations

import ast
import re
import symtable
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import IPython.display
import nbformat
import pets
import pytest
import torch

from dlmone_lite.checkpoints import zoo
from dlmone_lite.errors import InputError
from dlmone_lite.files import ROOT
from dlmone_lite.panels.live import LivePanel
from dlmone_lite.panels.panel import Frame

pytestmark = pytest.mark.slow
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NOTEBOOKS = [path for path in NOTEBOOKS if re.search(r"zoo\.(course|world)\(", path.read_text("utf-8"))]
QUICK = ["--eval-sources", "4", "--eval-samples", "4", "--eval-every", "10"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with mine.grammar and, in runs/, what README's commands train from it, in a few updates."""
    folder = tmp_path_factory.mktemp("own")
    text = (ROOT / "data" / "worlds" / "paraphrase.grammar").read_text(encoding="utf-8")
    text = text.replace("\nworld paraphrase\n", "\nworld mine\n").replace("\n  cairo\n", "\n  oslo\n  lima\n")
    grammar = folder / "mine.grammar"
    grammar.write_text(text, encoding="utf-8")
    teacher, student = (folder / "runs" / f"mine-{role}.safetensors" for role in ("teacher", "student"))
    teacher.parent.mkdir()
    train = ["train", "--world", grammar, "--steps", "40", "--out", teacher, *QUICK, "--eval-steps", "4"]
    distill = ["distill", "--world", grammar, "--teacher", teacher, "--out", student, *QUICK, "--steps", "10"]
    distill += ["--warm-start", "10", "--set0", "sources=20", "samples=4", "--set", "psi_warmup=2"]
    for argv in (["world", grammar], ["world", grammar, "--build"], train, distill):
        assert pets.main([str(word) for word in argv]) == 0
    return folder


@pytest.fixture
def course(made: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The repository's place is that folder, and the course's world the learner's."""
    monkeypatch.setattr(zoo, "ROOT", made)
    monkeypatch.setenv("DLMONE_WORLD", "mine.grammar")
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    yield made
    torch.set_num_threads(threads)
    torch.set_default_dtype(dtype)


def scopes(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    """A cell's own scope, then those inside it."""
    yield table
    for inner in table.get_children():
        yield from scopes(inner)


def binds(source: str) -> set[str]:
    """Names that a cell leaves behind."""
    table = symtable.symtable(source, "cell", "exec")
    return {
        s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()
    }


def asks(source: str) -> set[str]:
    """Names that a cell takes from others, or from itself."""
    outer, *inner = scopes(symtable.symtable(source, "cell", "exec"))
    return {s.get_name() for s in outer.get_symbols() if s.is_referenced()} | {
        s.get_name() for table in inner for s in table.get_symbols() if s.is_global()
    }


def needed_for_panels(path: Path) -> list[str]:
    """The cells that make a panel, and those before them whose names they use."""
    cells = [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    names, chosen = set(), []
    for cell in reversed([cell for cell in cells if not re.search(r"^\s*[%!]", cell, re.M)]):
        if re.search(r"\b(Live)?Panel\(", cell) or names & binds(cell):
            names = (names - binds(cell)) | asks(cell)
            chosen.append(cell)
    return chosen[::-1]


def panels_of(path: Path) -> list[Frame]:
    """Run those cells; what a cell ends with counts, too."""
    names: dict[str, Any] = {"display": IPython.display.display}
    ends = []
    for source in needed_for_panels(path):
        cell = ast.parse(source)
        last = cell.body.pop() if isinstance(cell.body[-1], ast.Expr) else None
        exec(compile(cell, path.name, "exec"), names)
        if last:
            ends.append(eval(compile(ast.Expression(last.value), path.name, "eval"), names))
    found = [value for value in [*names.values(), *ends] if isinstance(value, Frame)]
    return list({id(panel): panel for panel in found}.values())


def another(control: Any) -> Any:
    """A value that the control does not have now."""
    if hasattr(control, "options"):
        values = [option[1] if isinstance(option, tuple) else option for option in control.options]
        return next((value for value in reversed(values) if value != control.value), control.value)
    if isinstance(control.value, bool):
        return not control.value
    if hasattr(control, "base"):
        return control.base ** (control.min if control.value != control.base**control.min else control.max)
    return control.min if control.value != control.min else control.max


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_panel_shows_the_own_world(course: Path, path: Path) -> None:
    panels = panels_of(path)
    assert panels
    for panel in panels:
        for name, control in panel.controls.items():
            panel.set(**{name: another(control)})
            assert panel.error == "", f"{panel.title}, {name}: {panel.error}"
        panel.reset()
        if isinstance(panel, LivePanel):
            panel.run_steps(2)
        assert panel.error == "" and panel.html


def test_the_course_can_be_given_a_file_or_a_shipped_name(course: Path) -> None:
    world, teacher, student = zoo.course()
    assert (world.name, teacher.world, student.role) == ("mine", "mine", "student")
    assert "oslo" in world.vocabulary() and "cairo" not in world.vocabulary()
    assert zoo.course(str(course / "mine.grammar"))[0].name == "mine"
    assert zoo.world("simplify").name == zoo.course("simplify")[1].world == "simplify"


def test_what_is_missing_comes_with_its_command(
    course: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(zoo, "ROOT", tmp_path)
    grammar = str(course / "mine.grammar")
    with pytest.raises(
        InputError, match=r"mine-teacher.safetensors is not there.*train --world .*mine.grammar"
    ):
        zoo.course(grammar)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mine-teacher.safetensors").write_bytes(
        (course / "runs" / "mine-teacher.safetensors").read_bytes()
    )
    with pytest.raises(
        InputError, match="distill --world .* --teacher runs/mine-teacher.safetensors --out runs/mine-st"
    ):
        zoo.course(grammar)
    with pytest.raises(InputError, match="absent"):
        zoo.world("absent.grammar")
