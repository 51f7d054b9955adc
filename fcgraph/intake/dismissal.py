"""Dismiss rejections that will not be corrected, with a note; stored payments are not affected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from sqlalchemy import Connection, Engine

from fcgraph.errors import Refused
from fcgraph.intake import open_records
from fcgraph.intake.open_records import Done, IntakeRecord
from fcgraph.record_filter import RecordFilter

DISMISSED = "DISMISSED"


def dismiss(engine: Engine, record_ids: Sequence[UUID], note: str, *, principal: str) -> int:
    """Dismiss these rejections, all or none; returns how many were open. Dismissed ones are not changed.

    Raises Refused, naming the record: NOT_FOUND, INVALID_INPUT for a conflict, ALREADY_RESOLVED otherwise.
    """
    open_records.check_note(note)

    def work(connection: Connection) -> int:
        found = open_records.by_ids(connection, record_ids)
        for record in found:
            if record.resolution not in (None, DISMISSED):
                message = f"Record {record.record_id} has already been resolved: {record.resolution}."
                raise Refused(message, code="ALREADY_RESOLVED", path=("recordIds",))
            if record.outcome != "REJECTED":
                message = f"Record {record.record_id} is a conflict: resolve it with resolveConflict."
                raise Refused(message, path=("recordIds",))
        ended = {record.record_id: DISMISSED for record in found if record.resolution is None}
        open_records.end(connection, ended, principal, note)
        return len(ended)

    return open_records.again(engine, work)


def dismiss_matching(
    engine: Engine,
    wanted: RecordFilter,
    note: str,
    *,
    principal: str,
    on_batch: Done,
    more_time: Callable[[], bool] = lambda: True,
) -> None:
    """Dismiss every open rejection that matches the filter, in transactions of limited size; `on_batch` counts them.

    Raises Refused for an invalid note or a filter of conflicts only, OutOfTime like `open_records.in_batches`.
    """
    open_records.check_note(note)

    def work(connection: Connection, records: Sequence[IntakeRecord]) -> tuple[int, int]:
        open_records.end(connection, {record.record_id: DISMISSED for record in records}, principal, note)
        return len(records), 0

    open_records.in_batches(engine, wanted, work, on_batch, more_time)
