"""Which months are due: always the previous one, and every month that the scheduler missed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from fcgraph import db, reports
from tests.reports.conftest import Make
from tests.reports.stored import Paid, store


def due(engine: Engine, now: str, time_zone: str = "UTC") -> list[str]:
    with db.read(engine) as connection:
        return reports.due_periods(connection, time_zone=time_zone, now=datetime.fromisoformat(now))


def paid_at(*instants: str) -> list[Paid]:
    return [Paid(1, 2, "1.00", "USD", at) for at in instants]


def test_without_payments_the_previous_month_is_due(engine: Engine) -> None:
    assert due(engine, "2025-06-15T12:00:00Z") == ["2025-05"]
    assert due(engine, "2025-01-01T00:00:00Z") == ["2024-12"]


def test_every_missed_month_with_payments_is_due(engine: Engine) -> None:
    store(engine, *paid_at("2024-11-30T23:59:59.999Z", "2025-02-01T00:00:00Z", "2025-06-10T10:00:00Z"))
    assert due(engine, "2025-06-15T12:00:00Z") == ["2024-11", "2025-02", "2025-05"]


def test_a_month_that_was_made_after_its_end_is_not_missed(engine: Engine, make: Make) -> None:
    store(engine, *paid_at("2025-03-10T10:00:00Z", "2025-04-10T10:00:00Z"))
    make("2025-03", now=datetime(2025, 4, 1, tzinfo=UTC))
    make("2025-04", now=datetime(2025, 4, 30, 23, 59, tzinfo=UTC))  # too early to contain the whole month
    assert due(engine, "2025-06-15T12:00:00Z") == ["2025-04", "2025-05"]
    make("2025-04", now=datetime(2025, 6, 15, 12, tzinfo=UTC))
    assert due(engine, "2025-06-15T12:00:00Z") == ["2025-05"]


def test_an_empty_month_whose_report_was_made_while_it_ran_is_due(engine: Engine, make: Make) -> None:
    make("2025-02", now=datetime(2025, 2, 10, tzinfo=UTC))
    make("2025-03", now=datetime(2025, 4, 1, tzinfo=UTC))
    assert due(engine, "2025-06-15T12:00:00Z") == ["2025-02", "2025-05"]
    make("2025-02")
    assert due(engine, "2025-06-15T12:00:00Z") == ["2025-05"]


def test_the_previous_month_is_due_again_each_day(engine: Engine, make: Make) -> None:
    make("2025-05")
    assert due(engine, "2025-06-02T00:00:00Z") == ["2025-05"]


@pytest.mark.parametrize(
    ("zone", "now", "expected"),
    [
        ("UTC", "2025-05-31T23:59:59Z", ["2025-04"]),
        ("UTC", "2025-06-01T00:00:00Z", ["2025-04", "2025-05"]),
        ("Asia/Manila", "2025-05-31T15:59:59Z", ["2025-03", "2025-04"]),
        ("Asia/Manila", "2025-05-31T16:00:00Z", ["2025-03", "2025-04", "2025-05"]),
        ("America/New_York", "2025-06-01T03:59:59Z", ["2025-03", "2025-04"]),
    ],
)
def test_months_begin_in_the_reporting_zone(engine: Engine, zone: str, now: str, expected: list[str]) -> None:
    # The last evening of March in New York is April in UTC; in Manila both payments are in the same months.
    store(
        engine,
        *paid_at("2025-03-31T15:00:00Z" if zone == "Asia/Manila" else "2025-04-01T03:00:00Z", "2025-04-20T10:00:00Z"),
    )
    assert due(engine, now, zone) == expected


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York", "Pacific/Honolulu"])
def test_a_stored_payment_with_an_empty_timestamp_makes_no_month_due_that_has_no_name(
    engine: Engine, zone: str
) -> None:
    """It was stored before such timestamps were rejected. West of Greenwich it is on the last day before the year 1."""
    store(engine, *paid_at("0001-01-01T00:00:00Z", "2025-02-10T00:00:00Z"))
    east = zone in ("UTC", "Asia/Tokyo")
    assert due(engine, "2025-06-15T12:00:00Z", zone) == [*(["0001-01"] if east else []), "2025-02", "2025-05"]


def test_24_months_of_a_faked_clock_are_24_reports(engine: Engine, make: Make) -> None:
    months = [f"{year}-{month:02}" for year in (2023, 2024) for month in range(1, 13)]
    store(engine, *paid_at(*(f"{month}-15T10:00:00Z" for month in months)))
    asleep = {"2023-05", "2023-06", "2024-11"}  # no scheduler ran in these months; the next run makes their reports
    made: list[tuple[str, int, bool]] = []
    for month in [*months[1:], "2025-01"]:
        if month in asleep:
            continue
        for day in ("01", "02", "28"):  # more often than necessary
            now = datetime.fromisoformat(f"{month}-{day}T00:00:00Z")
            for period in due(engine, now.isoformat()):
                generated = make(period, now=now)
                made.append((period, generated.version, generated.unchanged))
    assert sorted(period for period, _, unchanged in made if not unchanged) == months
    assert {version for _, version, _ in made} == {1}
