"""Days as conditions on `timestamp`: bounds that an index can use, and the exact date where bounds are not enough.

`fcgraph.days` defines what a day is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from fcgraph.days import UNPROVEN, Span, are_plain, edge, end_of, span
from fcgraph.queries.statement import Values

MARGIN = f"interval '{UNPROVEN.days} days'"


def day_sql(timestamp: str, zone: str) -> str:
    """The date of an instant in the time zone, which labels a payment's day. Both arguments are SQL expressions."""
    return f"({timestamp} AT TIME ZONE {zone})::date"


@dataclass(frozen=True, slots=True)
class Bounds:
    """`[begins, ends)`, the SQL of two instants (None: no limit), and further conditions that must hold."""

    begins: str | None = None
    ends: str | None = None
    further: tuple[str, ...] = ()

    @property
    def conditions(self) -> list[str]:
        """The bounds and the further conditions, as conditions on `timestamp`."""
        begins = [f"timestamp >= {self.begins}"] if self.begins is not None else []
        ends = [f"timestamp < {self.ends}"] if self.ends is not None else []
        return [*begins, *ends, *self.further]


def of_range(values: Values, start: date | None, end: date | None, time_zone: str) -> Bounds:
    """The days from `start` to `end`, both inclusive; None means no limit."""
    begins = ends = None
    further = []
    if start is not None:
        first = edge(start, time_zone)
        begins = values.add(first.first, "timestamptz")
        if not first.is_sharp:
            label = day_sql("timestamp", values.add(time_zone, "text"))
            further.append(f"{label} >= {values.add(start, 'date')}")
    if end is not None:
        last = end_of(end, time_zone)
        ends = values.add(last.result, "timestamptz")
        if not last.is_sharp:
            label = day_sql("timestamp", values.add(time_zone, "text"))
            further.append(f"{label} <= {values.add(end, 'date')}")
    return Bounds(begins, ends, tuple(further))


def of_one_of(day: str, start: date, end: date, time_zone: str, zone: str) -> Bounds:
    """The day in the SQL expression `day`, which is between `start` and `end`. `zone` is the SQL of the time zone."""
    midnight, next_midnight = (f"(({at})::timestamp AT TIME ZONE {zone})" for at in (day, f"({day}) + 1"))
    if are_plain(start, end, time_zone):
        return Bounds(midnight, next_midnight)
    # Some of these days do not begin at PostgreSQL's midnight: it picks the later one of a repeated midnight.
    label = day_sql("timestamp", zone)
    return Bounds(f"({midnight} - {MARGIN})", f"({next_midnight} + {MARGIN})", (f"{label} = {day}",))


@dataclass(frozen=True, slots=True)
class ManyDays:
    """Days that are rows of a FROM item: the spans to unnest, and the bounds of the current row."""

    spans: Sequence[Span]
    zone: str | None  # SQL of the time zone if some spans are not exact

    def bounds(self, begins: str, ends: str, day: str) -> Bounds:
        """The bounds of a row, from the names of its columns."""
        return Bounds(begins, ends, (f"{day_sql('timestamp', self.zone)} = {day}",) if self.zone is not None else ())


def of_many(values: Values, days: Sequence[date], time_zone: str) -> ManyDays:
    """The bounds of each of these days."""
    spans = [span(day, day, time_zone) for day in days]
    return ManyDays(spans, None if all(s.is_exact for s in spans) else values.add(time_zone, "text"))
