"""The entry point of the intake: rows are validated here and written by the intake writers, in order."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from fcgraph import db
from fcgraph.errors import Refused
from fcgraph.intake import kafka_offsets
from fcgraph.intake.apply import BatchResult, close_batch
from fcgraph.intake.batch import Batch, Counts, Source
from fcgraph.intake.csv_rows import Chunk, Header
from fcgraph.intake.validation import BatchValidator, Message
from fcgraph.intake.writers import Finalize, IntakeWriters
from fcgraph.settings import Settings

MORE_CONNECTIONS = 3  # for validation, for the heartbeat of an import, and one spare


def utc_now() -> datetime:
    """The current time. The only clock of the intake; tests pass another one."""
    return datetime.now(UTC)


# A block of rows creates about 100,000 objects without cycles: by default Python would scan them forty times.
GARBAGE_THRESHOLDS = (200_000, 50, 100)


def collect_garbage_rarely() -> None:
    """Collect garbage less often, in processes that write many rows through the intake."""
    gc.set_threshold(*GARBAGE_THRESHOLDS)


def engine_of(settings: Settings, name: str) -> Engine:
    """An engine for a writer: one connection per intake writer and a few more, with timeouts. Create after a fork."""
    return db.make_engine(
        settings.database_url,
        name=name,
        pool_max=settings.intake_lanes + MORE_CONNECTIONS,
        statement_timeout_seconds=settings.write_statement_timeout_seconds,
        lock_timeout_seconds=settings.intake_lock_timeout_seconds,
    )


def validator_of(engine: Engine, settings: Settings, clock: Callable[[], datetime] = utc_now) -> BatchValidator:
    """A validator with the limits of the settings."""
    return BatchValidator(
        engine,
        clock=clock,
        ahead_max=timedelta(seconds=settings.timestamp_ahead_max_seconds),
        known_users_max=settings.known_users_max,
        earliest=datetime(settings.timestamp_year_min, 1, 1, tzinfo=UTC),
    )


class Writer:
    """Validates rows on the caller's thread and writes them on other threads. Batches commit in the order submitted.

    `engine` is one from `engine_of` or equivalent. Database errors are raised by `submit_*` or `drain`; after an error,
    no later batch has been committed and the writer should be closed.
    """

    def __init__(self, engine: Engine, settings: Settings, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._validator = validator_of(engine, settings, clock)
        self._engine = engine
        self._settings = settings
        self._writers = self._new_writers()

    def submit_messages(self, messages: Sequence[Message], source: Source, correlation_id: str) -> Batch:
        """Submit Kafka messages as (partition, offset, value). Positions and counts are written with them.

        Returns the validated batch, so that the caller can report rejections; it is written only after `drain`.
        """
        batch = self._validator.messages(messages, source, correlation_id)
        self._writers.submit(batch, kafka_offsets.close)
        return batch

    def submit_chunk(
        self, chunk: Chunk, header: Header, source: Source, correlation_id: str, line_max_bytes: int, finalize: Finalize
    ) -> None:
        """Submit a chunk of a CSV file; `finalize` closes the batch (progress of the import, counts) before it commits.

        Raises Refused if the chunk contains another header; the chunks before it are written first.
        """
        batch = self._validator.csv(chunk, header, source, correlation_id, line_max_bytes)
        if batch.other_header is not None:
            self.drain()
            stopped = f"nothing from line {chunk.first_line} on was imported"
            raise Refused(f"{batch.other_header}; {stopped}. Split the file there and send both parts.")
        self._writers.submit(batch, finalize)

    def submit_rows(self, rows: Sequence[dict[str, str | None]], correlation_id: str) -> Counts:
        """Write generated rows (the demo payments). Waits, and returns the result."""
        found: list[Counts] = []

        def finalize(cursor: Any, batch: Batch, result: BatchResult) -> None:
            found[:] = [result.counts(batch)]
            close_batch(cursor, result.batch_id, found[0])

        self._writers.submit(self._validator.rows(rows, Source("SEED"), correlation_id), finalize)
        self.drain()
        return found[0]

    def drain(self) -> None:
        """Wait until every submitted batch has committed. Raises the first error."""
        self._writers.drain()

    def reset(self) -> None:
        """Reset after an error: drop batches that were submitted and not written."""
        self._writers.close()
        self._writers = self._new_writers()

    def _new_writers(self) -> IntakeWriters:
        return IntakeWriters(self._engine, self._settings.intake_lanes, self._settings.intake_lock_timeout_seconds)

    def close(self) -> None:
        """Stop the writer threads."""
        self._writers.close()
