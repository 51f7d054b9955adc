"""How stale a report is, and the differences between two of its versions, line by line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Protocol
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from fcgraph.errors import BadInput
from fcgraph.queries import Values
from fcgraph.queries.report_changes import Basis, changes_since_sql
from fcgraph.reports.lines import LineTotals, parse_line, raw_lines
from fcgraph.reports.period import parse_period
from fcgraph.storage.files import Files


class ReportBasis(Protocol):
    """What a version of a report is based on; a row of `reports` has these fields."""

    @property
    def period(self) -> str: ...
    @property
    def time_zone(self) -> str: ...
    @property
    def watermark(self) -> int: ...


@dataclass(frozen=True, slots=True)
class LineChange:
    """A line that differs between two versions; `before` is None if it was added, `after` if it was removed."""

    user_id: UUID
    day: date
    currency: str
    before: LineTotals | None
    after: LineTotals | None


def basis_of(report: ReportBasis) -> Basis:
    """The basis for the queries, with the instants of the month in the report's time zone."""
    span = parse_period(report.period).span(report.time_zone)
    return Basis(report.period, report.time_zone, span, report.watermark)


def changes_since(connection: Connection, report: ReportBasis) -> int:
    """The number of payments of the report's period that arrived or changed after its watermark."""
    values = Values(named=True)
    statement = changes_since_sql(values, [basis_of(report)])
    count: int = connection.exec_driver_sql(statement, values.by_name).scalar_one()
    return count


def changes_between(
    files: Files, connection: Connection, period: str, version: int, from_version: int
) -> Iterator[LineChange]:
    """The lines of `version` that differ from those of `from_version`, in the file's order.

    Both files are read once, in parallel, with one line of each in memory. Before anything is read, it raises BadInput
    if there is no such version, and Unavailable if its file is missing.
    """
    before, after = (_path(files, connection, period, number) for number in (from_version, version))
    return _compare(before, after)


def _path(files: Files, connection: Connection, period: str, version: int) -> Path:
    found = connection.execute(
        sa.text("SELECT file_key, size_bytes FROM reports WHERE period = :period AND version = :version"),
        {"period": period, "version": version},
    ).one_or_none()
    if found is None:
        raise BadInput(f"the report of {period} has no version {version}")
    return files.whole(found.file_key, found.size_bytes)


def _compare(before_path: Path, after_path: Path) -> Iterator[LineChange]:
    with before_path.open("rb") as before_file, after_path.open("rb") as after_file:
        befores, afters = raw_lines(before_file), raw_lines(after_file)
        before, after = next(befores, None), next(afters, None)
        while before is not None or after is not None:
            if before == after:
                before, after = next(befores, None), next(afters, None)
                continue
            gone = before is not None and (after is None or _place(before) <= _place(after))
            come = after is not None and (before is None or _place(after) <= _place(before))
            yield _change(before if gone else None, after if come else None)
            before = next(befores, None) if gone else before
            after = next(afters, None) if come else after


def _place(line: bytes) -> tuple[bytes, bytes, bytes]:
    """The sort key of the lines: user, day, currency. Hex digits, dates and codes sort by their bytes."""
    user_id, day, _, _, currency, _ = line.split(b",", 5)
    return user_id, day, currency


def _change(before: bytes | None, after: bytes | None) -> LineChange:
    old = parse_line(before) if before is not None else None
    new = parse_line(after) if after is not None else None
    line = new or old
    assert line is not None, "at least one side has the line"
    return LineChange(line.user_id, line.day, line.currency, old.totals if old else None, new.totals if new else None)
