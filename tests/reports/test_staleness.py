"""What makes a report stale, through the real channels: batches out of order, statuses, conflicts, live traffic."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from fcgraph import db, reports
from fcgraph.intake.resolution import resolve_conflict
from fcgraph.storage.files import Files
from tests.intake.channels import Resources, row, settings_of
from tests.reports.conftest import Make
from tests.reports.stored import Paid, begin_batch, end_batch, insert, store, user

LATE_IN_JULY = datetime(2025, 7, 31, tzinfo=UTC)


@pytest.fixture
def resources(engine: Engine, database_url: str, tmp_path: Path) -> Resources:
    return Resources(engine, settings_of(database_url, tmp_path))


def stale(engine: Engine, period: str = "2025-05") -> int:
    """`changesSince` of the latest version."""
    with db.read(engine) as connection:
        latest = connection.execute(
            sa.text("SELECT * FROM reports WHERE period = :period ORDER BY version DESC LIMIT 1"), {"period": period}
        ).one()
        return reports.changes_since(connection, latest)


def lines(files: Files, version: int, period: str = "2025-05") -> list[tuple[int, str, str, Decimal, Decimal]]:
    with files.open(f"monthly_report_{period}_v{version}.csv") as file:
        return [
            (x.user_id.int, x.day.isoformat(), x.currency, x.totals.total_sent, x.totals.total_received)
            for x in reports.read_lines(file)
        ]


def test_a_batch_that_began_first_and_commits_last_is_a_change(engine: Engine, make: Make) -> None:
    with db.write(engine) as slow:
        batch_id = begin_batch(slow, inserted=1, updated=0)
        insert(slow, batch_id, Paid(1, 2, "1.00", "USD", "2025-05-05T10:00:00Z"))
        assert (
            store(engine, Paid(1, 2, "2.00", "USD", "2025-05-05T11:00:00Z")) == 1
        )  # a later number, an earlier commit
        make()
        assert stale(engine) == 0
        assert end_batch(slow, batch_id) == 2
    assert stale(engine) == 1
    assert make().version == 2
    assert stale(engine) == 0


def test_a_status_that_advances_is_a_change(resources: Resources, files: Files, make: Make) -> None:
    resources.import_rows([row(1, status="pending"), row(2)])
    make()
    resources.import_rows([row(1), row(2)])
    assert stale(resources.engine) == 1
    assert make().version == 2
    assert [sent for _, _, _, sent, _ in lines(files, 2)] == [Decimal("500.00"), Decimal("0.00")]
    resources.import_rows([row(1, status="pending"), row(2), row(3, amount="-1")])  # stale, duplicate, rejected
    assert stale(resources.engine) == 0
    assert make().unchanged


@pytest.mark.parametrize(
    "changed",
    [
        {"timestamp": "2025-06-05T10:00:00Z"},
        {"currency": "EUR"},
        {"receiver_id": str(user(5))},
        {"sender_id": str(user(5))},
        {"amount": "1.00"},
        {"status": "failed"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_conflict_that_was_decided_for_the_incoming_is_a_change_of_the_month_it_left(
    resources: Resources, files: Files, make: Make, changed: dict[str, str]
) -> None:
    resources.import_rows([row(1), row(2, timestamp="2025-04-10T10:00:00Z")])
    for period in ("2025-04", "2025-05", "2025-06"):
        make(period, now=LATE_IN_JULY)
    resources.import_rows([row(1, **changed)])
    (conflict,) = resources.records()
    assert stale(resources.engine) == 0  # a conflict alone changes nothing
    resolve_conflict(
        resources.engine, resources.settings, conflict.record_id, "ACCEPT_INCOMING", "the bank says so", "test"
    )
    assert stale(resources.engine) == 1
    assert stale(resources.engine, "2025-06") == ("timestamp" in changed)
    assert stale(resources.engine, "2025-04") == 0
    before = lines(files, 1)
    assert make(now=LATE_IN_JULY).version == 2
    assert lines(files, 2) != before
    assert (lines(files, 2) == []) == (set(changed) <= {"timestamp", "status"})
    assert stale(resources.engine) == 0


def test_every_version_made_under_traffic_is_the_month_at_its_watermark(
    engine: Engine, files: Files, make: Make
) -> None:
    """Two writers commit in any order during report generation; each version matches its watermark exactly."""
    ended = threading.Event()

    def pay(sender: int) -> None:
        while not ended.is_set():
            store(engine, *(Paid(sender, 3, "1.00", "USD", f"2025-05-{d:02}T10:00:00Z") for d in (1, 2, 3)))

    writers = [threading.Thread(target=pay, args=(n,)) for n in (1, 2)]
    for writer in writers:
        writer.start()
    try:
        versions = {make().version for _ in range(15)}
    finally:
        ended.set()
        for writer in writers:
            writer.join()
    assert len(versions) > 3
    with db.read(engine) as connection:
        found = connection.execute(
            sa.text(
                "SELECT version, watermark, (SELECT count(*) FROM transactions t JOIN intake_batches b USING (batch_id)"
                " WHERE b.watermark <= r.watermark) AS payments FROM reports r ORDER BY version"
            )
        ).all()
        latest = connection.execute(sa.text("SELECT * FROM reports ORDER BY version DESC LIMIT 1")).one()
        since = reports.changes_since(connection, latest)
        total = connection.scalar(sa.text("SELECT count(*) FROM transactions"))
    for version, _, payments in found:
        assert sum(received for _, _, _, _, received in lines(files, version)) == payments
    assert since + found[-1].payments == total
