"""Exercises of notebook 09: does it carry over to real text?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

from dlmone_lite.exercises import Exercise, Wrong, ask, question
from dlmone_lite.exercises._ratio import check_interval

# ---- 09.1

KEYS = ("kept", "repeated", "empty", "long source", "long target")
Pair = tuple[str, str]
ROWS: tuple[Pair, ...] = (
    ("a b c", "x y"),
    ("a b c d", "x"),  # fills its room, and [SEP] needs one
    ("a b", "x y z w"),
    ("a b c d e", "x y z w v"),  # both are too long: one row all the same
    *[("a b c", "x y"), ("a b c", "y x")],  # the pair again; the source again, with another target
    ("", "x"),
    ("a b c d", "x"),  # what was not kept is not repeated
    *[("b", "y")] * 2,
)


def size(text: str) -> int:
    """Pieces of a text of the exercise: its words."""
    return len(text.split())


def count_rows(
    rows: Sequence[Pair],
    room: int = 4,
    spare: int = 1,
    known: Callable[[Pair], Any] = tuple,
    refused: bool = False,
) -> dict[str, int]:
    """What becomes of each row, counted where it fails first; the last three make it wrong."""
    counts, seen = dict.fromkeys(KEYS, 0), set()
    for row in rows:
        sizes = [size(text) for text in row]
        if known(row) in seen:
            what = "repeated"
        elif not all(sizes):
            what = "empty"
        else:
            long = [n + spare > room for n in sizes]
            what = "long source" if long[0] else "long target" if long[1] else "kept"
        counts[what] += 1
        if what == "kept" or refused:
            seen.add(known(row))
    return counts


WRONG_COUNTS: dict[str, dict[str, Any]] = {
    "A side that fills its room exactly does not fit: [SEP] stands after it.": {"spare": 0},
    "A source may have several targets: only the same pair is repeated.": {"known": lambda row: row[0]},
    "Repeated is a pair that was kept before; one that was refused fails once more.": {"refused": True},
}


def _check_filter(answer: Any) -> None:
    got, right = ask(answer, list(ROWS), size, 4), count_rows(ROWS)
    if not isinstance(got, dict) or set(got) != set(KEYS):
        raise Wrong(f"Return a dictionary with the keys {', '.join(KEYS)}.")
    total = sum(got.values())
    if total > len(ROWS):
        raise Wrong(f"{total} rows are told of, {len(ROWS)} came in: a row that fails twice counts once.")
    if total < len(ROWS):
        raise Wrong(f"{len(ROWS)} rows came in, {total} are told of: what you drop, count.")
    for feedback, mistake in WRONG_COUNTS.items():
        if got == count_rows(ROWS, **mistake):
            raise Wrong(feedback)
    for name in KEYS:
        if got[name] != right[name]:
            raise Wrong(f"Of {len(ROWS)} rows {right[name]} should be {name!r}, yours has {got[name]}.")


FILTER = """
def my_filter(rows, size, room):
    counts = {"kept": 0, "repeated": 0, "empty": 0, "long source": 0, "long target": 0}
    seen = set()
    for source, target in rows:
        if (source, target) in seen:
            what = "repeated"
        elif not size(source) or not size(target):
            what = "empty"
        elif size(source) >= room:
            what = "long source"
        elif size(target) >= room:
            what = "long target"
        else:
            what = "kept"
            seen.add((source, target))
        counts[what] += 1
    return counts
"""

# ---- 09.2

SOURCES = ["How old is it?", "Is it OK?", "Why, though?"]
OUTPUTS = [
    ["how old is it ?", "how old is it ?", "what is its age ?", "how old is it ? really ?"],
    ["is it good ?", "is it fine ?", "is it ok ?", "is it okay ?"],
    ["what for ?", "what for ?", "why ?", "how so ?"],
]


def spell(text: str) -> str:
    """As word pieces spell a text: lower case, spaces around what is no letter."""
    return " ".join("".join(c if c.isalnum() or c == " " else f" {c} " for c in text.lower()).split())


def _rates(same: Callable[[str, str], bool]) -> list[float]:
    return [fmean(same(text, source) for text in own) for own, source in zip(OUTPUTS, SOURCES)]


def _check_copies(answer: Any) -> None:
    got = ask(answer, [list(own) for own in OUTPUTS], list(SOURCES), spell)
    if isinstance(got, bool) or not isinstance(got, int | float):
        raise Wrong("Return one number, the share of all outputs.")
    rates = _rates(lambda text, source: text == spell(source))
    right, inside = fmean(rates), fmean(_rates(lambda text, source: spell(source) in text))
    once = fmean((spell(source) in own) / len({*own}) for own, source in zip(OUTPUTS, SOURCES))
    wrong = (
        (0.0, "No output equals a source letter by letter: pieces spell them. Spell the source, too."),
        (fmean(map(bool, rates)), "You ask if any output is a copy; asked is the share of all outputs."),
        (inside, "An output that holds the source, or begins with it, says more than the source does."),
        (once, "Equal outputs are several outputs: do not throw them together."),
        (12 * right, "That is the number of copies; divide by the number of outputs."),
        (1 - right, "That is the share of what is no copy."),
    )
    if math.isclose(got, right):
        return
    for value, feedback in wrong:
        if math.isclose(got, value):
            raise Wrong(feedback)
    raise Wrong(f"Here it should be {right:.3f}, yours is {got:.3f}.")


COPIES = """
def my_copies(outputs, sources, spell):
    said = [text == spell(source) for own, source in zip(outputs, sources) for text in own]
    return sum(said) / len(said)
"""

# ---- 09.3

INTERVAL = """
def my_interval(student, teacher, draws):
    found = sorted(sum(student[i] for i in d) / sum(teacher[i] for i in d) for d in draws)
    out = int(0.025 * len(found))
    return found[out], found[-1 - out]
"""

EXERCISES = (
    Exercise(
        "09.1",
        "Write my_filter(rows, size, room): what becomes of each pair, as counts that add up to the rows.",
        _check_filter,
        "my_filter",
        FILTER,
        (
            "One if, elif, elif ... else for each row, in the order of the text: no row can count twice.",
            "Remember the kept pairs in a set; a text of size(text) pieces fits if size(text) < room.",
        ),
        "Right: every row is accounted for, once.",
    ),
    question(
        "09.a",
        "A model gives back every question as it is. By which score does it look best? (a) BLEU and ROUGE-L, "
        "(b) div-4 of its samples, (c) self-BLEU, of which little is good.",
        "a",
        {
            "b": "Its samples of a source are all the same sentence. How many different 4-grams are there?",
            "c": "Its samples agree with each other word for word: what is their self-BLEU?",
        },
        (
            "How many words do a question and its paraphrase have in common?",
            "Scores against the reference reward shared words; scores among samples see that nothing varies.",
        ),
        "Right: so stand the copy beside every model, and read BLEU with self-BLEU.",
    ),
    Exercise(
        "09.2",
        "Write my_copies(outputs, sources, spell): the share of all outputs that say their source.",
        _check_copies,
        "my_copies",
        COPIES,
        (
            'Outputs come as pieces spell them: "how old is it ?". Compare with spell(source).',
            "outputs[i] are several outputs of sources[i]: count the equal ones, divide by all.",
        ),
        "Right.",
    ),
    Exercise(
        "09.3",
        "Write my_interval(student, teacher, draws) -> (low, high): the middle 95% of the ratio of means.",
        check_interval,
        "my_interval",
        INTERVAL,
        (
            "For each list in draws: the sum of student[i] over the sum of teacher[i], i in that list.",
            "Sort the ratios; with 200 of them the ends are those at places 5 and -6.",
        ),
        "Right: paired, so what both find hard cancels.",
    ),
    question(
        "09.b",
        "On your corpus the student has the teacher's BLEU, a ratio of 1.0, and both are below the copy. "
        "What is shown? (a) One step is enough for this text, (b) the distillation lost no BLEU, (c) 2000 "
        "steps are too many.",
        "b",
        {
            "a": "Enough for what? Neither network does the task yet.",
            "c": "That a weak teacher is as weak with fewer steps says nothing of a strong one.",
        },
        (
            "A ratio says nothing about its denominator.",
            "Which sentence is true whatever the teacher is worth?",
        ),
        "Right: and nothing about diversity either; for that, self-BLEU.",
    ),
)
