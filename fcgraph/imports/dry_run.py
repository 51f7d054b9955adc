"""Imports that must not be written chunk by chunk: dry runs and all-or-nothing imports.

Both apply every chunk to a private copy of the payments concerned, so the outcomes are those of a real run. An
all-or-nothing import without rejections and conflicts is then written in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import sqlalchemy as sa
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from fcgraph import db
from fcgraph.errors import Refused
from fcgraph.imports.progress import Claim, Fenced, add_chunk, finish, give_up, mismatch_text, mismatches
from fcgraph.intake import Batch, Counts, Source, csv_rows
from fcgraph.intake.apply import BatchResult, WriteContention, apply_batch, close_batch, open_batch
from fcgraph.intake.csv_rows import Chunk
from fcgraph.intake.supersession import supersede
from fcgraph.intake.validation import BatchValidator
from fcgraph.intake.writer import validator_of
from fcgraph.intake.writers import worth_again
from fcgraph.settings import Settings
from fcgraph.storage.files import Files

Check = Callable[[], None]
Progress = Callable[[float], None]
COPY_TABLE = "rehearsed_payments"
REWRITES_MAX = 10


class _NotClean(Exception):
    """Between dry run and writing, another writer made a row of this import a conflict."""


def run(
    engine: Engine, files: Files, claimed: Claim, settings: Settings, check: Check, on_progress: Progress | None
) -> str:
    """Do a dry run, then write the import if it is to be written and is clean. Returns the final state."""
    validator = validator_of(engine, settings)
    for _ in range(REWRITES_MAX):
        _rehearse(engine, files, claimed, settings, validator, check, on_progress)
        if claimed.dry_run:
            with db.write(engine) as connection:
                return finish(connection, claimed)
        failure = _why_not(engine, claimed)
        if failure is not None:
            return give_up(engine, claimed, failure)
        try:
            return _write_whole(engine, files, claimed, settings, validator, check)
        except _NotClean:
            check()
        except (WriteContention, psycopg2.Error, DBAPIError) as e:
            if not worth_again(e):
                raise
            check()
    return give_up(engine, claimed, "nothing was written: other writers repeatedly changed the payments concerned")


def _why_not(engine: Engine, claimed: Claim) -> str | None:
    with db.read(engine) as connection:
        bad = connection.execute(
            sa.text("SELECT rejected_count, conflict_count FROM imports WHERE import_id = :id"),
            {"id": claimed.import_id},
        ).one()
        if bad.rejected_count or bad.conflict_count:
            return f"nothing was written: {bad.rejected_count} rows rejected, {bad.conflict_count} in conflict"
        return mismatch_text(mismatches(connection, claimed.import_id))


def _batches(
    files: Files, claimed: Claim, settings: Settings, validator: BatchValidator, check: Check, chunk_number: int | None
) -> Iterator[tuple[Chunk, Batch]]:
    with files.open(claimed.file_key) as file:
        header = csv_rows.read_header(file.read(csv_rows.HEAD_BYTES))
        found = csv_rows.chunks(
            file,
            header.end_byte,
            header.next_line,
            chunk_bytes=settings.csv_chunk_bytes,
            line_max_bytes=settings.csv_line_max_bytes,
        )
        for chunk in found:
            check()
            source = Source("CSV", import_id=claimed.import_id, chunk=chunk_number)
            batch = validator.csv(chunk, header, source, claimed.correlation_id, settings.csv_line_max_bytes)
            if batch.other_header is not None:
                raise Refused(f"{batch.other_header}; nothing was written. Split the file there and send both parts.")
            yield chunk, batch


def _rehearse(
    engine: Engine,
    files: Files,
    claimed: Claim,
    settings: Settings,
    validator: BatchValidator,
    check: Check,
    on_progress: Progress | None,
) -> None:
    """Apply every chunk to the copy; counts, progress and intake records are committed chunk by chunk."""
    resolution = "DRY_RUN" if claimed.dry_run else "NOT_IMPORTED"
    with engine.connect() as connection:
        cursor = connection.connection.cursor()
        with connection.begin():
            _start_over(connection, claimed)
            cursor.execute(
                f"CREATE TEMP TABLE IF NOT EXISTS {COPY_TABLE} (LIKE transactions, PRIMARY KEY (transaction_id))"
            )
            cursor.execute(f"TRUNCATE {COPY_TABLE}")
        for number, (chunk, batch) in enumerate(_batches(files, claimed, settings, validator, check, None)):
            with connection.begin():
                _copy_stored(cursor, batch)
                result = apply_batch(cursor, batch, table=COPY_TABLE, batch_id=0, resolution=resolution)
                add_chunk(cursor, claimed, number, chunk, result.counts(batch), result, batch)
            if on_progress is not None:
                on_progress(chunk.end_byte / max(claimed.size_bytes, 1))
        cursor.execute(f"DROP TABLE {COPY_TABLE}")
        connection.connection.commit()


def _start_over(connection: Connection, claimed: Claim) -> None:
    """Discard the counts and records of an earlier attempt: a dry run cannot be resumed. Raises Fenced."""
    keys = {"id": claimed.import_id, "attempt": claimed.attempt}
    found = connection.execute(
        sa.text(
            "UPDATE imports SET read_count = 0, inserted_count = 0, updated_count = 0, duplicate_count = 0,"
            " stale_count = 0, conflict_count = 0, rejected_count = 0, suspicious_count = 0, done_chunks = 0,"
            " done_bytes = 0, done_lines = 0, skipped_lines = 0"
            " WHERE import_id = :id AND attempt = :attempt AND state = 'RUNNING'"
        ),
        keys,
    )
    if found.rowcount == 0:
        raise Fenced
    connection.execute(sa.text("DELETE FROM intake_records WHERE import_id = :id"), keys)
    connection.execute(sa.text("DELETE FROM import_totals WHERE import_id = :id"), keys)


def _copy_stored(cursor: Any, batch: Batch) -> None:
    """Copy the stored payments with the batch's ids, unless they are already in the copy."""
    cursor.execute(
        f"INSERT INTO {COPY_TABLE} SELECT * FROM transactions"
        " WHERE transaction_id = ANY(%s::uuid[]) ON CONFLICT DO NOTHING",
        ("{" + ",".join(batch.transaction_ids) + "}",),
    )


def _write_whole(
    engine: Engine, files: Files, claimed: Claim, settings: Settings, validator: BatchValidator, check: Check
) -> str:
    """Write the whole import as one batch in one transaction. Raises _NotClean if a row is no longer clean."""
    batch_id: int | None = None
    total = Counts()
    with db.write(engine) as connection:
        cursor = connection.connection.cursor()
        # Such a transaction may take minutes. It waits only for locks in PostgreSQL, which detects deadlocks.
        cursor.execute("SET LOCAL lock_timeout = 0")
        for _, batch in _batches(files, claimed, settings, validator, check, 0):
            batch_id = open_batch(cursor, batch) if batch_id is None else batch_id
            result: BatchResult = apply_batch(cursor, batch, batch_id=batch_id, one_by_one=True)
            counts = result.counts(batch)
            if counts.rejected or counts.conflict:
                raise _NotClean
            supersede(cursor, batch)
            total += counts
        if batch_id is not None:
            _set_counts(connection, claimed, total)
            state = finish(connection, claimed)
            close_batch(cursor, batch_id, total)
            return state
        return finish(connection, claimed)


def _set_counts(connection: Connection, claimed: Claim, total: Counts) -> None:
    """Replace the counts of the dry run by those of the writing (another writer may have stored some ids first)."""
    connection.execute(
        sa.text(
            "UPDATE imports SET inserted_count = :inserted, updated_count = :updated, duplicate_count = :duplicate,"
            " stale_count = :stale, suspicious_count = :suspicious WHERE import_id = :id"
        ),
        {
            "id": claimed.import_id,
            "inserted": total.inserted,
            "updated": total.updated,
            "duplicate": total.duplicate,
            "stale": total.stale,
            "suspicious": total.suspicious,
        },
    )
