"""The life of an import: accepted, run, resumed, fenced, cancelled, rehearsed; what it did not take comes back."""

from __future__ import annotations

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
from seeds.load import DEMO_PAYMENTS, load_demo
from tests.intake.cases import GOOD, HEADER, STRANGER
from tests.intake.doors import Doors, break_off, payment_id, row
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


def test_a_file_that_is_too_large_leaves_nothing(doors: Doors) -> None:
    doors.settings = doors.settings.model_copy(update={"upload_max_bytes": 50})
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


def test_an_import_that_is_all_or_nothing_and_is_broken_off_begins_anew(doors: Doors) -> None:
    doors.import_rows([row(1000)])
    accepted = doors.accept("\n".join([HEADER, *(row(n) for n in range(100)), ""]), mode="ALL_OR_NOTHING")
    break_off(doors, lambda: doors.run(accepted.import_id), held=payment_id(99), wanted=payment_id(0))
    assert doors.job(accepted.import_id).state == "SUCCEEDED"
    assert doors.counts(accepted.import_id) == Counts(read=100, inserted=100)
    assert len(doors.payments()) == 101


@pytest.mark.parametrize("round_number", range(2))
def test_imports_that_are_all_or_nothing_beside_each_other_and_beside_others(doors: Doors, round_number: int) -> None:
    """The same ids in opposite orders, every transaction over many chunks: whoever must yield begins anew."""
    ids = list(range(300))
    failed: list[BaseException] = []
    jobs: list[UUID] = []

    def run(order: list[int], mode: str) -> None:
        try:
            jobs.append(doors.import_rows([row(n) for n in order], mode=mode, reimport=True))
        except BaseException as e:  # noqa: BLE001 whatever it is, the test fails with it
            failed.append(e)

    given = [(ids, "ALL_OR_NOTHING"), (ids[::-1], "ALL_OR_NOTHING"), (ids[::-1], "VALID_ROWS"), (ids, "VALID_ROWS")]
    threads = [threading.Thread(target=run, args=each) for each in given]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert [doors.job(job).state for job in jobs] == ["SUCCEEDED"] * 4
    assert len(doors.payments()) == 300
    assert doors.batch_counts() == Counts(read=1200, inserted=300, duplicate=900)


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
