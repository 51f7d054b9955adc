"""What a day is: the instants whose local date in the reporting zone is that date. The one definition, in Python.

A day begins with the first instant of its date, even if its midnight is repeated (America/Havana) or skipped, or the
whole day is skipped (Pacific/Apia). Where clocks go back over midnight (America/St_Johns until 2011, at 00:01), the
next date starts for a minute and the old one returns. Then a day is not one interval, and `Span.is_exact` is False.

PostgreSQL writes the labels: `(timestamp AT TIME ZONE zone)::date`. `fcgraph.zones` checks at startup that it and
Python agree on a zone in the years from PROVEN_FROM to PROVEN_TO. Outside of them the spans here are wider than the
days and never exact, so PostgreSQL decides for each payment.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

PROVEN_FROM, PROVEN_TO = date(2000, 1, 1), date(2100, 1, 1)
EARLIEST, LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
DAY = timedelta(days=1)
UNPROVEN = timedelta(days=2)  # more than any two readings of a zone differ
REACH = timedelta(hours=26)  # no zone is further from UTC
STEP = timedelta(hours=2)  # no zone changes its offset twice within it
SECOND = timedelta(seconds=1)
KNOWN_MAX = 10_000


class Edge(NamedTuple):
    """The start of a day: the first instant of its date or later, and when the last earlier date has ended."""

    first: datetime
    result: datetime

    @property
    def is_sharp(self) -> bool:
        """Whether the two are equal: every date before it is earlier, none after it is."""
        return self.first == self.result


class Span(NamedTuple):
    """All instants of a range of days lie in `[begins, ends)`; unless it is exact, so may instants of other days."""

    begins: datetime
    ends: datetime
    is_exact: bool


def span(start: date, end: date, time_zone: str) -> Span:
    """The instants of the days from `start` to `end`, both inclusive."""
    begins, ends = edge(start, time_zone), end_of(end, time_zone)
    return Span(begins.first, ends.result, begins.is_sharp and ends.is_sharp)


def end_of(day: date, time_zone: str) -> Edge:
    """Where the day after this one begins."""
    return edge(day + DAY, time_zone) if day < date.max else Edge(LATEST, LATEST)


@lru_cache(maxsize=KNOWN_MAX)
def edge(day: date, time_zone: str) -> Edge:
    """Where the day begins in the zone."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)  # as the zone's clock shows it
    if not PROVEN_FROM <= day < PROVEN_TO:
        return Edge(
            midnight - UNPROVEN if midnight - EARLIEST > UNPROVEN else EARLIEST,
            midnight + UNPROVEN if LATEST - midnight > UNPROVEN else LATEST,
        )
    pieces = list(_pieces(ZoneInfo(time_zone), midnight - REACH, midnight + REACH))
    # Within a piece the clock shows midnight or later from `midnight - offset` on.
    first = next(
        max(begins, midnight - offset) for begins, ends, offset in pieces if max(begins, midnight - offset) < ends
    )
    result = next(
        min(ends, midnight - offset)
        for begins, ends, offset in reversed(pieces)
        if min(ends, midnight - offset) > begins
    )
    return Edge(first, result)


def _pieces(zone: ZoneInfo, begins: datetime, ends: datetime) -> Iterator[tuple[datetime, datetime, timedelta]]:
    """The parts of the interval with a constant offset of the zone, and that offset."""
    offset, at = offset_at(zone, begins), begins
    while at < ends:
        later = min(at + STEP, ends)
        if offset_at(zone, later) != offset:
            change = first_change(zone, at, later)
            yield begins, change, offset
            begins, offset = change, offset_at(zone, change)
        at = later
    yield begins, ends, offset


def first_change(zone: ZoneInfo, at: datetime, later: datetime) -> datetime:
    """The second at which the offset changes, between two instants with different ones."""
    offset = offset_at(zone, at)
    while later - at > SECOND:
        middle = at + (later - at) // 2
        middle -= timedelta(microseconds=middle.microsecond)
        if middle <= at:
            break
        if offset_at(zone, middle) == offset:
            at = middle
        else:
            later = middle
    return later


def offset_at(zone: ZoneInfo, instant: datetime) -> timedelta:
    """How far the zone's clock is ahead of UTC."""
    found = instant.astimezone(zone).utcoffset()
    assert found is not None, "every IANA zone has offsets"
    return found


def local_day(now: datetime, time_zone: str) -> date:
    """The date that the zone's clock shows at this instant. `now` carries an offset."""
    if now.tzinfo is None:
        raise ValueError("now must carry an offset")
    return now.astimezone(ZoneInfo(time_zone)).date()


def settled_day(now: datetime, time_zone: str) -> date:
    """The last day that has finally begun: no earlier date returns."""
    day = local_day(now, time_zone)
    while edge(day, time_zone).result > now:
        day -= DAY
    return day


def last_midnight(now: datetime, time_zone: str) -> datetime:
    """When the last day finally began (UTC)."""
    return edge(settled_day(now, time_zone), time_zone).result


def next_midnight(now: datetime, time_zone: str) -> datetime:
    """When the next day finally begins (UTC): after every instant of earlier days; always later than `now`."""
    return edge(settled_day(now, time_zone) + DAY, time_zone).result


@lru_cache(maxsize=KNOWN_MAX)
def are_plain(start: date, end: date, time_zone: str) -> bool:
    """Whether PostgreSQL's `day::timestamp AT TIME ZONE zone` is exactly where each of these days begins, and the one
    after them.

    True if no offset changes at midnight, and midnight occurs once or is skipped from 00:00 on.
    """
    if start < PROVEN_FROM or end >= PROVEN_TO - DAY:
        return False
    zone, day = ZoneInfo(time_zone), start - 2 * DAY
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    offset = offset_at(zone, noon)
    while day <= end + DAY:
        noon, before = noon + DAY, offset
        offset = offset_at(zone, noon)
        # By the zone's clock the change lies within 15 hours of these two noons.
        if offset != before and not all(_is_plain(day + n * DAY, time_zone) for n in range(-1, 4)):
            return False
        day += DAY
    return True


def _is_plain(day: date, time_zone: str) -> bool:
    midnights = [datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(time_zone), fold=fold) for fold in (0, 1)]
    # PostgreSQL takes the later of a repeated midnight, and of a skipped one the offset from before: the later again.
    of_postgresql = max(m.astimezone(UTC) for m in midnights)
    found = edge(day, time_zone)
    return found.first == found.result == of_postgresql
