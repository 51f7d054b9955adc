"""America/Havana on 2026-11-01: the clock goes from 01:00 back to 00:00, so that day has two midnights and 25 hours.

Both GraphQL paths, REST, drill-down, report, due months and staleness must use the same day.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from fcgraph import db, reports
from fcgraph.storage.files import Files
from tests.api.client import Api, serving
from tests.api.conftest import settings_for
from tests.reports.conftest import Make
from tests.reports.stored import Paid, store, user

ZONE = "America/Havana"
LATER = datetime(2026, 12, 2, tzinfo=UTC)
PAYMENTS = [
    Paid(1, 2, amount, "USD", at)
    for amount, at in (
        ("1.00", "2026-11-01T03:30:00Z"),  # 23:30 of 31 October
        ("20.00", "2026-11-01T04:30:00Z"),  # 00:30, the first time
        ("300.00", "2026-11-01T05:30:00Z"),  # 00:30, the second time
        ("4000.00", "2026-11-01T06:30:00Z"),
    )
]
# `slow` adds a field that the fast path leaves to Strawberry.
TOTALS = """query($user: UUID!, $start: Date!, $end: Date!, $slow: Boolean!) {
  dailyTotals(userIds: [$user], start: $start, end: $end) {
    rows { day totalSent sentCount payments(first: 10) { totalCount nodes { amount } } }
    summary { totalSent }
  }
  currencies @include(if: $slow) { code }
}"""


@pytest.fixture
def api(engine: Engine, database_url: str, tmp_path: Path) -> Any:
    store(engine, *PAYMENTS)
    with serving(settings_for(database_url, tmp_path, report_timezone=ZONE)) as found:
        yield found


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("2026-10-31", "2026-10-31", [("2026-10-31", "1.00", 1)]),
        ("2026-11-01", "2026-11-01", [("2026-11-01", "4320.00", 3)]),
        ("2026-10-31", "2026-11-01", [("2026-10-31", "1.00", 1), ("2026-11-01", "4320.00", 3)]),
        ("2026-11-02", "2026-11-30", []),
    ],
)
def test_daily_totals_and_what_is_behind_them(
    api: Api, slow: bool, start: str, end: str, expected: list[tuple[str, str, int]]
) -> None:
    found = api.ask(TOTALS, user=str(user(1)), start=start, end=end, slow=slow)["dailyTotals"]
    assert [(r["day"], r["totalSent"], r["sentCount"]) for r in found["rows"]] == expected
    for row in found["rows"]:
        assert row["payments"]["totalCount"] == row["sentCount"] == len(row["payments"]["nodes"])


@pytest.mark.parametrize(("day", "count"), [("2026-10-31", 1), ("2026-11-01", 3)])
def test_rest_and_the_filter_of_payments(api: Api, day: str, count: int) -> None:
    path = f"/users/{user(1)}"
    rest = api.client.get(f"{path}/payments", params={"start": day, "end": day}).json()
    assert len(rest["payments"]) == count
    totals = api.client.get(f"{path}/daily-totals", params={"start": day, "end": day}).json()["daily_totals"]
    assert [(t["day"], t["sent_count"]) for t in totals] == [(day, count)]
    query = "query($day: Date!) { payments(filter: {start: $day, end: $day}) { totalCount } }"
    assert api.ask(query, day=day)["payments"]["totalCount"] == count


def test_both_months_reports(engine: Engine, files: Files, make: Make) -> None:
    store(engine, *PAYMENTS)
    lines = {}
    for period in ("2026-10", "2026-11"):
        made = make(period, time_zone=ZONE, now=LATER)
        with files.open(f"monthly_report_{made.period}_v{made.version}.csv") as file:
            lines[period] = [line.split(b",")[1:6] for line in file.read().splitlines()[1:]]
    assert lines["2026-10"] == [
        [b"2026-10-31", b"1.00", b"0.00", b"USD", b"1"],
        [b"2026-10-31", b"0.00", b"1.00", b"USD", b"0"],
    ]
    assert lines["2026-11"] == [
        [b"2026-11-01", b"4320.00", b"0.00", b"USD", b"3"],
        [b"2026-11-01", b"0.00", b"4320.00", b"USD", b"0"],
    ]


def test_a_month_with_the_first_of_its_two_midnights_alone_is_due(engine: Engine) -> None:
    store(engine, PAYMENTS[1])
    with db.read(engine) as connection:
        due = reports.due_periods(connection, time_zone=ZONE, now=datetime(2027, 1, 5, tzinfo=UTC))
    assert due == ["2026-11", "2026-12"]


def test_a_month_is_stale_by_its_own_payments(engine: Engine, files: Files, make: Make) -> None:
    for period in ("2026-10", "2026-11"):
        make(period, time_zone=ZONE, now=LATER)
    store(engine, *PAYMENTS)
    with db.read(engine) as connection:
        stored: Any = connection.exec_driver_sql("SELECT period, time_zone, watermark FROM reports ORDER BY period")
        assert [reports.changes_since(connection, row) for row in stored] == [1, 3]


def test_a_date_that_comes_back(engine: Engine, files: Files, make: Make) -> None:
    """America/St_Johns until 2011: at 00:01 the clock went back to 23:01, so the previous date returned for an hour."""
    zone = "America/St_Johns"
    store(
        engine,
        Paid(1, 2, "1.00", "USD", "2009-11-01T02:29:59Z"),  # 23:59:59 of 31 October
        Paid(1, 2, "20.00", "USD", "2009-11-01T02:30:30Z"),  # 00:00:30 of 1 November
        Paid(1, 2, "300.00", "USD", "2009-11-01T02:45:00Z"),  # 23:15 of 31 October again
        Paid(1, 2, "4000.00", "USD", "2009-11-01T03:30:30Z"),  # 00:00:30 of 1 November again
    )
    sums = {}
    for period in ("2009-10", "2009-11"):
        made = make(period, time_zone=zone, now=LATER)
        with files.open(f"monthly_report_{made.period}_v{made.version}.csv") as file:
            sums[period] = next((str(x.day), str(x.totals.total_sent)) for x in reports.read_lines(file))
    assert sums == {"2009-10": ("2009-10-31", "301.00"), "2009-11": ("2009-11-01", "4020.00")}
    in_the_minute = datetime(2009, 11, 1, 2, 30, 30, tzinfo=UTC)
    assert not reports.Period(2009, 10).is_over(in_the_minute, zone)
    assert reports.Period(2009, 11).has_started(in_the_minute, zone)
    assert reports.next_midnight(in_the_minute, zone) == datetime(2009, 11, 1, 3, 30, tzinfo=UTC)
    with db.read(engine) as connection:
        assert reports.due_periods(connection, time_zone=zone, now=in_the_minute) == ["2009-09"]
