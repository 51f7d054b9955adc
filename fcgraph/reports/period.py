"""A month `YYYY-MM`, and its beginning and end in a time zone. `reports.generation` decides which months are due."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from fcgraph.days import Span, settled_day, span
from fcgraph.errors import Refused

PERIOD = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")


@dataclass(frozen=True, order=True)
class Period:
    """A calendar month; the instants that belong to it depend on the reporting time zone."""

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

    @property
    def next(self) -> Period:
        return Period(self.year, self.month + 1) if self.month < 12 else Period(self.year + 1, 1)

    def has_started(self, now: datetime, time_zone: str) -> bool:
        """Whether the month has begun in this time zone."""
        return self.span(time_zone).begins <= now

    def is_over(self, now: datetime, time_zone: str) -> bool:
        """Whether the month has ended in this time zone."""
        return self.span(time_zone).ends <= now

    def span(self, time_zone: str) -> Span:
        """The instants of the month in the time zone."""
        return span(self.first_day, self.last_day, time_zone)


def parse_period(text: str) -> Period:
    """The month that `YYYY-MM` names. Raises Refused (INVALID_INPUT)."""
    match = PERIOD.fullmatch(text)
    if match is None or match[1] == "0000":
        raise Refused("a period is a month such as 2025-05", path=("period",))
    return Period(int(match[1]), int(match[2]))


def period_at(now: datetime, time_zone: str) -> Period:
    """The current month at this instant in the time zone; all earlier months have ended for good."""
    day = settled_day(now, time_zone)
    return Period(day.year, day.month)
