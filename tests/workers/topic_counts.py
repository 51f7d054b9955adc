"""What PostgreSQL says about a topic, and whether it adds up."""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from fcgraph import db
from fcgraph.intake.batch import COUNT_COLUMNS


class TopicCounts(NamedTuple):
    """Outcome counts over all partitions, in the order of the columns."""

    read: int
    inserted: int
    updated: int
    duplicate: int
    stale: int
    conflict: int
    rejected: int
    suspicious: int


def topic_counts(engine: Engine, topic: str) -> TopicCounts:
    """The counts of everything read from a topic of this name."""
    with db.read(engine) as connection:
        return topic_counts_by(connection, topic)


def topic_counts_by(connection: Connection, topic: str) -> TopicCounts:
    """As `topic_counts`, in an existing transaction."""
    sums = ", ".join(f"coalesce(sum(r.{column}), 0)::bigint" for column in COUNT_COLUMNS)
    statement = sa.text(
        f"SELECT {sums} FROM kafka_ranges r JOIN intake_batches USING (batch_id)"
        " JOIN kafka_topics USING (topic_ref) WHERE topic = :topic"
    )
    return TopicCounts(*connection.execute(statement, {"topic": topic}).one())


def payments(engine: Engine) -> int:
    """How many payments are stored."""
    with db.read(engine) as connection:
        return int(connection.scalar(sa.text("SELECT count(*) FROM transactions")) or 0)


def positions(engine: Engine) -> dict[int, int]:
    """The next offset, by partition."""
    with db.read(engine) as connection:
        found = connection.execute(sa.text("SELECT partition, next_offset FROM kafka_positions WHERE next_offset > 0"))
        return {row.partition: row.next_offset for row in found}


class StoredRecord(NamedTuple):
    """An intake record, with the fields that the tests check."""

    partition: int
    position: int
    raw: bytes
    codes: tuple[str, ...]


def records(engine: Engine) -> list[StoredRecord]:
    """All intake records, by place."""
    statement = sa.text("SELECT partition, position, raw, problems FROM intake_records ORDER BY partition, position")
    with db.read(engine) as connection:
        return [
            StoredRecord(
                row.partition, row.position, bytes(row.raw), tuple(problem["code"] for problem in row.problems)
            )
            for row in connection.execute(statement)
        ]
