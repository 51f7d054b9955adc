"""Resolve a conflict by a person's decision: keep the stored payment, or accept the incoming record with a revision.

Idempotent: repeating the same decision changes nothing. If other writers interfere it is retried.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, Engine

from fcgraph.errors import Refused
from fcgraph.intake import open_records
from fcgraph.intake.apply import Change, close_batch, locked, open_batch, write_changes
from fcgraph.intake.batch import Batch, Counts
from fcgraph.intake.replay import Replayed as Replayed
from fcgraph.intake.replay import replay as replay
from fcgraph.intake.writer import validator_of
from fcgraph.settings import Settings

Resolution = Literal["KEEP_STORED", "ACCEPT_INCOMING"]


class Resolved(NamedTuple):
    """The resolved record and the payment it concerns."""

    record_id: UUID
    transaction_id: UUID


def resolve_conflict(
    engine: Engine,
    settings: Settings,
    record_id: UUID,
    resolution: Resolution,
    note: str,
    correlation_id: str,
    *,
    principal: str = "local",
) -> Resolved:
    """Resolve a conflict on behalf of `principal`.

    Raises Refused: NOT_FOUND; ALREADY_RESOLVED if it was resolved differently; INVALID_INPUT if the record is not a
    conflict, the note is empty, or the row no longer passes validation.
    """
    open_records.check_note(note)
    validator = validator_of(engine, settings)

    def work(connection: Connection) -> Resolved:
        (record,) = open_records.by_ids(connection, [record_id], "recordId")
        if record.outcome != "CONFLICT":
            raise Refused("The record is not in conflict.", path=("recordId",))
        if record.resolution not in (None, resolution):
            message = f"The conflict has already been resolved: {record.resolution}."
            raise Refused(message, code="ALREADY_RESOLVED", path=("recordId",))
        if record.resolution is None:
            if resolution == "ACCEPT_INCOMING":
                line_max = settings.csv_line_max_bytes
                batch = open_records.validated(connection, validator, [record], correlation_id, line_max)
                _accept_incoming(connection, batch, note, principal)
            open_records.end(connection, {record_id: resolution}, principal, note)
        assert record.transaction_id is not None, "a conflict concerns a payment"
        return Resolved(record_id, record.transaction_id)

    return open_records.again(engine, work)


def _accept_incoming(connection: Connection, batch: Batch, note: str, principal: str) -> None:
    if batch.rejected:
        why = "; ".join(p.message for p in batch.rejected[0].rejection.problems)
        raise Refused(f"The incoming row no longer passes validation: {why}.", path=("recordId",))
    cursor: Any = connection.connection.cursor()
    batch_id = open_batch(cursor, batch)
    incoming = batch.record(0)
    stored = locked(cursor, incoming.transaction_id)
    if incoming == stored:
        close_batch(cursor, batch_id, Counts(read=1, duplicate=1))
        return
    partition, position = batch.place(0)
    change = Change(incoming, stored, partition, position, batch.suspicions(0))
    write_changes(cursor, [change], batch_id, note=note, decided_by=principal)
    close_batch(cursor, batch_id, Counts(read=1, updated=1))
