"""Grammar files: every mistake is refused with its line, what is wrong and what to do."""

from __future__ import annotations

import ast
import inspect
import sys
from pathlib import Path

import pytest

from dlmone_lite.corpora import grammar
from dlmone_lite.corpora.grammar import _Reader, read_grammar
from dlmone_lite.errors import InputError

FRAME = "frame go\n  source to {city} ?\n  target {city} .\n"
GOOD = "world w\nslot city\n  paris\n" + FRAME

MISTAKES = [
    ("world w\nslot city\n\tparis\n", 3, "a tab; indent and separate with spaces"),
    (GOOD + "source a\n", 7, "a source outside a frame; indent it by two spaces below its frame"),
    (GOOD + "fram x\n", 7, "unknown keyword \"fram\" (did you mean 'frame'?); begin with one of: world,"),
    ("world W\n", 1, '"W" is no name for world; use a-z, 0-9 and hyphens'),
    (GOOD + "slot\n", 7, '"" is no name for slot;'),
    (GOOD + "words city\n  x\n", 7, 'a second slot or words "city" (first on line 2); rename or merge them'),
    (GOOD + FRAME, 7, 'a second frame "go" (first on line 4);'),
    (GOOD + "world v\n", 7, "a second world line (first on line 1); keep one"),
    (GOOD + "max-source many\n", 7, '"many" is no max-source; give a number of words, at least 1'),
    (GOOD + "max-target 0\n", 7, '"0" is no max-target;'),
    ("world w\n  paris\n", 2, '"paris" stands outside a block; put it below a slot, words or frame line'),
    ("world w\nslot city\n  paris * 2\n", 3, 'a weight in slot "city"; remove it'),
    ("world w\nwords x\n  * 2\n", 3, "a weight without a word; write the word before the *"),
    ("world w\nwords x\n  a  b\n  a b * 2\n", 4, '"a b" a second time in words "x" (first on line 3);'),
    (GOOD + "  sorce to {city}\n", 7, '"sorce" in frame "go"; begin the line with source or target'),
    (GOOD + "  target * 2\n", 7, "an empty target; write a sentence after it"),
    (GOOD + "  source\n", 7, "an empty source;"),
    (GOOD + "  target * 2 {city}  .\n", 7, "the same target a second time (first on line 6); remove one"),
    *(
        (GOOD + f"  target * {weight} a\n", 7, f'"{weight}" is no weight; write a number from 1e-6')
        for weight in ("0", "-1", "nan", "inf", "two", "2x")
    ),
    (
        GOOD
        + "words x\n"
        + "".join(f"  w{i}\n" for i in range(20))
        + "frame f\n  source s\n  target {x} {x} {x} {x}\n",
        30,
        "160,000 different sentences by one line, at most 50,000 are allowed; use fewer words",
    ),
    ("world w\nwords x\n  a *\n", 3, '"" is no weight;'),
    (GOOD + "  target Hello\n", 7, 'upper case in "Hello"; write it in lower case'),
    (GOOD + "  target hello?\n", 7, 'unsupported characters in "hello?"; use a-z, 0-9, \' and -, and'),
    (GOOD + "  target {city}s\n", 7, 'unsupported characters in "{city}s";'),
    (GOOD + "  target {} a\n", 7, 'unsupported characters in "{}";'),
    ("world w\nslot city\n  {town}\n", 3, 'unsupported characters in "{town}";'),
    (FRAME, 1, "no world line; begin the file with: world NAME"),
    ("world w\n", 1, "no frame; add a frame with a source and a target"),
    ("slot day\n" + GOOD, 1, 'slot "day" has no filler; write one below it, indented'),
    (GOOD + "words x\n", 7, 'words "x" has no filler;'),
    ("world w\nframe go\n  target a\n", 2, 'frame "go" has no source; write a source below it'),
    ("world w\nframe go\n  source a\n", 2, 'frame "go" has no target; write a target below it'),
    (GOOD + "  target {ctiy}\n", 7, "unknown slot or words {ctiy} (did you mean 'city'?); define it"),
    (
        GOOD + "max-target 3\nwords x\n  a\n  b c\nframe f\n  source s\n  target {x} {x} .\n",
        13,
        'the target can grow to 5 words, over the limit of 3: "b c b c ."; shorten it or raise max-target',
    ),
    (GOOD + "max-source 2\n", 5, 'the source can grow to 3 words, over the limit of 2: "to paris ?";'),
    (
        GOOD + "slot day\n  x\nframe f\n  source s\n  target {day}\n",
        11,
        "the target uses {day}, the source on line 10 does not; add it to the source or remove it here",
    ),
    (
        GOOD + "slot day\n  x\nframe f\n  source s {day}\n  source s\n  target t\n",
        11,
        'the source lacks {day}, which other sources of frame "f" hold; add it, or make it words',
    ),
]


@pytest.mark.parametrize(("text", "line", "message"), MISTAKES)
def test_every_mistake_is_named_with_its_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    path = tmp_path / "bad.grammar"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_grammar(path)
    said = str(caught.value)
    assert said.startswith(f"{path}:{line}: {message}") and "; " in said and "\n" not in said


def test_every_check_of_a_grammar_has_its_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No check in grammar.py stays untested: each call of `fail` and `once` refuses one of the above."""
    refused: set[int] = set()
    fail = _Reader.fail

    def recorded(self: _Reader, *said: object) -> None:
        caller = sys._getframe(1)
        if caller.f_code.co_name == "once":
            caller = caller.f_back
        refused.add(caller.f_lineno)
        fail(self, *said)

    monkeypatch.setattr(_Reader, "fail", recorded)
    for number, (text, _, _) in enumerate(MISTAKES):
        (tmp_path / f"{number}.grammar").write_text(text, encoding="utf-8")
        with pytest.raises(InputError):
            read_grammar(tmp_path / f"{number}.grammar")
    tree = ast.parse(inspect.getsource(grammar))
    once = next(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "once")
    inside = range(once.lineno, once.end_lineno + 1)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.lineno not in inside]
    checks = [call for call in calls if getattr(call.func, "attr", "") in ("fail", "once")]
    assert len(checks) >= 20
    for call in checks:
        assert refused & set(range(call.lineno, call.end_lineno + 1)), f"line {call.lineno} is untested"


def test_good_file_with_windows_habits(tmp_path: Path) -> None:
    path = tmp_path / "w.grammar"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert read_grammar(path).slots == {"city": ["paris"]}


def test_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "w.grammar").write_bytes(b"world w\xff\n")
    with pytest.raises(InputError, match="this is not UTF-8 text; save the file as UTF-8"):
        read_grammar(tmp_path / "w.grammar")
