"""The life of an import: accepted, run, resumed, fenced, cancelled, rehearsed; what it did not take comes back."""

from __future__ import annotations

import csv
import io
import threading
from decimal import Decimal
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from fcgraph import csv_imports, db
from fcgraph.csv_imports import Expected
from fcgraph.csv_imports.progress import claim
from fcgraph.errors import FcgraphError, Refused
from fcgraph.intake import Counts
from fcgraph.intake.resolution import Replayed, replay, resolve_conflict
from seeds.load import DEMO_PAYMENTS, load_demo
from tests.intake.cases import GOOD, HEADER, STRANGER, USER
from tests.intake.doors import Doors, Message, payment_id, row
from tests.waiting import until

DIRTY = [
    row(1, status="pending"),
    row(2),
    row(2),
    row(1, status="completed"),
    row(1, status="pending"),
    row(2, amount="9.00"),
    row(3, amount="x"),
    row(4, sender_id=STRANGER),
    row(5, amount="20000.00"),
]


def stored(doors: Doors, name: str) -> int:
    (found,) = doors.rows(f"SELECT count(*) FROM {name}")
    return int(found[0])


def test_refused_files_leave_nothing(doors: Doors) -> None:
    small = doors.settings.model_copy(update={"upload_max_bytes": 50})
    cases = [
        (b"", "MISSING_HEADER"),
        (HEADER.encode() + b"\n", "INVALID_INPUT"),
        (HEADER.encode() + b"\r\n\r\n \n", "INVALID_INPUT"),
        (b"a,b\n1,2\n", "MISSING_HEADER"),
        (b"PK\x03\x04", "NOT_CSV"),
    ]
    for data, code in cases:
        with pytest.raises(Refused) as refused:
            doors.accept(data)
        assert (refused.value.code, refused.value.path) == (code, ("input", "source"))
    doors.settings = small
    with pytest.raises(Refused) as refused:
        doors.accept(f"{HEADER}\n{row(1)}\n")
    assert refused.value.code == "FILE_TOO_LARGE"
    assert "UPLOAD_MAX_BYTES" in refused.value.message
    assert stored(doors, "imports") == 0
    assert doors.files.stored() == []
    assert list(doors.settings.uploads_dir.iterdir()) == []


def test_the_same_bytes_again_are_told_as_imported(doors: Doors) -> None:
    data = f"{HEADER}\n{row(1)}\n"
    rehearsed = doors.accept(data, dry_run=True)
    first = doors.accept(data)
    again = doors.accept(data)
    assert (first.already_imported, again.already_imported) == (False, True)
    assert again.import_id == first.import_id != rehearsed.import_id
    doors.run(first.import_id)
    assert doors.accept(data).import_id == first.import_id
    anew = doors.accept(data, reimport=True)
    assert anew.import_id != first.import_id
    csv_imports.cancel(doors.engine, anew.import_id)
    assert len(doors.files.stored()) == 3


def test_two_requests_with_the_same_bytes_at_once_make_one_import(doors: Doors) -> None:
    found: list[UUID] = []
    threads = [
        threading.Thread(target=lambda: found.append(doors.accept(f"{HEADER}\n{row(1)}\n").import_id)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1


def test_a_dry_run_gives_the_real_runs_verdicts_and_writes_no_payment(doors: Doors) -> None:
    doors.import_rows([row(2), row(9, status="pending")])
    before = doors.payments()
    rows = [*DIRTY, row(9, status="completed"), *[row(n) for n in range(100, 300)], *DIRTY]
    dry = doors.import_rows(rows, dry_run=True)
    assert doors.payments() == before
    assert stored(doors, "payment_revisions") == 0
    dry_kept = [k for k in doors.kept() if k.resolution == "DRY_RUN"]
    real = doors.import_rows(rows)
    assert doors.counts(dry) == doors.counts(real)
    assert doors.job(dry).state == doors.job(real).state == "SUCCEEDED_WITH_REJECTS"
    totals = "SELECT currency, accepted, rejected FROM import_totals WHERE import_id = :id ORDER BY 1"
    assert doors.rows(totals, id=dry) == doors.rows(totals, id=real)
    real_kept = [k for k in doors.kept() if k.resolution is None]
    assert [k[1:6] for k in dry_kept] == [k[1:6] for k in real_kept]


def test_all_or_nothing(doors: Doors) -> None:
    bad = doors.import_rows([row(n) for n in range(100)] + [row(200, amount="x")], mode="ALL_OR_NOTHING")
    assert doors.payments() == []
    assert doors.job(bad).state == "FAILED"
    assert doors.job(bad).failure == "nothing was written: 1 rows rejected, 0 in conflict"
    assert [k.resolution for k in doors.kept()] == ["NOT_IMPORTED"]
    good = doors.import_rows([*(row(n) for n in range(100)), row(5)], mode="ALL_OR_NOTHING")
    assert doors.job(good).state == "SUCCEEDED"
    assert doors.counts(good) == Counts(read=101, inserted=100, duplicate=1) == doors.batch_counts()
    assert stored(doors, "intake_batches") == 1


def test_control_totals_are_checked_and_said(doors: Doors) -> None:
    rows = [row(1), row(2, currency="EUR", amount="10.00"), row(3, amount="-1.00")]
    right = Expected(3, {"USD": Decimal("250"), "EUR": Decimal("10.00")})
    wrong = Expected(4, {"USD": Decimal("249.00"), "PHP": Decimal("1")})
    assert doors.job(doors.import_rows(rows, expected=right)).failure is None
    job = doors.job(doors.import_rows(rows, expected=wrong, reimport=True))
    assert job.state == "SUCCEEDED_WITH_REJECTS"
    assert job.failure == (
        "CONTROL_TOTAL_MISMATCH: 4 rows expected, 3 read; 1 PHP expected, 0 accepted;"
        " 249.00 USD expected, 250.00 accepted"
    )
    strict = doors.import_rows([row(7)], expected=Expected(2, {}), mode="ALL_OR_NOTHING")
    assert doors.job(strict).state == "FAILED"
    assert payment_id(7) not in [p[0] for p in doors.payments()]


def test_sums_per_currency_of_what_was_accepted_and_rejected(doors: Doors) -> None:
    job = doors.import_rows(DIRTY)
    found = doors.rows("SELECT currency, accepted, rejected FROM import_totals WHERE import_id = :id", id=job)
    assert [tuple(r) for r in found] == [("USD", Decimal("21250.00"), Decimal("259.00"))]


def test_an_import_stops_where_it_was_fenced_and_goes_on_from_there(doors: Doors) -> None:
    """Another worker takes over in the middle: the first one's next chunk is refused, nothing is counted twice."""
    rows = [row(n) for n in range(300)]
    accepted = doors.accept("\n".join([HEADER, *rows, ""]))
    taken: list[int] = []

    def take_over(_: float) -> None:
        if not taken:
            second = claim(doors.engine, accepted.import_id, lease_seconds=0)
            assert second is not None
            taken.append(second.attempt)

    csv_imports.run(doors.engine, doors.files, accepted.import_id, doors.settings, on_progress=take_over)
    assert taken == [2]
    job = doors.job(accepted.import_id)
    assert job.state == "RUNNING"
    assert job.read_count < 300
    assert job.read_count == len(doors.payments())
    with db.write(doors.engine) as connection:
        connection.execute(sa.text("UPDATE imports SET heartbeat_at = now() - interval '1 hour'"))
    assert csv_imports.due(doors.engine, 1) == [accepted.import_id]
    doors.run(accepted.import_id)
    assert doors.counts(accepted.import_id) == Counts(read=300, inserted=300)
    assert doors.job(accepted.import_id).attempt == 3
    lines = doors.rows("SELECT source_position FROM transactions ORDER BY transaction_id")
    assert [r[0] for r in lines] == list(range(2, 302))


def test_run_is_quiet_when_there_is_nothing_to_do(doors: Doors) -> None:
    doors.run(uuid4())
    job = doors.import_rows([row(1)])
    before = doors.job(job)
    doors.run(job)
    assert doors.job(job) == before
    assert csv_imports.due(doors.engine, 0) == []


def test_a_live_runner_is_left_alone(doors: Doors) -> None:
    accepted = doors.accept(f"{HEADER}\n{row(1)}\n")
    assert claim(doors.engine, accepted.import_id, 30) is not None
    assert claim(doors.engine, accepted.import_id, 30) is None
    assert csv_imports.due(doors.engine, 30) == []


def test_cancel(doors: Doors) -> None:
    accepted = doors.accept("\n".join([HEADER, *(row(n) for n in range(300)), ""]))
    cancelled: list[float] = []

    def cancel_early(done: float) -> None:
        if not cancelled:
            cancelled.append(done)
            csv_imports.cancel(doors.engine, accepted.import_id)

    csv_imports.run(doors.engine, doors.files, accepted.import_id, doors.settings, on_progress=cancel_early)
    job = doors.job(accepted.import_id)
    assert job.state == "CANCELLED"
    assert job.read_count == len(doors.payments()) < 300
    for import_id, code in ((accepted.import_id, "ALREADY_FINISHED"), (uuid4(), "NOT_FOUND")):
        with pytest.raises(Refused) as refused:
            csv_imports.cancel(doors.engine, import_id)
        assert refused.value.code == code


def test_a_file_that_is_gone_fails_the_import_and_says_so(doors: Doors) -> None:
    accepted = doors.accept(f"{HEADER}\n{row(1)}\n")
    doors.files.delete(f"{accepted.import_id}.csv")
    with pytest.raises((FileNotFoundError, FcgraphError)):
        doors.run(accepted.import_id)
    assert doors.job(accepted.import_id).state == "FAILED"


def test_the_heartbeat_of_a_long_chunk(doors: Doors) -> None:
    """While a chunk waits for somebody's lock the import is not taken for dead."""
    doors.settings = doors.settings.model_copy(update={"import_lease_seconds": 0.3})
    doors.import_rows([row(1, status="pending")])
    accepted = doors.accept(f"{HEADER}\n{row(1, status='completed')}\n")
    with doors.engine.begin() as connection:
        connection.exec_driver_sql("SELECT 1 FROM transactions FOR UPDATE")
        thread = threading.Thread(target=doors.run, args=(accepted.import_id,))
        thread.start()
        beats: set[object] = set()

        def beat_again() -> bool:
            beats.add(doors.job(accepted.import_id).heartbeat_at)
            return len(beats) >= 5

        until(beat_again, 10)
        assert csv_imports.due(doors.engine, 0.3) == []
    thread.join()
    assert doors.counts(accepted.import_id).updated == 1


def rejects(doors: Doors, import_id: UUID) -> str:
    found = csv_imports.rejects_csv(doors.engine, import_id)
    assert found is not None
    return b"".join(found).decode()


def test_rejects_come_back_and_only_corrected_rows_become_payments(doors: Doors) -> None:
    header = HEADER + ",note"
    lines = [
        row(1) + ",fine",
        row(2, amount="-5.00") + ",=HYPERLINK(1)",
        row(3, status="done") + ",'-already quoted",
        row(4) + ",fine",
        row(4, amount="1.00") + ",conflict",
        row(5, receiver_id=STRANGER) + ',"a, b"',
    ]
    job = doors.import_csv("\n".join([header, *lines, ""]))
    text = rejects(doors, job)
    table = list(csv.reader(io.StringIO(text)))
    assert table[0] == [*header.split(","), "_line", "_outcome", "_problems"]
    assert [(r[3], r[7], r[8], r[9]) for r in table[1:]] == [
        ("'-5.00", "'=HYPERLINK(1)", "3", "REJECTED"),
        ("250.00", "''-already quoted", "4", "REJECTED"),
        ("1.00", "conflict", "6", "CONFLICT"),
        ("250.00", "a, b", "7", "REJECTED"),
    ]
    corrected = text.replace("'-5.00", "5.00").replace(",done,", ",completed,")
    again = doors.import_csv(corrected)
    assert doors.counts(again) == Counts(read=4, inserted=2, conflict=1, rejected=1)
    assert {p[0]: str(p[3]) for p in doors.payments()} == {
        payment_id(1): "250.0000", payment_id(2): "5.0000", payment_id(3): "250.0000", payment_id(4): "250.0000",
    }  # fmt: skip
    assert doors.job(again).ignored_columns == ["note"]
    third = rejects(doors, again)
    assert third.splitlines()[0] == text.splitlines()[0]
    untouched = doors.import_csv(third)
    assert rejects(doors, untouched).replace(",2,", ",,").replace(",3,", ",,") != ""
    assert doors.counts(untouched) == Counts(read=2, conflict=1, rejected=1)


def test_rows_that_are_no_csv_stand_whole_in_the_first_cell(doors: Doors) -> None:
    job = doors.import_csv(f"{HEADER}\n".encode() + b'"x"y,\xff\n' + row(1).encode() + b"\n")
    table = list(csv.reader(io.StringIO(rejects(doors, job))))
    assert table[1][0] == '"x"y,\\xff'
    assert csv_imports.rejects_csv(doors.engine, uuid4()) is None


def test_replay_of_csv_and_kafka_rejects_once_the_user_exists(doors: Doors) -> None:
    job = doors.import_rows([row(1, sender_id=STRANGER), row(2, amount="x")])
    value = (HEADER, row(3, receiver_id=STRANGER))
    message: Message = (2, 40, ("{" + ", ".join(
        f'"{k}": "{v}"' for k, v in zip(value[0].split(","), value[1].split(","), strict=True)
    ) + "}").encode())  # fmt: skip
    doors.send([message])
    ids = [k.record_id for k in doors.kept()]
    assert replay(doors.engine, doors.settings, ids, "test") == Replayed(0, 3)
    with db.write(doors.engine) as connection:
        connection.execute(sa.text("INSERT INTO users (user_id, name) VALUES (:id, 'New')"), {"id": STRANGER})
    assert replay(doors.engine, doors.settings, ids, "test") == Replayed(2, 1)
    assert replay(doors.engine, doors.settings, ids, "test") == Replayed(0, 1)
    places = doors.rows(
        "SELECT t.transaction_id::text, b.import_id, t.source_partition, t.source_position"
        " FROM transactions t JOIN intake_batches b USING (batch_id) ORDER BY 1"
    )
    assert [tuple(r) for r in places] == [(payment_id(1), job, None, 2), (payment_id(3), None, 2, 40)]
    assert {k.position: k.resolution for k in doors.kept()} == {
        2: "REPLAYED_INSERTED", 3: None, 40: "REPLAYED_INSERTED",
    }  # fmt: skip
    with pytest.raises(Refused) as refused:
        replay(doors.engine, doors.settings, [uuid4()], "test")
    assert refused.value.code == "NOT_FOUND"


def test_a_replayed_row_that_contradicts_becomes_a_conflict(doors: Doors) -> None:
    doors.import_rows([row(1, sender_id=STRANGER)])
    (kept,) = doors.kept()
    doors.import_rows([row(1)])
    with db.write(doors.engine) as connection:
        connection.execute(sa.text("INSERT INTO users (user_id, name) VALUES (:id, 'New')"), {"id": STRANGER})
    assert replay(doors.engine, doors.settings, [kept.record_id], "test") == Replayed(1, 0)
    (after,) = doors.kept()
    assert (after.record_id, after.outcome, after.resolution) == (kept.record_id, "CONFLICT", None)
    assert after.differences == [{"field": "sender_id", "stored": USER.format(1), "incoming": STRANGER}]


def test_a_person_decides_a_conflict(doors: Doors) -> None:
    doors.import_rows([row(1), row(2)])
    doors.import_rows([row(1, amount="20000.00", status="failed"), row(2, amount="1.00")])
    accept, keep = (k.record_id for k in doors.kept())
    for _ in range(2):  # safe to repeat
        resolve_conflict(doors.engine, doors.settings, accept, "ACCEPT_INCOMING", "the bank says so", "test")
        resolve_conflict(doors.engine, doors.settings, keep, "KEEP_STORED", "a typing error", "test")
    amounts = {p[0]: (str(p[3]), p[6], p[7], p[8]) for p in doors.payments()}
    assert amounts == {
        payment_id(1): ("20000.0000", "failed", True, ["AMOUNT_OVER_THRESHOLD"]),
        payment_id(2): ("250.0000", "completed", False, None),
    }
    revisions = doors.rows("SELECT revision, status, previous->>'amount', note FROM payment_revisions")
    assert [tuple(r) for r in revisions] == [(2, "failed", "250", "the bank says so")]
    assert [k.resolution for k in doors.kept()] == ["ACCEPT_INCOMING", "KEEP_STORED"]
    with pytest.raises(Refused) as refused:
        resolve_conflict(doors.engine, doors.settings, keep, "ACCEPT_INCOMING", "no", "test")
    assert refused.value.code == "ALREADY_RESOLVED"
    with pytest.raises(Refused):
        resolve_conflict(doors.engine, doors.settings, keep, "KEEP_STORED", "  ", "test")
    with pytest.raises(Refused) as refused:
        resolve_conflict(doors.engine, doors.settings, uuid4(), "KEEP_STORED", "no", "test")
    assert refused.value.code == "NOT_FOUND"


def test_the_made_payments_are_always_the_same_and_loaded_once(doors: Doors) -> None:
    first = load_demo(doors.engine, doors.settings)
    assert (first.read, first.inserted) == (DEMO_PAYMENTS, DEMO_PAYMENTS)
    once = doors.payments()
    assert load_demo(doors.engine, doors.settings) == Counts(read=DEMO_PAYMENTS, duplicate=DEMO_PAYMENTS)
    assert doors.payments() == once
    months = doors.rows("SELECT DISTINCT to_char(timestamp AT TIME ZONE 'UTC', 'YYYY-MM') FROM transactions ORDER BY 1")
    assert [m[0] for m in months] == [f"2025-{n:02}" for n in range(1, 13)]


def test_a_big_import_leaves_good_rows_whatever_stands_between(doors: Doors, tmp_path: Path) -> None:
    """Fast rows, quoted rows and bad rows mixed over many chunks: every line is accounted for."""
    lines = []
    for n in range(3000):
        lines.append(row(n) if n % 3 else '"' + row(n).replace(",", '","') + '"')
        if n % 10 == 0:
            lines.append(GOOD["status"])
        if n % 50 == 0:
            lines.append('"open ' + row(n))
    job = doors.import_rows(lines)
    assert doors.counts(job) == Counts(read=len(lines), inserted=3000, rejected=len(lines) - 3000)
    assert doors.job(job).done_chunks > 10
    by_line = {k.position: k.raw.decode() for k in doors.kept()}
    assert by_line == {n: text for n, text in enumerate(lines, 2) if text == GOOD["status"] or text.startswith('"open')}
