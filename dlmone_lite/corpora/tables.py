"""Tables of text: JSON lines, CSV and TSV, whose mistakes are told with file and line."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from dlmone_lite.errors import InputError, nearest
from dlmone_lite.files import read_bytes

# The endings of a table, in either case and before .gz, with what separates its fields; None for JSON lines.
DELIMITERS = {".jsonl": None, ".ndjson": None, ".json": None, ".csv": ",", ".tsv": "\t"}
Row = dict[str, Any]


def ending(path: Path) -> str:
    """`.csv` of `a.csv`, `A.CSV` and `a.csv.gz`."""
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


def read_table(path: Path) -> Iterator[tuple[str, Row]]:
    """('file:line', row) of a table of the kind that its name tells; at least one row, or InputError."""
    if ending(path) not in DELIMITERS:
        raise InputError(f"{path}: unknown kind {path.suffix!r}; use one of {', '.join(DELIMITERS)}")
    return read_rows(path, DELIMITERS[ending(path)])


def read_jsonl(path: str | Path, need: Sequence[str] = ("src",)) -> list[Row]:
    """The rows of a JSON-lines file; each needs non-empty text under all names in `need`, or InputError."""
    rows = []
    for where, row in read_rows(Path(path), None):
        for column in need:
            text_field(row, column, where)
        rows.append(row)
    return rows


def text_field(row: Mapping[str, Any], column: str, where: str) -> str:
    """The text of one column; an InputError that says `where` if it is missing, empty or no text."""
    if column not in row:
        hint = nearest(column, row) + ", only " + (", ".join(row) or "none")
        raise InputError(f"{where}: no column {column!r}{hint}; rename one, or name them with columns=")
    value = row[column]
    if not isinstance(value, str):
        raise InputError(f"{where}: {column!r} is {type(value).__name__}, not text; put a string there")
    if not value.strip():
        raise InputError(f"{where}: {column!r} is empty; fill it or delete the line")
    return value


def read_rows(path: Path, delimiter: str | None) -> Iterator[tuple[str, Row]]:
    """('file:line', row) of a table, or of JSON lines (no delimiter); at least one row, or InputError."""
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = e.object[: e.start].count(b"\n") + 1
        raise InputError(f"{path}:{line}: not UTF-8 text; save the file as UTF-8") from e
    except OSError as e:
        raise InputError(f"{path}: cannot be read ({e.strerror}); check the path") from e
    read = {None: _json_rows, ",": _csv_rows, "\t": _tsv_rows}[delimiter]
    line = None
    for line, row in read(path, text):
        yield f"{path}:{line}", row
    if line is None:
        raise InputError(f"{path}: empty file; it needs at least one row")


def _json_rows(path: Path, text: str) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(text.split("\n"), start=1):  # splitlines() would also cut at U+2028
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = json.loads(line, object_pairs_hook=partial(_unique, where), parse_int=_number)
        except InputError:
            raise
        except (ValueError, RecursionError) as e:
            what = "nested too deeply"
            if isinstance(e, json.JSONDecodeError):
                what = f"{e.msg}, column {e.colno}"
            raise InputError(f"{where}: broken JSON ({what}); one object per line") from e
        if not isinstance(row, dict):
            raise InputError(f'{where}: not a JSON object; write {{"src": ..., "trg": ...}}')
        if "\\u" in line:  # the only way to half a surrogate pair, which no file can hold
            for name, value in row.items():
                _whole(value, f"{where}: {name[:40]!r}")
        yield number, row


def _number(digits: str) -> int | float:
    """A whole number of JSON; beyond the digits that Python reads as one, as a float."""
    return int(digits) if len(digits) < 4000 else float(digits)


def _whole(value: Any, where: str) -> None:
    """InputError if a text in `value` holds half a surrogate pair."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as e:
        raise InputError(f"{where} holds half a surrogate pair; write the whole character") from e


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, Row]]:
    # The limit is one of all readers, so it is put back at the end.
    limit = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    start = 1  # a row may span lines: it starts where the last one ended
    try:
        header = None
        for fields in reader:
            if fields and header is None:
                header = list(_unique(f"{path}:1", [(name, None) for name in fields]))
            elif fields:
                yield start, _record(path, start, header, fields)
            start = reader.line_num + 1
    except csv.Error as e:
        raise InputError(
            f"{path}:{start}: broken table ({e}); a quote that opens in this row is not closed well, "
            "write it twice and the field in quotes"
        ) from e
    finally:
        csv.field_size_limit(limit)


def _tsv_rows(path: Path, text: str) -> Iterator[tuple[int, Row]]:
    """A row is a line, and a quote is a character, unless the whole field stands in quotes."""
    header = None
    for number, line in enumerate(text.split("\n"), start=1):
        fields = [_unquoted(field) for field in line.removesuffix("\r").split("\t")]
        if fields == [""]:
            continue
        if header is None:
            header = list(_unique(f"{path}:{number}", [(name, None) for name in fields]))
        else:
            yield number, _record(path, number, header, fields)


def _unquoted(field: str) -> str:
    inner = field[1:-1].replace('""', "")
    whole = len(field) > 1 and field[0] == field[-1] == '"' and '"' not in inner
    return field[1:-1].replace('""', '"') if whole else field


def _record(path: Path, line: int, header: list[str], fields: list[str]) -> Row:
    if len(fields) != len(header):
        raise InputError(f"{path}:{line}: {len(fields)} fields for {len(header)} columns; quote them")
    return dict(zip(header, fields, strict=True))


def _unique(where: str, items: Sequence[tuple[str, Any]]) -> Row:
    """The items as a dict; plain `dict` would drop all but the last of a name that stands twice."""
    row = dict(items)
    if len(row) < len(items):
        names = [name for name, _ in items]
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{where}: column {twice!r} stands there twice; keep one")
    return row
