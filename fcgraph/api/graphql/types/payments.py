"""GraphQL types of payments: the payment, its source, its history, and the filter."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import strawberry

from fcgraph.api.context import Info
from fcgraph.api.graphql.pagination import Connection
from fcgraph.api.graphql.scalars import BigInt
from fcgraph.api.graphql.types.enums import Direction, PaymentStatus, SourceKind, SuspicionCode
from fcgraph.queries import payments as sql
from fcgraph.queries.pages import Page, PageRequest, cut
from fcgraph.queries.payments import Drill, PaymentQuery

if TYPE_CHECKING:
    from fcgraph.api.graphql.types.users import User

Row = Any
Person = Annotated["User", strawberry.lazy("fcgraph.api.graphql.types.users")]


@strawberry.type(description="The source of a record: a line of an import, or a Kafka topic, partition and offset.")
class RecordSource:
    kind: SourceKind = strawberry.field(description="The channel it arrived through.")
    import_id: UUID | None = strawberry.field(description="The import; null unless the channel is CSV.")
    line_number: BigInt | None = strawberry.field(
        description="The line of the file, the header being line 1; null unless the channel is CSV."
    )
    topic: str | None = strawberry.field(description="The Kafka topic; null unless the channel is Kafka.")
    partition: int | None = strawberry.field(description="The partition of the topic.")
    offset: BigInt | None = strawberry.field(description="The offset in the partition.")

    @staticmethod
    def of(row: Row) -> RecordSource:
        """From a row that has the columns of `columns.SOURCE`."""
        return RecordSource(
            kind=SourceKind(row["source_kind"]),
            import_id=row["source_importId"],
            line_number=row["source_lineNumber"],
            topic=row["source_topic"],
            partition=row["source_partition"],
            offset=row["source_offset"],
        )


@strawberry.type(description="A payment before it changed.")
class PaymentState:
    sender_id: UUID = strawberry.field(description="The id of who sent it.")
    receiver_id: UUID = strawberry.field(description="The id of who received it.")
    amount: Decimal = strawberry.field(description="At the currency's scale.")
    currency: str = strawberry.field(description="Three letters, such as USD.")
    timestamp: datetime = strawberry.field(description="When it was made.")
    status: PaymentStatus = strawberry.field(description="The status then.")

    @staticmethod
    def of(row: Row) -> PaymentState | None:
        """From a row that has the columns of `columns.PAYMENT_STATE`; None for a revision that changed nothing."""
        if row["previous_status"] is None:
            return None
        return PaymentState(
            sender_id=row["previous_senderId"],
            receiver_id=row["previous_receiverId"],
            amount=row["previous_amount"],
            currency=row["previous_currency"],
            timestamp=row["previous_timestamp"],
            status=PaymentStatus(row["previous_status"]),
        )


@strawberry.type(description="A state of a payment: revision 1 is the payment as first stored.")
class PaymentRevision:
    revision: int = strawberry.field(description="1, 2, 3 … in order of arrival.")
    status: PaymentStatus = strawberry.field(description="The status from then on.")
    source: RecordSource = strawberry.field(description="The source of this state.")
    recorded_at: datetime = strawberry.field(description="When it was stored here.")
    previous: PaymentState | None = strawberry.field(
        description="The payment before this revision; null for revision 1."
    )
    note: str | None = strawberry.field(
        description="The note of the person who made the change; null for a normal change of status."
    )
    decided_by: str | None = strawberry.field(description="Who made the change; null for a normal change of status.")


@strawberry.type(description="A payment, stored once by its transaction id.")
class Payment:
    transaction_id: UUID = strawberry.field(description="The unique id of the payment.")
    sender_id: UUID = strawberry.field(description="The id of who sent it.")
    receiver_id: UUID = strawberry.field(description="The id of who received it.")
    amount: Decimal = strawberry.field(description="At the currency's scale.")
    currency: str = strawberry.field(description="Three letters, such as USD.")
    timestamp: datetime = strawberry.field(description="When it was made, according to its source.")
    status: PaymentStatus = strawberry.field(description="The current status.")
    is_suspicious: bool = strawberry.field(description="Whether the payment is suspicious.")
    suspicions: list[SuspicionCode] = strawberry.field(description="Why it is suspicious; empty when it is not.")
    recorded_at: datetime = strawberry.field(description="When it was stored here.")
    source: RecordSource = strawberry.field(description="The first source of the payment.")

    @strawberry.field(description="Who sent it.")
    async def sender(self, info: Info) -> Person:
        return await _person(info, self.sender_id)

    @strawberry.field(description="Who received it.")
    async def receiver(self, info: Info) -> Person:
        return await _person(info, self.receiver_id)

    @strawberry.field(description="All its states, oldest first.")
    async def history(self, info: Info) -> list[PaymentRevision]:
        return [
            PaymentRevision(
                revision=row["revision"],
                status=PaymentStatus(row["status"]),
                source=RecordSource.of(row),
                recorded_at=row["recordedAt"],
                previous=PaymentState.of(row),
                note=row["note"],
                decided_by=row["decidedBy"],
            )
            for row in await info.context.loaders.history(self.transaction_id)
        ]

    @staticmethod
    def of(row: Row) -> Payment:
        """From a row that has the columns of `payments.VALUES_SQL`."""
        return Payment(
            transaction_id=row["transactionId"],
            sender_id=row["senderId"],
            receiver_id=row["receiverId"],
            amount=row["amount"],
            currency=row["currency"],
            timestamp=row["timestamp"],
            status=PaymentStatus(row["status"]),
            is_suspicious=row["isSuspicious"],
            suspicions=[SuspicionCode(code) for code in row["suspicions"]],
            recorded_at=row["recordedAt"],
            source=RecordSource.of(row),
        )


async def _person(info: Info, user_id: UUID) -> Person:
    from fcgraph.api.graphql.types.users import User  # users have payments and payments have users

    row = await info.context.loaders.user(user_id)
    assert row is not None, "the database refuses payments of unknown users"
    return User.of(row)


@strawberry.input(
    description="All set conditions must hold. Days are inclusive at both ends, in the reporting time zone."
)
class PaymentFilter:
    start: date | None = strawberry.field(default=None, description="From the beginning of this day.")
    end: date | None = strawberry.field(default=None, description="To the end of this day.")
    statuses: list[PaymentStatus] | None = strawberry.field(default=None, description="In one of these statuses.")
    currencies: list[str] | None = strawberry.field(default=None, description="In one of these currencies.")
    min_amount: Decimal | None = strawberry.field(default=None, description="Of this amount or more, in any currency.")
    max_amount: Decimal | None = strawberry.field(default=None, description="Of this amount or less, in any currency.")
    is_suspicious: bool | None = strawberry.field(
        default=None, description="True: only suspicious payments; false: only the others."
    )
    user_id: UUID | None = strawberry.field(default=None, description="The sender or the receiver.")
    import_id: UUID | None = strawberry.field(default=None, description="First stored by this import.")


def payment_query(arguments: PaymentFilter | None, direction: Direction | None = None) -> PaymentQuery:
    """The filter in the form the queries use. Raises BadInput when its parts contradict each other."""
    f = arguments or PaymentFilter()
    found = PaymentQuery(
        direction=(direction or Direction.ANY).value,
        start=f.start,
        end=f.end,
        statuses=tuple(s.value for s in f.statuses) if f.statuses is not None else None,
        currencies=tuple(f.currencies) if f.currencies is not None else None,
        min_amount=f.min_amount,
        max_amount=f.max_amount,
        is_suspicious=f.is_suspicious,
        party_id=f.user_id,
        import_id=f.import_id,
    )
    found.check()
    return found


def _connection(found: Page, count: Any) -> Connection[Payment]:
    return Connection(
        found=found,
        node_of=Payment.of,
        cursor_of=lambda row: sql.cursor_of(row["timestamp"], row["transactionId"]),  # type: ignore[index] # a record
        count=count,
    )


async def all_payments(info: Info, query: PaymentQuery, page: PageRequest) -> Connection[Payment]:
    """A page of the payments of all users."""
    context = info.context
    zone, viewer = context.settings.report_timezone, context.viewer
    rows = await context.reader.fetch(sql.payments(query, page, user_id=None, zone=zone, viewer=viewer))

    async def count() -> int:
        counted: int = await context.reader.value(sql.payments_count(query, user_id=None, zone=zone, viewer=viewer))
        return counted

    return _connection(cut(list(rows), page), count)


async def payments_of(info: Info, owner: Drill, query: PaymentQuery, page: PageRequest) -> Connection[Payment]:
    """A page of a user's payments, or of one day and currency of theirs; batched with the pages of other users."""
    loaders = info.context.loaders
    found = await loaders.payments(owner, query, page)
    return _connection(found, lambda: loaders.payments_count(owner, query))
