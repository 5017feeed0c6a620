"""Read a world's grammar file: slots, synonyms and frames, with a line number for every mistake."""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from dlmone_lite.errors import InputError

WORD = re.compile(r"[a-z0-9']+(-[a-z0-9']+)*|[.,?!;:]")  # punctuation is a token of its own
NAME = re.compile(r"[a-z][a-z0-9-]*")
REFERENCE = re.compile(r"\{([^{}]*)\}")
HEADERS = ("world", "about", "max-source", "max-target", "slot", "words", "frame")


@dataclass(frozen=True)
class Template:
    """One surface of a frame: its tokens (`{name}` refers to a slot or to synonyms) and its weight."""

    tokens: tuple[str, ...]
    weight: float
    line: int

    def references(self) -> list[str]:
        """Names of the slots and synonym classes used, in order, repeated where they are repeated."""
        return [token[1:-1] for token in self.tokens if token.startswith("{")]


@dataclass
class Frame:
    """One thing to say: its source surfaces, its target surfaces, the slots they share."""

    name: str
    line: int
    sources: list[Template] = field(default_factory=list)
    targets: list[Template] = field(default_factory=list)
    slots: tuple[str, ...] = ()


@dataclass
class Grammar:
    """What a grammar file says: `slots[name]` fillers, `words[name]` {synonym: weight}, `frames[name]`."""

    name: str = ""
    about: str = ""
    max_source: int = 15
    max_target: int = 15
    slots: dict[str, list[str]] = field(default_factory=dict)
    words: dict[str, dict[str, float]] = field(default_factory=dict)
    frames: dict[str, Frame] = field(default_factory=dict)

    def choices(self, name: str) -> list[str]:
        """What may stand for `{name}`."""
        return self.slots[name] if name in self.slots else list(self.words[name])


def nearest(name: str, known: list[str]) -> str:
    """The known name most like a mistyped one, as a hint: `did you mean "city"?`."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f'did you mean "{close[0]}"?'
    return f"known: {', '.join(sorted(known)) or 'none yet'}"


def read_grammar(path: str | Path) -> Grammar:
    """Parse and check a grammar file; InputError `path:line: what is wrong; what to do`."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start}); save the file as UTF-8") from None
    return parse_grammar(text, path)


def parse_grammar(text: str, path: str | Path = "grammar") -> Grammar:
    """Parse and check the text of a grammar; `path` only names it in messages."""
    reader = _Reader(path)
    for number, line in enumerate(text.splitlines(), start=1):
        reader.read(number, line)
    return reader.finish()


class _Reader:
    """Reads line by line, then checks what only the whole file can tell."""

    def __init__(self, path: str | Path) -> None:
        self.path = path
        self.grammar = Grammar()
        self.block: tuple[str, str] | None = None  # (keyword, name) that indented lines belong to
        self.seen: dict[tuple[str, ...], int] = {}  # what was already said, and on which line

    def fail(self, line: int, wrong: str, remedy: str) -> None:
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
        if not line:
            return
        if line.startswith(" "):
            self.indented(number, line.strip())
        else:
            self.header(number, *line.partition(" ")[::2])

    def header(self, number: int, keyword: str, rest: str) -> None:
        rest = rest.strip()
        if keyword not in HEADERS:
            if keyword in ("source", "target") or not NAME.fullmatch(keyword):
                self.fail(number, f'"{keyword}" stands outside a block', "indent the lines of a block by two spaces")
            self.fail(number, f'unknown keyword "{keyword}"', nearest(keyword, list(HEADERS)))
        self.block = None
        if keyword in ("slot", "words", "frame", "world") and not NAME.fullmatch(rest):
            self.fail(number, f'{keyword} needs a name, not "{rest}"', "use lower-case letters, digits and hyphens")
        if keyword in ("slot", "words", "frame"):
            kind = "frame" if keyword == "frame" else "slot or words"  # {name} must mean one thing
            self.once(number, (kind, rest), f'"{rest}" is already a {kind}', "rename one of the two blocks")
            self.block = (keyword, rest)
            fresh = {"slot": [], "words": {}, "frame": Frame(rest, number)}[keyword]
            self.table(keyword)[rest] = fresh
            self.seen[("line", keyword, rest)] = number
            return
        self.once(number, (keyword,), f"a second {keyword} line", "keep one")
        if keyword == "world":
            self.grammar.name = rest
        elif keyword == "about":
            self.grammar.about = rest
        elif not rest.isdecimal() or int(rest) < 1:
            self.fail(number, f'{keyword} is "{rest}"', "give a whole number of words, at least 1")
        else:
            setattr(self.grammar, keyword.replace("-", "_"), int(rest))

    def table(self, keyword: str) -> dict:
        return {"slot": self.grammar.slots, "words": self.grammar.words, "frame": self.grammar.frames}[keyword]

    def indented(self, number: int, line: str) -> None:
        if self.block is None:
            self.fail(number, f'"{line}" stands outside a block', "put it under slot, words or frame")
        keyword, name = self.block
        if keyword == "frame":
            self.template(number, line, self.grammar.frames[name])
            return
        text, star, weight = line.partition("*")
        filler = " ".join(self.tokens(number, text, references=False))
        if star and keyword == "slot":
            self.fail(number, f'a weight in slot "{name}"', "all fillers of a slot count alike: remove it")
        if not filler:
            self.fail(number, f'an empty line of {keyword} "{name}"', "write a word before the weight")
        self.once(number, (keyword, name, filler), f'"{filler}" twice in {keyword} "{name}"', "remove one")
        if keyword == "slot":
            self.grammar.slots[name].append(filler)
        else:
            self.grammar.words[name][filler] = self.weight(number, weight) if star else 1.0

    def template(self, number: int, line: str, frame: Frame) -> None:
        side, _, text = line.partition(" ")
        if side not in ("source", "target"):
            self.fail(number, f'"{side}" in frame "{frame.name}"', "start the line with source or target")
        weight, text = 1.0, text.strip()
        if text.startswith("*"):
            number_text, _, text = text[1:].strip().partition(" ")
            weight = self.weight(number, number_text)
        tokens = tuple(self.tokens(number, text, references=True))
        if not tokens:
            self.fail(number, f"an empty {side}", "write the sentence after it")
        self.once(number, (frame.name, side, *tokens), f"the same {side} twice", "remove one")
        (frame.sources if side == "source" else frame.targets).append(Template(tokens, weight, number))

    def weight(self, number: int, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value > 0):
            self.fail(number, f'weight "{text.strip()}"', "write a positive number after the *, for example * 2")
        return value

    def tokens(self, number: int, text: str, *, references: bool) -> list[str]:
        for token in text.split():
            if references and (match := REFERENCE.fullmatch(token)):
                if not NAME.fullmatch(match[1]):
                    self.fail(number, f'"{token}" names nothing', "write {name} of a slot or of words")
            elif token != token.lower():
                self.fail(number, f'upper case in "{token}"', "write everything in lower case")
            elif not WORD.fullmatch(token):
                self.fail(number, f'unsupported characters in "{token}"',
                          "use a-z, 0-9, ' and -, with . , ? ! ; : and {name} as words of their own")
        return text.split()

    # ---- the whole file

    def finish(self) -> Grammar:
        grammar = self.grammar
        if not grammar.name:
            self.fail(1, "no world line", "start the file with: world NAME")
        if not grammar.frames:
            self.fail(1, "no frame", "add a frame with a source and a target")
        for keyword in ("slot", "words"):
            for name, fillers in self.table(keyword).items():
                if not fillers:
                    self.fail(self.seen["line", keyword, name], f'{keyword} "{name}" has no filler', "add one below it")
        for frame in grammar.frames.values():
            self.check_frame(frame)
        return grammar

    def check_frame(self, frame: Frame) -> None:
        for side, templates in (("source", frame.sources), ("target", frame.targets)):
            if not templates:
                self.fail(frame.line, f'frame "{frame.name}" has no {side}', f"add a {side} line below it")
            for template in templates:
                self.check_template(template, side)
        used = [name for template in frame.sources + frame.targets for name in template.references()]
        frame.slots = tuple(name for name in dict.fromkeys(used) if name in self.grammar.slots)
        for template in frame.targets + frame.sources:
            for name in set(template.references()) & set(frame.slots):
                for source in frame.sources:
                    if name in source.references():
                        continue
                    if template in frame.targets:
                        self.fail(template.line, f"the target uses {{{name}}}, the source on line {source.line} "
                                  "does not", "a source must determine its targets: add it there or remove it here")
                    self.fail(source.line, f"the source lacks {{{name}}}, which line {template.line} uses",
                              "every source of a frame holds the same slots")

    def check_template(self, template: Template, side: str) -> None:
        grammar = self.grammar
        longest = []
        for token in template.tokens:
            name = token[1:-1]
            if not token.startswith("{"):
                longest.append(token)
                continue
            if name not in grammar.slots and name not in grammar.words:
                self.fail(template.line, f"unknown slot or words {{{name}}}", nearest(name, [*grammar.slots, *grammar.words]))
            longest += max(grammar.choices(name), key=lambda filler: len(filler.split())).split()
        limit = grammar.max_source if side == "source" else grammar.max_target
        if len(longest) > limit:
            self.fail(template.line, f'the {side} can grow to {len(longest)} words, more than {limit}: '
                      f'"{" ".join(longest)}"', f"shorten it or raise max-{side}")
