"""The offsets of a Kafka topic: the ranges read from each partition, and the next offset to be counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from psycopg2.extras import execute_values
from sqlalchemy import Connection

from fcgraph import failpoints
from fcgraph.intake.apply import CODES, BatchResult, close_batch
from fcgraph.intake.batch import COUNT_COLUMNS, Batch, Counts
from fcgraph.rules.records import Outcome

_REJECTED = len(CODES)
_EFFECT = {CODES.index(Outcome.INSERTED), CODES.index(Outcome.UPDATED)}

_RANGE_COLUMNS = ", ".join(("batch_id", "partition", "first_offset", "last_offset", *COUNT_COLUMNS))
_RANGE = "INSERT INTO kafka_ranges (" + _RANGE_COLUMNS + ") VALUES %s"


def topic_ref(connection: Connection, cluster_id: str, topic: str, topic_id: str) -> int:
    """The internal number of a topic of a cluster; a recreated topic (new topic id) gets a new number."""
    keys = {"cluster_id": cluster_id, "topic": topic, "topic_id": topic_id}
    connection.execute(
        sa.text(
            "INSERT INTO kafka_topics (cluster_id, topic, topic_id) VALUES (:cluster_id, :topic, :topic_id)"
            " ON CONFLICT DO NOTHING"
        ),
        keys,
    )
    found = connection.scalar(
        sa.text(
            "SELECT topic_ref FROM kafka_topics"
            " WHERE cluster_id = :cluster_id AND topic = :topic AND topic_id = :topic_id"
        ),
        keys,
    )
    return int(found or 0)


def close(cursor: Any, batch: Batch, result: BatchResult) -> None:
    """Count each partition's range once, advance its position, and close the batch.

    A message below the position was redelivered: applying it again has no effect and it is not counted again. If it did
    have an effect it was not a redelivery (a recreated topic that looks like the old one), so it is counted.
    """
    rows = _rows(batch, result)
    total = Counts()
    for partition in sorted({partition for partition, _, _ in rows}):
        of_partition = [(offset, code) for p, offset, code in rows if p == partition]
        position = _lock_position(cursor, batch.source.topic_ref, partition)
        counted = [(offset, code) for offset, code in of_partition if offset >= position or code in _EFFECT]
        if not counted:
            continue
        suspicious = sum(
            1
            for n in batch.suspicious
            if batch.place(n)[0] == partition and CODES[result.outcomes[n]] is Outcome.INSERTED
        )
        counts = _counts([code for _, code in counted], suspicious)
        offsets = [offset for offset, _ in counted]
        execute_values(
            cursor,
            _RANGE,
            [(result.batch_id, partition, min(offsets), max(offsets), *counts.values())],
        )
        cursor.execute(
            "UPDATE kafka_positions SET next_offset = greatest(next_offset, %s)"
            " WHERE topic_ref = %s AND partition = %s",
            (max(offsets) + 1, batch.source.topic_ref, partition),
        )
        total += counts
    failpoints.reach("messages-written")
    close_batch(cursor, result.batch_id, total)


def _rows(batch: Batch, result: BatchResult) -> list[tuple[int, int, int]]:
    """Every row as (partition, offset, outcome code)."""
    places = map(batch.place, range(len(result.outcomes)))
    accepted = [(p or 0, offset, code) for (p, offset), code in zip(places, result.outcomes, strict=True)]
    return accepted + [(r.partition or 0, r.position, _REJECTED) for r in batch.rejected]


def _counts(codes: Sequence[int], suspicious: int) -> Counts:
    number = Counter(codes)
    new, updated, duplicate, stale, conflict = (number[code] for code in range(len(CODES)))
    return Counts(len(codes), new, updated, duplicate, stale, conflict, number[_REJECTED], suspicious)


def _lock_position(cursor: Any, topic_ref: int | None, partition: int) -> int:
    """The next offset to be counted, locked until COMMIT, so that two consumers of one partition are serialized."""
    cursor.execute(
        "INSERT INTO kafka_positions (topic_ref, partition, next_offset) VALUES (%s, %s, 0) ON CONFLICT DO NOTHING",
        (topic_ref, partition),
    )
    cursor.execute(
        "SELECT next_offset FROM kafka_positions WHERE topic_ref = %s AND partition = %s FOR UPDATE",
        (topic_ref, partition),
    )
    return int(cursor.fetchone()[0])
