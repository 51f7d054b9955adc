"""The rows of a CSV of users: `user_id,name`. Each becomes a user or a list of problems; nothing is stored here."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from fcgraph.errors import Refused
from fcgraph.intake import csv_rows
from fcgraph.intake.csv_rows import Chunk, Row
from fcgraph.rules.records import VALUE_SHOWN_MAX_CHARS, Problem, is_uuid

COLUMNS = ("user_id", "name")
BOM = b"\xef\xbb\xbf"
_COLUMN_OF_LETTERS = {column.replace("_", ""): column for column in COLUMNS}
_BETWEEN_WORDS = re.compile(r"[\s_-]+")
MISSING = ("", r"\N")
BLANKS = " \t\r\n\f\v"  # ASCII only: around an id
# Control characters and the two separators that end a line or a paragraph.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Limits(NamedTuple):
    """Maximum length of a name, of a line, and of a block read at once."""

    name_max_chars: int
    line_max_bytes: int
    chunk_bytes: int


class Header(NamedTuple):
    """The columns in order (None: ignored), the indexes of the two known ones, and where the rows begin."""

    columns: tuple[str | None, ...]
    id_at: int
    name_at: int
    end_byte: int
    next_line: int


class UserRow(NamedTuple):
    """A row that passed validation."""

    line: int
    user_id: str
    name: str


@dataclass(slots=True)
class Rows:
    """A part of the file: the accepted rows, the number of rejected rows, and their problems."""

    accepted: list[UserRow] = field(default_factory=list)
    rejected: int = 0
    problems: list[Problem] = field(default_factory=list)


def read(file: BinaryIO, limits: Limits) -> Iterator[Rows]:
    """The file in parts, in order. Raises Refused: NOT_CSV, MISSING_HEADER."""
    file.seek(0)
    header = read_header(file.read(csv_rows.HEAD_BYTES))
    reader = _Reader(header, limits)
    chunks = csv_rows.chunks(
        file,
        header.end_byte,
        header.next_line,
        chunk_bytes=limits.chunk_bytes,
        line_max_bytes=limits.line_max_bytes,
    )
    for chunk in chunks:
        yield reader.rows(chunk)


def read_header(head: bytes) -> Header:
    """Read the header: columns in any order and any common spelling. Raises Refused: NOT_CSV, MISSING_HEADER."""
    start = len(BOM) if head.startswith(BOM) else 0
    lines = head[start:].splitlines(keepends=True)
    at = next((n for n, line in enumerate(lines) if line.strip(b' \t\r\n,"') not in (b"", b"sep=")), None)
    if at is None:
        raise Refused("The file is empty: a header with user_id and name is required.", code="MISSING_HEADER")
    if len(head) >= csv_rows.HEAD_BYTES and lines[at] is lines[-1]:
        raise Refused(f"The header does not end within the first {csv_rows.HEAD_BYTES} bytes.", code="NOT_CSV")
    try:
        if b"\0" in lines[at]:
            raise Refused("The file is not UTF-8 text; save it as CSV UTF-8.", code="NOT_CSV")
        names = csv_rows.header_cells(lines[at].rstrip(b"\r\n"))
    except (UnicodeDecodeError, csv.Error) as e:
        raise Refused("The first line is not a CSV header in UTF-8.", code="NOT_CSV") from e
    columns = tuple(_COLUMN_OF_LETTERS.get(_BETWEEN_WORDS.sub("", name).lower()) for name in names)
    for column in COLUMNS:
        if columns.count(column) != 1:
            what = "lacks the column" if column not in columns else "names a column twice:"
            shown = ",".join(names)[:VALUE_SHOWN_MAX_CHARS]
            raise Refused(f"The header {what} {column}; it is: {shown}", code="MISSING_HEADER")
    end = start + sum(map(len, lines[: at + 1]))
    return Header(columns, columns.index("user_id"), columns.index("name"), end, at + 2)


class _Reader:
    def __init__(self, header: Header, limits: Limits) -> None:
        self._columns = header.columns
        self._id_at, self._name_at = header.id_at, header.name_at
        self._limits = limits

    def rows(self, chunk: Chunk) -> Rows:
        found = Rows()
        try:
            lines = chunk.text.encode("latin-1").decode("utf-8").split("\n")
        except UnicodeDecodeError:
            texts = chunk.text.encode("latin-1").split(b"\n")
            for line, raw in zip(chunk.lines, texts, strict=False):
                self._add(found, csv_rows.take_apart(line, raw, self._limits.line_max_bytes))
        else:
            for line, text in zip(chunk.lines, lines, strict=False):  # nothing follows the last line end
                self._add_fields(found, line, text.split(","))
        for row in chunk.irregular:
            self._add(found, row)
        return found

    def _add(self, found: Rows, row: Row) -> None:
        if row.fields is None:
            self._reject(found, row.line, [Problem(None, row.code, row.problem or "the row is not valid CSV")])
        elif any("\n" in f or "\r" in f for n, f in enumerate(row.fields) if n in (self._id_at, self._name_at)):
            # Neither value may have line breaks, so a quote is not closed. It must not hide the rows below its line.
            for n, raw in enumerate(row.raw.splitlines()):
                self._add(found, csv_rows.take_apart(row.line + n, raw, self._limits.line_max_bytes))
        else:
            self._add_fields(found, row.line, row.fields)

    def _add_fields(self, found: Rows, line: int, fields: Sequence[str]) -> None:
        if len(fields) == len(self._columns):
            user_id, name = fields[self._id_at].strip(BLANKS), fields[self._name_at].strip()
            if is_uuid(user_id) and self._is_name(name):
                found.accepted.append(UserRow(line, user_id.lower(), name))
                return
        if not self._is_no_row(fields):
            self._check(found, line, fields)

    def _is_name(self, name: str) -> bool:
        return name not in MISSING and len(name) <= self._limits.name_max_chars and not _CONTROL.search(name)

    def _is_no_row(self, fields: Sequence[str]) -> bool:
        """Whether the line is blank, has only empty values, or repeats the header."""
        values = [f.strip().lower() for f in fields]
        if not any(values):
            return True
        return len(values) == len(self._columns) and (values[self._id_at], values[self._name_at]) == COLUMNS

    def _check(self, found: Rows, line: int, fields: Sequence[str]) -> None:
        problems: list[Problem] = []
        extra = fields[len(self._columns) :]
        if any(value.strip() for value in extra):
            message = f"the row has {len(fields)} values, the header {len(self._columns)}"
            problems.append(Problem(None, "EXTRA_VALUES", message, ",".join(extra)))
        user_id = (fields[self._id_at] if self._id_at < len(fields) else "").strip(BLANKS)
        name = (fields[self._name_at] if self._name_at < len(fields) else "").strip()
        for column, value in zip(COLUMNS, (user_id, name), strict=True):
            if value in MISSING:
                problems.append(Problem(column, "MISSING_VALUE", f"{column} is missing", value))
            elif "\0" in value:
                problems.append(Problem(column, "INVALID_ENCODING", f"{column} has a NUL character", value))
        if not any(p.column == "user_id" for p in problems) and not is_uuid(user_id):
            message = "user_id is not a UUID like 00000000-0000-0000-0000-000000000001"
            problems.append(Problem("user_id", "INVALID_UUID", message, user_id))
        if not any(p.column == "name" for p in problems) and not self._is_name(name):
            problems.append(Problem("name", "INVALID_NAME", self._why_no_name(name), name))
        if problems:
            self._reject(found, line, problems)
        else:
            found.accepted.append(UserRow(line, user_id.lower(), name))

    def _why_no_name(self, name: str) -> str:
        if len(name) > self._limits.name_max_chars:
            return f"name is longer than {self._limits.name_max_chars} characters (USER_NAME_MAX_CHARS)"
        return "name has a control character or a line break"

    def _reject(self, found: Rows, line: int, problems: Sequence[Problem]) -> None:
        found.rejected += 1
        for problem in problems:
            shown = problem.value and problem.value[:VALUE_SHOWN_MAX_CHARS].replace("\0", "\\0")
            found.problems.append(problem._replace(message=f"line {line}: {problem.message}", value=shown))


def refuse_too_large(file: BinaryIO, upload_max_bytes: int) -> None:
    """Raise Refused FILE_TOO_LARGE if the file is too large."""
    if file.seek(0, 2) > upload_max_bytes:
        raise Refused(f"The file is larger than {upload_max_bytes} bytes (UPLOAD_MAX_BYTES).", code="FILE_TOO_LARGE")
