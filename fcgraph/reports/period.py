"""A month `YYYY-MM` and where it begins and ends for a time zone. Which months are due is not here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from fcgraph.errors import Refused

PERIOD = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")


@dataclass(frozen=True, order=True)
class Period:
    """A month of the calendar; what instants belong to it depends on the reporting time zone."""

    year: int
    month: int

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}"

    @property
    def first_day(self) -> date:
        return date(self.year, self.month, 1)

    @property
    def last_day(self) -> date:
        """The last day that belongs to the month."""
        beyond = date(self.year, self.month, 28) + timedelta(days=3)  # the 31st, or the first days of the next month
        return beyond if beyond.month == self.month else beyond - timedelta(days=beyond.day)

    @property
    def previous(self) -> Period:
        return Period(self.year, self.month - 1) if self.month > 1 else Period(self.year - 1, 12)

    def has_started(self, now: datetime, time_zone: str) -> bool:
        return self.first_day <= local_day(now, time_zone)

    def is_over(self, now: datetime, time_zone: str) -> bool:
        return self.last_day < local_day(now, time_zone)


def parse_period(text: str) -> Period:
    """The month that `YYYY-MM` names. Raises Refused (INVALID_INPUT)."""
    match = PERIOD.fullmatch(text)
    if match is None or match[1] == "0000":
        raise Refused("a period is a month such as 2025-05", path=("period",))
    return Period(int(match[1]), int(match[2]))


def period_at(now: datetime, time_zone: str) -> Period:
    """The month that is running at this instant in the zone."""
    day = local_day(now, time_zone)
    return Period(day.year, day.month)


def local_day(now: datetime, time_zone: str) -> date:
    """The calendar day at this instant in the zone. `now` carries an offset."""
    if now.tzinfo is None:
        raise ValueError("now must carry an offset")
    return now.astimezone(ZoneInfo(time_zone)).date()


def midnight(day: date, time_zone: str) -> datetime:
    """The instant (UTC) at which the day begins in the zone; where clocks jump over midnight, the jump."""
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(time_zone)).astimezone(UTC)


def last_midnight(now: datetime, time_zone: str) -> datetime:
    """When the present day began in the zone (UTC)."""
    return midnight(local_day(now, time_zone), time_zone)


def next_midnight(now: datetime, time_zone: str) -> datetime:
    """When the next day begins in the zone (UTC); always later than `now`."""
    return midnight(local_day(now, time_zone) + timedelta(days=1), time_zone)
