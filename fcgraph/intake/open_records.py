"""Open intake records for replay, resolution and dismissal: read and lock them in one order, validate, resolve."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import psycopg2
import sqlalchemy as sa
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from fcgraph import db
from fcgraph.errors import Refused
from fcgraph.intake import csv_rows
from fcgraph.intake.apply import WriteContention
from fcgraph.intake.batch import Batch, Source
from fcgraph.intake.csv_rows import Chunk
from fcgraph.intake.validation import BatchValidator
from fcgraph.intake.writers import RETRIES_MAX, worth_again
from fcgraph.record_filter import NamedValues, RecordFilter

NOTE_MAX_CHARS = 2000
BATCH_RECORDS = 5000  # resolved in one transaction, which takes about a second
Found = TypeVar("Found")
Done = Callable[[int, int], None]  # called after each transaction with the number of records resolved and left open


class IntakeRecord(NamedTuple):
    """A stored record: its outcome, its origin and, if resolved, its resolution."""

    record_id: UUID
    outcome: str
    kind: str
    import_id: UUID | None
    topic_ref: int | None
    partition: int | None
    position: int
    transaction_id: UUID | None
    raw: bytes
    problems: list[dict[str, Any]]
    resolution: str | None

    @property
    def origin(self) -> tuple[str, UUID | None, int | None]:
        """The import or topic it came from; records of one origin are applied together."""
        return self.kind, self.import_id, self.topic_ref

    @property
    def is_incomplete(self) -> bool:
        """Whether `raw` may not be the whole row: an unclosed quote, a line too long, a truncated file."""
        return any(problem["code"] == "INVALID_CSV" for problem in self.problems)


_COLUMNS = ", ".join(f"r.{column}" for column in IntakeRecord._fields)


def by_ids(connection: Connection, record_ids: Iterable[UUID], path: str = "recordIds") -> list[IntakeRecord]:
    """These records, locked. Raises Refused NOT_FOUND, naming the argument, if one is unknown."""
    wanted = set(record_ids)
    statement = (
        f"SELECT {_COLUMNS} FROM intake_records r WHERE r.record_id = ANY(:ids) ORDER BY r.record_id FOR UPDATE OF r"
    )
    found = _read(connection, statement, {"ids": sorted(wanted)})
    missing = wanted - {record.record_id for record in found}
    if missing:
        raise Refused(f"There is no record {min(missing)}.", code="NOT_FOUND", path=(path,))
    return found


def open_rejections(connection: Connection, wanted: RecordFilter, after: UUID | None) -> list[IntakeRecord]:
    """The next open rejections that match the filter, locked, ordered by id; at most BATCH_RECORDS."""
    values = NamedValues()
    where = ["r.resolved_at IS NULL", "r.outcome = 'REJECTED'", *wanted.where(values.add)]
    if after is not None:
        where.append(f"r.record_id > {values.add(after, 'uuid')}")
    statement = (
        f"SELECT {_COLUMNS} FROM intake_records r WHERE {' AND '.join(where)}"
        f" ORDER BY r.record_id LIMIT {BATCH_RECORDS} FOR UPDATE OF r"
    )
    return _read(connection, statement, values.items)


def _read(connection: Connection, statement: str, values: Mapping[str, object]) -> list[IntakeRecord]:
    rows = connection.execute(sa.text(statement), values)
    return [IntakeRecord._make(row)._replace(raw=bytes(row.raw)) for row in rows]


def validated(
    connection: Connection,
    validator: BatchValidator,
    records: Sequence[IntakeRecord],
    correlation_id: str,
    line_max_bytes: int,
) -> Batch:
    """Validate records of one origin against the current rules, in order of arrival."""
    kind, import_id, topic_ref = records[0].origin
    ordered = sorted(records, key=lambda record: (record.partition or 0, record.position))
    if kind == "KAFKA":
        messages = [(record.partition or 0, record.position, record.raw) for record in ordered]
        return validator.messages(messages, Source("KAFKA", topic_ref=topic_ref), correlation_id)
    raw = connection.scalar(sa.text("SELECT header FROM imports WHERE import_id = :id"), {"id": import_id})
    header = csv_rows.read_header(bytes(raw or b"") + b"\n")
    rows = [csv_rows.take_apart(record.position, record.raw, line_max_bytes) for record in ordered]
    chunk = Chunk("", (), rows, b"", ordered[0].position, 0, ordered[-1].position + 1)
    return validator.csv(chunk, header, Source("CSV", import_id=import_id), correlation_id, line_max_bytes)


def end(connection: Connection, resolutions: Mapping[UUID, str], principal: str, note: str | None = None) -> None:
    """Resolve records (id -> resolution). They must be open and locked."""
    connection.execute(
        sa.text(
            "UPDATE intake_records r SET resolved_at = now(), resolution = v.resolution, resolved_by = :principal,"
            " note = :note FROM unnest(CAST(:ids AS uuid[]), CAST(:resolutions AS text[])) v (id, resolution)"
            " WHERE r.record_id = v.id"
        ),
        {"ids": list(resolutions), "resolutions": list(resolutions.values()), "principal": principal, "note": note},
    )


def check_note(note: str) -> None:
    """Raise Refused if the note is empty or too long."""
    if not note.strip() or len(note) > NOTE_MAX_CHARS or "\0" in note:
        raise Refused(f"A note of 1 to {NOTE_MAX_CHARS} characters is required.", path=("note",))


def check_outcomes(outcomes: Collection[str] | None) -> None:
    """Raise Refused if the filter selects only conflicts: those are resolved one at a time."""
    if outcomes is not None and "REJECTED" not in outcomes:
        message = "Only rejections can be replayed or dismissed; use resolveConflict for a conflict."
        raise Refused(message, path=("filter", "outcomes"))


def again(engine: Engine, work: Callable[[Connection], Found]) -> Found:
    """Run `work` in one transaction; if other writers interfere, roll back and retry."""
    for _ in range(RETRIES_MAX):
        try:
            with db.write(engine) as connection:
                return work(connection)
        except (WriteContention, psycopg2.Error, DBAPIError) as e:
            if not worth_again(e):
                raise
    with db.write(engine) as connection:
        return work(connection)


class OutOfTime(Exception):
    """The time ran out; committed work remains, and the same call continues it."""


def in_batches(
    engine: Engine,
    wanted: RecordFilter,
    work: Callable[[Connection, Sequence[IntakeRecord]], tuple[int, int]],
    on_batch: Done,
    more_time: Callable[[], bool],
) -> None:
    """Run `work` on every open rejection that matches the filter, in consecutive transactions.

    `work` returns how many records it resolved and how many it left open; `on_batch` is called with these numbers after
    the commit. Raises OutOfTime if `more_time` returns False between two transactions.
    """
    check_outcomes(wanted.outcomes)
    after: UUID | None = None
    while True:
        last = after

        def once(connection: Connection) -> tuple[UUID | None, int, int]:
            records = open_rejections(connection, wanted, last)  # noqa: B023 called before the next iteration
            more = len(records) == BATCH_RECORDS
            return (records[-1].record_id if more else None, *work(connection, records))

        after, ended, left = again(engine, once)
        on_batch(ended, left)
        if after is None:
            return
        if not more_time():
            raise OutOfTime
