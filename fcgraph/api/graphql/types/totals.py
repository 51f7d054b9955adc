"""GraphQL types of daily totals: rows per user, day and currency, their sums per currency, and their basis."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import strawberry

from fcgraph.api.context import Info
from fcgraph.api.graphql.pagination import Connection
from fcgraph.api.graphql.scalars import BigInt
from fcgraph.api.graphql.types.enums import PaymentStatus
from fcgraph.api.graphql.types.payments import Payment, payments_of
from fcgraph.queries import totals_pages as sql
from fcgraph.queries.pages import cut, write_cursor
from fcgraph.queries.payments import Drill, PaymentQuery
from fcgraph.queries.totals import CurrencySum, TotalsQuery, summary_of

Row = Any


@strawberry.type(description="The basis of the totals, so that a screenshot of them can be checked later.")
class TotalsBasis:
    start: date = strawberry.field(description="The first day.")
    end: date = strawberry.field(description="The last day, inclusive.")
    time_zone: str = strawberry.field(description="The time zone of the days.")
    statuses: list[PaymentStatus] = strawberry.field(description="Payments in these statuses are counted.")
    watermark: BigInt = strawberry.field(description="The last batch that the answer includes, in commit order.")


@strawberry.type(description="One row per user, day and currency. No field ever adds two currencies.")
class DailyTotal:
    statuses: strawberry.Private[tuple[str, ...]]
    user_id: UUID = strawberry.field(description="The user of the total.")
    day: date = strawberry.field(description="The day, in the time zone of the basis.")
    currency: str = strawberry.field(description="The only currency in this row.")
    total_sent: Decimal = strawberry.field(description="Sent by the user on this day, at the currency's scale.")
    total_received: Decimal = strawberry.field(description="Received by the user on this day, at the currency's scale.")
    sent_count: int = strawberry.field(description="How many payments were sent.")
    received_count: int = strawberry.field(
        description="How many payments were received; a transfer to the same user counts on both sides."
    )

    @strawberry.field(description="The payments in this row, newest first.")
    async def payments(self, info: Info, first: int | None = None, after: str | None = None) -> Connection[Payment]:
        owner = Drill(self.user_id, self.day, self.currency)
        return await payments_of(info, owner, PaymentQuery(statuses=self.statuses), info.context.page(first, after))


@strawberry.type(description="A sum over one currency.")
class CurrencyTotal:
    currency: str = strawberry.field(description="The only currency in this sum.")
    total_sent: Decimal = strawberry.field(description="Sent, at the currency's scale.")
    total_received: Decimal = strawberry.field(description="Received, at the currency's scale.")
    sent_count: int = strawberry.field(description="How many payments were sent.")
    received_count: int = strawberry.field(description="How many payments were received.")


@strawberry.type(description="Daily totals. `basis` states how they were computed.")
class DailyTotals:
    query: strawberry.Private[TotalsQuery]
    found: strawberry.Private[Sequence[Row]]  # with the columns of `columns.DAILY_TOTAL`
    sums: strawberry.Private[Sequence[CurrencySum] | None]  # None: computed from `found`
    basis: TotalsBasis = strawberry.field(description="The basis of the rows.")

    # Only selected fields are computed: a summary needs no object for each of a thousand rows.
    @strawberry.field(
        description="Ordered by user, day and currency; days without payments have no row. All rows, or the error"
        " RANGE_TOO_LARGE when there are more than TOTALS_ROWS_MAX (10,000); `rowsPage` has no such limit."
    )
    def rows(self) -> list[DailyTotal]:
        return [self._row(row) for row in self.found]

    @strawberry.field(
        description="The rows page by page, in the same order, without a limit. Each page shows the state of the"
        " database when it is read."
    )
    async def rows_page(self, info: Info, first: int | None = None, after: str | None = None) -> Connection[DailyTotal]:
        context, query, page = info.context, self.query, info.context.page(first, after)
        zone, viewer = context.settings.report_timezone, context.viewer
        rows = await context.reader.fetch(sql.totals_page(query, page, zone=zone, viewer=viewer))

        async def count() -> int:
            counted: int = await context.reader.value(sql.totals_count(query, zone=zone, viewer=viewer))
            return counted

        return Connection(
            found=cut(list(rows), page),
            node_of=self._row,
            cursor_of=lambda row: write_cursor(
                sql.TOTALS_ORDER.kind,
                row["userId"],  # type: ignore[index] # a record
                row["day"],  # type: ignore[index]
                row["currency"],  # type: ignore[index]
            ),
            count=count,
        )

    def _row(self, row: Row) -> DailyTotal:
        return DailyTotal(
            statuses=self.query.statuses,
            user_id=row["userId"],
            day=row["day"],
            currency=row["currency"],
            total_sent=row["totalSent"],
            total_received=row["totalReceived"],
            sent_count=row["sentCount"],
            received_count=row["receivedCount"],
        )

    @strawberry.field(description="The sums of the rows per currency.")
    def summary(self) -> list[CurrencyTotal]:
        return [
            CurrencyTotal(
                currency=s.currency,
                total_sent=s.total_sent,
                total_received=s.total_received,
                sent_count=s.sent_count,
                received_count=s.received_count,
            )
            for s in (summary_of(self.found) if self.sums is None else self.sums)
        ]

    @staticmethod
    def of(
        query: TotalsQuery,
        zone: str,
        watermark: int,
        rows: Sequence[Row],
        sums: Sequence[CurrencySum] | None = None,
    ) -> DailyTotals:
        """From the rows, or from their sums when the rows are not selected."""
        basis = TotalsBasis(
            start=query.start,
            end=query.end,
            time_zone=zone,
            statuses=[PaymentStatus(s) for s in query.statuses],
            watermark=BigInt(watermark),
        )
        return DailyTotals(query=query, found=rows, sums=sums, basis=basis)


def totals_query(
    start: date,
    end: date,
    statuses: Sequence[PaymentStatus] | None,
    currency: str | None,
    user_ids: Sequence[UUID] | None = None,
) -> TotalsQuery:
    """The arguments in the form the queries use; without statuses only completed payments count."""
    return TotalsQuery(
        start=start,
        end=end,
        statuses=tuple(s.value for s in statuses) if statuses is not None else ("completed",),
        currency=currency,
        user_ids=tuple(user_ids) if user_ids is not None else None,
    )
