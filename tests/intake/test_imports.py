"""Imports: accepted, run, resumed, fenced, cancelled, dry runs, and the file of rejected rows."""

from __future__ import annotations

import threading
from decimal import Decimal
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from fcgraph import db, imports
from fcgraph.errors import FcgraphError, Refused
from fcgraph.imports import Expected
from fcgraph.imports.progress import claim
from fcgraph.intake import Counts
from seeds.load import DEMO_PAYMENTS, load_demo
from tests.intake.cases import GOOD, HEADER, STRANGER
from tests.intake.channels import Resources, break_off, payment_id, row
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


def stored(resources: Resources, name: str) -> int:
    (found,) = resources.rows(f"SELECT count(*) FROM {name}")
    return int(found[0])


def test_a_file_that_is_too_large_leaves_nothing(resources: Resources) -> None:
    resources.settings = resources.settings.model_copy(update={"upload_max_bytes": 50})
    with pytest.raises(Refused) as refused:
        resources.accept(f"{HEADER}\n{row(1)}\n")
    assert refused.value.code == "FILE_TOO_LARGE"
    assert "UPLOAD_MAX_BYTES" in refused.value.message
    assert stored(resources, "imports") == 0
    assert resources.files.stored() == []
    assert list(resources.settings.uploads_dir.iterdir()) == []


def test_the_same_bytes_again_are_reported_as_imported(resources: Resources) -> None:
    data = f"{HEADER}\n{row(1)}\n"
    rehearsed = resources.accept(data, dry_run=True)
    first = resources.accept(data)
    again = resources.accept(data)
    assert (first.already_imported, again.already_imported) == (False, True)
    assert again.import_id == first.import_id != rehearsed.import_id
    resources.run(first.import_id)
    assert resources.accept(data).import_id == first.import_id
    reimported = resources.accept(data, reimport=True)
    assert reimported.import_id != first.import_id
    imports.cancel(resources.engine, reimported.import_id)
    assert len(resources.files.stored()) == 3


def test_two_requests_with_the_same_bytes_at_once_make_one_import(resources: Resources) -> None:
    found: list[UUID] = []
    threads = [
        threading.Thread(target=lambda: found.append(resources.accept(f"{HEADER}\n{row(1)}\n").import_id))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1


def test_a_dry_run_gives_the_real_runs_outcomes_and_writes_no_payment(resources: Resources) -> None:
    resources.import_rows([row(2), row(9, status="pending")])
    before = resources.payments()
    rows = [*DIRTY, row(9, status="completed"), *[row(n) for n in range(100, 300)], *DIRTY]
    dry = resources.import_rows(rows, dry_run=True)
    assert resources.payments() == before
    assert stored(resources, "payment_revisions") == 0
    dry_records = [k for k in resources.records() if k.resolution == "DRY_RUN"]
    real = resources.import_rows(rows)
    assert resources.counts(dry) == resources.counts(real)
    assert resources.job(dry).state == resources.job(real).state == "SUCCEEDED_WITH_REJECTS"
    totals = "SELECT currency, accepted, rejected FROM import_totals WHERE import_id = :id ORDER BY 1"
    assert resources.rows(totals, id=dry) == resources.rows(totals, id=real)
    real_records = [k for k in resources.records() if k.resolution is None]
    assert [k[1:6] for k in dry_records] == [k[1:6] for k in real_records]


def test_all_or_nothing(resources: Resources) -> None:
    bad = resources.import_rows([row(n) for n in range(100)] + [row(200, amount="x")], mode="ALL_OR_NOTHING")
    assert resources.payments() == []
    assert resources.job(bad).state == "FAILED"
    assert resources.job(bad).failure == "nothing was written: 1 rows rejected, 0 in conflict"
    assert [k.resolution for k in resources.records()] == ["NOT_IMPORTED"]
    good = resources.import_rows([*(row(n) for n in range(100)), row(5)], mode="ALL_OR_NOTHING")
    assert resources.job(good).state == "SUCCEEDED"
    assert resources.counts(good) == Counts(read=101, inserted=100, duplicate=1) == resources.batch_counts()
    assert stored(resources, "intake_batches") == 1


def test_an_import_that_is_all_or_nothing_and_is_broken_off_begins_anew(resources: Resources) -> None:
    resources.import_rows([row(1000)])
    accepted = resources.accept("\n".join([HEADER, *(row(n) for n in range(100)), ""]), mode="ALL_OR_NOTHING")
    break_off(resources, lambda: resources.run(accepted.import_id), first=payment_id(99), wanted=payment_id(0))
    assert resources.job(accepted.import_id).state == "SUCCEEDED"
    assert resources.counts(accepted.import_id) == Counts(read=100, inserted=100)
    assert len(resources.payments()) == 101


@pytest.mark.parametrize("round_number", range(2))
def test_imports_that_are_all_or_nothing_alongside_each_other_and_alongside_others(
    resources: Resources, round_number: int
) -> None:
    """The same ids in opposite orders, every transaction over many chunks: the loser of a deadlock retries."""
    ids = list(range(300))
    failed: list[BaseException] = []
    jobs: list[UUID] = []

    def run(order: list[int], mode: str) -> None:
        try:
            jobs.append(resources.import_rows([row(n) for n in order], mode=mode, reimport=True))
        except BaseException as e:  # noqa: BLE001 any error fails the test
            failed.append(e)

    runs = [(ids, "ALL_OR_NOTHING"), (ids[::-1], "ALL_OR_NOTHING"), (ids[::-1], "VALID_ROWS"), (ids, "VALID_ROWS")]
    threads = [threading.Thread(target=run, args=each) for each in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert [resources.job(job).state for job in jobs] == ["SUCCEEDED"] * 4
    assert len(resources.payments()) == 300
    assert resources.batch_counts() == Counts(read=1200, inserted=300, duplicate=900)


def test_control_totals_are_checked_and_said(resources: Resources) -> None:
    rows = [row(1), row(2, currency="EUR", amount="10.00"), row(3, amount="-1.00")]
    right = Expected(3, {"USD": Decimal("250"), "EUR": Decimal("10.00")})
    wrong = Expected(4, {"USD": Decimal("249.00"), "PHP": Decimal("1")})
    assert resources.job(resources.import_rows(rows, expected=right)).failure is None
    job = resources.job(resources.import_rows(rows, expected=wrong, reimport=True))
    assert job.state == "SUCCEEDED_WITH_REJECTS"
    assert job.failure == (
        "CONTROL_TOTAL_MISMATCH: 4 rows expected, 3 read; 1 PHP expected, 0 accepted;"
        " 249.00 USD expected, 250.00 accepted"
    )
    strict = resources.import_rows([row(7)], expected=Expected(2, {}), mode="ALL_OR_NOTHING")
    assert resources.job(strict).state == "FAILED"
    assert payment_id(7) not in [p[0] for p in resources.payments()]


def test_sums_per_currency_of_what_was_accepted_and_rejected(resources: Resources) -> None:
    job = resources.import_rows(DIRTY)
    found = resources.rows("SELECT currency, accepted, rejected FROM import_totals WHERE import_id = :id", id=job)
    assert [tuple(r) for r in found] == [("USD", Decimal("21250.00"), Decimal("259.00"))]


def test_an_import_stops_where_it_was_fenced_and_goes_on_from_there(resources: Resources) -> None:
    """Another worker takes over in the middle: the first one's next chunk is refused, nothing is counted twice."""
    rows = [row(n) for n in range(300)]
    accepted = resources.accept("\n".join([HEADER, *rows, ""]))
    taken: list[int] = []

    def take_over(_: float) -> None:
        if not taken:
            second = claim(resources.engine, accepted.import_id, lease_seconds=0)
            assert second is not None
            taken.append(second.attempt)

    imports.run(resources.engine, resources.files, accepted.import_id, resources.settings, on_progress=take_over)
    assert taken == [2]
    job = resources.job(accepted.import_id)
    assert job.state == "RUNNING"
    assert job.read_count < 300
    assert job.read_count == len(resources.payments())
    with db.write(resources.engine) as connection:
        connection.execute(sa.text("UPDATE imports SET heartbeat_at = now() - interval '1 hour'"))
    assert imports.due(resources.engine, 1) == [accepted.import_id]
    resources.run(accepted.import_id)
    assert resources.counts(accepted.import_id) == Counts(read=300, inserted=300)
    assert resources.job(accepted.import_id).attempt == 3
    lines = resources.rows("SELECT source_position FROM transactions ORDER BY transaction_id")
    assert [r[0] for r in lines] == list(range(2, 302))


def test_run_is_quiet_when_there_is_nothing_to_do(resources: Resources) -> None:
    resources.run(uuid4())
    job = resources.import_rows([row(1)])
    before = resources.job(job)
    resources.run(job)
    assert resources.job(job) == before
    assert imports.due(resources.engine, 0) == []


def test_a_live_runner_is_left_alone(resources: Resources) -> None:
    accepted = resources.accept(f"{HEADER}\n{row(1)}\n")
    assert claim(resources.engine, accepted.import_id, 30) is not None
    assert claim(resources.engine, accepted.import_id, 30) is None
    assert imports.due(resources.engine, 30) == []


def test_cancel(resources: Resources) -> None:
    accepted = resources.accept("\n".join([HEADER, *(row(n) for n in range(300)), ""]))
    cancelled: list[float] = []

    def cancel_early(done: float) -> None:
        if not cancelled:
            cancelled.append(done)
            imports.cancel(resources.engine, accepted.import_id)

    imports.run(resources.engine, resources.files, accepted.import_id, resources.settings, on_progress=cancel_early)
    job = resources.job(accepted.import_id)
    assert job.state == "CANCELLED"
    assert job.read_count == len(resources.payments()) < 300
    for import_id, code in ((accepted.import_id, "ALREADY_FINISHED"), (uuid4(), "NOT_FOUND")):
        with pytest.raises(Refused) as refused:
            imports.cancel(resources.engine, import_id)
        assert refused.value.code == code


def test_a_file_that_is_gone_fails_the_import_and_says_so(resources: Resources) -> None:
    accepted = resources.accept(f"{HEADER}\n{row(1)}\n")
    resources.files.delete(f"{accepted.import_id}.csv")
    with pytest.raises((FileNotFoundError, FcgraphError)):
        resources.run(accepted.import_id)
    assert resources.job(accepted.import_id).state == "FAILED"


def test_the_heartbeat_of_a_long_chunk(resources: Resources) -> None:
    """While a chunk waits for another session's lock the import is not considered dead."""
    resources.settings = resources.settings.model_copy(update={"import_lease_seconds": 0.3})
    resources.import_rows([row(1, status="pending")])
    accepted = resources.accept(f"{HEADER}\n{row(1, status='completed')}\n")
    with resources.engine.begin() as connection:
        connection.exec_driver_sql("SELECT 1 FROM transactions FOR UPDATE")
        thread = threading.Thread(target=resources.run, args=(accepted.import_id,))
        thread.start()
        beats: set[object] = set()

        def beat_again() -> bool:
            beats.add(resources.job(accepted.import_id).heartbeat_at)
            return len(beats) >= 5

        until(beat_again, 10)
        assert imports.due(resources.engine, 0.3) == []
    thread.join()
    assert resources.counts(accepted.import_id).updated == 1


def test_the_made_payments_are_always_the_same_and_loaded_once(resources: Resources) -> None:
    first = load_demo(resources.engine, resources.settings)
    assert (first.read, first.inserted) == (DEMO_PAYMENTS, DEMO_PAYMENTS)
    once = resources.payments()
    assert load_demo(resources.engine, resources.settings) == Counts(read=DEMO_PAYMENTS, duplicate=DEMO_PAYMENTS)
    assert resources.payments() == once
    months = resources.rows(
        "SELECT DISTINCT to_char(timestamp AT TIME ZONE 'UTC', 'YYYY-MM') FROM transactions ORDER BY 1"
    )
    assert [m[0] for m in months] == [f"2025-{n:02}" for n in range(1, 13)]


def test_a_big_import_leaves_good_rows_whatever_stands_between(resources: Resources, tmp_path: Path) -> None:
    """Fast rows, quoted rows and bad rows mixed over many chunks: every line has an outcome."""
    lines = []
    for n in range(3000):
        lines.append(row(n) if n % 3 else '"' + row(n).replace(",", '","') + '"')
        if n % 10 == 0:
            lines.append(GOOD["status"])
        if n % 50 == 0:
            lines.append('"open ' + row(n))
    job = resources.import_rows(lines)
    assert resources.counts(job) == Counts(read=len(lines), inserted=3000, rejected=len(lines) - 3000)
    assert resources.job(job).done_chunks > 10
    by_line = {k.position: k.raw.decode() for k in resources.records()}
    assert by_line == {n: text for n, text in enumerate(lines, 2) if text == GOOD["status"] or text.startswith('"open')}
