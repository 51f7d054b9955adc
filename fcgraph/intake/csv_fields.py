"""Rows as the file's header defines them: values in their columns, or a line that is not a row.

These lines are not rows: blank lines, lines with only empty values, and a header repeated where files were joined.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fcgraph.formulas import without_guard
from fcgraph.intake import csv_guesses, csv_whole
from fcgraph.intake.csv_cells import BLANKS, NOTHING, column_number, hold_nothing, parse_fields
from fcgraph.intake.csv_header import PROBLEMS_COLUMN, Header, column_of
from fcgraph.intake.csv_rows import Chunk, Row
from fcgraph.rules.fast_rules import Columns, FastRows, Parsed
from fcgraph.rules.records import COLUMNS, is_uuid

_EMPTY = NOTHING + ","


def is_empty(text: str) -> bool:
    """Whether a plain line consists only of commas and blanks."""
    return not text.strip(_EMPTY)


def as_row(row: Row, header: Header) -> Row | None:
    """The row with its values in the header's order; None for a line that is not a row."""
    if row.fields is None:
        return _explained(row, header) if row.code == "INVALID_ENCODING" else row
    if hold_nothing(f for n, f in enumerate(row.fields) if n not in header.own):
        return None
    fields = row.fields
    if b"receiver" in row.raw.lower():
        names = [column_of(field) for field in fields]
        if "receiver_id" in names and "sender_id" in names:
            return _header_again(row, names, header)
    if header.guarded:
        fields = tuple(map(without_guard, fields))
        whole = _whole_row(fields, header)
        if whole is not None:
            return _taken_apart_again(row, fields, whole, header)
    return _without_surplus(row, fields, header)


def _without_surplus(row: Row, fields: tuple[str, ...], header: Header) -> Row:
    width = len(header.columns)
    if len(fields) > width and hold_nothing(fields[width:]):
        fields = fields[:width]
    return row if fields is row.fields else row._replace(fields=fields)


def _explained(row: Row, header: Header) -> Row:
    """A row that is not UTF-8, with a message that names the byte, its column and the likely encoding."""
    at = _first_bad_byte(row.raw)
    number = column_number(row.raw, at)
    name = header.names[number - 1].strip() if number <= len(header.names) else ""
    what = csv_guesses.not_utf8(row.raw, at, header.columns[number - 1] or name if name else None)
    return row._replace(problem=f"{what}; save the file as CSV UTF-8, or correct this row in UTF-8")


def _first_bad_byte(raw: bytes) -> int:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as e:
        return e.start
    return 0


def _header_again(row: Row, names: Sequence[str | None], header: Header) -> Row | None:
    """Classify a line that names columns: the header repeated, another header, or a row followed by a header."""
    assert row.fields is not None
    sender = header.columns.index("sender_id")
    width = max(n for n, column in enumerate(header.columns) if column is not None) + 1
    if sender < len(row.fields) and is_uuid(row.fields[sender].strip(BLANKS)):
        problem = "the header of another file follows in this line: the previous file did not end with a line end"
        same = list(names[width:]) == list(header.columns[1 : 1 + len(names) - width])
        return row._replace(fields=None, code="INVALID_CSV", problem=problem, ends_header=not same)
    if all(column in names for column in COLUMNS) and [names.index(c) for c in COLUMNS] == [
        header.columns.index(c) for c in COLUMNS
    ]:
        return None
    read = csv_guesses.shown(",".join(row.fields))
    problem = f"the line is a header with other columns or another order than the header of the file: {read}"
    return row._replace(fields=None, code="INVALID_CSV", problem=problem, ends_header=True)


def _whole_row(fields: Sequence[str], header: Header) -> str | None:
    """The text of a row that is stored whole in the first cell of a rejects file; None for a row split into cells."""
    first, *others = (field for n, field in enumerate(fields) if n not in header.own)
    return first if "," in first and hold_nothing(others) else None


def _taken_apart_again(row: Row, fields: Sequence[str], text: str, header: Header) -> Row:
    """The row parsed from `text`. The columns added by the rejects file stay as they are."""
    values = parse_fields(text)
    at = [name.strip().lower() for name in header.names].index(PROBLEMS_COLUMN)
    same = csv_whole.unchanged(fields[at], text) if at < len(fields) else None
    if same is not None:
        return row._replace(fields=None, code=same[0], problem=same[1])
    if isinstance(values, str):
        return row._replace(fields=None, problem=values)
    width = len(header.columns)
    laid_out = [fields[n] if n < len(fields) and n in header.own else "" for n in range(width)]
    free = [n for n in range(width) if n not in header.own]
    for n, value in zip(free, values, strict=False):
        laid_out[n] = value
    return _without_surplus(row, (*laid_out, *values[len(free) :]), header)


def with_tidied_rows(fast: FastRows, parsed: Parsed, chunk: Chunk, header: Header) -> Parsed:
    """Retry rows on the fast path without their extra blanks and trailing empty values."""
    last = max(n for n, column in enumerate(header.columns) if column is not None)
    lines: dict[int, str] = {}
    for number, text in parsed.rest:
        tidied = _tidied(text, len(header.columns), last)
        if tidied is not None and tidied != text:
            lines[number] = tidied
    if not lines:
        return parsed
    numbers = list(lines)
    again = fast.parse("\n".join([*lines.values(), ""]), [chunk.lines[n] for n in numbers])
    if not again.numbers:
        return parsed
    taken = again._replace(numbers=[numbers[n] for n in again.numbers])
    gone = set(taken.numbers)
    rest = [(number, text) for number, text in parsed.rest if number not in gone]
    return (_merged(parsed, taken) if parsed.numbers else taken)._replace(rest=rest)


def _tidied(text: str, width: int, last: int) -> str | None:
    """The plain line without blanks around values and with as many values as the header; None for an empty line."""
    values = [value.strip(BLANKS) for value in text.split(",")]
    if len(values) > width:
        if any(values[width:]):
            return None
        del values[width:]
    elif last < len(values) < width:
        values += [""] * (width - len(values))
    return ",".join(values)


def _merged(one: Parsed, other: Parsed) -> Parsed:
    """The accepted rows of both, in line order."""
    numbers = [*one.numbers, *other.numbers]
    order = sorted(range(len(numbers)), key=numbers.__getitem__)

    def ordered(mine: Iterable[str], theirs: Iterable[str]) -> list[str]:
        both = [*mine, *theirs]
        return [both[n] for n in order]

    positions = [*one.accepted.position, *other.accepted.position]
    texts = [ordered(mine, theirs) for mine, theirs in zip(one.accepted[1:], other.accepted[1:], strict=True)]
    lines = None if one.lines is None or other.lines is None else ordered(one.lines, other.lines)
    return Parsed(Columns([positions[n] for n in order], *texts), [numbers[n] for n in order], [], lines)
