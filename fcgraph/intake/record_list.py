"""Intake records as a list for the command line: problems, origin and resolution."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from fcgraph.record_filter import NamedValues, RecordFilter

FETCHED_ROWS = 2000


class ListedRecord(NamedTuple):
    """A record without its bytes; its origin is a line of an import, or a partition and offset of a topic."""

    record_id: UUID
    outcome: str
    kind: str
    import_id: UUID | None
    topic: str | None
    partition: int | None
    position: int
    transaction_id: UUID | None
    problems: list[dict[str, Any]]
    received_at: datetime
    resolved_at: datetime | None
    resolution: str | None
    note: str | None
    resolved_by: str | None
    superseded_import_id: UUID | None
    superseded_position: int | None


_FROM = " FROM intake_records r LEFT JOIN kafka_topics k ON k.topic_ref = r.topic_ref"
_COLUMNS = ", ".join(f"{'k' if name == 'topic' else 'r'}.{name}" for name in ListedRecord._fields)


def listed(connection: Connection, wanted: RecordFilter, limit: int | None) -> Iterator[ListedRecord]:
    """The records that match the filter, oldest first, at most `limit`; streamed from the database."""
    values = NamedValues()
    where = _where(wanted, values)
    tail = "" if limit is None else f" LIMIT {values.add(limit, 'bigint')}"
    statement = sa.text(f"SELECT {_COLUMNS}{_FROM}{where} ORDER BY r.record_id{tail}")
    rows = connection.execution_options(yield_per=FETCHED_ROWS).execute(statement, values.items)
    return (ListedRecord._make(row) for row in rows)


def counted(connection: Connection, wanted: RecordFilter) -> int:
    """How many records match the filter."""
    values = NamedValues()
    return int(connection.scalar(sa.text(f"SELECT count(*){_FROM}{_where(wanted, values)}"), values.items) or 0)


def _where(wanted: RecordFilter, values: NamedValues) -> str:
    conditions = wanted.where(values.add)
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""
