"""Whether PostgreSQL and Python agree on the reporting zone. Checked once, when a process starts.

Each has its own zone database. PostgreSQL tries abbreviations before names, so CET is a fixed offset there; `localtime`
is a name only in Python; and one of the two databases may lack a recent change.
"""

from __future__ import annotations

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from fcgraph import db, zone_names
from fcgraph.days import PROVEN_FROM, PROVEN_TO, offset_at
from fcgraph.errors import SettingsError
from fcgraph.observability import log

BEGINS, ENDS = (datetime.combine(day, time(), UTC) for day in (PROVEN_FROM, PROVEN_TO))
OFFSETS = sa.text(
    "SELECT extract(epoch FROM (at AT TIME ZONE :zone) - (at AT TIME ZONE 'UTC'))::int"
    " FROM unnest(CAST(:instants AS timestamptz[])) WITH ORDINALITY i(at, n) ORDER BY n"
)
NOT_RECOGNIZED = "22023"  # invalid_parameter_value

logger = log.get(__name__)
_proven: set[tuple[str, str]] = set()  # by server and zone; a forked job inherits its worker's result


def check(engine: Engine, time_zone: str) -> None:
    """Raise SettingsError unless both agree on the zone in all years from PROVEN_FROM to PROVEN_TO."""
    key = (engine.url.render_as_string(), time_zone)
    if key in _proven:
        return
    with db.read(engine) as connection:
        differs = first_difference(connection, time_zone)
        if differs is not None:
            raise SettingsError(f"Wrong setting: REPORT_TIMEZONE: {_advice(connection, time_zone, differs)}")
    _proven.add(key)


def check_if_there(engine: Engine, time_zone: str) -> bool:
    """The same for a process that starts without PostgreSQL: False when it is unavailable."""
    try:
        check(engine, time_zone)
    except DBAPIError as e:
        if not db.is_away(e):
            raise
        logger.warning("zone_not_proven", reason="PostgreSQL is unavailable")
        return False
    return True


def first_difference(connection: Connection, time_zone: str) -> datetime | None:
    """The first checked instant that PostgreSQL and Python show differently; BEGINS when only Python knows the name.

    Checks one instant a week, and both sides of each of Python's changes.
    """
    instants = list(zone_names.changes(time_zone, BEGINS, ENDS))
    try:
        with connection.begin_nested():
            found = connection.scalars(OFFSETS, {"zone": time_zone, "instants": instants}).all()
    except DBAPIError as e:
        if getattr(e.orig, "pgcode", None) == NOT_RECOGNIZED:
            return BEGINS
        raise
    zone = ZoneInfo(time_zone)
    for at, seconds in zip(instants, found, strict=True):
        if offset_at(zone, at).total_seconds() != seconds:
            return at
    return None


def _advice(connection: Connection, time_zone: str, differs: datetime) -> str:
    if time_zone in zone_names.usable():
        return (
            f"PostgreSQL and Python disagree on the clocks of this zone from {differs:%Y-%m-%d} on, because one of"
            " their zone databases is older; update the older one (tzdata)"
        )
    offered = next((n for n in zone_names.like(time_zone) if first_difference(connection, n) is None), None)
    return (
        "PostgreSQL and Python interpret this name as different zones;"
        f" set the zone as Region/City{f', such as {offered}' if offered else ''}"
    )
