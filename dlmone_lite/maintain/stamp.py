"""`python -m dlmone_lite.maintain.stamp`: the repository's address, into README and every notebook.

By hand the address is written in pyproject.toml alone. A notebook opened on Colab has no package beside it,
so its badge and its set-up cell carry the address in full; README gets a badge once there is an address. For
a fork, `stamp https://github.com/me/kit` writes that one into pyproject.toml first. No other byte changes.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from dlmone_lite.errors import InputError
from dlmone_lite.files import ROOT, write_text, write_together

PROJECT, NOTEBOOKS = ROOT / "pyproject.toml", ROOT / "notebooks"
UNSTAMPED = "OWNER"  # who owns the address before the first stamp
ADDRESS = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+)")
LINE = re.compile(r'^Repository = "([^"]*)"$', re.MULTILINE)
BADGE = re.compile(r"(colab\.research\.google\.com/github/)[^/\s]+/[^/\s]+(/blob/main/notebooks/[\w.-]+)")
README_BADGE = re.compile(r"^.*(<!-- Colab badge, .*-->)$", re.MULTILINE)
BADGE_TEXT = (
    "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
    "(https://colab.research.google.com/github/{owner}/blob/main/notebooks/00_start_here.ipynb) "
)
MARK = "google.colab"  # what a set-up cell mentions and no other cell does
# The first code cell of every notebook.
SETUP = """import sys

if "google.colab" in sys.modules:  # on Colab: fetch the kit and what Colab lacks; elsewhere nothing happens
    !test -d kit || git clone -q --depth 1 {address} kit
    %pip install -q rouge-score
    sys.path.insert(0, "kit")"""


def _owner(address: str) -> str:
    """`owner/name` of an address, if Colab can open notebooks from it."""
    if not (found := ADDRESS.fullmatch(address)) or address.endswith(".git"):
        raise InputError(f"{address!r} is no address like https://github.com/owner/name; give one like it")
    return found[1]


def address(project: Path = PROJECT) -> str:
    """The repository's address, from pyproject.toml."""
    found = LINE.findall(project.read_text(encoding="utf-8"))
    if len(found) != 1:
        raise InputError(f'{project.name} needs one line `Repository = "https://github.com/owner/name"`')
    _owner(found[0])
    return found[0]


def set_address(new: str, project: Path = PROJECT) -> None:
    """Write another address into pyproject.toml."""
    address(project)  # the line is there
    _owner(new)
    write_text(project, LINE.sub(f'Repository = "{new}"', project.read_text(encoding="utf-8")))


def stamped(text: str, address: str, name: str) -> str:
    """The text of the notebook called `name` with this address in its badge and set-up cell."""
    notebook, written = json.loads(text), partial(json.dumps, ensure_ascii=False, indent=1)
    if written(notebook) + "\n" != text:  # writing it would change more than was asked for
        raise InputError(f"{name} is not laid out as Jupyter writes notebooks; open and save it there once")
    texts = [cell for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    setups = [cell for cell in code if MARK in "".join(cell["source"])]
    opening = "".join(texts[0]["source"]) if texts else ""
    if len(BADGE.findall(opening)) != 1 or len(setups) != 1:
        raise InputError(f"{name} needs one Colab badge in its first text and one cell that mentions {MARK}")
    opening = BADGE.sub(lambda found: f"{found[1]}{_owner(address)}{found[2]}", opening)
    texts[0]["source"] = opening.splitlines(keepends=True)
    setups[0]["source"] = SETUP.format(address=address).splitlines(keepends=True)
    return written(notebook) + "\n"


def stamped_readme(text: str, address: str) -> str:
    """README's text with the Colab badge of this address, without any while the address is not stamped."""
    if len(README_BADGE.findall(text)) != 1:
        raise InputError("README.md needs one line that ends in <!-- Colab badge, ... -->; put it back")
    owner = _owner(address)
    badge = "" if owner.startswith(f"{UNSTAMPED}/") else BADGE_TEXT.format(owner=owner)
    return README_BADGE.sub(lambda mark: badge + mark[1], text)


def stamp(folder: Path = NOTEBOOKS, project: Path = PROJECT) -> list[Path]:
    """Stamp every notebook of a folder and the README beside pyproject.toml; returns those that changed.

    All are read and checked before the first is written: a mistake leaves every file as it was.
    """
    where, readme, new = address(project), project.with_name("README.md"), {}
    for path in [*sorted(folder.glob("*.ipynb")), readme]:
        text = path.read_bytes().decode("utf-8")
        after = stamped_readme(text, where) if path == readme else stamped(text, where, path.name)
        if after != text:
            new[path] = after.encode("utf-8")
    write_together(new)
    return list(new)


def main(argv: Sequence[str] | None = None) -> int:
    """Stamp all notebooks; with an address, write it into pyproject.toml first."""
    parser = argparse.ArgumentParser(prog="python -m dlmone_lite.maintain.stamp", description=__doc__)
    parser.add_argument("address", nargs="?", help="default: the one in pyproject.toml")
    new = parser.parse_args(argv).address
    try:
        if new is not None:
            set_address(new, PROJECT)
        changed = stamp(NOTEBOOKS, PROJECT)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for path in changed:
        print(f"stamped: {path.name}")
    print(f"{address(PROJECT)}: {len(changed)} files changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
