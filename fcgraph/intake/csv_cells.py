"""Parse one line of CSV into cells, and detect which cells are empty. Independent of header and rules."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable

from fcgraph.rules.records import BLANKS as BLANKS

# DOS programs mark the end of a file with Ctrl-Z.
NOTHING = BLANKS + "\x1a"
_BLANK_BESIDE_QUOTE = re.compile(r'(?:^|,)[ \t]+"|"[ \t]+(?:,|$)')
_CELL = re.compile(r'[ \t]*+"((?:[^"]++|"")*+)"[ \t]*+|([^",\r\n]*+)')


def parse_fields(text: str) -> tuple[str, ...] | str:
    """The fields of one row, or the reason why it is not valid CSV.

    RFC 4180 (quotes enclose a whole field or are doubled), except that blanks between a comma and a quote are allowed.
    """
    if '"' not in text and "\r" not in text and "\n" not in text:
        return tuple(text.split(","))
    if _BLANK_BESIDE_QUOTE.search(text):
        cells = _with_blanks_beside_quotes(text)
        if cells is not None:
            return cells
    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error as e:
        return f"the row is not valid CSV: {e}"
    if len(rows) != 1:
        return "the row is not valid CSV: a quote inside an unquoted field"
    return tuple(rows[0])


def _with_blanks_beside_quotes(text: str) -> tuple[str, ...] | None:
    """The fields without the blanks around quotes; None if quotes are anywhere else than around whole fields."""
    cells: list[str] = []
    at = 0
    while (cell := _CELL.match(text, at)) is not None:
        cells.append(cell[2] if cell[1] is None else cell[1].replace('""', '"'))
        at = cell.end()
        if at == len(text):
            return tuple(cells)
        if text[at] != ",":
            return None
        at += 1
    return None


def hold_nothing(cells: Iterable[str]) -> bool:
    """Whether all of these cells are empty or blank."""
    return not any(cell.strip(NOTHING) for cell in cells)


def column_number(raw: bytes, at: int) -> int:
    """The column of the line that contains byte `at`, counted from 1; commas within quotes are not separators."""
    return 1 + sum(part.count(b",") for part in raw[:at].split(b'"')[::2])
