"""Validate rejections again, by id or by filter, and apply those that now pass.

Safe to repeat and to run concurrently: records are locked while they are replayed, and resolved records are skipped.
Records of one import or topic form one batch, with the lineage of their first arrival.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from psycopg2.extras import execute_values
from sqlalchemy import Connection, Engine

from fcgraph.intake import open_records
from fcgraph.intake.apply import BatchResult, apply_batch, close_batch, open_batch, problems_json
from fcgraph.intake.batch import Batch
from fcgraph.intake.open_records import Done, IntakeRecord
from fcgraph.intake.validation import BatchValidator, not_replayable
from fcgraph.intake.writer import validator_of
from fcgraph.record_filter import RecordFilter
from fcgraph.rules.records import Outcome
from fcgraph.settings import Settings

Place = tuple[int | None, int]


class Replayed(NamedTuple):
    """How many records passed, and how many still break a rule (their problems are updated)."""

    replayed: int
    still_rejected: int


@dataclass(frozen=True)
class Replay:
    """What all records of a replay share: the rules, the limits and the principal."""

    validator: BatchValidator
    settings: Settings
    correlation_id: str
    principal: str


def replay(
    engine: Engine, settings: Settings, record_ids: Sequence[UUID], correlation_id: str, *, principal: str = "local"
) -> Replayed:
    """Replay these records in one transaction; conflicts and resolved records are skipped.

    Raises Refused (NOT_FOUND) if a record is unknown.
    """
    query = Replay(validator_of(engine, settings), settings, correlation_id, principal)

    def work(connection: Connection) -> Replayed:
        found = open_records.by_ids(connection, record_ids)
        return _replay(query, connection, [r for r in found if r.resolution is None and r.outcome == "REJECTED"])

    return open_records.again(engine, work)


def replay_matching(
    engine: Engine,
    settings: Settings,
    wanted: RecordFilter,
    correlation_id: str,
    *,
    principal: str,
    on_batch: Done,
    more_time: Callable[[], bool] = lambda: True,
) -> None:
    """Replay every open rejection that matches the filter, in transactions of limited size; `on_batch` counts them.

    Raises Refused for a filter of conflicts only, and OutOfTime like `open_records.in_batches`.
    """
    query = Replay(validator_of(engine, settings), settings, correlation_id, principal)
    open_records.in_batches(engine, wanted, partial(_replay, query), on_batch, more_time)


def _replay(query: Replay, connection: Connection, records: Sequence[IntakeRecord]) -> Replayed:
    """Replay open, locked rejections. Batches are closed last, because the watermark then stays locked until COMMIT."""
    groups: dict[object, list[IntakeRecord]] = defaultdict(list)
    for record in records:
        groups[record.origin].append(record)
    done, counts = 0, {}
    for _, group in sorted(groups.items(), key=lambda item: str(item[0])):
        whole = [record for record in group if not record.is_incomplete]
        _write_problems(connection, [_with_advice(record) for record in group if record.is_incomplete])
        if not whole:
            continue
        line_max = query.settings.csv_line_max_bytes
        batch = open_records.validated(connection, query.validator, whole, query.correlation_id, line_max)
        at = {(record.partition, record.position): record for record in whole}
        _write_problems(connection, _fresh_problems(batch, at))
        no_rows = _no_rows(batch, at)
        open_records.end(connection, no_rows, query.principal)
        batch.rejected = []  # they are already stored, and the batch counts only what it applied
        if batch.texts:
            batch_id, result = _apply(connection, batch, at, query.principal)
            counts[batch_id] = result.counts(batch)
            done += len(batch.texts)
        done += len(no_rows)
    for batch_id, counted in sorted(counts.items()):
        close_batch(connection.connection.cursor(), batch_id, counted)
    return Replayed(done, len(records) - done)


def _apply(
    connection: Connection, batch: Batch, at: dict[Place, IntakeRecord], principal: str
) -> tuple[int, BatchResult]:
    """Apply the rows that pass; resolve their records, or turn them into conflicts."""
    cursor: Any = connection.connection.cursor()
    batch_id = open_batch(cursor, batch)
    # A record is unique by origin, so a conflict updates it instead of adding another record.
    result = apply_batch(cursor, batch, one_by_one=True, batch_id=batch_id, keep=False)
    ended = {}
    for n in range(len(batch.texts)):
        outcome = result.outcome(n)
        if outcome is not Outcome.CONFLICT:
            ended[at[batch.place(n)].record_id] = f"REPLAYED_{outcome.value}"
    open_records.end(connection, ended, principal)
    conflicts = [
        (
            str(at[batch.place(c.n)].record_id), batch.transaction_ids[c.n], problems_json(c.problems),
            json.dumps(c.stored_differences()),
        )
        for c in result.conflicts
    ]  # fmt: skip
    if conflicts:
        execute_values(
            cursor,
            "UPDATE intake_records r SET outcome = 'CONFLICT', transaction_id = v.transaction_id,"
            " problems = v.problems, differences = v.differences"
            " FROM (VALUES %s) v (id, transaction_id, problems, differences) WHERE r.record_id = v.id",
            conflicts,
            template="(%s::uuid, %s::uuid, %s::jsonb, %s::jsonb)",
        )
    return batch_id, result


Problems = tuple[IntakeRecord, list[dict[str, Any]]]


def _fresh_problems(batch: Batch, at: dict[Place, IntakeRecord]) -> list[Problems]:
    return [
        (at[rejected.partition, rejected.position], [problem._asdict() for problem in rejected.rejection.problems])
        for rejected in batch.rejected
    ]


def _no_rows(batch: Batch, at: dict[Place, IntakeRecord]) -> dict[UUID, str]:
    """Resolutions of records whose lines no longer count as rows."""
    rows = {batch.place(n) for n in range(len(batch.texts))} | {(r.partition, r.position) for r in batch.rejected}
    return {record.record_id: "REPLAYED_SKIPPED" for place, record in at.items() if place not in rows}


def _with_advice(record: IntakeRecord) -> Problems:
    """The problems of a record with an incomplete row, with a note that a replay cannot help."""
    return record, [
        problem | {"message": not_replayable(problem["message"])} if problem["code"] == "INVALID_CSV" else problem
        for problem in record.problems
    ]


def _write_problems(connection: Connection, found: Sequence[Problems]) -> None:
    """Store the problems of records whose problems have changed."""
    changed = [(str(record.record_id), json.dumps(new)) for record, new in found if new != record.problems]
    if changed:
        execute_values(
            connection.connection.cursor(),
            "UPDATE intake_records r SET problems = v.problems FROM (VALUES %s) v (id, problems)"
            " WHERE r.record_id = v.id",
            changed,
            template="(%s::uuid, %s::jsonb)",
        )
