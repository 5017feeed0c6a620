"""The house rules that a machine can check: rooms, imports, sizes, dependencies, words."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

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

# From the ground up; a room imports from rooms before it only. A folder is one room (its files may import
# each other); a file whose name goes on after the room's, like figures_04.py, stands in `figures` as well.
ROOMS = """
    errors precision parallel schedule tweedie text layout exact grammar worldcheck worlds corpora metrics nearest model bert rounding sample
    checkpoint muon updates training pairs teacher sid adversarial pool warmstart sharpen distill speed memory toy2d bayes degeneration lateness records scoreboard zoo generate pocket lab clinic cause
    detectors sweeps atlas
    plots figures widgets live exercises cli __main__
""".split()

# Imported when a module is loaded; whatever else is needed is imported where it is used.
EAGER = {"torch", "safetensors"}
HEAVY = {"datasets", "transformers", "tokenizers", "matplotlib", "pandas", "nltk", "ipywidgets", "tqdm"}
# Packages that come with a declared one, by the name they are imported under.
COME_WITH = {"IPython": "ipykernel", "numpy": "matplotlib", "huggingface_hub": "datasets"}
COME_WITH |= {"jupyter_client": "ipykernel", "jupyter_core": "ipykernel", "packaging": "matplotlib"}
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
    """The room of `worlds`, `cli.train` or `figures_04.loss`."""
    first = dotted.split(".")[0]
    owners = [name for name in ROOMS if first == name or first.startswith(f"{name}_")]
    assert owners, f"{first!r} has no place in ROOMS: say in this test on what it stands"
    return max(owners, key=len)


def rank(path: Path) -> int:
    """Where a file stands; the package's own __init__ may import every room and nobody imports from it."""
    name = path.relative_to(PACKAGE).with_suffix("").parts[0]
    return len(ROOMS) if name == "__init__" else ROOMS.index(room(name))


def upward(path: Path, tree: ast.Module) -> list[str]:
    """Imports of `tree`, standing at `path`, that do not point downward."""
    inside = [name.split(".", 1)[1] for name in imports(tree, deep=True) if name.startswith("dlmone_lite.")]
    alone = path.parent == PACKAGE and path.stem in ROOMS  # nobody else is in the room
    return [name for name in inside if ROOMS.index(room(name)) + alone > rank(path)]


@ids
def test_imports_point_downward(path: Path) -> None:
    assert upward(path, parse(path)) == []


def test_an_upward_import_is_noticed() -> None:
    tree = ast.parse(
        "def f():\n    from dlmone_lite.widgets import Panel\nfrom dlmone_lite import errors, model"
    )
    assert upward(PACKAGE / "model.py", tree) == ["widgets.Panel", "model"]
    assert upward(PACKAGE / "cli" / "common.py", tree) == []
    assert upward(PACKAGE / "widgets_more.py", tree) == []
    assert upward(PACKAGE / "widgets.py", tree) == ["widgets.Panel"]
    with pytest.raises(AssertionError, match="no place in ROOMS"):
        upward(PACKAGE / "model.py", ast.parse("from dlmone_lite import __version__"))


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
    modules = [
        f"dlmone_lite.{name}" for name in ROOMS if (PACKAGE / f"{name}.py").exists() and name != "__main__"
    ]
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
    assert len(lines) < 250, f"{len(lines)} lines"
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
        "import torch.nn as nn\nfrom datasets._x import y\nfrom dlmone_lite.grammar import _Reader\n"
        "nn._f()\nnn.Linear._g\n_Reader._h\nself._own\ny.__doc__"
    )
    assert private_names(tree) == ["datasets._x.y", "torch.nn.Linear._g", "torch.nn._f"]
    assert private_names(tree, anywhere=True) == sorted([*private_names(tree), "_Reader._h"])


def test_every_room_has_a_test() -> None:
    tests = {path.stem.removeprefix("test_") for path in (ROOT / "tests").glob("test_*.py")}
    rooms = {room(path.stem) for path in PACKAGE.glob("[a-z]*.py")}
    assert {name for name in rooms if not any(f"{test}_".startswith(f"{name}_") for test in tests)} == set()


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
