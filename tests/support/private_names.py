"""Which private names of other libraries a piece of code uses: names that may go with any release."""

from __future__ import annotations

import ast
from collections.abc import Iterator

OURS = "dlmone_lite"


def private(name: str) -> bool:
    """`_name`, but neither `__version__` nor the `_` of a loop."""
    return name.startswith("_") and not name.endswith("__") and name != "_"


def _foreign(dotted: str) -> bool:
    return dotted.split(".")[0] not in (OURS, "__future__")


def _imported(tree: ast.AST) -> dict[str, str]:
    """{name in the code: dotted name of what it stands for}, for what other libraries gave."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                whole = alias.name if alias.asname else alias.name.split(".")[0]
                names[alias.asname or whole] = whole
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return {name: dotted for name, dotted in names.items() if _foreign(dotted)}


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def private_names(tree: ast.AST, anywhere: bool = False) -> list[str]:
    """Private names imported from other libraries, or reached through their modules and classes, sorted.

    A reader of the text alone cannot know the class of every object. `anywhere` therefore takes every private
    attribute for one too many, whatever it is read from, except from `self` and `cls`.
    """
    found = {name for name in _imports(tree) if _foreign(name) and any(map(private, name.split(".")))}
    imported = _imported(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or not private(node.attr):
            continue
        root, *_ = ast.unparse(node).partition(".")
        if root in imported:
            found.add(ast.unparse(node).replace(root, imported[root], 1))
        elif anywhere and root not in ("self", "cls"):
            found.add(ast.unparse(node))
    return sorted(found)
