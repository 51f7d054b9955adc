"""Split the bytes of a CSV file into chunks of numbered rows, with any line ends and quotes; no validation here.

Faults of the whole file (no header, not CSV at all) are refused; faults of single rows are left to the rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

from fcgraph.intake.csv_cells import parse_fields as parse_fields
from fcgraph.intake.csv_header import HEAD_BYTES as HEAD_BYTES
from fcgraph.intake.csv_header import RECORD_COLUMN as RECORD_COLUMN
from fcgraph.intake.csv_header import Header as Header
from fcgraph.intake.csv_header import header_cells as header_cells
from fcgraph.intake.csv_header import read_header as read_header

# Marks that programs write before the first line of a file (BOM), and DOS programs after the last one.
MARKS = "\ufeff\x1a"
END_MARK = b"\x1a"
# A line with as many ids as a payment has is a row, even within the quotes of another row.
_ROW_WITHIN = re.compile(r"(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}[^\r\n]*){3}", re.IGNORECASE | re.ASCII)
# Lines whose quotes all enclose whole values without commas: removing the quotes does not change any value. Matches
# many lines if each begins with a quote, otherwise one.
_VALUE = rb'(?:[ \t]*+"[^",\r\n]*+"[ \t]*+|[^",\r\n]*+)'
_MORE_VALUES = rb"(?:," + _VALUE + rb")*+(?:\r\n?|\n)"
_QUOTED_LINES = re.compile(rb'(?:"[^",\r\n]*+"' + _MORE_VALUES + rb")++|" + _VALUE + _MORE_VALUES)
_LINE = re.compile(rb"[^\r\n]*+(?:\r\n?|\n)")


class Row(NamedTuple):
    """A row that is not one plain line: its fields, or why it cannot be parsed.

    `is_last`: the file ends with this row without a line end, so its last value may be truncated.
    `ends_header`: the rows below it do not have the columns of the file's header.
    """

    line: int
    raw: bytes
    fields: tuple[str, ...] | None
    problem: str | None = None
    code: str = "INVALID_CSV"
    is_last: bool = False
    ends_header: bool = False


class Chunk(NamedTuple):
    """Rows that are applied together. `text` has the plain rows, each terminated by LF; `lines` are their numbers.

    `irregular` are the other rows. `block` has the original bytes; its first line is `first_line`.
    """

    text: str
    lines: Sequence[int]
    irregular: list[Row]
    block: bytes
    first_line: int
    end_byte: int
    next_line: int


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
                chunk = _last_row_aside(chunk, line_max_bytes)
            if chunk.end_byte > at:
                at, line = chunk.end_byte, chunk.next_line
                yield chunk
        if at_end:
            return


def _last_row_aside(chunk: Chunk, line_max_bytes: int) -> Chunk:
    """The chunk with its last row, which has no line end, marked as the last one of the file."""
    irregular, line = chunk.irregular, chunk.lines[-1] if chunk.lines else 0
    if irregular and irregular[-1].line > line:
        last = (
            _last_row(irregular[-1].line, irregular[-1].raw, line_max_bytes)
            if irregular[-1].raw.endswith(END_MARK)
            else irregular[-1]
        )
        return chunk._replace(irregular=[*irregular[:-1], last._replace(is_last=True)])
    raw = chunk.block.splitlines()[-1]
    if not raw.strip():
        return chunk
    before = chunk.text[: chunk.text.rfind("\n", 0, -1) + 1]
    last = _last_row(line, raw, line_max_bytes)
    return chunk._replace(text=before, lines=chunk.lines[:-1], irregular=[*irregular, last])


def _last_row(line: int, raw: bytes, line_max_bytes: int) -> Row:
    return take_apart(line, raw.rstrip(END_MARK), line_max_bytes)._replace(raw=raw, is_last=True)


def _last_line_end(block: bytes) -> int:
    """Where the last complete line ends. A CR at the end of the block may be half of a CRLF, so it does not count."""
    return max(block.rfind(b"\n") + 1, block.rfind(b"\r", 0, len(block) - 1) + 1)


def _skip_long_line(file: BinaryIO, block: bytes, at: int, line: int, line_max_bytes: int) -> tuple[Chunk, int]:
    """A line longer than a whole block: its beginning is stored, the rest is skipped."""
    end = at + len(block) - block.endswith(b"\r")
    file.seek(end)
    while more := file.read(HEAD_BYTES):
        ends = [n for n in (more.find(b"\n"), more.find(b"\r")) if n >= 0]
        if ends:
            end += min(ends)
            file.seek(end)
            end += 2 if file.read(2) == b"\r\n" else 1
            break
        end += len(more)
    return Chunk("", (), [_too_long(line, block, line_max_bytes)], b"", line, end, line + 1), end


def _too_long(line: int, raw: bytes, line_max_bytes: int) -> Row:
    message = f"the line is longer than {line_max_bytes} bytes (CSV_LINE_MAX_BYTES); only its beginning is stored"
    return Row(line, raw[:line_max_bytes], None, message)


def _rows(whole: bytes, at: int, first_line: int, line_max_bytes: int, at_end: bool) -> Chunk:
    """Number the rows of some whole lines. Most blocks have few quotes, so single lines are rarely examined."""
    block = whole if whole.endswith((b"\n", b"\r")) else whole + b"\n"
    texts: list[str] = []
    numbers: list[int] = []
    irregular: list[Row] = []
    done, line = 0, first_line
    while done < len(block):
        end = _plain_end(block, done)
        if end > done:
            text = _plain_text(block[done:end])
            texts.append(text)
            numbers.extend(range(line, line := line + text.count("\n")))
            done = end
            continue
        row, end = _irregular_row(block, done, line, line_max_bytes, at_end)
        if row is None:
            break
        irregular.append(row)
        line += len(block[done:end].splitlines())
        done = end
    return Chunk("".join(texts), numbers, irregular, block[:done], first_line, at + min(done, len(whole)), line)


def _plain_end(block: bytes, start: int) -> int:
    """Where the plain lines from `start` end: those before the next quote, else those with simple quotes only."""
    quote = block.find(b'"', start)
    if quote < 0:
        return len(block)
    end = max(start, block.rfind(b"\n", start, quote) + 1, block.rfind(b"\r", start, quote) + 1)
    if end > start:
        return end
    quoted = _QUOTED_LINES.match(block, start)
    return quoted.end() if quoted else start


def _plain_text(lines: bytes) -> str:
    """Plain lines without their quotes, each terminated by LF. One character per byte is fast and lossless."""
    text = lines.replace(b'"', b"").decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _irregular_row(block: bytes, start: int, line: int, line_max_bytes: int, at_end: bool) -> tuple[Row | None, int]:
    """The row that begins at `start` in line `line`, and where it ends; None if its end may be in the next block.

    A row may span several lines; an unclosed quote affects only its own line.
    """
    alone_end = _line_end(block, start)
    alone = block[start:alone_end].rstrip(b"\r\n")
    if len(alone) > line_max_bytes:
        return _too_long(line, alone, line_max_bytes), alone_end
    end = _closing_line_end(block, start, line_max_bytes)
    if end is None:
        if len(block) - start > line_max_bytes:
            problem = (
                f"the quote opened in line {line} is not closed within {line_max_bytes} bytes (CSV_LINE_MAX_BYTES)"
            )
            return Row(line, alone, None, problem), alone_end
        if not at_end:
            return None, start
        return Row(line, alone, None, f"the quote opened in line {line} is not closed"), alone_end
    raw = block[start:end].rstrip(b"\r\n")
    if end > alone_end:
        fields = parse_fields(raw.decode("latin-1"))  # ASCII alone determines where rows end
        if isinstance(fields, str) or any(map(_ROW_WITHIN.search, fields)):
            problem = f"the quote opened in line {line} is not closed before the next row"
            return Row(line, alone, None, problem), alone_end
    return take_apart(line, raw, line_max_bytes), end


def _line_end(block: bytes, start: int) -> int:
    line = _LINE.match(block, start)
    return line.end() if line else len(block)


def _closing_line_end(block: bytes, start: int, line_max_bytes: int) -> int | None:
    """The end of the line in which all quotes opened at `start` are closed; None if it is not within the limit."""
    at, is_open = start, 0
    while at < len(block):
        end = _line_end(block, at)
        is_open ^= block.count(b'"', at, end) & 1
        if end - start > line_max_bytes:
            return None
        if not is_open:
            return end
        at = end
    return None


def take_apart(line: int, raw: bytes, line_max_bytes: int) -> Row:
    """Parse a row into fields, or say why that fails."""
    if len(raw) > line_max_bytes:
        return _too_long(line, raw, line_max_bytes)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as e:
        return Row(line, raw, None, f"the row is not UTF-8 at byte {e.start}", "INVALID_ENCODING")
    fields = parse_fields(text.lstrip(MARKS))
    return Row(line, raw, None, fields) if isinstance(fields, str) else Row(line, raw, fields)
