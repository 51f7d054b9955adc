"""Compares the report, line by line, with sums that another library computes from the raw records."""

from __future__ import annotations

from decimal import Decimal
from zoneinfo import ZoneInfo

import polars as pl
import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from fcgraph import db, reports
from fcgraph.storage.files import Files
from tests.reports.conftest import Make
from tests.reports.stored import Paid, store, user
from tests.reports.test_content import random_payments

Line = tuple[str, str, str, int, int, int, int]


def expected_lines(payments: list[Paid], zone: str) -> list[Line]:
    """User, day, currency, cents sent and received, counts; polars computes the days and the sums."""
    records = pl.DataFrame(
        {
            "sender": [str(user(p.sender)) for p in payments],
            "receiver": [str(user(p.receiver)) for p in payments],
            "cents": [int(p.amount.replace(".", "")) for p in payments],
            "currency": [p.currency for p in payments],
            "at": [p.at for p in payments],
            "status": [p.status for p in payments],
        }
    ).with_columns(
        pl.col("at").str.to_datetime(time_unit="us", time_zone="UTC").dt.convert_time_zone(zone).dt.date().alias("day")
    )
    counted = records.filter(
        (pl.col("status") == "completed") & (pl.col("day").dt.year() == 2025) & (pl.col("day").dt.month() == 5)
    )
    sent = counted.select(
        pl.col("sender").alias("user"), "day", "currency", pl.col("cents").alias("sent"), pl.lit(0).alias("received")
    ).with_columns(pl.lit(1).alias("m"), pl.lit(0).alias("n"))
    received = counted.select(
        pl.col("receiver").alias("user"), "day", "currency", pl.lit(0).alias("sent"), pl.col("cents").alias("received")
    ).with_columns(pl.lit(0).alias("m"), pl.lit(1).alias("n"))
    lines = (
        pl.concat([sent, received], how="vertical_relaxed")
        .group_by("user", "day", "currency")
        .agg(pl.col("sent", "received", "m", "n").sum())
        .sort("user", "day", "currency")
        .with_columns(pl.col("day").cast(pl.String))
    )
    return [(u, d, c, s, r, m, n) for u, d, c, s, r, m, n in lines.rows()]


def reported_lines(files: Files) -> list[Line]:
    with files.open("monthly_report_2025-05_v1.csv") as file:
        return [
            (
                str(line.user_id),
                line.day.isoformat(),
                line.currency,
                int(line.totals.total_sent * 100),
                int(line.totals.total_received * 100),
                line.totals.sent_count,
                line.totals.received_count,
            )
            for line in reports.read_lines(file)
        ]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Manila", "America/New_York"])
def test_every_line_equals_an_independent_sum(engine: Engine, files: Files, make: Make, zone: str) -> None:
    payments = random_payments(2000, seed=len(zone))
    store(engine, *payments)
    make(time_zone=zone)
    expected = expected_lines(payments, zone)
    assert len(expected) > 500
    assert reported_lines(files) == expected

    sums: dict[str, list[int]] = {}
    for _, _, currency, sent, received, _, _ in expected:
        sums.setdefault(currency, [0, 0])
        sums[currency][0] += sent
        sums[currency][1] += received
    assert all(sent == received for sent, received in sums.values())
    with db.read(engine) as connection:
        row = connection.execute(sa.text("SELECT totals, balanced FROM reports")).one()
    assert row.balanced
    assert {t["currency"]: [int(Decimal(t["total_sent"]) * 100)] * 2 for t in row.totals} == sums


def test_the_zones_of_the_test_differ_at_the_borders() -> None:
    offsets = {zone: ZoneInfo(zone) for zone in ("UTC", "Asia/Manila", "America/New_York")}
    days = {expected_lines([Paid(1, 2, "1.00", "USD", "2025-05-15T20:00:00Z")], zone)[0][1] for zone in offsets}
    assert days == {"2025-05-15", "2025-05-16"}
