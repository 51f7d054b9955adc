"""Daily totals: exact against a sum in Python, per currency, inclusive days in the reporting zone, bounded."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from fcgraph import db
from tests.api.cases import BOB, ZOE, user
from tests.api.client import Api, serving
from tests.api.conftest import settings_for

TOTALS = """
query($userIds: [UUID!], $start: Date!, $end: Date!, $statuses: [PaymentStatus!], $currency: String) {
  dailyTotals(userIds: $userIds, start: $start, end: $end, statuses: $statuses, currency: $currency) {
    basis { start end timeZone statuses watermark }
    rows { userId day currency totalSent totalReceived sentCount receivedCount }
    summary { currency totalSent totalReceived sentCount receivedCount }
  }
}"""
SCALE = {"USD": 2, "EUR": 2, "PHP": 2, "JPY": 0, "KWD": 3}


@pytest.fixture(scope="module")
def stored(demo_url: str) -> list[Any]:
    engine = db.make_engine(demo_url, name="tests")
    with db.read(engine) as connection:
        return list(connection.execute(sa.text("SELECT * FROM transactions")))


def added_up(stored: list[Any], start: date, end: date, zone: str, statuses: set[str]) -> list[dict[str, Any]]:
    """The rows as computed by plain Python."""
    found: dict[tuple[str, str, str], list[Any]] = defaultdict(lambda: [Decimal(0), Decimal(0), 0, 0])
    for row in stored:
        day = row.timestamp.astimezone(ZoneInfo(zone)).date()
        if row.status not in statuses or not start <= day <= end:
            continue
        for n, party in ((0, row.sender_id), (1, row.receiver_id)):
            total = found[str(party), day.isoformat(), row.currency]
            total[n] += row.amount
            total[n + 2] += 1
    return [
        {
            "userId": who,
            "day": day,
            "currency": code,
            "totalSent": f"{total[0]:.{SCALE[code]}f}",
            "totalReceived": f"{total[1]:.{SCALE[code]}f}",
            "sentCount": total[2],
            "receivedCount": total[3],
        }
        for (who, day, code), total in sorted(found.items())
    ]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Manila", "America/New_York"])
@pytest.mark.parametrize("statuses", [{"completed"}, {"pending", "failed"}, {"pending", "completed", "failed"}])
def test_equal_to_a_sum_in_python(
    demo_url: str, stored: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zone: str, statuses: set[str]
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")  # the time zone of the process must not matter
    with serving(settings_for(demo_url, tmp_path, report_timezone=zone)) as api:
        found = api.ask(TOTALS, start="2024-02-29", end="2025-02-27", statuses=sorted(s.upper() for s in statuses))[
            "dailyTotals"
        ]
    assert found["rows"] == added_up(stored, date(2024, 2, 29), date(2025, 2, 27), zone, statuses)
    assert found["basis"]["timeZone"] == zone


def test_the_last_day_is_inside_and_the_next_is_not(demo: Api) -> None:
    rows = demo.ask(TOTALS, userIds=[ZOE], start="2024-02-29", end="2024-02-29")["dailyTotals"]["rows"]
    assert [(r["currency"], r["totalReceived"]) for r in rows] == [("USD", "10.01")]


def test_currencies_are_never_added(demo: Api) -> None:
    found = demo.ask(TOTALS, userIds=[ZOE], start="2024-03-01", end="2024-03-01")["dailyTotals"]
    assert [(r["currency"], r["totalSent"], r["totalReceived"]) for r in found["rows"]] == [
        ("EUR", "7.00", "0.00"),
        ("JPY", "100", "100"),
        ("KWD", "1.234", "0.000"),
        ("USD", "8.01", "10020.03"),
    ]
    assert [(s["currency"], s["sentCount"], s["receivedCount"]) for s in found["summary"]] == [
        ("EUR", 1, 0),
        ("JPY", 1, 1),
        ("KWD", 1, 0),
        ("USD", 1, 3),
    ]


def test_sent_is_received_over_everybody(demo: Api) -> None:
    found = demo.ask(TOTALS, start="2025-01-01", end="2025-06-30")["dailyTotals"]
    assert len(found["rows"]) > 500
    by_day: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for row in found["rows"]:
        by_day[row["day"], row["currency"]] += Decimal(row["totalSent"]) - Decimal(row["totalReceived"])
    assert set(by_day.values()) == {Decimal(0)}
    for total in found["summary"]:
        assert total["totalSent"] == total["totalReceived"]


def test_the_basis_is_what_was_requested(demo: Api) -> None:
    found = demo.ask(TOTALS, userIds=[BOB], start="2024-03-01", end="2024-03-01", currency="EUR")["dailyTotals"]
    assert found["basis"] | {"watermark": None} == {
        "start": "2024-03-01",
        "end": "2024-03-01",
        "timeZone": "UTC",
        "statuses": ["COMPLETED"],
        "watermark": None,
    }
    assert int(found["basis"]["watermark"]) > 0
    assert found["rows"] == []


def test_down_to_the_payments_of_a_row(demo: Api) -> None:
    query = """{ dailyTotals(userIds: ["%s"], start: "2024-03-01", end: "2024-03-01", statuses: [COMPLETED, PENDING]) {
      rows { currency totalSent totalReceived sentCount receivedCount
             payments(first: 100) { totalCount nodes { amount status senderId receiverId timestamp } } } } }"""
    for row in demo.ask(query % ZOE)["dailyTotals"]["rows"]:
        payments = row["payments"]["nodes"]
        assert row["totalSent"] == str(
            sum(Decimal(p["amount"]) for p in payments if p["senderId"] == ZOE) or Decimal(row["totalSent"]) * 0
        )
        assert Decimal(row["totalReceived"]) == sum(Decimal(p["amount"]) for p in payments if p["receiverId"] == ZOE)
        assert row["payments"]["totalCount"] == len(payments)
        assert all(p["timestamp"].startswith("2024-03-01") and p["status"] != "FAILED" for p in payments)


def test_the_same_of_many_users_at_once(demo: Api) -> None:
    nested = demo.ask("""{ users(first: 100) { nodes { userId dailyTotals(start: "2025-05-01", end: "2025-05-31") {
      rows { userId day currency totalSent totalReceived sentCount receivedCount } } } } }""")
    rows = [r for u in nested["users"]["nodes"] for r in u["dailyTotals"]["rows"]]
    whole = demo.ask(TOTALS, start="2025-05-01", end="2025-05-31")["dailyTotals"]["rows"]
    assert len(whole) > 50
    assert sorted(rows, key=lambda r: (r["userId"], r["day"], r["currency"])) == whole


def test_the_report_has_the_same_rows(api: Api) -> None:
    made = api.ask('mutation { generateMonthlyReport(period: "2024-03") { reportFile { downloadUrl rowCount } } }')
    text = api.client.get(made["generateMonthlyReport"]["reportFile"]["downloadUrl"]).text
    assert text == "user_id,day,total_sent,total_received,currency,sent_count,received_count\n"


@pytest.mark.parametrize(
    ("variables", "code", "named"),
    [
        ({"start": "2025-01-02", "end": "2025-01-01"}, "BAD_USER_INPUT", "start"),
        ({"start": "2024-01-01", "end": "2025-01-01"}, "RANGE_TOO_LARGE", "RANGE_MAX_DAYS"),
        (
            {"start": "2025-01-01", "end": "2025-01-01", "userIds": [user(1)] * 101},
            "QUERY_TOO_COMPLEX",
            "LIST_ARGUMENT",
        ),
        ({"start": "2025-01-01", "end": "2025-1-2"}, "BAD_USER_INPUT", "date"),
    ],
)
def test_limits(demo: Api, variables: dict[str, Any], code: str, named: str) -> None:
    error = demo.refused(TOTALS, **variables)
    assert error["extensions"]["code"] == code
    assert named in error["message"]


def test_a_leap_year_is_allowed(demo: Api) -> None:
    assert demo.ask(TOTALS, userIds=[ZOE], start="2024-01-01", end="2024-12-31")["dailyTotals"]["rows"]


def test_too_many_rows(demo_url: str, tmp_path: Path) -> None:
    with serving(settings_for(demo_url, tmp_path, totals_rows_max=10)) as api:
        error = api.refused(TOTALS, start="2025-01-01", end="2025-12-31")
        assert error["extensions"]["code"] == "RANGE_TOO_LARGE"
        assert "TOTALS_ROWS_MAX" in error["message"]
        assert api.ask(TOTALS, userIds=[ZOE], start="2024-03-01", end="2024-03-01")["dailyTotals"]["rows"]


def test_days_at_the_edges_of_the_calendar(demo: Api) -> None:
    year = timedelta(days=365)
    for day in (date.min, date.max - year, datetime.now(UTC).date()):
        found = demo.ask(TOTALS, userIds=[user(7)], start=day.isoformat(), end=(day + timedelta(days=1)).isoformat())
        assert found["dailyTotals"]["basis"]["start"] == day.isoformat()
