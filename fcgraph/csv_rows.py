"""A CSV file's bytes become chunks of numbered rows, whatever the file's line ends and quotes; nothing is judged here.

What is about the file as a whole (no header, not CSV at all) is refused; what is about one row is left to the rules.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

from fcgraph.errors import Refused
from fcgraph.records import COLUMNS

HEAD_BYTES = 64 * 1024
OWN_COLUMN_PREFIX = "_"  # `_line`, `_outcome`, `_problems` of a rejects file
BOM = b"\xef\xbb\xbf"
_NOT_TEXT = {
    b"\x1f\x8b": "gzip-compressed",
    b"PK\x03\x04": "a zip archive (a spreadsheet file, perhaps); save it as CSV",
    b"\xff\xfe": "UTF-16; save it as CSV UTF-8",
    b"\xfe\xff": "UTF-16; save it as CSV UTF-8",
    b"%PDF": "a PDF",
}
# A line all of whose quotes stand around whole fields without commas: taking them away changes no value.
_SIMPLY_QUOTED = re.compile(rb'(?:"[^",]*"|[^",]*)(?:,(?:"[^",]*"|[^",]*))*')


class Header(NamedTuple):
    """The header as understood: a column (or None: kept out) per place, its raw bytes, and where the rows begin."""

    columns: tuple[str | None, ...]
    ignored: tuple[str, ...]
    raw: bytes
    guarded: bool
    end_byte: int
    next_line: int


class Row(NamedTuple):
    """A row that is not one plain line: its fields, or why it cannot be taken apart."""

    line: int
    raw: bytes
    fields: tuple[str, ...] | None
    problem: str | None = None
    code: str = "INVALID_CSV"


class Chunk(NamedTuple):
    """Rows that are settled together. `text` holds the plain rows, each ended by LF, numbered by `lines`.

    `raw_of` has the raw bytes of those plain rows whose text was unquoted; `odd` are the rows that are not plain.
    `unterminated_line` is the file's last line when no line end follows it: the file may have been cut there.
    """

    text: str
    lines: Sequence[int]
    raw_of: dict[int, bytes]
    odd: list[Row]
    end_byte: int
    next_line: int
    unterminated_line: int | None = None


def read_header(head: bytes) -> Header:
    """Understand the first bytes of a file (at most HEAD_BYTES of them).

    Raises Refused: NOT_CSV for what is no CSV text, MISSING_HEADER when columns lack or the file is empty.
    """
    for magic, what in _NOT_TEXT.items():
        if head.startswith(magic):
            raise Refused(f"The file is {what}.", code="NOT_CSV")
    if head.count(b"\0") > len(head) // 4:
        raise Refused("The file is binary or UTF-16, not UTF-8 text.", code="NOT_CSV")
    start = len(BOM) if head.startswith(BOM) else 0
    lines = head[start:].splitlines(keepends=True)
    skipped = 0
    while skipped < len(lines) and not lines[skipped].strip():
        skipped += 1
    if skipped < len(lines) and lines[skipped].strip().lower().startswith(b"sep="):
        separator = lines[skipped].strip()[4:]
        if separator != b",":
            shown = separator.decode("ascii", "backslashreplace")
            raise Refused(f"The file says its separator is {shown!r}; a comma is needed.", code="NOT_CSV")
        skipped += 1
    if skipped == len(lines):
        raise Refused("The file is empty: a header with the seven columns is needed.", code="MISSING_HEADER")
    raw = lines[skipped]
    names = _header_names(raw)
    end = start + sum(map(len, lines[: skipped + 1]))
    if raw.endswith(b"\r") and len(head) > end and head[end : end + 1] == b"\n":
        end += 1
    return _understand(names, raw.rstrip(b"\r\n"), end, skipped + 2)


def _header_names(raw: bytes) -> list[str]:
    try:
        text = raw.decode("utf-8")
        return [name.strip().lower() for name in next(csv.reader([text], strict=True))]
    except (UnicodeDecodeError, csv.Error, StopIteration) as e:
        raise Refused("The first line is no CSV header.", code="NOT_CSV") from e


def _understand(names: list[str], raw: bytes, end_byte: int, next_line: int) -> Header:
    missing = [column for column in COLUMNS if column not in names]
    if missing:
        hint = " Is the separator a semicolon or a tab?" if len(names) == 1 and re.search(rb"[;\t]", raw) else ""
        raise Refused(f"The header lacks the columns: {', '.join(missing)}.{hint}", code="MISSING_HEADER")
    twice = sorted({column for column in COLUMNS if names.count(column) > 1})
    if twice:
        raise Refused(f"The header names a column twice: {', '.join(twice)}.", code="MISSING_HEADER")
    own = [name for name in names if name.startswith(OWN_COLUMN_PREFIX)]
    return Header(
        columns=tuple(name if name in COLUMNS else None for name in names),
        ignored=tuple(name for name in names if name not in COLUMNS and name not in own),
        raw=raw,
        guarded="_problems" in own,
        end_byte=end_byte,
        next_line=next_line,
    )


def chunks(
    file: BinaryIO, start_byte: int, first_line: int, *, chunk_bytes: int, line_max_bytes: int
) -> Iterator[Chunk]:
    """The file's rows from `start_byte` (line `first_line`) on, in chunks of about `chunk_bytes`."""
    file.seek(start_byte)
    at, line, carry = start_byte, first_line, b""
    while True:
        block = carry + file.read(chunk_bytes)
        at_end = len(block) - len(carry) < chunk_bytes
        whole = block if at_end else block[: _last_line_end(block)]
        if not whole and not at_end:
            if len(block) > line_max_bytes:
                chunk, at = _skip_long_line(file, block, at, line, line_max_bytes)
                yield chunk
                line, carry = chunk.next_line, b""
                file.seek(at)
            else:
                carry = block
            continue
        if whole:
            chunk = _rows(whole, at, line, line_max_bytes, at_end)
            carry = block[chunk.end_byte - at :]
            if at_end and not whole.endswith((b"\n", b"\r")):
                chunk = chunk._replace(unterminated_line=chunk.next_line - 1)
            if chunk.end_byte > at:
                at, line = chunk.end_byte, chunk.next_line
                yield chunk
        if at_end:
            return


def one_row(raw: bytes, line: int) -> Chunk:
    """A kept row on its own, as a chunk."""
    chunk = _rows(raw, 0, line, len(raw), at_end=True)
    return chunk._replace(odd=[row._replace(line=line) for row in chunk.odd])


def _last_line_end(block: bytes) -> int:
    """Where the last complete line ends. A CR that ends the block may be half of a CRLF, so it does not count."""
    return max(block.rfind(b"\n") + 1, block.rfind(b"\r", 0, len(block) - 1) + 1)


def _skip_long_line(file: BinaryIO, block: bytes, at: int, line: int, line_max_bytes: int) -> tuple[Chunk, int]:
    """A line longer than a whole block: kept cut off, its rest read over without keeping it."""
    end = at + len(block)
    file.seek(end)
    while more := file.read(HEAD_BYTES):
        ends = [n for n in (more.find(b"\n"), more.find(b"\r")) if n >= 0]
        if ends:
            end += min(ends)
            file.seek(end)
            end += 2 if file.read(2) == b"\r\n" else 1
            break
        end += len(more)
    return Chunk("", (), {}, [_too_long(line, block, line_max_bytes)], end, line + 1), end


def _too_long(line: int, raw: bytes, line_max_bytes: int) -> Row:
    message = f"the line is longer than {line_max_bytes} bytes (CSV_LINE_MAX_BYTES); only its beginning is kept"
    return Row(line, raw[:line_max_bytes], None, message)


def _rows(whole: bytes, at: int, first_line: int, line_max_bytes: int, at_end: bool) -> Chunk:
    """Number the rows of some whole lines. Most blocks have no quotes and need no look at single lines."""
    if b'"' in whole:
        return _quoted_rows(whole, at, first_line, line_max_bytes, at_end)
    text = whole.decode("latin-1")  # one character a byte: cheap, and the raw bytes can be had back exactly
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.endswith("\n"):
        text += "\n"
    next_line = first_line + text.count("\n")
    return Chunk(text, range(first_line, next_line), {}, [], at + len(whole), next_line)


def _quoted_rows(whole: bytes, at: int, first_line: int, line_max_bytes: int, at_end: bool) -> Chunk:
    """Rows of a block with quotes: a row may go over several lines; an unclosed quote costs its own line only."""
    lines = whole.splitlines(keepends=True)
    texts: list[str] = []
    numbers: list[int] = []
    raw_of: dict[int, bytes] = {}
    odd: list[Row] = []
    n = 0
    while n < len(lines):
        content = lines[n].rstrip(b"\r\n")
        number = first_line + n
        if b'"' not in content or (len(content) <= line_max_bytes and _SIMPLY_QUOTED.fullmatch(content)):
            plain = content.replace(b'"', b"")
            if plain != content:
                raw_of[number] = content
            texts.append(plain.decode("latin-1") + "\n")
            numbers.append(number)
            n += 1
            continue
        end, size = _closing_line(lines, n, line_max_bytes)
        if end is None and not at_end and size <= line_max_bytes:
            break  # the quote may be closed in the next block
        row, n = _quoted_row(lines, n, end, number)
        odd.append(row)
    done = sum(map(len, lines[:n]))
    return Chunk("".join(texts), numbers, raw_of, odd, at + done, first_line + n)


def _closing_line(lines: list[bytes], n: int, line_max_bytes: int) -> tuple[int | None, int]:
    """The line in which the quotes opened in line `n` are all closed, None if in none near, and the bytes looked at."""
    size, is_open = 0, 0
    for end in range(n, len(lines)):
        size += len(lines[end])
        is_open ^= lines[end].count(b'"') & 1
        if size > line_max_bytes:
            return None, size
        if not is_open:
            return end, size
    return None, size


def _quoted_row(lines: list[bytes], n: int, end: int | None, number: int) -> tuple[Row, int]:
    """One row that begins in line `n`, and the line after it."""
    alone = lines[n].rstrip(b"\r\n")
    if end is None:
        return Row(number, alone, None, f"the quote opened in line {number} is not closed"), n + 1
    raw = b"".join(lines[n : end + 1]).rstrip(b"\r\n")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as e:
        return Row(number, raw, None, f"the row is not UTF-8 at byte {e.start}", "INVALID_ENCODING"), end + 1
    fields = parse_fields(text)
    if isinstance(fields, str):
        if end > n:
            return Row(number, alone, None, f"the quote opened in line {number} is not closed"), n + 1
        return Row(number, alone, None, fields), n + 1
    return Row(number, raw, fields), end + 1


def parse_fields(text: str) -> tuple[str, ...] | str:
    """The fields of one row, or why it is no row of CSV (RFC 4180: a quote stands around a whole field or doubled)."""
    if '"' not in text and "\r" not in text and "\n" not in text:
        return tuple(text.split(","))
    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error as e:
        return f"the row is no CSV: {e}"
    if len(rows) != 1:
        return "the row is no CSV: a quote stands inside a field without quotes"
    return tuple(rows[0])
