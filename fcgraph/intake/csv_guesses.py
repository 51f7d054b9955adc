"""Guesses about files that are not the expected CSV: messages that say what the file seems to be and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches

from fcgraph.intake.csv_cells import BLANKS, column_number, parse_fields
from fcgraph.rules.records import COLUMNS, is_uuid

SHOWN_MAX_CHARS = 200
LINES_SEARCHED_MAX = 30  # for the header, below a title
COLUMNS_TELL_MIN = 3  # number of names that identify a header with another separator
_SEPARATORS = {";": "a semicolon", "\t": "a tab", "|": "a pipe", ":": "a colon", " ": "a blank"}
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9][0-9.]*,[0-9]{1,4}")
_MANY_HIGH_BYTES = re.compile(rb"[\x80-\xff]{4,}")
_SAVE_AS = "Save the file as CSV UTF-8 and send it again."
_SIGNS = "€£§°–—‘’“”…«»®©™²³¿¡\xa0"

ColumnOf = Callable[[str], str | None]


def shown(text: str) -> str:
    """Text of the file as shown in a message: on one line and shortened."""
    cut = text if len(text) <= SHOWN_MAX_CHARS else text[:SHOWN_MAX_CHARS] + "…"
    return "'" + "".join(c if c.isprintable() else repr(c)[1:-1] for c in cut) + "'"


def not_utf8(raw: bytes, at: int, name: str | None) -> str:
    """Which byte of a line is not UTF-8, its column, and the likely encoding of the line."""
    place = f"column {column_number(raw, at)}" if name is None else f"column {name}"
    return f"byte 0x{raw[at]:02X} at position {at + 1} of the line ({place}) is not UTF-8; {likely_encoding(raw, at)}"


def likely_encoding(raw: bytes, at: int) -> str:
    """The likely encoding of a line, guessed from the byte at `at` that is not UTF-8, as the end of a sentence."""
    byte = raw[at : at + 1]
    if _is_cut_off(raw, at):
        return "a character is cut off there"
    if _MANY_HIGH_BYTES.search(raw, at):
        return "the encoding may be one for a non-Latin script, such as Windows-1251, GBK or Shift-JIS"
    try:
        character = byte.decode("cp1252")
    except UnicodeDecodeError:
        character = ""
    dos = byte.decode("cp850")
    is_in_word = raw[at - 1 : at].isalpha() and raw[at + 1 : at + 2].isalpha()
    if dos.isalpha() and (not character or (is_in_word and not character.isalpha())):
        return f"the encoding may be DOS code page 850, where it is {dos!r}"
    if character and (character.isalpha() or character in _SIGNS):
        return f"the encoding may be Windows-1252 (or Latin-1), where it is {character!r}"
    return "the encoding is unknown"


def _is_cut_off(raw: bytes, at: int) -> bool:
    """Whether the line ends within a UTF-8 character."""
    try:
        raw[at:].decode("utf-8")
    except UnicodeDecodeError as e:
        return e.reason == "unexpected end of data" and at + e.start > 0 and raw[at] >= 0xE0
    return False


def header_not_utf8(raw: bytes, error: UnicodeDecodeError) -> str:
    """The message for a header that is not UTF-8."""
    names = raw.decode("utf-8", "backslashreplace").split(",")
    number = column_number(raw, error.start)
    where = not_utf8(raw, error.start, f"{number}, {shown(names[number - 1])}" if number <= len(names) else None)
    return f"The first line is not a CSV header in UTF-8: {where}. {_SAVE_AS}"


def why_no_header(raw: bytes, names: Sequence[str], below: Sequence[bytes], number: int, column_of: ColumnOf) -> str:
    """The message for a header that is refused in line `number`: what was read, what it seems to be, and what to do."""
    text = raw.decode("utf-8", "replace").strip(BLANKS)
    lines = [text, *(line.decode("utf-8", "replace").strip(BLANKS) for line in below[:LINES_SEARCHED_MAX])]
    read = f"Line {number} was read as the header: {shown(text)}."
    for n, line in enumerate(lines):
        separator = _separator(line, column_of)
        if separator is None and not _has_all(parse_fields(line), column_of):
            continue
        what = [read]
        if n:
            what.append(f"The header seems to be line {number + n}: delete the lines above it.")
        if separator is not None:
            name = _SEPARATORS.get(separator, repr(separator))
            what.append(f"The separator seems to be {name}: save the file with commas instead.")
            what += _decimal_comma(lines[n + 1 :], separator)
        return " ".join(what)
    if sum(is_uuid(name.strip(BLANKS)) for name in names) > 1:
        order = ", ".join(COLUMNS)
        return f"{read} It seems to be a row. Put a header above it: {order}, in the order of the row's values."
    return f"{read} {_lacking(names, column_of)}"


def _lacking(names: Sequence[str], column_of: ColumnOf) -> str:
    found = {column_of(name) for name in names}
    missing = [column for column in COLUMNS if column not in found]
    others = {name.strip(BLANKS).lower(): name.strip(BLANKS) for name in names if column_of(name) is None}
    near = [(others[match[0]], column) for column in missing if (match := get_close_matches(column, others, n=1))]
    hint = "".join(f" Is {shown(name)} meant to be {column}?" for name, column in near)
    return f"It lacks the columns: {', '.join(missing)}.{hint} All seven are required: {', '.join(COLUMNS)}."


def _has_all(cells: tuple[str, ...] | str, column_of: ColumnOf) -> bool:
    return not isinstance(cells, str) and {column_of(cell) for cell in cells} >= set(COLUMNS)


def _separator(line: str, column_of: ColumnOf) -> str | None:
    """The separator other than a comma with which the line is a header; None if there is none."""
    candidates = {c for c in line if not c.isalnum() and c not in "_-,\"'"}
    by_count = {c: len(_columns(line.split(c), column_of)) for c in candidates}
    best = max(by_count, key=lambda c: (by_count[c], c), default=None)
    if best is None or by_count[best] < COLUMNS_TELL_MIN:
        return None
    return best if by_count[best] > len(_columns(line.split(","), column_of)) else None


def _columns(cells: Sequence[str], column_of: ColumnOf) -> set[str]:
    return {column for cell in cells if (column := column_of(cell.strip(BLANKS + "\"'"))) is not None}


def _decimal_comma(rows: Sequence[str], separator: str) -> list[str]:
    for row in rows:
        for cell in row.split(separator):
            value = cell.strip(BLANKS + '"')
            if _DECIMAL_COMMA.fullmatch(value):
                return [f"Amounts need a decimal point, not a comma as in {value}."]
    return []
