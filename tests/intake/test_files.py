"""Realistic files through the whole import: imported, with skipped lines, or refused with instructions."""

from __future__ import annotations

import io

import pytest

from fcgraph.errors import Refused
from fcgraph.intake import csv_fields, csv_rows, resolution
from fcgraph.intake.csv_header import column_of
from fcgraph.rules import fast_rules
from tests.intake.cases import GOOD, HEADER
from tests.intake.channels import Resources, payment_id, row
from tests.intake.files import EXTRA, REFUSED, SWAPPED, TAKEN, Refusal, Taken, file, padded
from tests.rules.test_fast_rules import CURRENCIES, LATEST


@pytest.mark.parametrize("case", TAKEN, ids=lambda case: case.name)
def test_each_file_that_is_taken(resources: Resources, case: Taken) -> None:
    job = resources.import_csv(case.data)
    counts = resources.counts(job)
    codes = tuple(p["code"] for records in resources.records() for p in records.problems)
    assert codes == case.codes
    assert (counts.inserted, counts.read - counts.inserted) == (case.inserted, len(resources.records()))
    assert resources.job(job).skipped_lines == case.skipped
    # Dry runs and all-or-nothing imports skip the same lines.
    dry = resources.job(resources.import_csv(case.data, dry_run=True))
    assert (dry.read_count, dry.rejected_count, dry.skipped_lines) == (counts.read, counts.rejected, case.skipped)
    whole = resources.job(resources.import_csv(case.data, mode="ALL_OR_NOTHING", reimport=True))
    assert (whole.state, whole.skipped_lines) == ("FAILED" if case.codes else "SUCCEEDED", case.skipped)


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_each_file_that_is_refused_says_why_and_what_to_do(resources: Resources, case: Refusal) -> None:
    with pytest.raises(Refused) as refused:
        resources.accept(case.data)
    assert refused.value.code == case.code
    assert [word for word in case.words if word not in refused.value.message] == []
    assert len(refused.value.message) < 700


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("Transaction ID", "transaction_id"), ("transactionId", "transaction_id"), ("TRANSACTION_ID", "transaction_id"),
        ("TransactionID", "transaction_id"), ("SENDER-ID", "sender_id"), ("  receiver  id\t", "receiver_id"),
        ("receiver\u00a0id", "receiver_id"), ("receiverid", "receiver_id"), ("AMOUNT ", "amount"),
        ("\u017ftatus", None), ("status2", None), ("id", None), ("", None), ("_status", None), ("sender.id", None),
        ("s\u0435nder_id", None),
    ],
)  # fmt: skip
def test_which_spellings_name_a_column(name: str, column: str | None) -> None:
    assert column_of(name) == column


def test_our_own_table_as_postgresql_copies_it(resources: Resources) -> None:
    """`psql -c '\\copy transactions TO file CSV HEADER'`: numeric(20,4), its own timestamps, f and t, arrays."""
    to_oneself = row(3, amount="20000.01", receiver_id=row(3).split(",")[1], timestamp="2025-05-01T12:00:00.125Z")
    resources.import_rows([row(1), row(2, amount="10000.01", currency="PHP"), to_oneself, row(4, amount="0")])
    before = resources.payments()
    out = io.StringIO()
    with resources.engine.begin() as connection:
        cursor = connection.connection.cursor()
        cursor.copy_expert("COPY transactions TO STDOUT (FORMAT csv, HEADER)", out)
    assert '"{AMOUNT_OVER_THRESHOLD,SELF_TRANSFER}"' in out.getvalue()
    job = resources.import_csv(out.getvalue())
    assert (resources.counts(job).read, resources.counts(job).duplicate, resources.payments()) == (4, 4, before)
    assert {"is_suspicious", "suspicions", "batch_id"} <= set(resources.job(job).ignored_columns)


def test_columns_that_are_ignored_are_named_but_padding_is_not(resources: Resources) -> None:
    job = resources.import_csv(file("0," + row(1) + ",a,,", header="," + HEADER + ",Note,,"))
    assert resources.job(job).ignored_columns == ["(column 1, without a name)", "note"]


@pytest.mark.parametrize("chunk_bytes", [4096, 1 << 20])
@pytest.mark.parametrize(
    "header", [SWAPPED, SWAPPED.upper(), "receiver_id,sender_id", HEADER.replace(",status", ""), "id," + HEADER]
)
def test_a_header_with_other_columns_further_down_stops_the_import(
    resources: Resources, header: str, chunk_bytes: int
) -> None:
    """Rows below it would be stored with sender and receiver swapped."""
    resources.settings = resources.settings.model_copy(update={"csv_chunk_bytes": chunk_bytes})
    rows = [row(n) for n in range(60)]
    job = resources.job(resources.import_csv(file(*rows, header, *(row(n) for n in range(100, 160)))))
    assert job.state == "FAILED"
    assert "line 62: the line is a header with other columns" in job.failure
    assert header in job.failure
    assert "split the file" in job.failure.lower()
    stored = [p[0] for p in resources.payments()]
    assert len(stored) == job.read_count == job.inserted_count < 60
    assert stored == [payment_id(n) for n in range(len(stored))]
    for options in ({"dry_run": True}, {"mode": "ALL_OR_NOTHING"}):
        again = resources.job(resources.import_csv(file(*rows, header, row(100)), **options))
        assert (again.state, "nothing was written" in again.failure) == ("FAILED", True)


def test_a_swapped_header_behind_a_row_stops_the_import_too(resources: Resources) -> None:
    job = resources.job(resources.import_csv(file(row(1), row(2) + SWAPPED, row(3))))
    assert (job.state, job.read_count) == ("FAILED", 0)
    assert "line 3: the header of another file follows in this line" in job.failure


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f"{row(1)},Jürgen".encode("cp1252"), ("0xFC", "column note", "Windows-1252", "'ü'", "position 155")),
        (f"{row(1)},Jürgen".encode("cp850"), ("0x81", "column note", "850", "'ü'")),
        (f"{row(1)},Привет".encode("cp1251"), ("0xCF", "column note", "Windows-1251")),
        (f"{row(1)},日本語の文".encode("gbk"), ("column note", "GBK")),
        (f"{row(1)},Jü".encode()[:-1], ("0xC3", "column note")),
        (f"{row(1)},10 €".encode()[:-1], ("0xE2", "cut off")),
        (row(1, currency="£GB").encode("latin-1") + b",x", ("0xA3", "column currency", "'£'")),
        (row(1, currency='"£,GB"').encode("latin-1") + b",x", ("0xA3", "column currency")),
        (row(1).encode() + b",x,\xfc", ("0xFC", "column 9")),
    ],
)  # fmt: skip
def test_a_row_that_is_not_utf8_names_byte_column_and_encoding(
    resources: Resources, line: bytes, words: tuple[str, ...]
) -> None:
    job = resources.import_csv(file(row(2) + ",x", header=EXTRA) + line + b"\n")
    (records,) = resources.records()
    assert (records.raw, resources.counts(job).inserted) == (line, 1)
    (problem,) = records.problems
    assert problem["code"] == "INVALID_ENCODING"
    assert [word for word in words if word not in problem["message"]] == []
    assert "UTF-8" in problem["message"]


def test_skipped_lines_are_counted_once_by_an_import_that_is_resumed(resources: Resources) -> None:
    lines = [text for n in range(200) for text in (padded(n, by=2), ",,,,,,", "")]
    accepted = resources.accept(file(*lines))
    seen: list[float] = []

    def fence_the_third_chunk(done: float) -> None:
        seen.append(done)
        if len(seen) == 3:
            with resources.engine.begin() as connection:
                connection.exec_driver_sql("UPDATE imports SET attempt = attempt + 1, heartbeat_at = '2000-01-01'")

    resources.run(accepted.import_id, on_progress=fence_the_third_chunk)
    stopped = resources.job(accepted.import_id)
    assert stopped.state == "RUNNING"
    assert 0 < stopped.skipped_lines < 400
    resources.run(accepted.import_id)
    job = resources.job(accepted.import_id)
    assert (job.state, job.inserted_count, job.read_count, job.skipped_lines) == ("SUCCEEDED", 200, 200, 400)


def test_records_of_lines_that_are_no_rows_come_to_an_end_by_replay(resources: Resources) -> None:
    """They were stored as rejections before such lines were skipped."""
    resources.import_csv(file(row(1, amount="x"), row(2, amount="x"), row(3, amount="x"), row(4, amount="x")))
    ids = [records.record_id for records in resources.records()]
    for record_id, raw in zip(ids, (",,,,,,", HEADER, padded(3, by=2), SWAPPED), strict=True):
        with resources.engine.begin() as connection:
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")  # as an older version stored it
            connection.exec_driver_sql(
                "UPDATE intake_records SET raw = %s WHERE record_id = %s", (raw.encode(), str(record_id))
            )
    done = resolution.replay(resources.engine, resources.settings, ids, "test")
    assert done == (3, 1)
    assert [records.resolution for records in resources.records()] == [
        "REPLAYED_SKIPPED", "REPLAYED_SKIPPED", "REPLAYED_INSERTED", None,
    ]  # fmt: skip
    assert [p[0] for p in resources.payments()] == [payment_id(3)]


def test_rows_with_padding_or_blanks_take_the_fast_way() -> None:
    rows = [padded(1, by=3), row(2), row(3).replace(",", " , "), row(4, amount="x"), "", padded(5, by=9), row(6)]
    for header in (HEADER, HEADER + ",,,", EXTRA):
        data = file(*rows, header=header)
        head = csv_rows.read_header(data)
        (chunk,) = csv_rows.chunks(io.BytesIO(data), head.end_byte, 2, chunk_bytes=1 << 20, line_max_bytes=1 << 16)
        fast = fast_rules.CsvRows(head.columns, CURRENCIES, LATEST)
        parsed = fast.parse(chunk.text, chunk.lines)
        parsed = csv_fields.with_tidied_rows(fast, parsed, chunk, head)
        assert list(parsed.accepted.position) == [2, 3, 4, 7, 8], header
        assert [int(i[-2:]) for i in parsed.accepted.transaction_id] == [1, 2, 3, 5, 6]
        assert parsed.rest == [(3, row(4, amount="x")), (4, "")]
        assert set(parsed.accepted.status) == {GOOD["status"]}
        if head.columns == tuple(HEADER.split(",")):
            assert parsed.lines == [row(n) for n in (1, 2, 3, 5, 6)]
