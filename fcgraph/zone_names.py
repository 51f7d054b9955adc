"""Suggests a `Region/City` for a time zone name that cannot be used. Only runs when there is such a name."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from fcgraph import days

REGIONS = ("Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")
# Of many zones with the same clocks, those that most people know come first.
WELL_KNOWN = (
    "UTC", "Europe/Berlin", "Europe/Lisbon", "Europe/London", "Europe/Athens", "America/New_York", "America/Chicago",
    "America/Denver", "America/Los_Angeles", "America/Phoenix", "America/Panama", "Pacific/Honolulu", "Asia/Manila",
    "Asia/Singapore", "Asia/Kolkata", "Asia/Tokyo", "Australia/Sydney",
)  # fmt: skip
OFFERED_MAX = 3
SAME_FROM, SAME_TO = datetime(2000, 1, 1, tzinfo=UTC), datetime(2038, 1, 1, tzinfo=UTC)


@cache
def usable() -> tuple[str, ...]:
    """Every `Region/City` and UTC, well-known ones first."""
    names = sorted(n for n in available_timezones() if n.partition("/")[0] in REGIONS)
    return (*WELL_KNOWN, *[n for n in names if n not in WELL_KNOWN])


def meant_by(name: str) -> list[str]:
    """Suggestions for a name that Python does not know: by its letters, its city, or its abbreviation."""
    folded = name.strip().replace(" ", "_").casefold()
    by_name = {n.casefold(): n for n in usable()}
    by_city = {n.rpartition("/")[2].casefold(): n for n in reversed(usable())}
    for found in (by_name.get(folded), by_city.get(folded), by_city.get(folded.rpartition("/")[2])):
        if found is not None:
            return [found]
    if len(name) <= 5 and name.isalpha():
        return _abbreviated(name.upper())
    close = difflib.get_close_matches(folded, by_name, 1, 0.8)
    return [by_name[n] for n in close]


def _abbreviated(abbreviation: str) -> list[str]:
    summer, winter = datetime(2025, 7, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
    found = []
    for name in usable():
        zone = ZoneInfo(name)
        if abbreviation in (summer.astimezone(zone).tzname(), winter.astimezone(zone).tzname()):
            found.append(name)
            if len(found) == OFFERED_MAX:
                break
    return found


def like(name: str) -> Iterator[str]:
    """The usable names whose clocks have shown the same as this known one's since SAME_FROM; the best one first."""
    for part in range(1, name.count("/") + 1):
        tail = name.split("/", part)[-1]  # such as posix/Europe/Berlin
        if tail in usable():
            yield tail
    instants = list(changes(name, SAME_FROM, SAME_TO))
    offsets = _offsets(name, instants)
    for candidate in usable():
        if candidate != name and _offsets(candidate, instants) == offsets:
            yield candidate


def _offsets(name: str, instants: list[datetime]) -> list[timedelta]:
    zone = ZoneInfo(name)
    return [days.offset_at(zone, at) for at in instants]


def changes(name: str, begins: datetime, ends: datetime) -> Iterator[datetime]:
    """Instants that distinguish zones: one a week, and the seconds before and at each change."""
    zone, at = ZoneInfo(name), begins
    offset = days.offset_at(zone, at)
    yield at
    while at < ends:
        later = at + timedelta(days=7)
        if days.offset_at(zone, later) != offset:
            change = days.first_change(zone, at, later)
            yield change - days.SECOND
            yield change
            offset = days.offset_at(zone, later)
        yield later
        at = later
