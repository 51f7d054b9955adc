"""The content of a report: the golden numbers, borders of days and months, currencies, and nothing volatile."""

from __future__ import annotations

import hashlib
import random
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from fcgraph import db
from fcgraph.storage.files import Files
from tests.reports.conftest import Make
from tests.reports.stored import Paid, store

HEADER = "user_id,day,total_sent,total_received,currency,sent_count,received_count\n"
U1, U2, U3, U4 = (f"00000000-0000-0000-0000-{n:012}" for n in (1, 2, 3, 4))

SAMPLES = (
    Paid(1, 2, "250.00", "USD", "2025-05-01T12:00:00Z"),
    Paid(2, 1, "15000.00", "USD", "2025-05-02T09:30:00Z", status="pending"),
    Paid(1, 2, "250.00", "USD", "2025-05-10T08:15:00Z"),
    Paid(3, 4, "15000.00", "PHP", "2025-05-11T14:30:00Z"),
)


def text(files: Files, name: str = "monthly_report_2025-05_v1.csv") -> str:
    return files.path(name).read_bytes().decode("ascii")


def body(files: Files, name: str = "monthly_report_2025-05_v1.csv") -> list[str]:
    return text(files, name).removeprefix(HEADER).splitlines()


def test_the_golden_month(engine: Engine, files: Files, make: Make) -> None:
    watermark = store(engine, *SAMPLES)
    generated = make()
    assert (generated.period, generated.version, generated.unchanged) == ("2025-05", 1, False)
    assert text(files) == (
        HEADER + f"{U1},2025-05-01,250.00,0.00,USD,1,0\n"
        f"{U1},2025-05-10,250.00,0.00,USD,1,0\n"
        f"{U2},2025-05-01,0.00,250.00,USD,0,1\n"
        f"{U2},2025-05-10,0.00,250.00,USD,0,1\n"
        f"{U3},2025-05-11,15000.00,0.00,PHP,1,0\n"
        f"{U4},2025-05-11,0.00,15000.00,PHP,0,1\n"
    )
    with db.read(engine) as connection:
        row = connection.execute(sa.text("SELECT * FROM reports")).one()
    assert row.sha256 == hashlib.sha256(text(files).encode()).hexdigest()
    assert row.size_bytes == len(text(files))
    assert row.row_count == 6
    assert row.watermark == watermark
    assert row.balanced
    assert row.is_final_period
    assert (row.time_zone, row.statuses, row.file_name) == ("UTC", ["completed"], "monthly_report_2025-05_v1.csv")
    assert row.totals == [
        {
            "currency": "PHP",
            "total_sent": "15000.00",
            "total_received": "15000.00",
            "sent_count": 1,
            "received_count": 1,
        },
        {"currency": "USD", "total_sent": "500.00", "total_received": "500.00", "sent_count": 2, "received_count": 2},
    ]


def test_a_month_without_payments_is_its_header(engine: Engine, files: Files, make: Make) -> None:
    assert make().version == 1
    assert text(files) == HEADER
    with db.read(engine) as connection:
        row = connection.execute(sa.text("SELECT row_count, totals, balanced, watermark FROM reports")).one()
    assert tuple(row) == (0, [], True, 0)


# The first and the last instant of May in the zone, and the nearest ones outside.
BORDERS = {
    "UTC": ("2025-04-30T23:59:59.999999Z", "2025-05-01T00:00:00Z", "2025-05-31T23:59:59.999Z", "2025-06-01T00:00:00Z"),
    "Asia/Manila": (
        "2025-04-30T15:59:59.999999Z",
        "2025-04-30T16:00:00Z",
        "2025-05-31T15:59:59.999Z",
        "2025-05-31T16:00:00Z",
    ),
}


@pytest.mark.parametrize("zone", BORDERS)
@pytest.mark.parametrize("server_zone", ["UTC", "America/New_York"])
def test_the_last_moment_of_the_month_is_in_and_the_next_is_out(
    engine: Engine, files: Files, make: Make, zone: str, server_zone: str
) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        name = connection.scalar(sa.text("SELECT current_database()"))
        connection.execute(sa.text(f"ALTER DATABASE {name} SET timezone = '{server_zone}'"))
        connection.execute(sa.text(f"ALTER DATABASE {name} SET datestyle = 'SQL, DMY'"))
    engine.dispose()
    before, first, last, after = BORDERS[zone]
    store(engine, *(Paid(1, 2, a, "USD", at) for a, at in zip("1248", (before, first, last, after), strict=True)))
    make(time_zone=zone)
    assert body(files) == [
        f"{U1},2025-05-01,2.00,0.00,USD,1,0",
        f"{U1},2025-05-31,4.00,0.00,USD,1,0",
        f"{U2},2025-05-01,0.00,2.00,USD,0,1",
        f"{U2},2025-05-31,0.00,4.00,USD,0,1",
    ]


def test_two_currencies_of_a_day_are_two_rows(engine: Engine, files: Files, make: Make) -> None:
    store(engine, Paid(1, 2, "8.01", "USD", "2025-05-05T10:00:00Z"), Paid(1, 2, "7", "EUR", "2025-05-05T11:00:00Z"))
    make()
    assert body(files) == [
        f"{U1},2025-05-05,7.00,0.00,EUR,1,0",
        f"{U1},2025-05-05,8.01,0.00,USD,1,0",
        f"{U2},2025-05-05,0.00,7.00,EUR,0,1",
        f"{U2},2025-05-05,0.00,8.01,USD,0,1",
    ]


def test_amounts_stand_at_the_currencys_scale(engine: Engine, files: Files, make: Make) -> None:
    with db.write(engine) as connection:
        connection.execute(
            sa.text("INSERT INTO currency (code, name, minor_units) VALUES ('JPY', 'Yen', 0), ('BHD', 'Dinar', 3)")
        )
    store(
        engine,
        Paid(1, 1, "999999999999999", "JPY", "2025-05-05T10:00:00Z"),
        Paid(1, 1, "999999999999999.999", "BHD", "2025-05-05T10:00:00Z"),
        Paid(1, 1, "0.001", "BHD", "2025-05-05T10:00:00Z"),
    )
    make()
    assert body(files) == [
        f"{U1},2025-05-05,1000000000000000.000,1000000000000000.000,BHD,2,2",
        f"{U1},2025-05-05,999999999999999,999999999999999,JPY,1,1",
    ]
    with db.read(engine) as connection:
        totals = connection.execute(sa.text("SELECT totals FROM reports")).scalar_one()
    assert [(t["currency"], t["total_sent"]) for t in totals] == [
        ("BHD", "1000000000000000.000"),
        ("JPY", "999999999999999"),
    ]


def test_a_payment_to_oneself_counts_once_on_each_side(engine: Engine, files: Files, make: Make) -> None:
    store(engine, Paid(3, 3, "5.00", "USD", "2025-05-05T10:00:00Z"))
    make()
    assert body(files) == [f"{U3},2025-05-05,5.00,5.00,USD,1,1"]


def test_only_completed_payments_count(engine: Engine, files: Files, make: Make) -> None:
    store(
        engine,
        *(Paid(1, 2, "5.00", "USD", "2025-05-05T10:00:00Z", status=s) for s in ("pending", "failed", "completed")),
    )
    make()
    assert body(files) == [f"{U1},2025-05-05,5.00,0.00,USD,1,0", f"{U2},2025-05-05,0.00,5.00,USD,0,1"]


def random_payments(count: int, seed: int) -> list[Paid]:
    chance = random.Random(seed)
    start = datetime(2025, 4, 25, tzinfo=UTC)
    return [
        Paid(
            chance.randint(1, 7),
            chance.randint(1, 7),
            f"{chance.randint(0, 10_000_000)}.{chance.randint(0, 99):02}",
            chance.choice(["USD", "EUR", "PHP"]),
            (start + timedelta(microseconds=chance.randrange(45 * 86_400 * 10**6))).isoformat(),
            chance.choice(["completed", "completed", "completed", "pending", "failed"]),
        )
        for _ in range(count)
    ]


def test_the_same_payments_in_another_order_are_the_same_bytes(engine: Engine, files: Files, make: Make) -> None:
    payments = random_payments(300, seed=3)
    random.Random(4).shuffle(payments)
    for start in range(0, 300, 50):
        store(engine, *payments[start : start + 50])
    make()
    first = text(files)
    with db.write(engine) as connection:
        connection.execute(sa.text("ALTER TABLE transactions DISABLE TRIGGER transactions_are_kept"))
        connection.execute(sa.text("ALTER TABLE payment_revisions DISABLE TRIGGER payment_revisions_are_only_added"))
        connection.execute(sa.text("TRUNCATE transactions, payment_revisions, reports"))
    random.Random(5).shuffle(payments)
    store(engine, *payments)
    assert make().version == 1
    assert text(files) == first
    assert len(body(files)) > 100
