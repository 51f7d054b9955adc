"""Both channels for tests, and queries of the resulting database."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Engine

from fcgraph import db, imports, intake
from fcgraph.imports import Expected
from fcgraph.intake import Counts, Source, Writer
from fcgraph.intake.batch import COUNT_COLUMNS
from fcgraph.settings import Settings
from fcgraph.storage.files import Files
from tests.intake.cases import HEADER, line
from tests.waiting import until

Message = tuple[int, int, bytes | None]


class StoredRecord(NamedTuple):
    """An intake record as tests see it."""

    record_id: UUID
    outcome: str
    position: int
    raw: bytes
    problems: list[dict[str, Any]]
    differences: list[dict[str, Any]]
    resolution: str | None
    import_id: UUID | None


class Resources:
    """A database, its settings and its files."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine = engine
        self.settings = settings
        self.files = Files(settings.uploads_dir)

    def accept(
        self,
        data: bytes | str,
        *,
        dry_run: bool = False,
        mode: str = "VALID_ROWS",
        expected: Expected | None = None,
        reimport: bool = False,
    ) -> imports.Accepted:
        return imports.accept(
            self.engine,
            self.files,
            [data.encode() if isinstance(data, str) else data],
            file_name="payments.csv",
            dry_run=dry_run,
            mode=mode,
            expected=expected,
            reimport=reimport,
            correlation_id="test",
            upload_max_bytes=self.settings.upload_max_bytes,
        )

    def run(self, import_id: UUID, *, on_progress: Callable[[float], None] | None = None) -> None:
        imports.run(self.engine, self.files, import_id, self.settings, on_progress=on_progress)

    def import_csv(self, data: bytes | str, **options: Any) -> UUID:
        """Accept and run a file; its id."""
        accepted = self.accept(data, **options)
        self.run(accepted.import_id)
        return accepted.import_id

    def import_rows(self, rows: Iterable[str], **options: Any) -> UUID:
        """Import lines below the usual header."""
        return self.import_csv("\n".join([HEADER, *rows, ""]), **options)

    def send(self, messages: Sequence[Message], topic: str = "t", *, slice_max: int = 1000) -> None:
        """Send messages through the Kafka channel, in slices."""
        with db.write(self.engine) as connection:
            ref = intake.topic_ref(connection, "cluster", topic, "id")
        writer = Writer(self.engine, self.settings)
        try:
            for at in range(0, len(messages), slice_max):
                source = Source("KAFKA", topic_ref=ref)
                writer.submit_messages(messages[at : at + slice_max], source, correlation_id="test")
            writer.drain()
        finally:
            writer.close()

    def rows(self, statement: str, **keys: object) -> list[Any]:
        """All rows of a query."""
        with db.read(self.engine) as connection:
            return list(connection.execute(sa.text(statement), keys))

    def job(self, import_id: UUID) -> Any:
        """The import's row."""
        (row,) = self.rows("SELECT * FROM imports WHERE import_id = :id", id=import_id)
        return row

    def counts(self, import_id: UUID) -> Counts:
        """The import's counts."""
        row = self.job(import_id)
        return Counts(*(getattr(row, column) for column in COUNT_COLUMNS))

    def batch_counts(self) -> Counts:
        """The counts of all batches together."""
        total = Counts()
        for row in self.rows(f"SELECT {', '.join(COUNT_COLUMNS)} FROM intake_batches"):
            total += Counts(*row)
        return total

    def records(self) -> list[StoredRecord]:
        """All intake records, ordered by origin."""
        found = self.rows(
            "SELECT record_id, outcome, position, raw, problems, differences, resolution, import_id FROM intake_records"
            " ORDER BY import_id, topic_ref, partition, position"
        )
        return [StoredRecord(*row)._replace(raw=bytes(row.raw)) for row in found]

    def payments(self) -> list[tuple[Any, ...]]:
        """All payments without their lineage."""
        found = self.rows(
            "SELECT transaction_id::text, sender_id::text, receiver_id::text, amount, currency, timestamp, status,"
            " is_suspicious, suspicions FROM transactions ORDER BY transaction_id"
        )
        return [tuple(row) for row in found]


def break_off(resources: Resources, work: Callable[[], object], first: str, wanted: str) -> None:
    """Run `work` while another session writes two of its ids in the opposite order, so that `work` loses the deadlock.

    The other session then rolls back. One payment must be stored; those of the other session are copies of it.
    """
    insert = sa.text(
        "INSERT INTO transactions (transaction_id, sender_id, receiver_id, timestamp, batch_id, source_position,"
        " is_suspicious, amount, currency, status) SELECT CAST(:id AS uuid), sender_id, receiver_id, timestamp,"
        " batch_id, 1, false, amount, currency, status FROM transactions LIMIT 1"
    )
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as e:  # noqa: BLE001 raised below
            failed.append(e)

    def waits() -> bool:
        statement = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        return bool(resources.rows(statement))

    thread = threading.Thread(target=run)
    with resources.engine.connect() as stranger, stranger.begin() as transaction:
        stranger.execute(sa.text("SET LOCAL deadlock_timeout = '1h'"))  # only `work` detects the deadlock
        stranger.execute(sa.text("SET LOCAL lock_timeout = 0"))
        stranger.execute(insert, {"id": first})
        thread.start()
        until(waits, 10)
        stranger.execute(insert, {"id": wanted})
        transaction.rollback()
    thread.join()
    if failed:
        raise failed[0]


def settings_of(database_url: str, folder: Path) -> Settings:
    """Settings for the intake only; small chunks, so that small files have several."""
    return Settings(
        database_url=database_url, uploads_dir=folder / "uploads", csv_chunk_bytes=4096, import_lease_seconds=1
    )


def payment_id(n: int) -> str:
    """The n-th payment id."""
    return f"a1b2c3d4-e5f6-7a8b-9c0d-{n:012}"


def row(n: int, **changed: str) -> str:
    """A good CSV line with the n-th id."""
    return line(transaction_id=payment_id(n), **changed)
