"""A person ends rejections that nobody will correct, with a note; the stored payments are not touched."""

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
    """Dismiss these rejections, all or none; how many were open. Those dismissed before are left as they are.

    Raises Refused, naming the record: NOT_FOUND, INVALID_INPUT for a conflict, ALREADY_RESOLVED for another end.
    """
    open_records.check_note(note)

    def work(connection: Connection) -> int:
        found = open_records.by_ids(connection, record_ids)
        for record in found:
            if record.resolution not in (None, DISMISSED):
                message = f"Record {record.record_id} has ended: {record.resolution}."
                raise Refused(message, code="ALREADY_RESOLVED", path=("recordIds",))
            if record.outcome != "REJECTED":
                message = f"Record {record.record_id} is a conflict: decide it with resolveConflict."
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
    """Dismiss every open rejection of the filter, in transactions of bounded size; `on_batch` counts them.

    Raises Refused for a bad note or a filter of conflicts, OutOfTime as `open_records.in_batches`.
    """
    open_records.check_note(note)

    def work(connection: Connection, records: Sequence[IntakeRecord]) -> tuple[int, int]:
        open_records.end(connection, {record.record_id: DISMISSED for record in records}, principal, note)
        return len(records), 0

    open_records.in_batches(engine, wanted, work, on_batch, more_time)
