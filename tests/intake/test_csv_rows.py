"""Files as they really come: headers, line ends, quotes, lengths; exact line numbers; any chunk size, any cut."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fcgraph import csv_rows
from fcgraph.csv_rows import Row
from fcgraph.errors import Refused
from tests.intake.cases import HEADER, LINES, line

LINE_MAX = 64 * 1024


def rows_of(data: bytes, chunk_bytes: int = 4096) -> list[tuple[int, bytes]]:
    """Every row as (line, raw bytes), whatever chunks it came in."""
    header = csv_rows.read_header(data[: csv_rows.HEAD_BYTES])
    found: list[tuple[int, bytes]] = []
    chunks = csv_rows.chunks(
        io.BytesIO(data), header.end_byte, header.next_line, chunk_bytes=chunk_bytes, line_max_bytes=LINE_MAX
    )
    for chunk in chunks:
        if chunk.lines:
            assert chunk.text.endswith("\n")
            texts = chunk.text[:-1].split("\n")
            plain = zip(chunk.lines, texts, strict=True)
            found += [(number, chunk.raw_of.get(number) or text.encode("latin-1")) for number, text in plain]
        found += [(row.line, row.raw) for row in chunk.odd]
    return sorted((number, raw) for number, raw in found if raw.strip())


def odd_rows(data: bytes) -> list[Row]:
    header = csv_rows.read_header(data)
    chunks = csv_rows.chunks(
        io.BytesIO(data), header.end_byte, header.next_line, chunk_bytes=1 << 20, line_max_bytes=LINE_MAX
    )
    return [row for chunk in chunks for row in chunk.odd]


GOOD_HEADERS = (
    HEADER,
    "\ufeff" + HEADER,
    "sep=,\n" + HEADER,
    "\ufeffsep=,\r\n" + HEADER,
    HEADER.upper(),
    " Transaction_ID , sender_id,receiver_id,amount,currency,timestamp,status ",
    '"' + HEADER.replace(",", '","') + '"',
    "status,timestamp,currency,amount,receiver_id,sender_id,transaction_id",
    HEADER + ",comment,_line,_outcome,_problems",
    "\n\n" + HEADER,
)


@pytest.mark.parametrize("text", GOOD_HEADERS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_headers_as_they_come(text: str, end: str) -> None:
    data = (text.replace("\r\n", "\n").replace("\n", end) + end + line() + end).encode()
    header = csv_rows.read_header(data)
    assert {c for c in header.columns if c} == set(HEADER.split(","))
    assert data[header.end_byte :].decode() == line() + end
    assert header.next_line == text.replace("\r\n", "\n").count("\n") + 2
    assert header.ignored == (("comment",) if "comment" in text else ())
    assert header.guarded is ("_problems" in text)


@pytest.mark.parametrize(
    ("data", "code", "word"),
    [
        (b"", "MISSING_HEADER", "empty"),
        (b"\n\n  \n", "MISSING_HEADER", "empty"),
        (b"\xef\xbb\xbf", "MISSING_HEADER", "empty"),
        (line().encode(), "MISSING_HEADER", "transaction_id"),
        (HEADER.replace("amount,", "").encode(), "MISSING_HEADER", "amount"),
        ((HEADER + ",amount").encode(), "MISSING_HEADER", "twice"),
        (HEADER.replace(",", ";").encode(), "MISSING_HEADER", "semicolon"),
        (HEADER.replace(",", "\t").encode(), "MISSING_HEADER", "tab"),
        (b"sep=;\n" + HEADER.encode(), "NOT_CSV", "';'"),
        (HEADER.encode("utf-16"), "NOT_CSV", "UTF-16"),
        (HEADER.encode("utf-16-le"), "NOT_CSV", "UTF-16"),
        (b"\x1f\x8b\x08\x00" + b"x" * 50, "NOT_CSV", "gzip"),
        (b"PK\x03\x04" + b"x" * 50, "NOT_CSV", "zip"),
        (b"%PDF-1.7\n", "NOT_CSV", "PDF"),
        (b"\xff" * 10 + HEADER.encode(), "NOT_CSV", "no CSV header"),
        (b'"' + HEADER.encode(), "NOT_CSV", "no CSV header"),
        (b"\0" * 100, "NOT_CSV", "binary"),
    ],
)
def test_what_is_no_csv_with_the_columns_is_refused(data: bytes, code: str, word: str) -> None:
    with pytest.raises(Refused) as refused:
        csv_rows.read_header(data)
    assert refused.value.code == code
    assert word in refused.value.message


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_line_numbers_and_raw_bytes_are_exact(end: bytes) -> None:
    rows = [line().encode(), b"bad,row", b"", b'"quoted, and long",1', b"last"]
    data = end.join([HEADER.encode(), *rows]) + end
    assert rows_of(data) == [(n, raw) for n, raw in enumerate(rows, 2) if raw]


def test_a_row_over_several_lines_counts_all_of_them() -> None:
    data = f'{HEADER},note\n{line()},"one\r\ntwo, three\n"\nnext\n'.encode()
    assert rows_of(data) == [(2, f'{line()},"one\r\ntwo, three\n"'.encode()), (5, b"next")]
    (row,) = odd_rows(data)
    assert row.fields is not None
    assert row.fields[-1] == "one\r\ntwo, three\n"


def test_an_unclosed_quote_names_its_line_and_costs_that_line_only() -> None:
    data = (
        f"{HEADER}\n{line()}\n{line(status=chr(34) + 'completed')}\n{line()}\n{line(amount=chr(34) + '1' + chr(34))}\n"
    )
    found = odd_rows(data.encode())
    assert [(row.line, row.problem) for row in found] == [(3, "the quote opened in line 3 is not closed")]
    assert [number for number, _ in rows_of(data.encode())] == [2, 3, 4, 5]


def test_a_long_line_is_cut_and_the_next_one_is_whole() -> None:
    long = b"x" * 300_000
    for end in (b"\n", b"\r\n"):
        data = HEADER.encode() + end + long + end + line().encode() + end
        found = rows_of(data, chunk_bytes=70_000)
        assert found == [(2, long[:LINE_MAX]), (3, line().encode())]


@settings(max_examples=300, deadline=None)
@given(
    picked=st.lists(
        st.sampled_from([raw for _, raw, _ in LINES if len(raw) < 60_000] + [line().encode(), b""]), max_size=12
    ),
    end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    last_end=st.booleans(),
    chunk_bytes=st.integers(20, 3000),
)
def test_any_chunk_size_finds_the_same_rows(picked: list[bytes], end: bytes, last_end: bool, chunk_bytes: int) -> None:
    data = HEADER.encode() + end + end.join(picked) + (end if last_end else b"")
    assert rows_of(data, chunk_bytes) == rows_of(data, 1 << 20)


@settings(max_examples=200, deadline=None)
@given(blocks=st.lists(st.binary(max_size=60), max_size=8))
def test_no_bytes_make_the_reader_fail_or_lose_a_line(blocks: list[bytes]) -> None:
    data = HEADER.encode() + b"\n" + b"\n".join(blocks)
    found = rows_of(data, 64)
    assert [n for n, _ in found] == sorted({n for n, _ in found})
    assert all(n >= 2 for n, _ in found)
