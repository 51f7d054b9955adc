"""Run an import: claim it, write its chunks through the intake, resume where it stopped, end in a final state.

The attempt number is a fencing token: if a process believed dead goes on writing, its next chunk is refused.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Engine

from fcgraph import db, failpoints
from fcgraph.errors import FcgraphError, Refused
from fcgraph.imports import dry_run
from fcgraph.imports.progress import Claim, Fenced, add_chunk, claim, finish, give_up
from fcgraph.intake import Batch, Source, Writer, csv_rows
from fcgraph.intake.apply import BatchResult, close_batch
from fcgraph.intake.csv_rows import Chunk
from fcgraph.intake.supersession import supersede
from fcgraph.observability import log
from fcgraph.settings import Settings
from fcgraph.storage.files import Files

Progress = Callable[[float], None]


def run(
    engine: Engine, files: Files, import_id: UUID, settings: Settings, *, on_progress: Progress | None = None
) -> None:
    """Run the import to its end; do nothing if it is unknown, finished, or being run by a live worker.

    Idempotent. If PostgreSQL is unavailable, full or too busy, the error is raised and the import stays RUNNING, to be
    resumed; any other error is raised too, and marks the import as FAILED.
    """
    claimed = claim(engine, import_id, settings.import_lease_seconds)
    if claimed is None:
        return
    logger = log.get(__name__).bind(import_id=str(import_id), attempt=claimed.attempt)
    logger.info("import_started", done_chunks=claimed.done_chunks)
    try:
        with _Heartbeat(engine, claimed, settings.import_lease_seconds / 3) as heartbeat:
            if claimed.dry_run or claimed.mode == "ALL_OR_NOTHING":
                state = dry_run.run(engine, files, claimed, settings, heartbeat.check, on_progress)
            else:
                state = _run_chunks(engine, files, claimed, settings, heartbeat.check, on_progress)
    except Fenced:
        logger.info("import_fenced")  # cancelled, or taken over by another worker
    except Refused as e:
        logger.warning("import_refused")
        give_up(engine, claimed, e.message)
    except Exception as e:
        if db.may_pass(e):
            logger.warning("import_interrupted", reason=type(e).__name__)
        else:
            failure = (
                e.message if isinstance(e, FcgraphError) else f"internal error, logged with {claimed.correlation_id}"
            )
            give_up(engine, claimed, failure)
        raise
    else:
        logger.info("import_finished", state=state)


def _run_chunks(
    engine: Engine,
    files: Files,
    claimed: Claim,
    settings: Settings,
    check: Callable[[], None],
    on_progress: Progress | None,
) -> str:
    writer = Writer(engine, settings)
    try:
        with files.open(claimed.file_key) as file:
            header = csv_rows.read_header(file.read(csv_rows.HEAD_BYTES))
            start = max(claimed.done_bytes, header.end_byte)
            line = claimed.done_lines or header.next_line
            found = csv_rows.chunks(
                file,
                start,
                line,
                chunk_bytes=settings.csv_chunk_bytes,
                line_max_bytes=settings.csv_line_max_bytes,
            )
            for number, chunk in enumerate(found, claimed.done_chunks):
                check()
                source = Source("CSV", import_id=claimed.import_id, chunk=number)
                finalize = _finalize(claimed, number, chunk)
                writer.submit_chunk(
                    chunk, header, source, claimed.correlation_id, settings.csv_line_max_bytes, finalize
                )
                if on_progress is not None:
                    on_progress(chunk.end_byte / max(claimed.size_bytes, 1))
        writer.drain()
    finally:
        writer.close()
    with db.write(engine) as connection:
        return finish(connection, claimed)


def _finalize(claimed: Claim, number: int, chunk: Chunk) -> Callable[[Any, Batch, BatchResult], None]:
    """Closes the batch of a chunk: superseded records, counts and progress commit together with the payments."""

    def close(cursor: Any, batch: Batch, result: BatchResult) -> None:
        failpoints.reach("chunk-written")
        supersede(cursor, batch)
        counts = result.counts(batch)
        add_chunk(cursor, claimed, number, chunk, counts, result, batch)
        close_batch(cursor, result.batch_id, counts)

    return close


class _Heartbeat:
    """Records every few seconds, on a separate connection, that this attempt is alive; notices when it is fenced."""

    def __init__(self, engine: Engine, claimed: Claim, every_seconds: float) -> None:
        self._engine = engine
        self._claimed = claimed
        self._every_seconds = every_seconds
        self._stop = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> _Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def check(self) -> None:
        """Raise Fenced if the import was cancelled or taken over."""
        if self._lost.is_set():
            raise Fenced

    def _beat(self) -> None:
        statement = sa.text(
            "UPDATE imports SET heartbeat_at = clock_timestamp()"
            " WHERE import_id = :id AND attempt = :attempt AND state = 'RUNNING'"
        )
        while not self._stop.wait(self._every_seconds):
            try:
                with db.write(self._engine) as connection:
                    found = connection.execute(
                        statement, {"id": self._claimed.import_id, "attempt": self._claimed.attempt}
                    )
                if found.rowcount == 0:
                    self._lost.set()
                    return
            except sa.exc.DBAPIError as e:
                # A late or failed heartbeat is harmless: fencing happens where the import writes.
                log.get(__name__).warning("heartbeat_missed", reason=type(e).__name__)


def cancel(engine: Engine, import_id: UUID) -> None:
    """Stop an unfinished import; committed chunks remain. Raises Refused: NOT_FOUND, ALREADY_FINISHED."""
    with db.write(engine) as connection:
        state = connection.scalar(
            sa.text("SELECT state FROM imports WHERE import_id = :id FOR UPDATE"), {"id": import_id}
        )
        if state is None:
            raise Refused("There is no such import.", code="NOT_FOUND", path=("importId",))
        if state not in ("QUEUED", "RUNNING"):
            raise Refused(f"The import is already {state}.", code="ALREADY_FINISHED", path=("importId",))
        connection.execute(
            sa.text("UPDATE imports SET state = 'CANCELLED', finished_at = now() WHERE import_id = :id"),
            {"id": import_id},
        )


def due(engine: Engine, lease_seconds: float) -> list[UUID]:
    """Imports that are queued or whose worker has sent no heartbeat for `lease_seconds`, oldest first."""
    with db.read(engine) as connection:
        found = connection.scalars(
            sa.text(
                "SELECT import_id FROM imports WHERE finished_at IS NULL AND (state = 'QUEUED' OR heartbeat_at <"
                " clock_timestamp() - make_interval(secs => :lease)) ORDER BY created_at"
            ),
            {"lease": lease_seconds},
        )
        return list(found)
