"""Realistic files: headers, line ends, quotes, lengths; exact line numbers; any chunk size, any truncation."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fcgraph.errors import Refused
from fcgraph.intake import csv_rows
from fcgraph.intake.csv_rows import Row
from tests.intake.cases import FILES, HEADER, LINES, File, line

LINE_MAX = 64 * 1024


def rows_of(data: bytes, chunk_bytes: int = 4096) -> list[tuple[int, bytes]]:
    """Every row as (line, raw bytes), independent of chunks."""
    header = csv_rows.read_header(data[: csv_rows.HEAD_BYTES])
    found: list[tuple[int, bytes]] = []
    chunks = csv_rows.chunks(
        io.BytesIO(data), header.end_byte, header.next_line, chunk_bytes=chunk_bytes, line_max_bytes=LINE_MAX
    )
    for chunk in chunks:
        if chunk.lines:
            assert chunk.text.endswith("\n")
            texts = chunk.text[:-1].split("\n")
            raw = chunk.block.splitlines()
            assert [raw[n - chunk.first_line].replace(b'"', b"") for n in chunk.lines] == [
                t.encode("latin-1") for t in texts
            ]
            found += [(n, raw[n - chunk.first_line]) for n in chunk.lines]
        found += [(row.line, row.raw) for row in chunk.irregular]
    return sorted((number, raw) for number, raw in found if raw.strip())


def irregular_rows(data: bytes) -> list[Row]:
    header = csv_rows.read_header(data)
    chunks = csv_rows.chunks(
        io.BytesIO(data), header.end_byte, header.next_line, chunk_bytes=1 << 20, line_max_bytes=LINE_MAX
    )
    return [row for chunk in chunks for row in chunk.irregular]


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


@pytest.mark.parametrize("case", [case for case in FILES if case.code != "INVALID_INPUT"], ids=lambda case: case.name)
def test_what_is_no_csv_with_the_columns_is_refused(case: File) -> None:
    with pytest.raises(Refused) as refused:
        csv_rows.read_header(case.data[: csv_rows.HEAD_BYTES])
    assert refused.value.code == case.code
    assert case.word in refused.value.message


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_line_numbers_and_raw_bytes_are_exact(end: bytes) -> None:
    rows = [line().encode(), b"bad,row", b"", b'"quoted, and long",1', b"last"]
    data = end.join([HEADER.encode(), *rows]) + end
    assert rows_of(data) == [(n, raw) for n, raw in enumerate(rows, 2) if raw]


def test_a_row_over_several_lines_counts_all_of_them() -> None:
    data = f'{HEADER},note\n{line()},"one\r\ntwo, three\n"\nnext\n'.encode()
    assert rows_of(data) == [(2, f'{line()},"one\r\ntwo, three\n"'.encode()), (5, b"next")]
    (row,) = irregular_rows(data)
    assert row.fields is not None
    assert row.fields[-1] == "one\r\ntwo, three\n"


def test_an_unclosed_quote_names_its_line_and_costs_that_line_only() -> None:
    data = (
        f"{HEADER}\n{line()}\n{line(status=chr(34) + 'completed')}\n{line()}\n{line(amount=chr(34) + '1' + chr(34))}\n"
    )
    found = irregular_rows(data.encode())
    assert [(row.line, row.problem) for row in found] == [(3, "the quote opened in line 3 is not closed")]
    assert [number for number, _ in rows_of(data.encode())] == [2, 3, 4, 5]


def test_quotes_that_open_in_two_rows_do_not_swallow_those_between() -> None:
    """Together they could be one note of four lines, but it contains rows, so the first quote was never closed."""
    rows = [line() + ',"paid', line() + ",fine", line() + ",fine", line() + ',late"', line() + ',"a, b"']
    found = irregular_rows("\n".join([HEADER + ",note", *rows, ""]).encode())
    assert [(row.line, row.problem) for row in found] == [
        (2, "the quote opened in line 2 is not closed before the next row"),
        (5, "the quote opened in line 5 is not closed"),
        (6, None),
    ]
    first = 'one\ntwo",' + line()
    (row,) = irregular_rows(f'note,{HEADER}\n"{first}\n'.encode())
    assert (row.line, row.fields and row.fields[0]) == (2, "one\ntwo")


@pytest.mark.parametrize("chunk_bytes", [70_000, 1 << 20])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_long_line_costs_only_itself_wherever_a_block_ends(end: bytes, chunk_bytes: int) -> None:
    for size in (69_998, 69_999, 70_000, 70_001, 140_000):
        data = HEADER.encode() + end + b"x" * size + end + line().encode() + end + b"last" + end
        found = [(number, raw[:LINE_MAX]) for number, raw in rows_of(data, chunk_bytes)]
        assert found == [(2, b"x" * LINE_MAX), (3, line().encode()), (4, b"last")]


def test_a_long_line_is_cut_and_the_next_one_is_whole() -> None:
    long = b"x" * 300_000
    for end in (b"\n", b"\r\n"):
        data = HEADER.encode() + end + long + end + line().encode() + end
        found = rows_of(data, chunk_bytes=70_000)
        assert found == [(2, long[:LINE_MAX]), (3, line().encode())]


@settings(max_examples=300, deadline=None)
@given(
    picked=st.lists(
        st.sampled_from(
            [raw for _, raw, _ in LINES if len(raw) < 60_000 and b"\0" not in raw] + [line().encode(), b""]
        ),
        max_size=12,
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
