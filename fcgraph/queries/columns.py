"""The SQL of each field of a payment, a user and a daily total, and how its value becomes JSON text.

There is one definition of each: on the fast path PostgreSQL writes the JSON; every other reader selects the value of
the same column.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# SQL that turns a value into JSON text. `text` is escaped; the other kinds cannot contain a character to escape.
JSON_OF_KIND = {
    "uuid": "'\"' || {0}::text || '\"'",
    "code": "'\"' || {0} || '\"'",
    "enum": "'\"' || upper({0}) || '\"'",
    "text": "to_json({0})::text",
    "money": "'\"' || {0}::text || '\"'",
    "bigint": "'\"' || {0}::text || '\"'",
    "date": "'\"' || {0}::text || '\"'",
    "int": "{0}::text",
    "bool": "{0}::text",
    "codes": "array_to_json({0})::text",
    # PostgreSQL omits trailing zeros of the fraction, and so does `api/scalars.py`.
    # The session's time zone is UTC and its dates are ISO 8601, except for the missing T.
    "instant": "'\"' || replace({0}::timestamp::text, ' ', 'T') || 'Z\"'",
}


# The number of decimals of a row's currency. Nearly always it is two; a join or a lookup would be paid for each row.
_MINOR_UNITS = (
    "CASE WHEN {0} <> ALL (ARRAY(SELECT code FROM currency WHERE minor_units <> 2)) THEN 2"
    " ELSE ((SELECT jsonb_object_agg(code, minor_units) FROM currency) -> {0})::int END"
)
MINOR_UNITS = _MINOR_UNITS.format("{0}.currency")


@dataclass(frozen=True, slots=True)
class Column:
    """A field's SQL (`{0}` is the alias of its row), its kind, and whether it needs the row's batch `b`."""

    sql: str
    kind: str
    nullable: bool = False
    of_batch: bool = False

    def json(self, alias: str) -> str:
        """The SQL of this field's JSON text."""
        text = JSON_OF_KIND[self.kind].format(self.sql.format(alias))
        return f"COALESCE({text}, 'null')" if self.nullable else text


@dataclass(frozen=True, slots=True)
class Shape:
    """The fields of a GraphQL object that come from one row: GraphQL name -> column."""

    name: str
    columns: Mapping[str, Column]

    def select(self, alias: str, prefix: str = "") -> str:
        """Select every column as a value, named by its GraphQL field, for readers that need values."""
        return ", ".join(f'{c.sql.format(alias)} AS "{prefix}{name}"' for name, c in self.columns.items())


USER = Shape(
    "User",
    {
        "userId": Column("{0}.user_id", "uuid"),
        "name": Column("{0}.name", "text"),
        "createdAt": Column("{0}.created_at", "instant"),
    },
)

PAYMENT = Shape(
    "Payment",
    {
        "transactionId": Column("{0}.transaction_id", "uuid"),
        "senderId": Column("{0}.sender_id", "uuid"),
        "receiverId": Column("{0}.receiver_id", "uuid"),
        "amount": Column(f"round({{0}}.amount, {MINOR_UNITS})", "money"),
        "currency": Column("{0}.currency", "code"),
        "timestamp": Column("{0}.timestamp", "instant"),
        "status": Column("{0}.status", "enum"),
        "isSuspicious": Column("{0}.is_suspicious", "bool"),
        "suspicions": Column("COALESCE({0}.suspicions, '{{}}')", "codes"),
        "recordedAt": Column("b.recorded_at", "instant", of_batch=True),
    },
)

# The columns in the indexes of a user's payments: a page of them is read without the table, where a user's payments
# are scattered. Below: the fields that need more.
IN_INDEX = "transaction_id, sender_id, receiver_id, amount, currency, timestamp, status, is_suspicious"
BEYOND_INDEX = ("suspicions", "recordedAt", "source")

# Where a payment, a revision or an intake record came from, read from a row `{0}` and its batch `b`.
SOURCE = Shape(
    "RecordSource",
    {
        "kind": Column("b.kind", "code", of_batch=True),
        "importId": Column("b.import_id", "uuid", nullable=True, of_batch=True),
        "lineNumber": Column(
            "CASE WHEN b.kind = 'CSV' THEN {0}.source_position END", "bigint", nullable=True, of_batch=True
        ),
        "topic": Column("k.topic", "text", nullable=True, of_batch=True),
        "partition": Column(
            "CASE WHEN b.kind = 'KAFKA' THEN {0}.source_partition END", "int", nullable=True, of_batch=True
        ),
        "offset": Column(
            "CASE WHEN b.kind = 'KAFKA' THEN {0}.source_position END", "bigint", nullable=True, of_batch=True
        ),
    },
)

# A row of `history.revisions_sql`.
REVISION = Shape(
    "PaymentRevision",
    {
        "revision": Column("{0}.revision", "int"),
        "status": Column("{0}.status", "enum"),
        "recordedAt": Column("COALESCE({0}.changed_at, b.recorded_at)", "instant", of_batch=True),
        "note": Column("{0}.note", "text", nullable=True),
        "decidedBy": Column("{0}.decided_by", "text", nullable=True),
    },
)

# The state of a payment before a revision; the columns are NULL where the row has no `previous`.
_CURRENCY_BEFORE = "({0}.previous->>'currency')"
PAYMENT_STATE = Shape(
    "PaymentState",
    {
        "senderId": Column("({0}.previous->>'sender_id')::uuid", "uuid"),
        "receiverId": Column("({0}.previous->>'receiver_id')::uuid", "uuid"),
        "amount": Column(
            f"round(({{0}}.previous->>'amount')::numeric, {_MINOR_UNITS.format(_CURRENCY_BEFORE)})", "money"
        ),
        "currency": Column(_CURRENCY_BEFORE, "code"),
        "timestamp": Column("({0}.previous->>'timestamp')::timestamptz", "instant"),
        "status": Column("({0}.previous->>'status')", "enum"),
    },
)

DAILY_TOTAL = Shape(
    "DailyTotal",
    {
        "userId": Column("{0}.user_id", "uuid"),
        "day": Column("{0}.day", "date"),
        "currency": Column("{0}.currency", "code"),
        "totalSent": Column("{0}.total_sent", "money"),
        "totalReceived": Column("{0}.total_received", "money"),
        "sentCount": Column("{0}.sent_count", "int"),
        "receivedCount": Column("{0}.received_count", "int"),
    },
)

# A row of `totals.sums_sql`.
CURRENCY_TOTAL = Shape(
    "CurrencyTotal",
    {
        "currency": Column("{0}.currency", "code"),
        "totalSent": Column("{0}.total_sent", "money"),
        "totalReceived": Column("{0}.total_received", "money"),
        "sentCount": Column("{0}.sent_count", "int"),
        "receivedCount": Column("{0}.received_count", "int"),
    },
)

# A row's batch and its topic, for columns of the batch: joined to many rows or looked up for one row.
BATCH = "intake_batches b LEFT JOIN kafka_topics k ON k.topic_ref = b.topic_ref"
BATCH_JOIN = f" JOIN ({BATCH}) ON b.batch_id = t.batch_id"
