"""What each field of a payment, a user and a daily total is in SQL, and how its value becomes JSON text.

One definition: the fast path lets PostgreSQL write the JSON, every other reader selects the value of the same column.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# A value's SQL as JSON text. `text` is escaped; the others cannot hold a character that JSON escapes.
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
    # PostgreSQL leaves out the trailing zeros of the fraction, and so does `api/scalars.py`.
    "instant": "left(to_json({0} AT TIME ZONE 'UTC')::text, -1) || 'Z\"'",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A field's SQL (`{0}` stands for the alias of its row), its kind, and the join it needs, if any."""

    sql: str
    kind: str
    nullable: bool = False
    join: str | None = None

    def json(self, alias: str) -> str:
        """SQL of this field's JSON text."""
        text = JSON_OF_KIND[self.kind].format(self.sql.format(alias))
        return f"COALESCE({text}, 'null')" if self.nullable else text


@dataclass(frozen=True, slots=True)
class Shape:
    """The fields of a GraphQL object that come from one row: GraphQL name -> column, or -> another object."""

    name: str
    columns: Mapping[str, Column]

    def select(self, alias: str) -> str:
        """Every column as a value, named by its GraphQL field, for readers that want values."""
        return ", ".join(f'{c.sql.format(alias)} AS "{name}"' for name, c in self.columns.items())


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
        "amount": Column("round({0}.amount, c.minor_units)", "money", join="currency"),
        "currency": Column("{0}.currency", "code"),
        "timestamp": Column("{0}.timestamp", "instant"),
        "status": Column("{0}.status", "enum"),
        "isSuspicious": Column("{0}.is_suspicious", "bool"),
        "suspicions": Column("COALESCE({0}.suspicions, '{{}}')", "codes"),
        "recordedAt": Column("b.recorded_at", "instant", join="batch"),
    },
)

# Where a payment, a revision or a kept record came from: from a row `{0}` and its batch `b`.
SOURCE = Shape(
    "RecordSource",
    {
        "kind": Column("b.kind", "code", join="batch"),
        "importId": Column("b.import_id", "uuid", nullable=True, join="batch"),
        "lineNumber": Column(
            "CASE WHEN b.kind = 'CSV' THEN {0}.source_position END", "bigint", nullable=True, join="batch"
        ),
        "topic": Column("k.topic", "text", nullable=True, join="topic"),
        "partition": Column(
            "CASE WHEN b.kind = 'KAFKA' THEN {0}.source_partition END", "int", nullable=True, join="batch"
        ),
        "offset": Column(
            "CASE WHEN b.kind = 'KAFKA' THEN {0}.source_position END", "bigint", nullable=True, join="batch"
        ),
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

# In the order in which they must be joined to the payments `t`.
JOINS = {
    "currency": " JOIN currency c ON c.code = t.currency",
    "batch": " JOIN intake_batches b ON b.batch_id = t.batch_id",
    "topic": " LEFT JOIN kafka_topics k ON k.topic_ref = b.topic_ref",
    "sender": " JOIN users s ON s.user_id = t.sender_id",
    "receiver": " JOIN users r ON r.user_id = t.receiver_id",
}
EVERY_VALUE = frozenset({"currency", "batch", "topic"})


def joins_sql(names: frozenset[str]) -> str:
    """The joins with these names, each after those it needs."""
    wanted = names | {"batch"} if "topic" in names else names
    return "".join(sql for name, sql in JOINS.items() if name in wanted)
