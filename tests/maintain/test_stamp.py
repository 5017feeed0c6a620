"""stamp: every notebook carries pyproject's address and the same set-up cell; nothing else is changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from dlmone_lite.errors import InputError
from dlmone_lite.maintain import stamp

OTHER = "https://github.com/ada-l/my.kit"
PATHS = sorted(stamp.NOTEBOOKS.glob("*.ipynb"))


@pytest.fixture
def copies(tmp_path: Path) -> tuple[Path, Path]:
    """(folder of notebooks, pyproject.toml): copies of the shipped ones, and README beside the latter."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    for path in PATHS:
        shutil.copy(path, folder)
    shutil.copy(stamp.PROJECT.with_name("README.md"), tmp_path)
    return folder, Path(shutil.copy(stamp.PROJECT, tmp_path))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.ipynb"))}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_notebook_carries_the_address_of_pyproject(path: Path) -> None:
    text = path.read_bytes().decode("utf-8")
    assert stamp.stamped(text, stamp.address(), path.name) == text, (
        "run: python -m dlmone_lite.maintain.stamp"
    )


def test_all_set_up_cells_are_the_same() -> None:
    cells = [cell for path in PATHS for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]]
    setups = ["".join(cell["source"]) for cell in cells if "google.colab" in "".join(cell["source"])]
    assert setups == [stamp.SETUP.format(address=stamp.address())] * len(PATHS)


def test_another_address_and_back_gives_the_same_bytes(copies: tuple[Path, Path]) -> None:
    folder, project = copies
    home, before, settings = stamp.address(), contents(folder), project.read_bytes()
    assert stamp.stamp(folder, project) == [] and contents(folder) == before
    stamp.set_address(OTHER, project)
    readme = project.with_name("README.md")
    plain = readme.read_bytes()
    assert [path.name for path in stamp.stamp(folder, project)] == [*before, "README.md"]
    assert readme.read_bytes().count(b"ada-l/my.kit") == 1 and b"colab.research" not in plain
    owner = home.removeprefix("https://github.com/").encode()
    for name, after in contents(folder).items():
        assert after.count(b"ada-l/my.kit") == 2 and owner not in after
        old, new = before[name].splitlines(), after.splitlines()
        changed = [line for line, was in zip(new, old, strict=True) if line != was]
        assert len(changed) == 2 and all(b"ada-l/my.kit" in line for line in changed), name
    stamp.set_address(home, project)
    stamp.stamp(folder, project)
    assert contents(folder) == before and project.read_bytes() == settings
    assert readme.read_bytes() == plain


def test_a_set_up_cell_that_was_edited_by_hand_is_put_right(copies: tuple[Path, Path]) -> None:
    folder, project = copies
    before, path = contents(folder), folder / PATHS[0].name
    path.write_bytes(path.read_bytes().replace(b"-q rouge-score", b"-q rouge-score torch"))
    assert contents(folder) != before
    assert stamp.stamp(folder, project) == [path] and contents(folder) == before


BROKEN = {
    "not laid out": lambda text: text.replace("\n ", "\n  ", 1),
    "one Colab badge": lambda text: text.replace("colab.research.google.com/github", "example.org"),
    "one cell that": lambda text: text.replace('\\"google.colab\\" in', '\\"colab\\" in'),
}


@pytest.mark.parametrize("complaint", BROKEN)
def test_a_notebook_that_cannot_be_stamped_stops_all(copies: tuple[Path, Path], complaint: str) -> None:
    folder, project = copies
    last = folder / PATHS[-1].name
    last.write_bytes(BROKEN[complaint](last.read_bytes().decode("utf-8")).encode("utf-8"))
    stamp.set_address(OTHER, project)
    before = contents(folder)
    with pytest.raises(InputError, match=complaint):
        stamp.stamp(folder, project)
    assert contents(folder) == before


WRONG = ["", "ada/kit", "https://example.org/a/b", "https://github.com/a/b/c", OTHER + ".git"]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_address_is_refused(copies: tuple[Path, Path], wrong: str) -> None:
    project = copies[1]
    before = project.read_bytes()
    with pytest.raises(InputError, match="owner/name"):
        stamp.set_address(wrong, project)
    assert project.read_bytes() == before
    project.write_text("[project]\n", encoding="utf-8")
    with pytest.raises(InputError, match="needs one line"):
        stamp.address(project)


def test_the_command(
    copies: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, project = copies
    monkeypatch.setattr(stamp, "NOTEBOOKS", folder)
    monkeypatch.setattr(stamp, "PROJECT", project)
    assert stamp.main([OTHER]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{OTHER}: {len(PATHS) + 1} files changed"
    assert stamp.address(project) == OTHER and all(b"my.kit" in data for data in contents(folder).values())
    assert stamp.main([]) == 0 and ": 0 files changed" in capsys.readouterr().out
    assert stamp.main(["somewhere"]) == 2
    assert capsys.readouterr().err.startswith("error: 'somewhere' is no address")
