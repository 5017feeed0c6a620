"""Read a world's grammar file: slots, synonyms and frames; every error names its line."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from dlmone_lite.errors import InputError, nearest

WORD = re.compile(r"[a-z0-9']+(-[a-z0-9']+)*|[.,?!;:]")  # punctuation is a token of its own
NAME = re.compile(r"[a-z][a-z0-9-]*")
REFERENCE = re.compile(r"\{([^{}]*)\}")
BLOCKS = ("slot", "words", "frame")
SOURCES, TARGETS = 1_000_000, 50_000  # that one line may stand for; of targets for each meaning
HEADERS = ("world", "about", "max-source", "max-target", *BLOCKS)


@dataclass(frozen=True)
class Template:
    """One wording of a frame: its tokens (`{name}` refers to a slot or to words), its weight and its line."""

    tokens: tuple[str, ...]
    weight: float
    line: int

    def references(self) -> list[str]:
        """Names of the slots and words that the tokens use, in order, with repetitions."""
        return [token[1:-1] for token in self.tokens if token.startswith("{")]


@dataclass
class Frame:
    """One kind of sentence: its source templates, its target templates and the slots they share."""

    name: str
    line: int
    sources: list[Template] = field(default_factory=list)
    targets: list[Template] = field(default_factory=list)
    slots: tuple[str, ...] = ()


@dataclass
class Grammar:
    """A grammar file's content: `slots[name]` fillers, `words[name]` {synonym: weight}, `frames[name]`."""

    name: str = ""
    about: str = ""
    max_source: int = 15
    max_target: int = 15
    slots: dict[str, list[str]] = field(default_factory=dict)
    words: dict[str, dict[str, float]] = field(default_factory=dict)
    frames: dict[str, Frame] = field(default_factory=dict)

    def choices(self, token: str) -> list[str]:
        """The possible fillers of a template's token; a plain word is its own."""
        if not token.startswith("{"):
            return [token]
        name = token[1:-1]
        return self.slots[name] if name in self.slots else list(self.words[name])

    def templates(self) -> list[Template]:
        """All source and target templates."""
        return [template for frame in self.frames.values() for template in frame.sources + frame.targets]


def read_grammar(path: str | Path) -> Grammar:
    """Parse and check a grammar file; InputError `path:line: what is wrong; what to do`."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")  # some editors write a byte-order mark
    except UnicodeDecodeError:
        raise InputError(f"{path}: this is not UTF-8 text; save the file as UTF-8") from None
    reader = _Reader(path)
    for number, line in enumerate(text.split("\n"), start=1):
        reader.read(number, line)
    reader.check()
    return reader.grammar


class _Reader:
    """Parses line by line, then checks the whole grammar."""

    def __init__(self, path: str | Path) -> None:
        self.path = path
        self.grammar = grammar = Grammar()
        self.tables = {"slot": grammar.slots, "words": grammar.words, "frame": grammar.frames}
        self.block: tuple[str, str] | None = None  # (keyword, name), to which indented lines belong
        self.seen: dict[tuple[str, ...], int] = {}  # definition -> its line, to refuse a second one

    def fail(self, line: int, wrong: str, remedy: str) -> NoReturn:
        raise InputError(f"{self.path}:{line}: {wrong}; {remedy}")

    def once(self, line: int, key: tuple[str, ...], wrong: str, remedy: str) -> None:
        if key in self.seen:
            self.fail(line, f"{wrong} (first on line {self.seen[key]})", remedy)
        self.seen[key] = line

    # ---- one line at a time

    def read(self, number: int, raw: str) -> None:
        line = "" if raw.lstrip().startswith("#") else raw.split("  #")[0].rstrip()
        if "\t" in line:
            self.fail(number, "a tab", "indent and separate with spaces")
        if line.startswith(" "):
            self.indented(number, line.strip())
        elif line:
            keyword, _, rest = line.partition(" ")
            self.header(number, keyword, rest.strip())

    def header(self, number: int, keyword: str, rest: str) -> None:
        if keyword in ("source", "target"):
            self.fail(number, f"a {keyword} outside a frame", "indent it by two spaces below its frame")
        if keyword not in HEADERS:
            wrong = f'unknown keyword "{keyword}"{nearest(keyword, HEADERS)}'
            self.fail(number, wrong, f"begin with one of: {', '.join(HEADERS)}")
        self.block = None
        if keyword in (*BLOCKS, "world") and not NAME.fullmatch(rest):
            self.fail(number, f'"{rest}" is no name for {keyword}', "use a-z, 0-9 and hyphens")
        if keyword in BLOCKS:
            kind = "frame" if keyword == "frame" else "slot or words"  # {name} must mean one thing
            self.once(number, ("name", kind, rest), f'a second {kind} "{rest}"', "rename or merge them")
            self.block = (keyword, rest)
            self.tables[keyword][rest] = {"slot": [], "words": {}, "frame": Frame(rest, number)}[keyword]
            return
        self.once(number, ("header", keyword), f"a second {keyword} line", "keep one")
        if keyword in ("max-source", "max-target"):
            if not rest.isdecimal() or int(rest) < 1:
                self.fail(number, f'"{rest}" is no {keyword}', "give a number of words, at least 1")
            setattr(self.grammar, keyword.replace("-", "_"), int(rest))
        else:
            setattr(self.grammar, {"world": "name", "about": "about"}[keyword], rest)

    def indented(self, number: int, line: str) -> None:
        if self.block is None:
            self.fail(number, f'"{line}" stands outside a block', "put it below a slot, words or frame line")
        keyword, name = self.block
        if keyword == "frame":
            self.template(number, line, self.grammar.frames[name])
            return
        text, star, weight = line.partition("*")
        filler = " ".join(self.tokens(number, text))
        if star and keyword == "slot":
            self.fail(number, f'a weight in slot "{name}"', "remove it: all fillers of a slot are equal")
        if not filler:
            self.fail(number, "a weight without a word", "write the word before the *")
        again = f'"{filler}" a second time in {keyword} "{name}"'
        self.once(number, ("filler", keyword, name, filler), again, "remove one")
        if keyword == "slot":
            self.grammar.slots[name].append(filler)
        else:
            self.grammar.words[name][filler] = self.weight(number, weight) if star else 1.0

    def template(self, number: int, line: str, frame: Frame) -> None:
        side, _, text = line.partition(" ")
        if side not in ("source", "target"):
            self.fail(number, f'"{side}" in frame "{frame.name}"', "begin the line with source or target")
        weight, text = 1.0, text.strip()
        if text.startswith("*"):
            factor, _, text = text[1:].strip().partition(" ")
            weight = self.weight(number, factor)
        tokens = tuple(self.tokens(number, text, references=True))
        if not tokens:
            self.fail(number, f"an empty {side}", "write a sentence after it")
        again = f"the same {side} a second time"
        self.once(number, ("template", frame.name, side, *tokens), again, "remove one")
        (frame.sources if side == "source" else frame.targets).append(Template(tokens, weight, number))

    def weight(self, number: int, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 1e-6 <= value <= 1e6:
            self.fail(number, f'"{text.strip()}" is no weight', "write a number from 1e-6 to 1e6 after the *")
        return value

    def tokens(self, number: int, text: str, references: bool = False) -> list[str]:
        for token in text.split():
            if references and (match := REFERENCE.fullmatch(token)) and NAME.fullmatch(match[1]):
                continue
            if token != token.lower():
                self.fail(number, f'upper case in "{token}"', "write it in lower case")
            if not WORD.fullmatch(token):
                remedy = "use a-z, 0-9, ' and -, and set . , ? ! ; : and {name} off by spaces"
                self.fail(number, f'unsupported characters in "{token}"', remedy)
        return text.split()

    # ---- the whole file

    def check(self) -> None:
        if not self.grammar.name:
            self.fail(1, "no world line", "begin the file with: world NAME")
        if not self.grammar.frames:
            self.fail(1, "no frame", "add a frame with a source and a target")
        for keyword in ("slot", "words"):
            for name, fillers in self.tables[keyword].items():
                if not fillers:
                    line = self.seen["name", "slot or words", name]
                    self.fail(line, f'{keyword} "{name}" has no filler', "write one below it, indented")
        for frame in self.grammar.frames.values():
            for side, templates in (("source", frame.sources), ("target", frame.targets)):
                if not templates:
                    self.fail(frame.line, f'frame "{frame.name}" has no {side}', f"write a {side} below it")
                for template in templates:
                    self.check_template(template, side)
            self.check_slots(frame)
            self.check_size(frame)

    def check_size(self, frame: Frame) -> None:
        """Count what a frame stands for before anybody lists it."""
        meanings = math.prod(len(self.grammar.slots[slot]) for slot in frame.slots)
        for templates, times, most in ((frame.sources, meanings, SOURCES), (frame.targets, 1, TARGETS)):
            for template in templates:
                words = (
                    self.grammar.words[name] for name in template.references() if name in self.grammar.words
                )
                if (size := times * math.prod(map(len, words))) > most:
                    wrong = f"{size:,} different sentences by one line, at most {most:,} are allowed"
                    self.fail(template.line, wrong, "use fewer words or slots in it")

    def check_template(self, template: Template, side: str) -> None:
        defined = [*self.grammar.slots, *self.grammar.words]
        for name in template.references():
            if name not in defined:
                wrong = f"unknown slot or words {{{name}}}{nearest(name, defined)}"
                self.fail(template.line, wrong, "define it or use a known one")
        choices = map(self.grammar.choices, template.tokens)
        longest = " ".join(max(fillers, key=lambda filler: filler.count(" ")) for fillers in choices)
        length = len(longest.split())
        limit = self.grammar.max_source if side == "source" else self.grammar.max_target
        if length > limit:
            wrong = f'the {side} can grow to {length} words, over the limit of {limit}: "{longest}"'
            self.fail(template.line, wrong, f"shorten it or raise max-{side}")

    def check_slots(self, frame: Frame) -> None:
        """Every source must use every slot of its frame, so that it determines its targets."""
        used = [name for template in frame.sources + frame.targets for name in template.references()]
        frame.slots = tuple(name for name in dict.fromkeys(used) if name in self.grammar.slots)
        for source in frame.sources:
            for name in frame.slots:
                if name in source.references():
                    continue
                for target in frame.targets:
                    if name in target.references():
                        wrong = f"the target uses {{{name}}}, the source on line {source.line} does not"
                        self.fail(target.line, wrong, "add it to the source or remove it here")
                wrong = f'the source lacks {{{name}}}, which other sources of frame "{frame.name}" hold'
                self.fail(source.line, wrong, "add it, or make it words instead of a slot")
