"""The row of a running import: claimed, advanced with every chunk, finished. Every update is fenced by the attempt."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from psycopg2.extras import execute_values
from sqlalchemy import Connection, Engine

from fcgraph import db
from fcgraph.intake import Batch, Counts
from fcgraph.intake.apply import BatchResult
from fcgraph.intake.batch import COUNT_COLUMNS
from fcgraph.intake.csv_rows import Chunk


class Fenced(Exception):
    """The import was cancelled or another worker has taken it over: stop without writing anything more."""


class Claim(NamedTuple):
    """An import as it was when this attempt claimed it."""

    import_id: UUID
    attempt: int
    file_key: str
    size_bytes: int
    mode: str
    dry_run: bool
    done_chunks: int
    done_bytes: int
    done_lines: int
    correlation_id: str


def claim(engine: Engine, import_id: UUID, lease_seconds: float) -> Claim | None:
    """Claim the import for a new attempt; None if it is unknown, finished or being run by a live worker."""
    columns = ", ".join(Claim._fields)
    statement = sa.text(
        "UPDATE imports SET state = 'RUNNING', attempt = attempt + 1, heartbeat_at = clock_timestamp(),"
        " started_at = coalesce(started_at, now()) WHERE import_id = :id AND finished_at IS NULL AND (state = 'QUEUED'"
        " OR heartbeat_at < clock_timestamp() - make_interval(secs => :lease))"
        f" RETURNING {columns}"
    )
    with db.write(engine) as connection:
        row = connection.execute(statement, {"id": import_id, "lease": lease_seconds}).one_or_none()
    return None if row is None else Claim(*row)


def add_chunk(
    cursor: Any, claimed: Claim, number: int, chunk: Chunk, counts: Counts, result: BatchResult, batch: Batch
) -> None:
    """Advance the import by one chunk, in the transaction of the chunk. Raises Fenced."""
    added = ", ".join(f"{column} = {column} + %s" for column in COUNT_COLUMNS)
    cursor.execute(
        f"UPDATE imports SET {added}, skipped_lines = skipped_lines + %s, done_chunks = %s, done_bytes = %s,"
        " done_lines = %s, heartbeat_at = clock_timestamp() WHERE import_id = %s AND attempt = %s AND done_chunks = %s"
        " AND state = 'RUNNING'",
        (*counts.values(), batch.skipped_lines, number + 1, *_end_of(chunk), *_fence(claimed), number),
    )
    if cursor.rowcount == 0:
        raise Fenced
    add_totals(cursor, claimed.import_id, sums(batch, result))


def _end_of(chunk: Chunk) -> tuple[int, int]:
    return chunk.end_byte, chunk.next_line


def _fence(claimed: Claim) -> tuple[str, int]:
    return str(claimed.import_id), claimed.attempt


def sums(batch: Batch, result: BatchResult) -> dict[str, tuple[Decimal, Decimal]]:
    """Per currency: the accepted sum (stored now or before) and the rejected or conflicting sum, as far as readable."""
    zero = Decimal(0)
    codes = {*batch.accepted_sums, *result.rejected_sums}
    return {
        code: (
            batch.accepted_sums.get(code, zero) - result.conflict_sums.get(code, zero),
            result.rejected_sums.get(code, zero) + result.conflict_sums.get(code, zero),
        )
        for code in codes
    }


def add_totals(cursor: Any, import_id: UUID, found: Mapping[str, tuple[Decimal, Decimal]]) -> None:
    """Add sums to the import's totals."""
    if not found:
        return
    execute_values(
        cursor,
        "INSERT INTO import_totals AS t (import_id, currency, accepted, rejected) VALUES %s"
        " ON CONFLICT (import_id, currency) DO UPDATE SET accepted = t.accepted + excluded.accepted,"
        " rejected = t.rejected + excluded.rejected",
        [(str(import_id), code, accepted, rejected) for code, (accepted, rejected) in sorted(found.items())],
    )


def mismatches(connection: Connection, import_id: UUID) -> list[str]:
    """The differences between the sender's control totals and the import, as text for people."""
    row = connection.execute(
        sa.text("SELECT read_count, expected_row_count, expected_totals FROM imports WHERE import_id = :id"),
        {"id": import_id},
    ).one()
    totals = sa.text("SELECT currency, accepted FROM import_totals WHERE import_id = :id")
    accepted: dict[str, Decimal] = {code: sum_ for code, sum_ in connection.execute(totals, {"id": import_id})}  # noqa: C416 a Row is not a pair of types
    expected = {code: Decimal(amount) for code, amount in (row.expected_totals or {}).items()}
    return differences(row.expected_row_count, expected, row.read_count, accepted)


def differences(
    row_count: int | None, totals: Mapping[str, Decimal], read: int, accepted: Mapping[str, Decimal]
) -> list[str]:
    """The differences between expected and actual number of rows and sums, as text for people."""
    found = []
    if row_count is not None and row_count != read:
        found.append(f"{row_count} rows expected, {read} read")
    for code, expected in sorted(totals.items()):
        if accepted.get(code, Decimal(0)) != expected:
            found.append(f"{expected} {code} expected, {accepted.get(code, Decimal(0))} accepted")
    return found


def finish(connection: Connection, claimed: Claim) -> str:
    """Finish an import whose rows have all been applied; returns its final state. Raises Fenced."""
    wrong = mismatches(connection, claimed.import_id)
    state: str | None = connection.scalar(
        sa.text(
            "UPDATE imports SET state = CASE WHEN rejected_count + conflict_count = 0 THEN 'SUCCEEDED'"
            " ELSE 'SUCCEEDED_WITH_REJECTS' END, finished_at = now(), done_bytes = size_bytes, failure = :failure"
            " WHERE import_id = :id AND attempt = :attempt AND state = 'RUNNING' RETURNING state"
        ),
        {"id": claimed.import_id, "attempt": claimed.attempt, "failure": mismatch_text(wrong)},
    )
    if state is None:
        raise Fenced
    return state


def mismatch_text(wrong: list[str]) -> str | None:
    """The result of the control totals as it is stored with the import."""
    return f"CONTROL_TOTAL_MISMATCH: {'; '.join(wrong)}" if wrong else None


def give_up(engine: Engine, claimed: Claim, failure: str) -> str:
    """Finish an import as FAILED with the reason; does nothing if this attempt no longer owns it."""
    with db.write(engine) as connection:
        connection.execute(
            sa.text(
                "UPDATE imports SET state = 'FAILED', finished_at = now(), failure = :failure"
                " WHERE import_id = :id AND attempt = :attempt AND state = 'RUNNING'"
            ),
            {"id": claimed.import_id, "attempt": claimed.attempt, "failure": failure},
        )
    return "FAILED"
