"""Generates a report: one version per content; first the complete file (or none), then its row.

The caller (such as the scheduler) decides when. Any number of processes may call this any number of times.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO

import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from fcgraph import db, failpoints
from fcgraph.errors import Refused
from fcgraph.models import Report
from fcgraph.observability import log
from fcgraph.queries import Values, daily_totals_sql
from fcgraph.queries.days import day_sql, of_range
from fcgraph.reports.lines import LineWriter
from fcgraph.reports.period import Period, parse_period, period_at
from fcgraph.storage.files import Draft, Files

STATUSES = ["completed"]
LOCK_SPACE = 0x66637270  # the first of the two keys of a period's advisory lock
FILE_NAME = "monthly_report_{period}_v{version}.csv"
FILE_NAMES = re.compile(r"monthly_report_((?!0000)[0-9]{4}-(?:0[1-9]|1[0-2]))_v[1-9][0-9]*\.csv")

# `reports.lines` relies on the order of these columns.
LINES = (
    "SELECT user_id, day, total_sent, total_received, currency, sent_count, received_count FROM ({totals}) lines"
    " ORDER BY user_id, day, currency"
)
ZONE = "CAST(:zone AS text)"
FIRST_DAY = f"SELECT GREATEST({day_sql('min(timestamp)', ZONE)}, date '0001-01-01') FROM transactions"  # noqa: S608 - ours
# The months that have payments or a report, but no report made after their end.
OWED = f"""
SELECT m.period FROM unnest(CAST(:periods AS text[]), CAST(:begins AS timestamptz[]), CAST(:ends AS timestamptz[]))
       AS m(period, begins, ends)
 WHERE NOT EXISTS (SELECT FROM reports r WHERE r.period = m.period AND r.is_final_period)
   AND EXISTS (SELECT FROM transactions t WHERE t.timestamp >= m.begins AND t.timestamp < m.ends
                AND to_char({day_sql("t.timestamp", ZONE)}, 'YYYY-MM') = m.period)
UNION
SELECT period FROM reports WHERE period < :previous GROUP BY period HAVING NOT bool_or(is_final_period)
 ORDER BY period
"""  # noqa: S608 - ours

logger = log.get(__name__)


@dataclass(frozen=True)
class Generated:
    """The version with the current content of the month; `unchanged` if it already existed."""

    period: str
    version: int
    unchanged: bool


@dataclass(frozen=True)
class Content:
    """The content that was written to a draft, and the watermark of the snapshot that it was read from."""

    sha256: str
    size_bytes: int
    row_count: int
    watermark: int
    totals: list[dict[str, Any]]
    balanced: bool


def generate(
    engine: Engine, files: Files, period: str, *, time_zone: str, now: datetime, correlation_id: str
) -> Generated:
    """Generate the report of the month `YYYY-MM` from the current database.

    Adds version n + 1 only if the bytes differ from the latest version's. Opens two connections outside the pool, since
    it may take minutes. Raises Refused (INVALID_INPUT, PERIOD_NOT_STARTED) and StorageFull.
    """
    month = parse_period(period)
    if not month.has_started(now, time_zone):
        raise Refused(f"{period} has not started yet", code="PERIOD_NOT_STARTED", path=("period",))
    engine = db.apart(engine, name="report")
    with db.write(engine) as holder, files.draft() as draft:
        # The lock is held until the row is committed. A separate connection takes the snapshot afterwards, so that a
        # process that waited here sees everything that the one before it saw.
        _lock(holder, month)
        content = _write_content(engine, draft.file, month, time_zone)
        failpoints.reach("report-written")
        latest = _latest(holder, period)  # also proves that the lock's connection is still alive
        if latest is not None and latest.sha256 == content.sha256:
            _prove_again(holder, latest, content, month.is_over(now, time_zone), time_zone)
            if files.sha256(latest.file_key) != content.sha256:
                draft.keep(latest.file_key)  # missing or corrupted on disk; the draft has its bytes
                logger.warning("report_file_restored", file_key=latest.file_key)
            generated = Generated(period, latest.version, unchanged=True)
        else:
            generated = Generated(period, latest.version + 1 if latest else 1, unchanged=False)
            _keep(draft, holder, generated, content, month.is_over(now, time_zone), time_zone, now, correlation_id)
    logger.info(
        "report_generated",
        period=period,
        version=generated.version,
        unchanged=generated.unchanged,
        row_count=content.row_count,
        size_bytes=content.size_bytes,
        watermark=content.watermark,
        balanced=content.balanced,
    )
    return generated


def due_periods(connection: Connection, *, time_zone: str, now: datetime) -> list[str]:
    """The previous month, and each earlier month that still needs a report made after its end; oldest first.

    An earlier month needs one if it has payments, or if its report was made before its end and may be incomplete. Days
    before the year 1 belong to no month; old payments with empty timestamps have such days west of Greenwich.
    """
    previous = period_at(now, time_zone).previous
    months = list(_months(connection, previous, time_zone))
    spans = [month.span(time_zone) for month in months]
    missed = connection.scalars(
        sa.text(OWED),
        {
            "periods": [str(month) for month in months],
            "begins": [found.begins for found in spans],
            "ends": [found.ends for found in spans],
            "zone": time_zone,
            "previous": str(previous),
        },
    ).all()
    return [*missed, str(previous)]


def _months(connection: Connection, before: Period, time_zone: str) -> Iterator[Period]:
    """The months from the first payment's month up to, but not including, `before`."""
    first = connection.scalar(sa.text(FIRST_DAY), {"zone": time_zone})
    if first is None:
        return
    month = Period(first.year, first.month)
    while month < before:
        yield month
        month = month.next


def sweep(
    engine: Engine, files: Files, *, drafts_older_than_seconds: float, leavings_younger_than_seconds: float
) -> int:
    """Delete the orphaned files of killed processes: old drafts, and renamed files without a row. Returns the number.

    An older file without a row may be the report of another database: it is left in place and logged.
    """
    swept = files.sweep(drafts_older_than_seconds)
    for key in files.stored():
        name = FILE_NAMES.fullmatch(key)
        if name is None:
            continue  # not a report file
        with db.write(engine) as holder:
            if _known(holder, key):
                continue
            age_seconds = files.age_seconds(key)
            if age_seconds is None:
                continue  # another sweep has deleted it
            if age_seconds > leavings_younger_than_seconds:
                logger.warning("report_file_without_row", file_key=key)
                continue
            _lock(holder, parse_period(name[1]))  # a report in progress gets its row under this lock
            if not _known(holder, key):
                files.delete(key)
                logger.info("report_leaving_swept", file_key=key)
                swept += 1
    return swept


def _write_content(engine: Engine, file: BinaryIO, month: Period, time_zone: str) -> Content:
    """Stream the lines of the month from one snapshot into the file."""
    writer = LineWriter(file)
    select, values = _lines(month, time_zone)
    with db.read(engine, snapshot=True) as connection:
        watermark = connection.scalar(sa.text("SELECT last FROM intake_watermark"))
        connection.execute(sa.text("SET LOCAL datestyle = 'ISO'"))
        cursor: Any = connection.connection.cursor()  # SQLAlchemy has no COPY, so this is psycopg2's cursor
        text = cursor.mogrify(select, values).decode()
        cursor.copy_expert(f"COPY ({text}) TO STDOUT WITH (FORMAT csv)", writer)
        cursor.close()
    writer.finish()
    return Content(
        sha256=writer.sha256,
        size_bytes=writer.size_bytes,
        row_count=writer.row_count,
        watermark=int(watermark or 0),
        totals=writer.totals(),
        balanced=writer.balanced,
    )


def _lines(month: Period, time_zone: str) -> tuple[str, dict[str, object]]:
    """The SELECT of the month's lines with psycopg2's placeholders, and their values by name."""
    values = Values(named=True)
    totals = daily_totals_sql(
        bounds=of_range(values, month.first_day, month.last_day, time_zone),
        zone=values.add(time_zone, "text"),
        status=f"= ANY({values.add(STATUSES, 'text[]')})",
        ordered=False,
    )
    return LINES.format(totals=totals), values.by_name


def _lock(holder: Connection, month: Period) -> None:
    holder.execute(
        sa.text("SELECT pg_advisory_xact_lock(:space, :month)"),
        {"space": LOCK_SPACE, "month": month.year * 12 + month.month},
    )


def _latest(holder: Connection, period: str) -> Any:
    return holder.execute(
        sa.select(
            Report.period, Report.version, Report.sha256, Report.file_key, Report.is_final_period, Report.time_zone
        )
        .where(Report.period == period)
        .order_by(Report.version.desc())
        .limit(1)
    ).one_or_none()


def _known(holder: Connection, key: str) -> bool:
    return holder.scalar(sa.select(Report.version).where(Report.file_key == key)) is not None


def _prove_again(holder: Connection, latest: Any, content: Content, is_over: bool, time_zone: str) -> None:
    """Update the row after the same bytes were generated again: the version now represents this later snapshot.

    Records that arrived in between did not change the content (for example a pending payment), so the version is no
    longer stale. A version made during the month, with the same bytes after its end, is the month's final content.
    """
    was_final = latest.is_final_period and latest.time_zone == time_zone
    holder.execute(
        sa.update(Report)
        .where(Report.period == latest.period, Report.version == latest.version)
        .values(watermark=content.watermark, time_zone=time_zone, is_final_period=is_over or was_final)
    )


def _keep(
    draft: Draft,
    holder: Connection,
    generated: Generated,
    content: Content,
    is_final_period: bool,
    time_zone: str,
    now: datetime,
    correlation_id: str,
) -> None:
    """Turn the draft into a new version: first the file, durable under its name, then its row."""
    name = FILE_NAME.format(period=generated.period, version=generated.version)
    draft.keep(name)
    failpoints.reach("report-renamed")
    holder.execute(
        sa.insert(Report).values(
            period=generated.period,
            version=generated.version,
            file_name=name,
            file_key=name,
            time_zone=time_zone,
            statuses=STATUSES,
            is_final_period=is_final_period,
            generated_at=now,
            correlation_id=correlation_id,
            **{field: getattr(content, field) for field in Content.__dataclass_fields__},
        )
    )
    failpoints.reach("report-row-written")
