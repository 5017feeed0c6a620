"""The instructor's guide and the notation sheet tell the truth about the notebooks and the code.

INSTRUCTORS.md: `## NN title · M minutes` is the section of notebook NN, M the minutes that its first cell
names. In a section
- `- *Point.*` and the other PARTS start an entry, each once;
- [n] `code`: the code cell with execution count n holds this code; a bare [n] is refused;
- **words** are a panel's title, a control's label or a button there; "section n" is one of its headings;
- `≈ 0.97` is a number of that notebook's committed outputs;
- `NN.a`: b is the right letter, `name`: "value" a prediction and what the outputs reveal, `solution("NN.1")`
  an exercise; all of the notebook, none missing;
- no other code.
Elsewhere code occurs in the README, the notebooks or the package, or is a path or a command; **words.** with a full stop
are a lead-in, others as above. Plans are tables whose minutes join up to the number that stands above them.

NOTATION.md: each row of a table has `file.py: name`, defined in that file, and a line of that definition.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import json
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import pytest

from dlmone_lite.__main__ import parser
from dlmone_lite.errors import InputError
from dlmone_lite.exercises import kinds
from dlmone_lite.exercises.ask import seal
from dlmone_lite.files import ROOT

PACKAGE, FOLDER = ROOT / "dlmone_lite", ROOT / "notebooks"
GUIDE = (FOLDER / "INSTRUCTORS.md").read_text(encoding="utf-8")
NOTATION = (FOLDER / "NOTATION.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
PARTS = ("Point", "Ask first", "Demo", "What goes wrong", "Answers", "If it breaks")
BUTTONS = {"Start", "Stop", "Reset"}
SYMBOLS = (
    r"x_t$ x_0$ \alpha_t \sigma_t \hat x_0 score $t_\text{init} \phi$ \theta$ \psi$ \mu$ $b_d $b_g $w$ "
    r"$L_\psi $L_\theta $D(x_t)$ NFE TV floor excess coverage validity"
).split()


class Notebook:
    """What the guide may speak of: code cells by count, all code and text, everything that is printed."""

    def __init__(self, path: Path):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        of = {kind: [c for c in cells if c["cell_type"] == kind] for kind in ("code", "markdown")}
        self.cells = {c["execution_count"]: "".join(c["source"]) for c in of["code"]}
        self.code = "\n".join(self.cells.values())
        lesson = PACKAGE / "lessons" / f"nb{path.name[:2]}.py"
        self.lesson = lesson.read_text(encoding="utf-8") if lesson.is_file() else ""
        self.text = "\n".join("".join(c["source"]) for c in of["markdown"])
        self.printed = "\n".join(printed(output) for c in of["code"] for output in c["outputs"])

    @cached_property
    def labels(self) -> set[str]:
        """Titles of panels, labels of controls, names of buttons, here and in the notebook's lesson."""
        code = self.code + self.lesson
        made = re.findall(r"(?:slider|choice|switch|Panel)\(\s*\"([^\"]+)\"", code)
        actions = " ".join(re.findall(r"actions=\{(.*?)\}", code, re.DOTALL))
        buttons = BUTTONS if "LivePanel(" in code else {"Reset"}
        return {*made, *re.findall(r"\"([^\"]+)\":", actions), *buttons}

    @cached_property
    def predictions(self) -> dict[str, str]:
        """Variables that wait for a guess, and the questions that they are asked."""
        asked = re.findall(r"^(\w+) = predict\((.*?)\)$", self.code, re.MULTILINE | re.DOTALL)
        return {
            name: ast.literal_eval(f"({arguments.strip().rstrip(chr(44))},)")[0] for name, arguments in asked
        }


def printed(output: dict) -> str:
    """Text of an output: streams, and HTML without its tags but with the pictures' alt texts."""
    html = "".join(output.get("data", {}).get("text/html", ""))
    alts = " ".join(re.findall(r'alt="([^"]*)"', html))
    plain = "".join(output.get("data", {}).get("text/plain", ""))
    return " ".join(["".join(output.get("text", "")), alts, re.sub(r"<[^>]*>", " ", html), plain])


NOTEBOOKS = {path.name[:2]: Notebook(path) for path in sorted(FOLDER.glob("*.ipynb"))}
ALL_CODE = "\n".join([README, *(n.code + n.text for n in NOTEBOOKS.values())])
ALL_CODE += "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
ALL_LABELS = set().union(*(n.labels for n in NOTEBOOKS.values()))


def differ(what: str, said: list[str], there: set[str]) -> Iterator[str]:
    if sorted(said) != sorted(there):
        yield f"{what}: the guide has {sorted(said)}, the notebook {sorted(there)}"


def answers(number: str, section: str, notebook: Notebook) -> Iterator[str]:
    """Letters, predictions, solutions."""
    known = kinds.of_notebook(number)
    letters = dict(re.findall(r"`(\d\d\.[a-z])`: ([a-z])\b", section))
    right = {n: e.solution[-2] for n, e in known.items() if n[-1].isalpha()}
    yield from differ("questions", list(letters), set(right))
    yield from (f"{n} is not {x}" for n, x in letters.items() if right.get(n, x) != x)
    solved = re.findall(r'`solution\("([^"]+)"\)`', section)
    yield from differ("exercises", solved, set(known) - set(right))
    guesses = re.findall(r'`(\w+)`: "([^"]+)"', section)
    yield from differ("predictions", list({name for name, _ in guesses}), set(notebook.predictions))
    for name, value in guesses:
        sealed = seal(notebook.predictions.get(name, ""), value)
        revealed = sealed if f"reveal({name}" in notebook.code else value
        if revealed not in notebook.printed:
            yield f"{name}: the outputs do not reveal {value}"


def of_section(number: str, section: str, notebook: Notebook) -> Iterator[str]:
    """Complaints about the section of one notebook."""
    yield from differ("parts", [p for p in re.findall(r"^- \*([^*]+)\.\*", section, re.M) if p in PARTS],
                      set(PARTS))  # fmt: skip
    for count, code in re.findall(r"\[(\d+)\](?!\()(?: `([^`]+)`)?", section):
        if not code or code not in notebook.cells.get(int(count), ""):
            yield f"cell [{count}] does not hold {code or 'anything named'}"
    yield from (f"no panel has {b!r}" for b in re.findall(r"\*\*([^*]+)\*\*", section)
                if b not in notebook.labels)  # fmt: skip
    for value in re.findall(r"≈ (-?\d+(?:\.\d+)?)", section):
        if not re.search(rf"(?<![\d.]){re.escape(value)}(?!\d|\.\d)", notebook.printed):
            yield f"≈ {value} is in no output"
    if re.search(r"≈(?! -?\d)", section):
        yield "≈ without a number"
    for place in re.findall(r"section (\d+)", section):
        if f"## {place}. " not in notebook.text:
            yield f"there is no section {place}"
    yield from answers(number, section, notebook)
    rest = re.sub(r"\[\d+\] `[^`]+`", "", section)
    known = kinds.of_notebook(number)
    fine = {*known, *notebook.predictions, *(f'solution("{n}")' for n in known)}
    yield from (f"unchecked code {c}" for c in re.findall(r"`([^`]+)`", rest) if c not in fine)


def is_command(code: str) -> bool:
    """Whether `python -m ...` names a module that is there and, if it is the kit, options that it has."""
    words = code.split()
    if words[:2] != ["python", "-m"] or importlib.util.find_spec(words[2]) is None:
        return False
    if words[2] == "dlmone_lite":
        with contextlib.suppress(InputError):
            return bool(parser().parse_args(words[3:]))
        return False
    return True


def elsewhere(text: str) -> Iterator[str]:
    """Complaints about the parts that belong to no notebook."""
    for code in re.findall(r"`([^`]+)`", text):
        path = code.removeprefix("git checkout -- ")
        known = code in ALL_CODE or (ROOT / path).exists() or is_command(code)
        if code != "≈" and not known:
            yield f"unknown code {code}"
    for bold in re.findall(r"\*\*([^*]+)\*\*", text):
        if not bold.endswith(".") and bold not in ALL_LABELS:
            yield f"no panel has {bold!r}"
    if re.search(r"≈ \d", text):
        yield "a number of no notebook"


def plan(text: str) -> Iterator[str]:
    """The minutes of one plan join up, and its notebooks exist."""
    rows = re.findall(r"^\| (\d+)–(\d+) \| *(\d*) *\|", text, re.MULTILINE)
    ends = [0, *(int(end) for _, end, _ in rows)]
    total = int(re.search(r"(\d+) minutes", text)[1])
    if [int(start) for start, _, _ in rows] != ends[:-1] or ends[-1] != total:
        yield f"minutes do not join up to {total}"
    yield from (f"no notebook {n}" for _, _, n in rows if n and n not in NOTEBOOKS)


def links(text: str) -> Iterator[str]:
    for link in re.findall(r"\]\(([^)]+)\)", text):
        if not link.startswith("https://") and not (FOLDER / link).is_file():
            yield f"the link {link} leads nowhere"


def guide(text: str) -> list[str]:
    """Every complaint about the guide."""
    found = list(links(text))
    heads = []
    for part in re.split(r"^## ", text, flags=re.MULTILINE):
        head = re.match(r"(\d\d) .*?(\d+) minutes\n", part)
        if not head:
            found += [*elsewhere(part), *(plan(part) if part.startswith("Plan") else [])]
        elif head[1] in NOTEBOOKS:
            notebook = NOTEBOOKS[head[1]]
            if f"about {head[2]} minutes" not in notebook.text:
                found.append(f"{head[1]} does not take {head[2]} minutes")
            found += [f"{head[1]}: {line}" for line in of_section(head[1], part, notebook)]
        heads += [head[1]] if head else []
    found += differ("sections", heads, set(NOTEBOOKS))
    words = len(re.findall(r"[^\s|]*\w[^\s|]*", text))
    return found + ([f"{words} words: too long to be read"] if words > 2500 * len(NOTEBOOKS) / 6 else [])


def definition(tree: ast.AST, name: str) -> ast.AST | None:
    """The node that defines the dotted name."""
    for part in name.split("."):
        for node in ast.iter_child_nodes(tree):
            targets = getattr(node, "targets", [getattr(node, "target", None)])
            if getattr(node, "name", None) == part or part in [getattr(t, "id", None) for t in targets]:
                break
        else:
            return None
        tree = node
    return tree


def notation(text: str) -> list[str]:
    """Every complaint about the sheet."""
    found = list(links(text))
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    rows = [row for row in rows if row[0] != "symbol" and not row[0].startswith("---")]
    found += [f"no row for {s}" for s in SYMBOLS if not any(s in row[0] for row in rows)]
    found += [f"the row of {row[0]} names no code" for row in rows if not re.search(r"`\S+\.py: ", row[-2])]
    for file, name, line in re.findall(r"`(\S+\.py): ([\w.]+)`(?: \| `([^`]+)`)?", text):
        source = (PACKAGE / file).read_text(encoding="utf-8") if (PACKAGE / file).is_file() else ""
        node = definition(ast.parse(source), name)
        body = " ".join((node and ast.get_source_segment(source, node) or "").split())
        if not node:
            found.append(f"{file} defines no {name}")
        elif line not in body:
            found.append(f"{file}: {name} has no line {line}")
    return found


def test_the_guide_is_true() -> None:
    assert guide(GUIDE) == []


def test_the_notation_is_true() -> None:
    assert notation(NOTATION) == []


def test_both_are_linked_from_readme_and_map() -> None:
    for name in ("INSTRUCTORS.md", "NOTATION.md"):
        assert f"(notebooks/{name})" in README and f"({name})" in NOTEBOOKS["00"].text


# The checks can fail: each planted mistake is named.

MISTAKES = [  # what stands there, what is put in its place, what must be complained about
    ("## 02 Sentences in space ·", "## 12 Sentences in space ·", "sections: "),
    ("40 minutes", "35 minutes", "01 does not take 35 minutes"),
    ("(NOTATION.md)", "(NOTATIONS.md)", "leads nowhere"),
    ("- *Point.* A noisy", "- *Pointe.* A noisy", "02: parts: "),
    ("[8] `reveal`", "[9] `reveal`", "cell [9] does not hold reveal"),
    ("[8] `reveal`", "[8]", "cell [8] does not hold anything"),
    ("**A line of words**", "**A row of words**", "01: no panel has 'A row of words'"),
    ("**teacher's calls**", "**teacher's steps**", "00: no panel has"),
    ("**Start** in **Train", "**Go** in **Train", "03: no panel has 'Go'"),
    ("≈ 91 of 100", "≈ 96 of 100", "00: ≈ 96 is in no output"),
    ("≈ 91 of 100", "≈ many of 100", "≈ without a number"),
    ("out section 3", "out section 33", "01: there is no section 33"),
    ("`04.b`: b", "`04.b`: a", "04.b is not a"),
    ("`04.b`: b", "", "04: questions: "),
    ('`solution("05.3")`', '`solution("05.4")`', "05: exercises: "),
    ('`guess_mu`: "0.5"', '`guess_mu`: "0.7"', "guess_mu: the outputs do not reveal 0.7"),
    ('`guess_factor`: "6.7".', "", "02: predictions: "),
    ("one linear head on", "one linear `hat` on", "05: unchecked code hat"),
    ("`DLMONE_BUDGET=full`", "`DLMONE_BUGDET=full`", "unknown code DLMONE_BUGDET=full"),
    ("lie in `data/`", "lie in `dates/`", "unknown code dates/"),
    ("dlmone_lite assignment 04", "dlmone_lite assign 04", "unknown code python -m dlmone_lite assign 04"),
    ("**Reset** brings", "**Restart** brings", "no panel has 'Restart'"),
    ("| 12–20 |", "| 13–20 |", "minutes do not join up to 50"),
    ("| 45–50 | 06 |", "| 45–50 | 16 |", "no notebook 16"),
    ("With more time:", "With more time: " + 999 * "word ", "too long"),
]


@pytest.mark.parametrize(("old", "new", "complaint"), MISTAKES)
def test_a_planted_mistake_in_the_guide_is_named(old: str, new: str, complaint: str) -> None:
    assert old in GUIDE, "the guide has changed: plant another mistake"
    assert any(complaint in line for line in guide(GUIDE.replace(old, new, 1)))


SLIPS = [
    ("`sid.py: sid_loss`", "`sids.py: sid_loss`", "sids.py defines no sid_loss"),
    ("`sid.py: sid_loss`", "`sid.py: sid_lost`", "sid.py defines no sid_lost"),
    ("DistillConfig.t_init", "DistillConfig.t_start", "distill.py defines no DistillConfig.t_start"),
    ("t_init: int = 1490", "t_init: int = 1500", "has no line t_init: int = 1500"),
    ("`sid.py: sid_loss`", "the loss", "names no code"),
    ("| excess |", "| surplus |", "no row for excess"),
]


@pytest.mark.parametrize(("old", "new", "complaint"), SLIPS)
def test_a_planted_mistake_in_the_notation_is_named(old: str, new: str, complaint: str) -> None:
    assert old in NOTATION, "the sheet has changed: plant another mistake"
    assert any(complaint in line for line in notation(NOTATION.replace(old, new, 1)))


EXERCISES = [
    exercise for number in kinds.numbers() for exercise in kinds.of_notebook(number).values() if exercise.time
]


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_notebook_and_guide_tell_how_long_an_exercise_takes(exercise: kinds.Exercise) -> None:
    (path,) = FOLDER.glob(f"{exercise.name[:2]}_*.ipynb")
    assert re.fullmatch(r"\d+ minutes, (warm-up|core|stretch)", exercise.time)
    told = f"Exercise {exercise.name} · {exercise.time}"
    assert Notebook(path).text.count(told) == 1, f"{path.name} should announce {told!r}"
    level = exercise.time.partition(", ")[2]
    assert f"| {exercise.name} | {exercise.minutes} | {level} | {exercise.aim} |" in GUIDE.splitlines()
