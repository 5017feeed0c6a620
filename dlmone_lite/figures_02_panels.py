"""Tables of notebook 02's panels (HTML): a noisy sentence as it is read, a walk between two sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from dlmone_lite.plots import BLUE, RED

WIDEST = 3.0  # margins beyond this fill the whole bar
ORIGINS = {  # where a word of a walk comes from: mark, background
    "both": ("=", "#e6e6e6"),
    "first": ("A", "#9cc9e6"),
    "second": ("B", "#f6cf85"),
    "neither": ("!", "#f2a98f"),
}
PAGE = '<div style="background:#fff;color:#000;padding:6px;font-size:14px;line-height:1.3">'


@dataclass(frozen=True)
class Reading:
    """One position: the true word, its margin, and what is read there by whom, with its probability."""

    word: str
    margin: float
    reads: tuple[tuple[str, float], ...]


def _bar(margin: float) -> str:
    """A bar to the right of the middle for a positive margin, to the left for a negative one."""
    share = 50 * min(1.0, abs(margin) / WIDEST)
    left, colour = (50.0, BLUE) if margin > 0 else (50 - share, RED)
    return (
        '<div style="position:relative;width:150px;height:14px;background:#eee">'
        f'<div style="position:absolute;left:{left:.0f}%;width:{share:.0f}%;height:14px;background:{colour}">'
        '</div><div style="position:absolute;left:50%;width:1px;height:14px;background:#000"></div></div>'
    )


def reading_table(readings: Sequence[Reading], readers: Sequence[str]) -> str:
    """A line per position: true word, margin bar, and each reader's word (✗: wrong) with its probability."""
    head = "".join(f'<th style="text-align:left;padding:0 8px">{escape(n)}</th>' for n in readers)
    lines = [f'<tr><th style="text-align:left">true word</th><th colspan="2">margin</th>{head}</tr>']
    for reading in readings:
        cells = f"<td>{escape(reading.word)}</td><td>{_bar(reading.margin)}</td>"
        cells += f'<td style="text-align:right">{reading.margin:+.1f}</td>'
        for word, p in reading.reads:
            right = word == reading.word
            style = "" if right else "color:#a00;font-weight:bold"
            mark = "" if right else "✗ "
            cells += f'<td style="padding:0 8px;{style}">{mark}{escape(word)} {p:.2f}</td>'
        lines.append(f"<tr>{cells}</tr>")
    return f'{PAGE}<table style="border-collapse:collapse">{"".join(lines)}</table></div>'


def origins(words: Sequence[str], first: Sequence[str], second: Sequence[str]) -> list[str]:
    """For each word of a walk, which of the two sentences has it at that place: a key of `ORIGINS`."""
    found = []
    for word, a, b in zip(words, first, second, strict=True):
        found.append(
            "both" if word == a == b else "first" if word == a else "second" if word == b else "neither"
        )
    return found


def walk_line(words: Sequence[str], origin: Sequence[str]) -> str:
    """Words on the colour of their origin, each with its mark, so that colour is not needed."""
    boxes = []
    for word, name in zip(words, origin, strict=True):
        mark, colour = ORIGINS[name]
        style = f"display:inline-block;margin:1px;padding:1px 5px;background:{colour}"
        boxes.append(f'<span style="{style}">{escape(word)}<sub>{mark}</sub></span>')
    return "".join(boxes)


def walk_table(rows: Sequence[tuple[str, str, bool]], here: int) -> str:
    """Lines (label, `walk_line`, whether it is a right sentence); the one at `here` is framed."""
    lines = []
    for i, (label, line, right) in enumerate(rows):
        frame = "outline:2px solid #000;" if i == here else ""
        verdict = "right" if right else '<b style="color:#a00">✗ wrong</b>'
        lines.append(
            f'<tr style="{frame}"><td style="padding:0 8px">{escape(label)}</td><td>{line}</td>'
            f'<td style="padding:0 8px">{verdict}</td></tr>'
        )
    legend = "A: only in the first, B: only in the second, =: in both, !: in neither"
    return f'{PAGE}{legend}<table style="border-collapse:collapse">{"".join(lines)}</table></div>'
