"""The house rules that a machine can check: rooms, imports, sizes, dependencies, words."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from private_names import private_names

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "dlmone_lite"
FILES = sorted(PACKAGE.rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

# From the ground up: a room imports from rooms before it only. A folder is one room, whose files may import
# each other, but not in a circle. The method's own files are rooms of one file each, flat at the top.
ROOMS = """
    errors tweedie schedule text sid files training rounding corpora model exact sample teacher distill variants
    checkpoints generation evaluation lab beyond jobs figures panels lessons exercises page maintain cli __main__
""".split()
# The method, in the order in which it is best read; `text` is where words become embeddings' ids.
CORE = "schedule tweedie text exact model rounding sample teacher sid distill".split()
COURSE = {"lessons", "exercises", "figures", "panels", "page"}  # what only the notebooks and the page need
CORE_LINES, LIBRARY_LINES, COURSE_LINES, BEYOND_LINES = 1500, 12_350, 6_000, 1700
TOP_FILES, FOLDER_FILES, FILE_LINES = 15, 14, 350

# Imported when a module is loaded; whatever else is needed is imported where it is used.
EAGER = {"torch", "safetensors"}
HEAVY = {"datasets", "transformers", "tokenizers", "matplotlib", "pandas", "nltk", "ipywidgets", "tqdm"}
# Packages that come with a declared one, by the name they are imported under.
COME_WITH = {"IPython": "ipykernel", "numpy": "matplotlib", "huggingface_hub": "datasets"}
COME_WITH |= {
    "regex": "nltk",
    "filelock": "torch",
    "jupyter_client": "ipykernel",
    "jupyter_core": "ipykernel",
    "packaging": "matplotlib",
}
STDLIB = sys.stdlib_module_names | {"tomllib"}  # from 3.11 on; imported where that is asked
# What may stand at the top of the repository, and what may stand nowhere in the code.
TOP = {"README.md", "requirements.txt", "notebooks", "dlmone_lite", "data", "tests"}
TOP |= {"pyproject.toml", "LICENSE", ".gitignore", ".ci"}
# Private names of other libraries that the code cannot do without; `.ci/newest` tells when one is gone.
PRIVATE = {f"torch._foreach_{name}" for name in ("add_", "lerp", "lerp_", "mul_")}
PRIVATE |= {"argparse._SubParsersAction"}  # only in annotations, which nobody evaluates
FORBIDDEN = re.compile(
    r"torch\.load\b|\b(import|from) pickle\b|\b(TODO|FIXME|XXX)\b|(?<![\w.:/])/(home|root|opt|work|tmp)/"
)

ids = pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def imports(node: ast.AST, deep: bool) -> Iterator[str]:
    """Dotted names imported under `node`, inside functions too when `deep`; not those for type checkers."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"line {child.lineno}: write the import in full, from dlmone_lite..."
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        elif not type_checking(child) and (
            deep or not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))
        ):
            yield from imports(child, deep)


def room(dotted: str) -> str:
    """The room of `model.Denoiser` or `corpora.world.World`."""
    first = dotted.split(".")[0]
    assert first in ROOMS, f"{first!r} has no place in ROOMS: say in this test on what it stands"
    return first


def inside(tree: ast.AST, deep: bool = True) -> list[str]:
    """What `tree` imports from the package, without its name; what `__init__` offers counts as above all."""
    names = [name.split(".", 1)[1] for name in imports(tree, deep) if name.startswith("dlmone_lite.")]
    return [name if name.split(".")[0] in ROOMS else f"__main__.{name}" for name in names]


def upward(path: Path, tree: ast.Module) -> list[str]:
    """Imports of `tree`, standing at `path`, that do not point downward."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    if parts == ("__init__",):  # it may offer every room, and nobody imports from it
        return []
    rank = ROOMS.index(room(parts[0]))
    return [name for name in inside(tree) if ROOMS.index(room(name)) + (len(parts) == 1) > rank]


@ids
def test_imports_point_downward(path: Path) -> None:
    assert upward(path, parse(path)) == []


def test_an_upward_import_is_noticed() -> None:
    tree = ast.parse(
        "def f():\n    from dlmone_lite.panels.panel import Panel\nfrom dlmone_lite import model"
    )
    assert upward(PACKAGE / "model.py", tree) == ["panels.panel.Panel", "model"]
    assert upward(PACKAGE / "cli" / "options.py", tree) == []
    assert upward(PACKAGE / "panels" / "live.py", tree) == []
    assert upward(PACKAGE / "sid.py", ast.parse("from dlmone_lite import World")) == ["__main__.World"]
    with pytest.raises(AssertionError, match="no place in ROOMS"):
        upward(PACKAGE / "attic" / "box.py", tree)


def file_of(dotted: str) -> Path | None:
    """The file of `corpora.world.World` or `model.Denoiser`."""
    parts = dotted.split(".")
    places = [PACKAGE.joinpath(*parts[:k]) for k in range(len(parts), 0, -1)]
    files = [file for place in places for file in (place.with_suffix(".py"), place / "__init__.py")]
    return next((file for file in files if file.is_file()), None)


def circle(needs: dict[Any, set[Any]]) -> list[Any]:
    """What is left when everything that needs nothing left is taken away, again and again."""
    left = {name: set(others) for name, others in needs.items()}
    while free := [name for name, others in left.items() if not others & left.keys()]:
        for name in free:
            del left[name]
    return sorted(left)


def test_no_circle_of_files() -> None:
    needs = {path: {file_of(name) for name in inside(parse(path))} - {path} for path in FILES}
    assert circle(needs) == []
    assert circle({1: {2}, 2: {1}, 3: {1}, 4: set()}) == [1, 2, 3]


def test_the_core_knows_nothing_of_what_is_around_it() -> None:
    """Importing the distillation loads no checkpoint, variant or evaluation."""
    program = "import sys, dlmone_lite.distill; print(*sorted(n for n in sys.modules if 'dlmone_lite.' in n))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True
    )
    rooms = {name.split(".")[1] for name in done.stdout.split()}
    assert rooms & {"checkpoints", "variants", "evaluation", "generation", "lab", "jobs"} == set()


def lines_of(paths: Iterable[Path]) -> int:
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)


def test_the_house_stays_small() -> None:
    assert lines_of(PACKAGE / f"{name}.py" for name in CORE) <= CORE_LINES
    course = [path for path in FILES if path.parent.name in COURSE]
    past = [path for path in FILES if path.parent.name == "beyond"]
    assert lines_of(course) <= COURSE_LINES and lines_of(past) <= BEYOND_LINES
    assert lines_of(FILES) - lines_of(course) - lines_of(past) <= LIBRARY_LINES
    assert len(list(PACKAGE.glob("*.py"))) <= TOP_FILES
    folders = {path.parent for path in FILES} - {PACKAGE}
    # One file for each notebook is an order, not a crowd.
    files = {folder.name: [path.stem for path in folder.glob("[!_]*.py")] for folder in folders}
    crowded = {name: sum(not re.fullmatch(r"nb\d\d", stem) for stem in own) for name, own in files.items()}
    assert {name: count for name, count in crowded.items() if count > FOLDER_FILES} == {}
    silent = [folder.name for folder in folders if not ast.get_docstring(parse(folder / "__init__.py"))]
    assert silent == [], "a folder says in its __init__ what it is for"


# Who may know where the repository lies and replace a file, and who may know the command line.
ALONE = {
    re.compile(r"__file__|\bos\.replace\b"): ("files.py",),
    re.compile(r"\bargparse\b"): ("cli/", "maintain/", "__main__.py"),
}


@ids
def test_some_things_are_done_in_one_place(path: Path) -> None:
    name, text = path.relative_to(PACKAGE).as_posix(), path.read_text(encoding="utf-8")
    for pattern, places in ALONE.items():
        assert name.startswith(places) or not pattern.search(text), f"{pattern.pattern} belongs to {places}"


@ids
def test_only_torch_is_imported_eagerly(path: Path) -> None:
    top = {name.split(".")[0] for name in imports(parse(path), deep=False)}
    assert top - sys.stdlib_module_names - EAGER - {"dlmone_lite"} == set()


@ids
def test_third_party_imports_are_declared(path: Path) -> None:
    named = {name.split(".")[0] for name in imports(parse(path), deep=True)}
    third_party = named - STDLIB - {"dlmone_lite"}
    declared = {Requirement(line).name for line in PROJECT["dependencies"]}
    declared |= {Requirement(line).name for line in PROJECT["optional-dependencies"]["bertscore"]}
    assert {COME_WITH.get(name, name.replace("_", "-")) for name in third_party} <= declared


def test_importing_the_package_costs_little_more_than_torch() -> None:
    names = [path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", ".") for path in FILES]
    modules = [f"dlmone_lite.{name}" for name in names if not name.endswith(("__main__", "__init__"))]
    program = f"""
import sys, time
import torch
before, start = set(sys.modules), time.process_time()
import {", ".join(["dlmone_lite", *modules])}
print(time.process_time() - start, sorted({HEAVY} & (set(sys.modules) - before)))
"""
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True
    )
    seconds, heavy = result.stdout.split(maxsplit=1)
    assert heavy.strip() == "[]"
    assert float(seconds) < 0.5, "CPU seconds, all rooms together, after torch"


@ids
def test_sizes(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= FILE_LINES, f"{len(lines)} lines"
    assert [number for number, line in enumerate(lines, start=1) if len(line) > 110] == [], "lines over 110"
    functions = [n for n in ast.walk(parse(path)) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    assert [f.name for f in functions if f.end_lineno - f.lineno >= 50] == [], (
        "functions of 50 lines and more"
    )


@ids
def test_house_style(path: Path) -> None:
    """Docstrings, annotations from the future; no bags of keywords, pickles, notes to self, machine paths."""
    text, tree = path.read_text(encoding="utf-8"), parse(path)
    public = [n for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and n.name[0] != "_"]
    bare = [node.name for node in public if not ast.get_docstring(node)]
    assert ast.get_docstring(tree), "no docstring"
    assert bare == [], "no docstring"
    assert len(tree.body) < 2 or "from __future__ import annotations" in text
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.args.kwarg]
    assert [f.name for f in functions if f.args.kwarg.arg in ("kwargs", "kw")] == [], (
        "say what **kwargs holds"
    )
    assert [found[0] for found in FORBIDDEN.finditer(text)] == []


@ids
def test_private_names_of_others_are_the_known_ones(path: Path) -> None:
    assert set(private_names(parse(path))) <= PRIVATE


def test_a_private_name_is_noticed() -> None:
    tree = ast.parse(
        "import torch.nn as nn\nfrom datasets._x import y\nfrom dlmone_lite.corpora.grammar import _Reader\n"
        "nn._f()\nnn.Linear._g\n_Reader._h\nself._own\ny.__doc__"
    )
    assert private_names(tree) == ["datasets._x.y", "torch.nn.Linear._g", "torch.nn._f"]
    assert private_names(tree, anywhere=True) == sorted([*private_names(tree), "_Reader._h"])


@ids
def test_tests_mirror_the_rooms(path: Path) -> None:
    """tests/corpora has tests of dlmone_lite/corpora, and tests/test_model.py tests model.py."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    tests = ROOT / "tests"
    if len(parts) == 1:
        assert parts[0] in ("__init__", "__main__") or list(tests.glob(f"test_{parts[0]}*.py"))
    else:
        assert list((tests / parts[0]).glob("test_*.py"))


def test_the_public_names_are_there_and_cost_nothing() -> None:
    import dlmone_lite

    for name in dlmone_lite.__all__:
        assert getattr(dlmone_lite, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        dlmone_lite.nothing
    program = "import time; b = time.perf_counter(); import dlmone_lite, sys; t = time.perf_counter() - b\n"
    program += "print(t, 'torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True
    )
    seconds, torch_too = done.stdout.split()
    assert float(seconds) < 0.1 and torch_too == "False"


def test_pins_lie_in_the_declared_ranges() -> None:
    """requirements.txt pins each declared dependency and nothing else, and installs this package."""
    lines = [line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines()]
    *pins, last = filter(None, lines)
    assert last == "-e ."
    declared = map(Requirement, PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"])
    ranges = {requirement.name: requirement.specifier for requirement in declared}
    pinned = [Requirement(line) for line in pins]
    assert {requirement.name for requirement in pinned} == set(ranges)
    for requirement in pinned:
        (pin,) = requirement.specifier
        assert pin.operator == "==" and pin.version in ranges[requirement.name], str(requirement)


def tracked() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return [Path(name) for name in listed.split("\0") if name]


def test_nothing_else_at_the_top() -> None:
    assert {path.parts[0] for path in tracked()} <= TOP


def test_a_clone_stays_small() -> None:
    sizes = {path: (ROOT / path).stat().st_size / 1e6 for path in tracked() if (ROOT / path).is_file()}
    assert {path: size for path, size in sizes.items() if size > 25} == {}, "files over 25 MB"
    assert sum(sizes.values()) < 120, "MB in all"
