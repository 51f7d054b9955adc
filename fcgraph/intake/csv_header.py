"""The header of a CSV file: accepted in every common spelling, or refused with a message that says what to do."""

from __future__ import annotations

import csv
import re
from typing import NamedTuple

from fcgraph.errors import Refused
from fcgraph.formulas import without_guard
from fcgraph.intake import csv_guesses
from fcgraph.intake.csv_cells import BLANKS, parse_fields
from fcgraph.rules.records import COLUMNS

HEAD_BYTES = 64 * 1024
OWN_COLUMN_PREFIX = "_"  # `_line`, `_outcome`, `_problems` of a rejects file
RECORD_COLUMN = "_record"  # names the intake record that a row of a rejects file corrects
PROBLEMS_COLUMN = "_problems"  # if it is present, cells are guarded against spreadsheet formulas
BOM = b"\xef\xbb\xbf"
_NOT_TEXT = {
    b"\x1f\x8b": "gzip-compressed",
    b"BZh": "bzip2-compressed",
    b"\xfd7zXZ": "xz-compressed",
    b"\x28\xb5\x2f\xfd": "zstd-compressed",
    b"PK\x03\x04": "a zip archive, possibly a spreadsheet; save it as CSV",
    b"PK\x05\x06": "an empty zip archive",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet file (.xls); save it as CSV",
    b"\xff\xfe": "UTF-16; save it as CSV UTF-8",
    b"\xfe\xff": "UTF-16; save it as CSV UTF-8",
    b"%PDF": "a PDF",
}
_NO_CONTENT = (BLANKS + ',"').encode()  # above the header: a blank line, or a spreadsheet's empty row
_BETWEEN_WORDS = re.compile(r"[\s_-]+")
_COLUMN_OF_LETTERS = {column.replace("_", ""): column for column in COLUMNS}


class Header(NamedTuple):
    """The parsed header: the columns in order (None: ignored), its raw bytes, and where the rows begin.

    `names` are the cells as they arrived, `own` the indexes of the columns added by a rejects file, `record_at` the
    index of `_record` among them.
    """

    columns: tuple[str | None, ...]
    ignored: tuple[str, ...]
    raw: bytes
    guarded: bool
    end_byte: int
    next_line: int
    names: tuple[str, ...]
    own: frozenset[int]
    record_at: int | None


def read_header(head: bytes) -> Header:
    """Read the header from the first bytes of a file (at most HEAD_BYTES).

    Raises Refused: NOT_CSV if the file is not CSV text, MISSING_HEADER if columns are missing or the file is empty.
    """
    for magic, what in _NOT_TEXT.items():
        if head.startswith(magic):
            raise Refused(f"The file is {what}.", code="NOT_CSV")
    if head.count(b"\0") > len(head) // 4:
        raise Refused("The file is binary or UTF-16, not UTF-8 text.", code="NOT_CSV")
    start = len(BOM) if head.startswith(BOM) else 0
    lines = head[start:].splitlines(keepends=True)
    skipped = 0
    while skipped < len(lines) and not lines[skipped].strip(_NO_CONTENT):
        skipped += 1
    if skipped < len(lines) and lines[skipped].strip().lower().startswith(b"sep="):
        separator = lines[skipped].strip()[4:].rstrip(b",")
        if separator and separator != b",":
            name = separator.decode("ascii", "backslashreplace")
            message = f"The file says its separator is {name!r}; a comma is required. Save it with commas."
            raise Refused(message, code="NOT_CSV")
        skipped += 1
    if skipped == len(lines):
        raise Refused("The file is empty: a header with the seven columns is required.", code="MISSING_HEADER")
    raw = lines[skipped]
    if len(head) >= HEAD_BYTES and lines[skipped] is lines[-1]:
        raise Refused(f"The header does not end within the first {HEAD_BYTES} bytes.", code="NOT_CSV")
    names = _names(raw.rstrip(b"\r\n"))
    end = start + sum(map(len, lines[: skipped + 1]))
    if raw.endswith(b"\r") and len(head) > end and head[end : end + 1] == b"\n":
        end += 1
    if not {column_of(name) for name in names} >= set(COLUMNS):
        message = csv_guesses.why_no_header(raw, names, lines[skipped + 1 :], skipped + 1, column_of)
        raise Refused(message, code="MISSING_HEADER")
    return _understand(names, raw.rstrip(b"\r\n"), end, skipped + 2)


def column_of(name: str) -> str | None:
    """The column that a header cell names, in upper or lower case, with `_`, `-`, blanks or nothing between words."""
    if name.strip().startswith(OWN_COLUMN_PREFIX):
        return None
    return _COLUMN_OF_LETTERS.get(_BETWEEN_WORDS.sub("", name).lower())


def header_cells(raw: bytes) -> list[str]:
    """The names of a header as they arrived, without the guard that fcgraph's exports put before a formula."""
    names = parse_fields(raw.decode("utf-8"))
    if isinstance(names, str):
        raise csv.Error(names)
    guarded = any(name.strip().lower() == PROBLEMS_COLUMN for name in names)
    return [without_guard(name) for name in names] if guarded else list(names)


def _names(raw: bytes) -> list[str]:
    try:
        names = header_cells(raw)
    except UnicodeDecodeError as e:
        raise Refused(csv_guesses.header_not_utf8(raw, e), code="NOT_CSV") from e
    except csv.Error as e:
        text = csv_guesses.shown(raw.decode("utf-8", "backslashreplace"))
        raise Refused(f"The first line is not a CSV header ({e}); it was read as {text}.", code="NOT_CSV") from e
    if any("\0" in name for name in names):
        raise Refused("The header has a NUL byte.", code="NOT_CSV")
    return names


def _understand(names: list[str], raw: bytes, end_byte: int, next_line: int) -> Header:
    columns = tuple(map(column_of, names))
    twice = {c: [n.strip() for n in names if column_of(n) == c] for c in COLUMNS if columns.count(c) > 1}
    if twice:
        said = "; ".join(f"{column} (as {' and '.join(map(repr, found))})" for column, found in sorted(twice.items()))
        raise Refused(f"The header names a column twice: {said}. Rename or delete one of them.", code="MISSING_HEADER")
    cleaned = [name.strip().lower() for name in names]
    own = frozenset(n for n, name in enumerate(cleaned) if name.startswith(OWN_COLUMN_PREFIX))
    # Empty names at the end are padding; an empty name among the others is an unnamed column.
    end = max(n for n, name in enumerate(cleaned) if name)
    return Header(
        columns=columns,
        ignored=tuple(
            name or f"(column {n + 1}, without a name)"
            for n, name in enumerate(cleaned)
            if n <= end and columns[n] is None and n not in own
        ),
        raw=raw,
        guarded=PROBLEMS_COLUMN in cleaned,
        end_byte=end_byte,
        next_line=next_line,
        names=tuple(names),
        own=own,
        record_at=cleaned.index(RECORD_COLUMN) if RECORD_COLUMN in cleaned else None,
    )
