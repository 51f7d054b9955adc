"""GraphQL types of users and currencies."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import strawberry

from fcgraph.api.context import Info, is_below_a_list
from fcgraph.api.graphql.pagination import Connection
from fcgraph.api.graphql.types.enums import Direction, PaymentStatus
from fcgraph.api.graphql.types.payments import Payment, PaymentFilter, payment_query, payments_of
from fcgraph.api.graphql.types.totals import DailyTotals, totals_query
from fcgraph.queries.payments import Drill

Row = Any
COMPLETED_ONLY = [PaymentStatus.COMPLETED]


@strawberry.type(description="A user who sends or receives payments.")
class User:
    user_id: UUID = strawberry.field(description="The user's id.")
    name: str = strawberry.field(description="The user's name.")
    created_at: datetime = strawberry.field(description="When the user was added here.")

    @strawberry.field(description="The user's payments, newest first.")
    async def payments(
        self,
        info: Info,
        direction: Direction | None = Direction.ANY,
        filter: PaymentFilter | None = None,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> Connection[Payment]:
        page = info.context.page(first, after, last, before)
        return await payments_of(info, Drill(self.user_id), payment_query(filter, direction), page)

    @strawberry.field(description="What the user sent and received, per day and currency; both days inclusive.")
    async def daily_totals(
        self,
        info: Info,
        start: date,
        end: date,
        statuses: list[PaymentStatus] | None = COMPLETED_ONLY,
        currency: str | None = None,
    ) -> DailyTotals:
        query = totals_query(start, end, statuses, currency)
        watermark, rows = await info.context.loaders.daily_totals(self.user_id, query)
        if is_below_a_list(info):
            info.context.count_totals(len(rows))  # the same user may appear in many rows
        query = replace(query, user_ids=(self.user_id,))
        return DailyTotals.of(query, info.context.settings.report_timezone, watermark, rows)

    @staticmethod
    def of(row: Row) -> User:
        """From a row that has the columns of `columns.USER`."""
        return User(user_id=row["userId"], name=row["name"], created_at=row["createdAt"])


@strawberry.type(description="A currency and the amount above which a payment in it is suspicious.")
class Currency:
    code: str = strawberry.field(description="Three letters, such as USD.")
    name: str = strawberry.field(description="The name of the currency.")
    symbol: str | None = strawberry.field(description="The currency symbol, if it has one.")
    minor_units: int = strawberry.field(description="Decimals of an amount.")
    suspicious_above: Decimal = strawberry.field(description="A payment of more than this is suspicious.")

    @staticmethod
    def of(row: Row) -> Currency:
        return Currency(
            code=row["code"],
            name=row["name"],
            symbol=row["symbol"],
            minor_units=row["minor_units"],
            suspicious_above=row["suspicious_above"],
        )
