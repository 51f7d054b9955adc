"""GraphQL types of report files: a version of a month, and what differs between two versions."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import strawberry

from fcgraph import db, reports
from fcgraph.api.context import Context, Info, is_below_a_list
from fcgraph.api.graphql.pagination import Connection
from fcgraph.api.graphql.scalars import BigInt, Month
from fcgraph.api.graphql.types.enums import PaymentStatus
from fcgraph.api.graphql.types.totals import CurrencyTotal
from fcgraph.errors import BadInput
from fcgraph.queries import reports as sql
from fcgraph.queries.pages import PageRequest, cut, write_cursor

Row = Any


@strawberry.type(description="A line's totals in one version.")
class ReportLineTotals:
    total_sent: Decimal = strawberry.field(description="Sent, at the currency's scale.")
    total_received: Decimal = strawberry.field(description="Received, at the currency's scale.")
    sent_count: int = strawberry.field(description="How many payments were sent.")
    received_count: int = strawberry.field(description="How many payments were received.")

    @staticmethod
    def of(found: reports.LineTotals | None) -> ReportLineTotals | None:
        if found is None:
            return None
        return ReportLineTotals(
            total_sent=found.total_sent,
            total_received=found.total_received,
            sent_count=found.sent_count,
            received_count=found.received_count,
        )


@strawberry.type(
    description="A line that differs between two versions: `before` is null for a new line, `after` for a removed one."
)
class ReportLineChange:
    user_id: UUID = strawberry.field(description="The user of the line.")
    day: date = strawberry.field(description="The line's day.")
    currency: str = strawberry.field(description="The line's currency.")
    before: ReportLineTotals | None = strawberry.field(description="In the other version; null when the line is new.")
    after: ReportLineTotals | None = strawberry.field(description="In this version; null when the line was removed.")


@strawberry.type(description="One version of a month's report. Its bytes never change.")
class ReportFile:
    period: Month = strawberry.field(description="The month.")
    version: int = strawberry.field(description="1, 2, 3 …; a new version is added when the content changes.")
    is_latest: bool = strawberry.field(description="Whether this is the latest version.")
    is_final_period: bool = strawberry.field(description="False while the month is still running.")
    time_zone: str = strawberry.field(description="The time zone of its days and month.")
    statuses: list[PaymentStatus] = strawberry.field(description="Payments in these statuses are counted.")
    file_name: str = strawberry.field(description="The file name, such as monthly_report_2025-05_v1.csv.")
    download_url: str = strawberry.field(description="The path of the file on this server.")
    sha256: str = strawberry.field(description="SHA-256 of the file, in hex; also its ETag.")
    size_bytes: BigInt = strawberry.field(description="The file's length.")
    row_count: int = strawberry.field(description="Number of lines, without the header.")
    watermark: BigInt = strawberry.field(description="The last intake batch it includes, in commit order.")
    totals: list[CurrencyTotal] = strawberry.field(description="The sums of its lines per currency.")
    balanced: bool = strawberry.field(
        description="Whether the sums sent and received are equal for each day and currency."
    )
    generated_at: datetime = strawberry.field(description="When this version was generated.")

    @strawberry.field(description="The number of payments of the period that arrived or changed after this version.")
    async def changes_since(self, info: Info) -> int:
        return await info.context.loaders.report_changes(reports.basis_of(self))

    @strawberry.field(description="The lines that differ from those of another version of the same period.")
    async def changes_from(self, info: Info, version: int) -> list[ReportLineChange]:
        found = await info.context.resources.in_thread(_changes, info.context, self.period, self.version, version)
        if is_below_a_list(info):
            info.context.count_totals(len(found))
        return found

    @staticmethod
    def of(row: Row) -> ReportFile:
        return ReportFile(
            period=Month(row["period"]),
            version=row["version"],
            is_latest=row["is_latest"],
            is_final_period=row["is_final_period"],
            time_zone=row["time_zone"],
            statuses=[PaymentStatus(s) for s in row["statuses"]],
            file_name=row["file_name"],
            download_url=f"/reports/{row['file_name']}",
            sha256=row["sha256"],
            size_bytes=row["size_bytes"],
            row_count=row["row_count"],
            watermark=row["watermark"],
            totals=[
                CurrencyTotal(
                    currency=t["currency"],
                    total_sent=Decimal(t["total_sent"]),
                    total_received=Decimal(t["total_received"]),
                    sent_count=t["sent_count"],
                    received_count=t["received_count"],
                )
                for t in row["totals"]
            ],
            balanced=row["balanced"],
            generated_at=row["generated_at"],
        )


def _changes(context: Context, period: str, version: int, other: int) -> list[ReportLineChange]:
    lines_max = context.settings.totals_rows_max
    found: list[ReportLineChange] = []
    with db.read(context.resources.engine) as connection:
        for change in reports.changes_between(context.resources.reports, connection, period, version, other):
            if len(found) == lines_max:
                raise BadInput(
                    f"More than {lines_max} lines differ (TOTALS_ROWS_MAX): compare the files instead",
                    code="RANGE_TOO_LARGE",
                )
            found.append(
                ReportLineChange(
                    user_id=change.user_id,
                    day=change.day,
                    currency=change.currency,
                    before=ReportLineTotals.of(change.before),
                    after=ReportLineTotals.of(change.after),
                )
            )
    return found


async def report_file(context: Context, period: str, version: int | None) -> ReportFile | None:
    """One version of a period's report (None: the latest), or None."""
    row = await context.reader.row(sql.report_file(period, version, viewer=context.viewer))
    return ReportFile.of(row) if row is not None else None


async def report_files(
    context: Context, period: str | None, latest_only: bool, page: PageRequest
) -> Connection[ReportFile]:
    """A page of report files, newest first."""
    rows = await context.reader.fetch(sql.report_files(period, latest_only, page, viewer=context.viewer))

    def cursor(row: Row) -> str:
        return write_cursor(sql.REPORTS_ORDER.kind, row["period"], row["version"])

    async def count() -> int:
        counted: int = await context.reader.value(sql.report_files_count(period, latest_only, viewer=context.viewer))
        return counted

    return Connection(found=cut(list(rows), page), node_of=ReportFile.of, cursor_of=cursor, count=count)


def generate(context: Context, period: str) -> reports.Generated:
    """Generate the report of a month now; blocking. Raises Refused PERIOD_NOT_STARTED."""
    return reports.generate(
        context.resources.engine,
        context.resources.reports,
        period,
        time_zone=context.settings.report_timezone,
        now=datetime.now(UTC),
        correlation_id=context.request_id,
    )
