"""Kept records get a second chance: rejected ones are judged again, conflicts are decided by a person.

Both are safe to repeat: a record that has a resolution is left alone. With other writers in the way they begin anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple, TypeVar
from uuid import UUID

import psycopg2
import sqlalchemy as sa
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from fcgraph import csv_rows, db
from fcgraph.errors import Refused
from fcgraph.intake.batch import Batch, Counts, Source
from fcgraph.intake.judge import Judge
from fcgraph.intake.lanes import RETRIES_MAX, worth_again
from fcgraph.intake.settle import (
    Change,
    Unsettled,
    close_batch,
    locked,
    open_batch,
    problems_json,
    settle,
    write_changes,
)
from fcgraph.intake.writer import judge_of
from fcgraph.records import Outcome
from fcgraph.settings import Settings

Resolution = Literal["KEEP_STORED", "ACCEPT_INCOMING"]
NOTE_MAX_CHARS = 2000
Found = TypeVar("Found")


class Replayed(NamedTuple):
    """How many records were settled now, and how many still break a rule (with fresh problems)."""

    replayed: int
    still_rejected: int


class Resolved(NamedTuple):
    """The decided record and the payment it was about."""

    record_id: UUID
    transaction_id: UUID


class _Kept(NamedTuple):
    record_id: UUID
    outcome: str
    kind: str
    import_id: UUID | None
    topic_ref: int | None
    partition: int | None
    position: int
    raw: bytes
    header: bytes | None
    resolved: bool
    problems: list[dict[str, Any]]


_KEPT = (
    "SELECT r.record_id, r.outcome, r.kind, r.import_id, r.topic_ref, r.partition, r.position, r.raw, i.header,"
    " r.resolved_at IS NOT NULL, r.problems FROM intake_records r LEFT JOIN imports i USING (import_id)"
    " WHERE r.record_id = ANY(:ids) ORDER BY r.record_id FOR UPDATE OF r"
)


def replay(engine: Engine, settings: Settings, record_ids: Sequence[UUID], correlation_id: str) -> Replayed:
    """Judge open rejected records again; those that pass now are settled with the lineage of their first arrival.

    Raises Refused (NOT_FOUND) when a record is unknown. Conflicts and resolved records are left alone.
    """
    judge = judge_of(engine, settings)

    def work(connection: Connection) -> Replayed:
        found = _kept(connection, record_ids)
        missing = set(record_ids) - {kept.record_id for kept in found}
        if missing:
            raise Refused(f"There is no record {min(missing)}.", code="NOT_FOUND", path=("recordIds",))
        open_ones = [kept for kept in found if not kept.resolved and kept.outcome == "REJECTED"]
        total: dict[int, Counts] = {}
        done = 0
        for kept in sorted(open_ones, key=lambda k: (str(k.import_id), k.topic_ref or 0, k.partition or 0, k.position)):
            if not _is_broken(kept) and _settle_again(connection, judge, kept, settings, correlation_id, total):
                done += 1
        _close_all(connection, total)
        return Replayed(done, len(open_ones) - done)

    return _at_last(engine, work)


def _at_last(engine: Engine, work: Callable[[Connection], Found]) -> Found:
    """Do the work in one transaction; when other writers are in the way, roll back and begin anew."""
    for _ in range(RETRIES_MAX):
        try:
            with db.write(engine) as connection:
                return work(connection)
        except (Unsettled, psycopg2.Error, DBAPIError) as e:
            if not worth_again(e):
                raise
    with db.write(engine) as connection:
        return work(connection)


def _is_broken(kept: _Kept) -> bool:
    """Whether what was kept is not the whole row that was meant: an unclosed quote, a line too long, a file cut off."""
    return any(problem["code"] == "INVALID_CSV" for problem in kept.problems)


def _kept(connection: Connection, record_ids: Iterable[UUID]) -> list[_Kept]:
    rows = connection.execute(sa.text(_KEPT), {"ids": sorted(set(record_ids))})
    return [_Kept._make(row)._replace(raw=bytes(row.raw)) for row in rows]


def _judged(judge: Judge, kept: _Kept, settings: Settings, correlation_id: str) -> Batch:
    if kept.kind == "KAFKA":
        source = Source("KAFKA", topic_ref=kept.topic_ref)
        return judge.messages([(kept.partition or 0, kept.position, kept.raw)], source, correlation_id)
    header = csv_rows.read_header(bytes(kept.header or b"") + b"\n")
    chunk = csv_rows.one_row(kept.raw, kept.position)
    source = Source("CSV", import_id=kept.import_id)
    return judge.csv(chunk, header, source, correlation_id, settings.csv_line_max_bytes)


def _settle_again(
    connection: Connection,
    judge: Judge,
    kept: _Kept,
    settings: Settings,
    correlation_id: str,
    total: dict[int, Counts],
) -> bool:
    """Settle one record in a batch of its own; False when it still breaks a rule."""
    batch = _judged(judge, kept, settings, correlation_id)
    if not batch.read:  # the rules take the line for no row by now
        _resolve(connection, kept.record_id, "REPLAYED_SKIPPED", None)
        return True
    if batch.rejected:
        connection.execute(
            sa.text("UPDATE intake_records SET problems = CAST(:problems AS jsonb) WHERE record_id = :id"),
            {"problems": problems_json(batch.rejected[0].rejection.problems), "id": kept.record_id},
        )
        return False
    # The record's own row stands at its place of origin, so a conflict is written into it, not beside it.
    cursor: Any = connection.connection.cursor()
    batch_id = open_batch(cursor, batch)
    settled = settle(cursor, batch, careful=True, batch_id=batch_id, keep=False)
    total[batch_id] = settled.counts(batch)
    outcome = settled.outcome(0)
    if outcome is Outcome.CONFLICT:
        conflict = settled.conflicts[0]
        connection.execute(
            sa.text(
                "UPDATE intake_records SET outcome = 'CONFLICT', transaction_id = CAST(:tid AS uuid),"
                " problems = CAST(:problems AS jsonb), differences = CAST(:fields AS jsonb) WHERE record_id = :id"
            ),
            {
                "tid": batch.transaction_ids[0],
                "problems": problems_json(conflict.problems),
                "fields": json.dumps(conflict.differences_told()),
                "id": kept.record_id,
            },
        )
        return True
    _resolve(connection, kept.record_id, f"REPLAYED_{outcome.value}", None)
    return True


def _close_all(connection: Connection, total: dict[int, Counts]) -> None:
    for batch_id, counts in sorted(total.items()):
        close_batch(connection.connection.cursor(), batch_id, counts)


def _resolve(connection: Connection, record_id: UUID, resolution: str, note: str | None) -> None:
    connection.execute(
        sa.text(
            "UPDATE intake_records SET resolved_at = now(), resolution = :resolution, note = :note"
            " WHERE record_id = :id"
        ),
        {"id": record_id, "resolution": resolution, "note": note},
    )


def resolve_conflict(
    engine: Engine, settings: Settings, record_id: UUID, resolution: Resolution, note: str, correlation_id: str
) -> Resolved:
    """Decide a conflict: keep the stored payment, or make it what the incoming record says, with a revision.

    The same decision again is harmless. Raises Refused: NOT_FOUND; ALREADY_RESOLVED when it was decided otherwise;
    INVALID_INPUT when the record is no conflict, the note is empty, or the row breaks a rule by now.
    """
    if not note.strip() or len(note) > NOTE_MAX_CHARS:
        raise Refused(f"A note of 1 to {NOTE_MAX_CHARS} characters is needed.", path=("note",))
    judge = judge_of(engine, settings)

    def work(connection: Connection) -> Resolved:
        row = connection.execute(
            sa.text("SELECT outcome, resolution, transaction_id FROM intake_records WHERE record_id = :id FOR UPDATE"),
            {"id": record_id},
        ).one_or_none()
        if row is None:
            raise Refused("There is no such record.", code="NOT_FOUND", path=("recordId",))
        if row.outcome != "CONFLICT":
            raise Refused("The record is not in conflict.", path=("recordId",))
        if row.resolution is not None and row.resolution != resolution:
            raise Refused(f"The conflict is resolved: {row.resolution}.", code="ALREADY_RESOLVED", path=("recordId",))
        if row.resolution is None:
            if resolution == "ACCEPT_INCOMING":
                (kept,) = _kept(connection, [record_id])
                _accept_incoming(connection, _judged(judge, kept, settings, correlation_id), note)
            _resolve(connection, record_id, resolution, note)
        return Resolved(record_id, row.transaction_id)

    return _at_last(engine, work)


def _accept_incoming(connection: Connection, batch: Batch, note: str) -> None:
    if batch.rejected:
        told = "; ".join(p.message for p in batch.rejected[0].rejection.problems)
        raise Refused(f"The incoming row breaks a rule by now: {told}.", path=("recordId",))
    cursor: Any = connection.connection.cursor()
    batch_id = open_batch(cursor, batch)
    incoming = batch.record(0)
    stored = locked(cursor, incoming.transaction_id)
    if incoming == stored:
        close_batch(cursor, batch_id, Counts(read=1, duplicate=1))
        return
    partition, position = batch.place(0)
    write_changes(cursor, [Change(incoming, stored, partition, position, batch.suspicions(0))], batch_id, note)
    close_batch(cursor, batch_id, Counts(read=1, updated=1))
