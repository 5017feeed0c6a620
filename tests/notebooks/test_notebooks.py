"""Lint of the notebooks: what is committed is executed, small, readable, offline and accessible.

`lint` returns every complaint about one notebook; the planted mistakes below prove that it can complain.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from nbval.plugin import get_sanitize_patterns
from private_names import private_names

from dlmone_lite.files import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
BADGE = re.compile(r"colab\.research\.google\.com/github/([\w.-]+/[\w.-]+)/blob/main/notebooks/([\w.-]+)")
FETCH = re.compile(r"https?://|^\s*!|^\s*%pip|\b(urlopen|urllib|wget|curl)\b|\brequests\.", re.MULTILINE)
MACHINE_PATH = re.compile(r"(?<![\w.:/])/(home|root|Users|tmp|opt|mnt|work)/\w")
RELAXED = {"nbval-skip", "nbval-ignore-output"}
RELAXED_COMMENT = re.compile(r"#\s*(NBVAL_SKIP|NBVAL_IGNORE_OUTPUT|PYTEST_VALIDATE_IGNORE_OUTPUT)")

# What is not prose: code, formulas, pictures, where links lead, HTML's tags.
NOT_PROSE = re.compile(
    r"```.*?```|`[^`\n]+`|\$\$.*?\$\$|\$[^$]+\$|!\[[^\]]*\]\([^)]*\)|(?<=\])\([^)]*\)|https?://\S+|<[^>\n]+>",
    re.DOTALL,
)
WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")  # letters; "one-step" and "SiD's" are one word each


class Images(HTMLParser):
    """Collects the alt text of every <img> and notices <svg>."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.alts: list[str] = []
        self.svg = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.alts.append((dict(attrs).get("alt") or "").strip())
        self.svg |= tag == "svg"


def filled_code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def is_colab_cell(cell: NotebookNode) -> bool:
    return "google.colab" in cell.source


def is_relaxed(cell: NotebookNode) -> bool:
    """Whether the comparison skips this cell or ignores its output."""
    return bool(RELAXED & set(cell.metadata.get("tags", [])) or RELAXED_COMMENT.search(cell.source))


def structure(notebook: NotebookNode, name: str) -> Iterator[str]:
    """Format, size of the cells, execution counts, badge."""
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as error:
        yield f"not a valid notebook: {error.message}"
    if "widgets" in notebook.metadata:
        yield "metadata.widgets is there: strip it, GitHub refuses to render the notebook with it"
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        yield "the kernel is not python3"
    cells = filled_code_cells(notebook)
    if not 12 <= len(cells) <= 18:
        yield f"{len(cells)} code cells, not 12 to 18"
    if [cell.execution_count for cell in cells] != list(range(1, len(cells) + 1)):
        yield "execution counts do not run 1..n: restart the kernel and run all"
    for cell in cells:
        if len(cell.source.splitlines()) > 25:
            yield f"code cell [{cell.execution_count}] is longer than 25 lines"
    relaxed = sum(is_relaxed(cell) for cell in cells)
    if 10 * relaxed >= len(cells):
        yield f"{relaxed} of {len(cells)} code cells skip or ignore their output: keep it under a tenth"
    first_text = next((cell.source for cell in notebook.cells if cell.cell_type == "markdown"), "")
    if [found for _, found in BADGE.findall(first_text)] != [name]:
        yield f"the first markdown cell needs exactly one Colab badge, for {name}"


def offline(notebook: NotebookNode) -> Iterator[str]:
    """Only the Colab cell may fetch, and it installs neither requirements.txt nor torch."""
    colab = [cell for cell in filled_code_cells(notebook) if is_colab_cell(cell)]
    if len(colab) != 1:
        yield f"{len(colab)} cells mention google.colab, not one"
    for cell in colab:
        for line in cell.source.splitlines():
            if "pip" in line and re.search(r"requirements\.txt|\btorch\b", line):
                yield f"the Colab cell installs what Colab has: {line.strip()}"
    for cell in filled_code_cells(notebook):
        found = FETCH.search(cell.source)
        if found and not is_colab_cell(cell):
            yield f"code cell [{cell.execution_count}] fetches or shells out: {found[0].strip()}"


def outputs(notebook: NotebookNode) -> Iterator[str]:
    """No errors, no bare pictures, every <img> with alt text, no path of somebody's machine."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and ("" in Images(cell.source).alts or "![](" in cell.source):
            yield f"a picture in the text has no alt text: {cell.source[:60]!r}"
        for output in cell.get("outputs", []):
            where = f"code cell [{cell.execution_count}]"
            if output.output_type == "error":
                yield f"{where} ends in an error: {output.ename}"
            data = output.get("data", {})
            if {"image/png", "image/jpeg"} & set(data):
                yield f"{where} shows a bare picture: show it through style.show(fig, alt)"
            images = Images(data.get("text/html", ""))
            if images.svg or "image/svg+xml" in data:
                yield f"{where} shows an SVG, which never compares equal"
            if "" in images.alts:
                yield f"{where} shows an <img> without alt text"
            text = output.get("text", "") + "".join(v for k, v in data.items() if k.startswith("text/"))
            if MACHINE_PATH.search(text):
                yield f"{where} prints a path of the machine it ran on"


def words_of_prose(text: str) -> int:
    """Words a reader reads in a piece of Markdown; numbers and signs are none."""
    return len(WORD.findall(NOT_PROSE.sub(" ", text)))


def measure(notebook: NotebookNode) -> Iterator[str]:
    """Neither a stub nor a textbook; light enough for GitHub's preview and for Colab."""
    words = sum(words_of_prose(cell.source) for cell in notebook.cells if cell.cell_type == "markdown")
    if not 600 <= words <= 1800:
        yield f"{words} words of prose, not 600 to 1,800"
    if (size := len(nbformat.writes(notebook).encode("utf-8"))) >= 1_000_000:
        yield f"{size / 1e6:.1f} MB, not under 1 MB: too heavy for GitHub's preview and for Colab"


def lasting(notebook: NotebookNode) -> Iterator[str]:
    """No private names: the next release of their library may drop them."""
    for cell in filled_code_cells(notebook):
        where = f"code cell [{cell.execution_count}]"
        try:
            tree = ast.parse(TransformerManager().transform_cell(cell.source))
        except SyntaxError as error:
            yield f"{where} is not Python: {error}"
            continue
        for name in private_names(tree, anywhere=True):
            yield f"{where} uses the private name {name}"


def steady(notebook: NotebookNode) -> Iterator[str]:
    """No function is defined twice (a panel above would call the second one); one thread for torch."""
    code = "\n".join(cell.source for cell in filled_code_cells(notebook))
    defined = re.findall(r"^def (\w+)", code, re.MULTILINE)
    yield from (f"{name} is defined twice" for name in sorted(set(defined)) if defined.count(name) > 1)
    if "import torch\n" in code and "torch.set_num_threads(1)" not in code:
        yield "torch has many threads: on a busy machine small networks become ten times slower"


def lint(notebook: NotebookNode, name: str) -> list[str]:
    """Every complaint about a notebook called `name`."""
    checks = (offline, outputs, measure, lasting, steady)
    return [*structure(notebook, name), *(said for check in checks for said in check(notebook))]


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS, "notebooks/ holds no notebook"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_clean(path: Path) -> None:
    assert lint(nbformat.read(path, as_version=nbformat.NO_CONVERT), path.name) == []


def test_a_notebook_has_sixteen_code_cells_on_average() -> None:
    notebooks = [nbformat.read(path, as_version=nbformat.NO_CONVERT) for path in NOTEBOOKS]
    counts = [len(filled_code_cells(notebook)) for notebook in notebooks]
    assert sum(counts) <= 16 * len(counts), counts


def test_repository_address_stands_in_one_place() -> None:
    addresses = {owner for path in NOTEBOOKS for owner, _ in BADGE.findall(path.read_text(encoding="utf-8"))}
    assert len(addresses) == 1, f"the notebooks' badges name these repositories: {sorted(addresses)}"
    (address,) = addresses
    code = [*(ROOT / "dlmone_lite").rglob("*.py"), *(ROOT / "tests").rglob("*.py"), ROOT / "pyproject.toml"]
    places = [path.name for path in code for _ in range(path.read_text(encoding="utf-8").count(address))]
    assert len(places) == 1, f"{address} stands in {places}, not in one place"


# The linter itself: a clean notebook passes, each planted mistake is named.


def clean_notebook() -> NotebookNode:
    badge = "https://colab.research.google.com/github/someone/kit/blob/main/notebooks/00_x.ipynb"
    colab = "import sys\nif 'google.colab' in sys.modules:\n    %pip install -q rouge-score"
    cells = [new_markdown_cell(f"# Title\n[![Open in Colab](badge)]({badge})\n" + "word " * 600)]
    cells += [new_code_cell(colab, execution_count=1), *map(code_cell, range(2, 16))]
    cells[5].outputs = [new_output("display_data", {"text/html": '<img src="data:," alt="loss against t">'})]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel})


def code_cell(count: int) -> NotebookNode:
    return new_code_cell(f"print({count})", execution_count=count)


def plant_output(**data: str) -> Callable[[NotebookNode], None]:
    types = {"html": "text/html", "png": "image/png", "svg": "image/svg+xml", "plain": "text/plain"}
    named = {types[key]: value for key, value in data.items()}
    return lambda notebook: notebook.cells[3].outputs.append(new_output("display_data", named))


def plant_source(cell: int, source: str) -> Callable[[NotebookNode], None]:
    return lambda notebook: notebook.cells[cell].update(source=source)


MISTAKES: list[tuple[str, Callable[[NotebookNode], object]]] = [
    ("not a valid notebook", lambda nb: nb.cells[0].update(id="no id, surely")),
    ("metadata.widgets", lambda nb: nb.metadata.update(widgets={})),
    ("not python3", lambda nb: nb.metadata.pop("kernelspec")),
    ("11 code cells", lambda nb: [nb.cells.pop() for _ in range(4)]),
    ("19 code cells", lambda nb: nb.cells.extend(code_cell(i) for i in range(16, 20))),
    ("counts do not run", lambda nb: nb.cells[4].update(execution_count=None)),
    ("longer than 25", plant_source(4, "\n".join(["x = 1"] * 26))),
    ("under a tenth", lambda nb: [nb.cells[i].metadata.update(tags=["nbval-skip"]) for i in (2, 3)]),
    ("under a tenth", lambda nb: [nb.cells[i].update(source="# NBVAL_IGNORE_OUTPUT\n1") for i in (2, 3)]),
    ("Colab badge", lambda nb: nb.cells[0].update(source=nb.cells[0].source.replace("00_x", "01_y"))),
    ("google.colab", plant_source(1, "pass")),
    ("installs what Colab has", plant_source(1, "# google.colab\n%pip install -r requirements.txt")),
    ("installs what Colab has", plant_source(1, "# google.colab\n%pip install -q torch")),
    ("fetches", plant_source(6, "!wget data")),
    ("fetches", plant_source(6, "text = open_page('https://example.org')")),
    ("no alt text", lambda nb: nb.cells.append(new_markdown_cell("![](figure.png)"))),
    ("no alt text", lambda nb: nb.cells.append(new_markdown_cell("<img src='figure.png'>"))),
    ("ends in an error", lambda nb: nb.cells[3].outputs.append(new_output("error", ename="KeyError"))),
    ("bare picture", plant_output(png="aGk=", plain="<Figure>")),
    ("SVG", plant_output(svg="<svg/>")),
    ("SVG", plant_output(html="<div><svg></svg></div>")),
    ("without alt text", plant_output(html="<img src='data:,'>")),
    ("without alt text", plant_output(html="<img src='data:,' alt=' '>")),
    ("1806 words", lambda nb: nb.cells.append(new_markdown_cell("again " * 1200 + "and in the end more"))),
    ("599 words", lambda nb: nb.cells[0].update(source=nb.cells[0].source.replace("word word", "word", 2))),
    ("1.1 MB", plant_output(plain="x" * 1_100_000)),
    ("private name torch._C", plant_source(6, "import torch as t\nt._C._get_tracing_state()")),
    ("private name torch._dynamo", plant_source(6, "import torch._dynamo")),
    ("private name tqdm.std.tqdm._instances", plant_source(6, "from tqdm.std import tqdm\ntqdm._instances")),
    ("private name pathlib._ignore", plant_source(6, "from pathlib import _ignore")),
    ("private name model._modules", plant_source(6, "model._modules.clear()")),
    ("not Python", plant_source(6, "if 1:")),
    ("read is defined twice", lambda nb: [plant_source(i, "def read(): ...")(nb) for i in (5, 8)]),
    ("torch has many threads", plant_source(6, "import torch\ntorch.set_num_threads(2)")),
    ("path of the machine", plant_output(plain="saved to /home/ada/kit/data")),
]


def test_clean_notebook_has_no_complaint() -> None:
    assert lint(clean_notebook(), "00_x.ipynb") == []


@pytest.mark.parametrize(("complaint", "plant"), MISTAKES)
def test_planted_mistake_is_named(complaint: str, plant: Callable[[NotebookNode], object]) -> None:
    notebook = clean_notebook()
    plant(notebook)
    assert any(complaint in line for line in lint(notebook, "00_x.ipynb"))


COUNTED = {  # Markdown, and the words in it
    "## A one-step student's way": 4,
    "it costs 3.5 of 10 units": 4,
    "see [the paper](https://example.org/a-b) and ![alt text](x.png) <b>bold</b>": 5,
    "`x = f(y)` is $x = f(\\text{why})$, $$\na + b\n$$ then\n```python\nfor i in range(3): pass\n```": 2,
    "| a | table |\n|---|---:|\n| with | words |": 4,
    "5 dollars < 6 dollars, naïve": 3,
}


@pytest.mark.parametrize("text", COUNTED)
def test_words_of_prose_leave_out_what_is_not_prose(text: str) -> None:
    assert words_of_prose(text) == COUNTED[text]


PICTURE = '<img alt="loss" src="data:image/png;base64,AAAA">'
SANITIZED = [  # two outputs, and whether they may stand for each other
    ("took 0.41 s on cpu", "took 12 s on cuda:0", True),
    ("1,204 tokens/s", "88 tokens/s", True),
    ("wrote /home/a/kit/x.json", "wrote /home/b/y/kit/x.json", True),
    ("VBox(children=(HTML(value='1'),))", "VBox(children=(HTML(value='2'),), layout=None)", True),
    (PICTURE, PICTURE.replace("AAAA", "BB=="), True),
    (PICTURE, PICTURE.replace("loss", "bias"), False),
    ("coverage 0.70 -> ~0.67, ~0.59", "coverage 0.70 -> ~0.61, ~0.6", True),
    ("coverage 0.70 -> ~0.67: True", "coverage 0.70 -> ~0.61: False", False),
    ("validity 0.93", "validity 0.92", False),
    ("True after 4 steps", "False after 4 steps", False),
    ("<b>0.5</b><i>1</i>", "<b>0.5</b><i>2</i>", False),
]


@pytest.mark.parametrize(("one", "other", "same"), SANITIZED)
def test_sanitizing_keeps_verdicts(one: str, other: str, same: bool) -> None:
    """Timings, paths and picture bytes may differ between runs; verdicts may not."""
    patterns = get_sanitize_patterns((ROOT / "tests" / "nbval_sanitize.cfg").read_text(encoding="utf-8"))
    for pattern, replacement in patterns:
        one, other = re.sub(pattern, replacement, one), re.sub(pattern, replacement, other)
    assert (one == other) is same


def test_every_notebook_is_compared_strictly(pytestconfig: pytest.Config) -> None:
    """The configuration in force compares all outputs: not the lax mode, not without nbval."""
    options = pytestconfig.option
    assert options.nbval and options.nbval_current_env and not options.nbval_lax
