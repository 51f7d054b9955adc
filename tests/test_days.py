"""A day is the instants whose local date is that date: in every zone, around every change of its clocks.

The queries are the real ones. They are checked against the date from Python's `astimezone` for each instant.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

import psycopg2.extras
import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from fcgraph import db, reports, zones
from fcgraph.queries import OPERATOR, Values
from fcgraph.queries.columns import DAILY_TOTAL
from fcgraph.queries.days import of_one_of
from fcgraph.queries.payments import Drill, Owner, PaymentQuery, count_of_many_sql, count_sql
from fcgraph.queries.totals import TotalsQuery, totals_sql
from fcgraph.reports import Period
from tests.reports.conftest import files, make
from tests.reports.stored import begin_batch, end_batch, user

__all__ = ["files", "make"]  # fixtures

MICROSECOND, DAY = timedelta(microseconds=1), timedelta(days=1)
RECEIVER = user(1)
SCHEDULED_FROM = datetime(2000, 2, 1, tzinfo=UTC)  # nothing is scheduled before that
# Before 2015: dates that come back, skipped days, midnights that are repeated or skipped from before 00:00 on.
EARLIER = (
    "America/St_Johns", "America/Goose_Bay", "America/Moncton", "Antarctica/Casey", "Pacific/Apia", "Pacific/Kwajalein",
    "Pacific/Kiritimati", "Pacific/Fakaofo", "America/Managua", "America/Scoresbysund", "Africa/Tunis", "Asia/Amman",
    "Asia/Beirut", "Asia/Jerusalem", "Asia/Tehran", "America/Toronto", "Europe/Lisbon", "America/Juneau", "Asia/Manila",
)  # fmt: skip


@dataclass(frozen=True)
class Change:
    """A change of a zone's clocks, and their UTC offset before and after it."""

    at: datetime
    before: timedelta
    after: timedelta


def offset(zone: ZoneInfo, at: datetime) -> timedelta:
    found = at.astimezone(zone).utcoffset()
    assert found is not None
    return found


def changes(name: str, first_year: int, last_year: int) -> Iterator[Change]:
    """Every change, found by bisection."""
    zone, at = ZoneInfo(name), datetime(first_year, 1, 1, tzinfo=UTC)
    while at.year <= last_year:
        later = at + timedelta(days=2)
        before, after = offset(zone, at), offset(zone, later)
        if before != after:
            low, high = at, later
            while high - low > timedelta(seconds=1):
                middle = (low + (high - low) / 2).replace(microsecond=0)
                middle = max(middle, low + timedelta(seconds=1)) if middle <= low else middle
                low, high = (middle, high) if offset(zone, middle) == before else (low, middle)
            yield Change(high, before, after)
        at = later


def instants_around(found: list[Change]) -> list[datetime]:
    """The change and every local midnight around it, each with the microseconds before and after."""
    instants = set()
    for change in found:
        points = {change.at}
        for ahead in (change.before, change.after):
            midnight = (change.at + ahead).replace(hour=0, minute=0, second=0)
            points |= {midnight + n * DAY - ahead for n in range(-1, 3)}
        instants |= {point + n * MICROSECOND for point in points for n in (-1, 0, 1)}
    return sorted(instants)


def kinds_of(found: list[Change]) -> list[Change]:
    """One change of each kind: time of day, the two offsets, and whether it is at the end of a month."""
    kinds = {}
    for change in found:
        shown = change.at + change.before
        month_ends = len({(shown + n * DAY).month for n in (-2, 0, 2)}) > 1
        kinds[shown.time(), change.before, change.after, month_ends] = change
    return list(kinds.values())


@dataclass(frozen=True)
class Case:
    """A zone with payments around its changes, all sent by the same user, different for each case."""

    zone: str
    sender: UUID
    found: list[Change]
    instants: list[datetime]

    def labels(self) -> list[date]:
        zone = ZoneInfo(self.zone)
        return [at.astimezone(zone).date() for at in self.instants]


def store_all(engine: Engine, cases: list[Case]) -> None:
    with db.write(engine) as connection:
        connection.execute(
            sa.text("INSERT INTO users (user_id, name) VALUES (:id, :name)"),
            [{"id": case.sender, "name": case.zone} for case in cases],
        )
        batch_id = begin_batch(connection, inserted=sum(len(case.instants) for case in cases), updated=0)
        cursor: Any = connection.connection.cursor()
        psycopg2.extras.execute_values(
            cursor,
            "INSERT INTO transactions (transaction_id, sender_id, receiver_id, timestamp, batch_id, source_position,"
            " is_suspicious, amount, currency, status) SELECT gen_random_uuid(), s::uuid, r::uuid, a, b, 0, false, 1,"
            " 'USD', 'completed' FROM (VALUES %s) v(s, r, a, b)",
            [(str(c.sender), str(RECEIVER), at, batch_id) for c in cases for at in c.instants],
            page_size=5000,
        )
        end_batch(connection, batch_id)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE transactions")


def days_of(connection: Connection, case: Case, start: date, end: date) -> Counter[date]:
    """Payments per day, as daily totals of the range."""
    values = Values(named=True)
    query = TotalsQuery(start, end, user_ids=(case.sender,))
    totals = totals_sql(values, query, zone=case.zone, viewer=OPERATOR)
    rows = connection.exec_driver_sql(f"SELECT {DAILY_TOTAL.select('d')} FROM ({totals}) d", values.by_name)
    return Counter({row.day: row.sentCount for row in rows if row.userId == case.sender})


def drilled(connection: Connection, case: Case, days: list[date]) -> Counter[date]:
    """Payments per day, as counted behind each row of daily totals by the loaders."""
    values = Values(named=True)
    drills = [Drill(case.sender, day, "USD") for day in days]
    counted = count_of_many_sql(values, drills, PaymentQuery(), zone=case.zone, viewer=OPERATOR)
    rows = connection.exec_driver_sql(counted, values.by_name)
    return Counter({days[row.n - 1]: row[1] for row in rows})


def drilled_in_sql(connection: Connection, case: Case, days: list[date]) -> Counter[date]:
    """The same, where only PostgreSQL knows the day of a row: the fast path."""
    values = Values(named=True)
    listed, zone = values.add(days, "date[]"), values.add(case.zone, "text")
    owner = Owner(values.add(case.sender, "uuid"), of_one_of("d.day", days[0], days[-1], case.zone, zone))
    counted = count_sql(values, PaymentQuery(), owner, zone=case.zone, viewer=OPERATOR)
    rows = connection.exec_driver_sql(f"SELECT d.day, {counted} AS n FROM unnest({listed}) d(day)", values.by_name)
    return Counter({row.day: row.n for row in rows})


def in_range(connection: Connection, case: Case, start: date | None, end: date | None) -> int:
    """How many payments the filter finds."""
    values = Values(named=True)
    owner = Owner(values.add(case.sender, "uuid"))
    counted = count_sql(values, PaymentQuery(start=start, end=end), owner, zone=case.zone, viewer=OPERATOR)
    return int(connection.exec_driver_sql(f"SELECT {counted}", values.by_name).scalar_one())


def check_ranges(connection: Connection, case: Case) -> None:
    labels = Counter(case.labels())
    days = sorted(labels)
    assert days_of(connection, case, days[0], days[-1]) == labels
    assert drilled(connection, case, days) == labels
    assert drilled_in_sql(connection, case, days) == labels
    for change in kinds_of(case.found):
        at = (change.at + change.before).date()
        for start in (at - DAY, at, at + DAY, at + 2 * DAY):
            assert days_of(connection, case, start, start) == Counter({start: labels[start]}) + Counter(), start
            assert drilled_in_sql(connection, case, [start]) == Counter({start: labels[start]}), start
            assert in_range(connection, case, start, None) == sum(n for day, n in labels.items() if day >= start)
            assert in_range(connection, case, None, start) == sum(n for day, n in labels.items() if day <= start)


def check_months(connection: Connection, case: Case) -> None:
    """Each payment is in exactly one month: the one of its label."""
    labels = Counter((day.year, day.month) for day in case.labels())
    for change in kinds_of(case.found):
        shown = (change.at + change.before).date()
        for month in {Period(d.year, d.month) for d in (shown - 2 * DAY, shown, shown + 2 * DAY)}:
            found = in_range(connection, case, month.first_day, month.last_day)
            assert found == labels[month.year, month.month], month


def check_schedule(case: Case) -> None:
    """The schedule fires after the last instant of the days before, and no day's end is missed."""
    labelled = [(at, day) for at, day in zip(case.instants, case.labels(), strict=True) if at > SCHEDULED_FROM]
    last_of: dict[date, datetime] = {}
    for at, day in labelled:
        last_of[day] = at
    latest: dict[date, datetime] = {}
    newest = datetime.min.replace(tzinfo=UTC)
    for day in sorted(last_of):
        newest = max(newest, last_of[day])
        latest[day] = newest  # of this day and all before it
    known = sorted(latest)
    for at, day in labelled:
        fires = reports.next_midnight(at, case.zone)
        assert fires > at
        began = fires.astimezone(ZoneInfo(case.zone)).date()
        before = [d for d in (began - DAY, began - 2 * DAY) if d in latest]
        assert all(latest[d] < fires for d in before), (at, fires)
        assert fires - at <= 2 * DAY + timedelta(hours=2), (at, day, fires)
        since = reports.last_midnight(at, case.zone)
        assert since <= at < fires
        assert reports.next_midnight(since - MICROSECOND, case.zone) == since
        month = Period(day.year, day.month)
        assert month.has_started(at, case.zone)
        assert not month.is_over(at, case.zone)
    assert known or case.found[-1].at < SCHEDULED_FROM


def cases_of(engine: Engine, names: list[str], first_year: int, last_year: int) -> tuple[list[Case], list[str]]:
    """One zone of each behaviour, and the names that are refused because PostgreSQL and Python differ on them."""
    groups: dict[tuple[Change, ...], list[str]] = defaultdict(list)
    for name in names:
        groups[tuple(changes(name, first_year, last_year))].append(name)
    cases: list[Case] = []
    refused: list[str] = []
    with db.read(engine) as connection:
        for found, alike in groups.items():
            for name in alike:
                if zones.first_difference(connection, name) is None:
                    if found:
                        around = instants_around(list(found))
                        cases.append(Case(name, UUID(int=2**64 + len(cases)), list(found), around))
                    break
                refused.append(name)
    return cases, refused


def check_all(engine: Engine, cases: list[Case]) -> None:
    store_all(engine, cases)
    with db.read(engine) as connection:
        for case in cases:
            check_ranges(connection, case)
            check_months(connection, case)
            check_schedule(case)


def test_every_zone_from_2015_to_2037(engine: Engine) -> None:
    with db.read(engine) as connection:
        names = set(connection.scalars(sa.text("SELECT name FROM pg_timezone_names"))) & available_timezones()
    assert len(names) > 400
    cases, refused = cases_of(engine, sorted(names), 2015, 2037)
    # Zones with the same changes behave the same, so one of them is checked. Zones that the two databases read
    # differently are refused; if there are many, the check of zones is wrong.
    assert len(cases) > 60
    assert len(refused) < 20, refused
    assert {"Cuba", "America/Havana"} & {case.zone for case in cases}
    check_all(engine, cases)


def test_zones_whose_dates_came_back_or_were_skipped_before(engine: Engine) -> None:
    cases, refused = cases_of(engine, list(EARLIER), 1985, 2014)
    assert (len(cases), refused) == (len(EARLIER), [])
    check_all(engine, cases)
