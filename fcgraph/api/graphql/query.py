"""The queries of the contract. Each is limited to what the viewer of the request may see."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

import strawberry

from fcgraph.api.context import Info
from fcgraph.api.graphql.pagination import Connection
from fcgraph.api.graphql.scalars import Month
from fcgraph.api.graphql.selection import is_selected
from fcgraph.api.graphql.types.enums import ImportState, IntakeOutcome, PaymentStatus, SourceKind
from fcgraph.api.graphql.types.imports import ImportJob, IntakeRecord, import_jobs, intake_records
from fcgraph.api.graphql.types.payments import Payment, PaymentFilter, all_payments, payment_query
from fcgraph.api.graphql.types.record_filter import IntakeRecordFilter, ProblemCount, problem_counts
from fcgraph.api.graphql.types.reports import ReportFile, report_file, report_files
from fcgraph.api.graphql.types.totals import DailyTotals, totals_query
from fcgraph.api.graphql.types.users import COMPLETED_ONLY, Currency, User
from fcgraph.api.loaders import read_summary, read_totals
from fcgraph.queries import payments as payments_sql
from fcgraph.queries import users as users_sql
from fcgraph.queries.imports import RecordQuery
from fcgraph.queries.pages import cut

Row = Any


@strawberry.type
class Query:
    @strawberry.field(description="One user; null when unknown.")
    async def user(self, info: Info, user_id: UUID) -> User | None:
        row = await info.context.loaders.user(user_id)
        return User.of(row) if row is not None else None

    @strawberry.field(description="Users by name; `search` is any part of it.")
    async def users(
        self, info: Info, search: str | None = None, first: int | None = None, after: str | None = None
    ) -> Connection[User]:
        context = info.context
        page, search = context.page(first, after), context.search(search)
        rows = await context.reader.fetch(users_sql.users(search, page, viewer=context.viewer))

        def cursor(row: Row) -> str:
            return users_sql.cursor_of(row["name"], row["userId"])

        async def count() -> int:
            counted: int = await context.reader.value(users_sql.users_count(search, viewer=context.viewer))
            return counted

        return Connection(found=cut(list(rows), page), node_of=User.of, cursor_of=cursor, count=count)

    @strawberry.field(description="One payment; null when unknown.")
    async def payment(self, info: Info, transaction_id: UUID) -> Payment | None:
        row = await info.context.reader.row(payments_sql.payment(transaction_id, viewer=info.context.viewer))
        return Payment.of(row) if row is not None else None

    @strawberry.field(description="Payments, newest first.")
    async def payments(
        self,
        info: Info,
        filter: PaymentFilter | None = None,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> Connection[Payment]:
        return await all_payments(info, payment_query(filter), info.context.page(first, after, last, before))

    @strawberry.field(description="What users sent and received, per day and currency; both days inclusive.")
    async def daily_totals(
        self,
        info: Info,
        start: date,
        end: date,
        user_ids: list[UUID] | None = None,
        statuses: list[PaymentStatus] | None = COMPLETED_ONLY,
        currency: str | None = None,
    ) -> DailyTotals:
        context = info.context
        query = totals_query(start, end, statuses, currency, user_ids)
        zone = context.settings.report_timezone
        if not is_selected(info, "rows"):  # then their number does not matter
            watermark, sums = await read_summary(context.reader, query, context.settings, context.viewer)
            return DailyTotals.of(query, zone, watermark, [], sums)
        watermark, rows = await read_totals(context.reader, query, context.settings, context.viewer)
        return DailyTotals.of(query, zone, watermark, rows)

    @strawberry.field(description="Report files, newest first.")
    async def report_files(
        self,
        info: Info,
        period: Month | None = None,
        latest_only: bool | None = True,
        first: int | None = None,
        after: str | None = None,
    ) -> Connection[ReportFile]:
        page = info.context.page(first, after)
        return await report_files(info.context, period, latest_only is not False, page)

    @strawberry.field(description="One version of a month's report, the latest unless `version` is set.")
    async def report_file(self, info: Info, period: Month, version: int | None = None) -> ReportFile | None:
        return await report_file(info.context, period, version)

    @strawberry.field(description="One import; null when unknown.")
    async def import_job(self, info: Info, import_id: UUID) -> ImportJob | None:
        row = await info.context.loaders.import_job(import_id)
        return ImportJob.of(row) if row is not None else None

    @strawberry.field(description="Imports, newest first.")
    async def import_jobs(
        self, info: Info, state: list[ImportState] | None = None, first: int | None = None, after: str | None = None
    ) -> Connection[ImportJob]:
        return await import_jobs(info.context, state, info.context.page(first, after))

    @strawberry.field(description="Rejected records and conflicts: by line for one import, otherwise newest first.")
    async def intake_records(
        self,
        info: Info,
        source: SourceKind | None = None,
        outcome: list[IntakeOutcome] | None = None,
        import_id: UUID | None = None,
        open_only: bool | None = True,
        first: int | None = None,
        after: str | None = None,
    ) -> Connection[IntakeRecord]:
        query = RecordQuery(
            kind=source.value if source is not None else None,
            outcomes=tuple(o.value for o in outcome) if outcome is not None else None,
            import_id=import_id,
            open_only=open_only is not False,
        )
        return await intake_records(info.context, query, info.context.page(first, after))

    @strawberry.field(
        description="How many intake records have each problem, most frequent first; open records by default."
    )
    async def problem_counts(self, info: Info, filter: IntakeRecordFilter | None = None) -> list[ProblemCount]:
        return await problem_counts(info.context, filter)

    @strawberry.field(description="Every currency.")
    async def currencies(self, info: Info) -> list[Currency]:
        return [Currency.of(row) for row in await info.context.reader.fetch(users_sql.currencies())]
