"""The tables. The migrations create them; `alembic check` verifies that both agree.

Triggers and NOT ENFORCED foreign keys cannot be declared here; they are in migrations/versions.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import BigInteger, CheckConstraint, Computed, ForeignKey, Index, Integer, Numeric, SmallInteger, Text
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Money = Numeric(20, 4)
Instant = TIMESTAMP(timezone=True)
NOW = sa.text("now()")
NEW_UUID = sa.text("uuidv7()")
NO_TEXTS = sa.text("'{}'::text[]")

OUTCOMES = ("inserted", "updated", "duplicate", "stale", "conflict", "rejected")
COUNTS_ADD_UP = "read_count = " + " + ".join(f"{o}_count" for o in OUTCOMES)
COUNTS_NOT_NEGATIVE = " AND ".join(f"{o}_count >= 0" for o in (*OUTCOMES, "suspicious"))


class Base(DeclarativeBase):
    """Base of the tables, with fixed constraint names."""

    metadata = sa.MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        }
    )


class OutcomeCounts:
    """The counts of every batch, import and Kafka range: rows read, and rows by outcome."""

    read_count: Mapped[int] = mapped_column(BigInteger, server_default="0")
    inserted_count: Mapped[int] = mapped_column(BigInteger, server_default="0")
    updated_count: Mapped[int] = mapped_column(BigInteger, server_default="0")
    duplicate_count: Mapped[int] = mapped_column(BigInteger, server_default="0")
    stale_count: Mapped[int] = mapped_column(BigInteger, server_default="0")
    conflict_count: Mapped[int] = mapped_column(BigInteger, server_default="0")
    rejected_count: Mapped[int] = mapped_column(BigInteger, server_default="0")
    suspicious_count: Mapped[int] = mapped_column(BigInteger, server_default="0")


def counts_checks() -> tuple[CheckConstraint, CheckConstraint]:
    """The CHECK constraints: every row read has an outcome, and no count is negative."""
    return (
        CheckConstraint(COUNTS_ADD_UP, name="counts_add_up"),
        CheckConstraint(COUNTS_NOT_NEGATIVE, name="counts_not_negative"),
    )


class User(Base):
    """A person who sends or receives payments. Never deleted or renumbered (trigger)."""

    __tablename__ = "users"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant, server_default=NOW)
    # The text that searches match: the name without differences in case and invisible differences.
    search_name: Mapped[str | None] = mapped_column(Text, Computed("search_form(name)", persisted=True))

    # Pages of users are sorted by the beginning of the name: a whole name may not fit into an index (queries/users.py).
    __table_args__ = (Index("ix_users_name", sa.text("left(name, 200)"), "user_id"),)


class UserBatch(Base):
    """What one import of users changed. Its watermark shares one commit order with those of intake batches."""

    __tablename__ = "user_batches"

    user_batch_id: Mapped[int] = mapped_column(BigInteger, sa.Identity(always=True), primary_key=True)
    watermark: Mapped[int | None] = mapped_column(BigInteger)
    read_count: Mapped[int] = mapped_column(BigInteger)
    inserted_count: Mapped[int] = mapped_column(BigInteger)
    renamed_count: Mapped[int] = mapped_column(BigInteger)
    unchanged_count: Mapped[int] = mapped_column(BigInteger)
    rejected_count: Mapped[int] = mapped_column(BigInteger)
    changed_by: Mapped[str] = mapped_column(Text)
    correlation_id: Mapped[str] = mapped_column(Text)
    recorded_at: Mapped[datetime] = mapped_column(Instant, server_default=NOW)

    __table_args__ = (
        sa.UniqueConstraint("watermark"),
        CheckConstraint(
            "read_count = inserted_count + renamed_count + unchanged_count + rejected_count", name="counts_add_up"
        ),
    )


class UserRevision(Base):
    """A rename. Never changed or deleted (trigger). Revision 1 is the first name and has no row here."""

    __tablename__ = "user_revisions"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.user_id"), primary_key=True)
    revision: Mapped[int] = mapped_column(Integer, primary_key=True)
    name_before: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    user_batch_id: Mapped[int] = mapped_column(ForeignKey("user_batches.user_batch_id"))

    __table_args__ = (
        CheckConstraint("revision >= 2", name="revision"),
        Index("ix_user_revisions_user_batch_id", "user_batch_id"),
    )


class Currency(Base):
    """A currency, its scale and the amount above which a payment is suspicious. Never deleted or renamed (trigger)."""

    __tablename__ = "currency"

    code: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    symbol: Mapped[str | None] = mapped_column(Text)
    minor_units: Mapped[int] = mapped_column(SmallInteger, server_default="2")
    suspicious_above: Mapped[Decimal] = mapped_column(Money, server_default="10000")

    __table_args__ = (
        CheckConstraint("code ~ '^[A-Z]{3}$'", name="code"),
        CheckConstraint("minor_units BETWEEN 0 AND 4", name="minor_units"),
        CheckConstraint("suspicious_above >= 0 AND suspicious_above <> 'NaN'", name="suspicious_above"),
    )


class KafkaTopic(Base):
    """One topic of one cluster. A recreated topic has a new topic id, so its offsets are counted from the start."""

    __tablename__ = "kafka_topics"

    topic_ref: Mapped[int] = mapped_column(Integer, sa.Identity(always=True), primary_key=True)
    cluster_id: Mapped[str] = mapped_column(Text)
    topic: Mapped[str] = mapped_column(Text)
    topic_id: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant, server_default=NOW)

    __table_args__ = (sa.UniqueConstraint("cluster_id", "topic", "topic_id"),)


class KafkaPosition(Base):
    """The next offset to be counted in a partition; written in the transaction of the batch."""

    __tablename__ = "kafka_positions"

    topic_ref: Mapped[int] = mapped_column(ForeignKey("kafka_topics.topic_ref"), primary_key=True)
    partition: Mapped[int] = mapped_column(Integer, primary_key=True)
    next_offset: Mapped[int] = mapped_column(BigInteger)


class KafkaGap(Base):
    """Offsets of a partition that were deleted before they were read. Written once, never changed (trigger)."""

    __tablename__ = "kafka_gaps"

    topic_ref: Mapped[int] = mapped_column(ForeignKey("kafka_topics.topic_ref"), primary_key=True)
    partition: Mapped[int] = mapped_column(Integer, primary_key=True)
    first_offset: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    last_offset: Mapped[int] = mapped_column(BigInteger)
    noticed_at: Mapped[datetime] = mapped_column(Instant, server_default=NOW)

    __table_args__ = (
        CheckConstraint("first_offset <= last_offset", name="offsets"),
        Index("ix_kafka_gaps_noticed_at", "noticed_at"),
    )


class Import(OutcomeCounts, Base):
    """The import of one CSV file. This row is the source of truth; a job carries only its id."""

    __tablename__ = "imports"

    import_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=NEW_UUID)
    file_key: Mapped[str] = mapped_column(Text)
    file_name: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(Text)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    mode: Mapped[str] = mapped_column(Text)
    dry_run: Mapped[bool] = mapped_column()
    state: Mapped[str] = mapped_column(Text, server_default="QUEUED")
    header: Mapped[bytes] = mapped_column(BYTEA)
    ignored_columns: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=NO_TEXTS)
    expected_row_count: Mapped[int | None] = mapped_column(BigInteger)
    expected_totals: Mapped[dict[str, str] | None] = mapped_column(JSONB)
    attempt: Mapped[int] = mapped_column(Integer, server_default="0")
    done_chunks: Mapped[int] = mapped_column(Integer, server_default="0")
    done_bytes: Mapped[int] = mapped_column(BigInteger, server_default="0")
    done_lines: Mapped[int] = mapped_column(BigInteger, server_default="0")
    skipped_lines: Mapped[int] = mapped_column(BigInteger, server_default="0")
    failure: Mapped[str | None] = mapped_column(Text)
    correlation_id: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant, server_default=NOW)
    started_at: Mapped[datetime | None] = mapped_column(Instant)
    heartbeat_at: Mapped[datetime | None] = mapped_column(Instant)
    finished_at: Mapped[datetime | None] = mapped_column(Instant)

    __table_args__ = (
        *counts_checks(),
        CheckConstraint("mode IN ('VALID_ROWS', 'ALL_OR_NOTHING')", name="mode"),
        CheckConstraint(
            "state IN ('QUEUED', 'RUNNING', 'SUCCEEDED', 'SUCCEEDED_WITH_REJECTS', 'FAILED', 'CANCELLED')",
            name="state",
        ),
        CheckConstraint("(state IN ('QUEUED', 'RUNNING')) = (finished_at IS NULL)", name="finished"),
        CheckConstraint("skipped_lines >= 0", name="skipped_lines"),
        Index("ix_imports_sha256", "sha256"),
        Index("ix_imports_unfinished", "import_id", postgresql_where=sa.text("finished_at IS NULL")),
    )


class ImportTotal(Base):
    """The sums of an import per currency: what was accepted (stored now or before) and what was rejected."""

    __tablename__ = "import_totals"

    import_id: Mapped[UUID] = mapped_column(ForeignKey("imports.import_id"), primary_key=True)
    currency: Mapped[str] = mapped_column(Text, primary_key=True)
    accepted: Mapped[Decimal] = mapped_column(Numeric, server_default="0")
    rejected: Mapped[Decimal] = mapped_column(Numeric, server_default="0")


class IntakeBatch(OutcomeCounts, Base):
    """What one commit of the intake wrote. `watermark` follows the order of commits."""

    __tablename__ = "intake_batches"

    batch_id: Mapped[int] = mapped_column(BigInteger, sa.Identity(always=True), primary_key=True)
    watermark: Mapped[int | None] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(Text)
    import_id: Mapped[UUID | None] = mapped_column(ForeignKey("imports.import_id"))
    chunk: Mapped[int | None] = mapped_column(Integer)
    topic_ref: Mapped[int | None] = mapped_column(ForeignKey("kafka_topics.topic_ref"))
    correlation_id: Mapped[str] = mapped_column(Text)
    recorded_at: Mapped[datetime] = mapped_column(Instant, server_default=NOW)

    __table_args__ = (
        *counts_checks(),
        sa.UniqueConstraint("watermark"),
        sa.UniqueConstraint("import_id", "chunk"),
        CheckConstraint("kind IN ('CSV', 'KAFKA', 'SEED')", name="kind"),
        # A batch written by the run of an import has a chunk number; one written by replay or resolution has none.
        CheckConstraint(
            "(kind = 'KAFKA') = (topic_ref IS NOT NULL) AND (kind = 'CSV') = (import_id IS NOT NULL)", name="source"
        ),
    )


class IntakeWatermark(Base):
    """One row: the watermark of the last committed batch. Locked from taking a number until COMMIT."""

    __tablename__ = "intake_watermark"

    singleton: Mapped[bool] = mapped_column(primary_key=True, server_default=sa.true())
    last: Mapped[int] = mapped_column(BigInteger, server_default="0")

    __table_args__ = (CheckConstraint("singleton", name="one_row"),)


class KafkaRange(OutcomeCounts, Base):
    """What a batch read from one partition: first and last offset, and the counts by outcome."""

    __tablename__ = "kafka_ranges"

    batch_id: Mapped[int] = mapped_column(ForeignKey("intake_batches.batch_id"), primary_key=True)
    partition: Mapped[int] = mapped_column(Integer, primary_key=True)
    first_offset: Mapped[int] = mapped_column(BigInteger)
    last_offset: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (*counts_checks(), CheckConstraint("first_offset <= last_offset", name="offsets"))


class Transaction(Base):
    """A payment. `batch_id`, `source_partition` and `source_position` say where it first arrived from."""

    __tablename__ = "transactions"

    transaction_id: Mapped[UUID] = mapped_column(primary_key=True)
    sender_id: Mapped[UUID] = mapped_column(ForeignKey("users.user_id"))
    receiver_id: Mapped[UUID] = mapped_column(ForeignKey("users.user_id"))
    timestamp: Mapped[datetime] = mapped_column(Instant)
    batch_id: Mapped[int] = mapped_column(ForeignKey("intake_batches.batch_id"))
    source_position: Mapped[int] = mapped_column(BigInteger)
    source_partition: Mapped[int | None] = mapped_column(Integer)
    is_suspicious: Mapped[bool] = mapped_column()
    amount: Mapped[Decimal] = mapped_column(Money)
    currency: Mapped[str] = mapped_column(ForeignKey("currency.code"))
    status: Mapped[str] = mapped_column(Text)
    suspicions: Mapped[list[str] | None] = mapped_column(ARRAY(Text))

    __table_args__ = (
        CheckConstraint("amount >= 0 AND amount <> 'NaN'", name="amount"),
        CheckConstraint("status IN ('pending', 'completed', 'failed')", name="status"),
        # A user's payments, newest first, and their daily totals from the index alone (`columns.IN_INDEX`).
        Index(
            "ix_transactions_sender",
            "sender_id",
            sa.desc("timestamp"),
            sa.desc("transaction_id"),
            postgresql_include=["currency", "amount", "status", "receiver_id", "is_suspicious"],
        ),
        Index(
            "ix_transactions_receiver",
            "receiver_id",
            sa.desc("timestamp"),
            sa.desc("transaction_id"),
            postgresql_include=["currency", "amount", "status", "sender_id", "is_suspicious"],
        ),
        # All payments newest first, and a month for the report.
        Index("ix_transactions_timestamp", sa.desc("timestamp"), sa.desc("transaction_id")),
        # What a batch or an import wrote: rows are stored in batch order, so a small BRIN index suffices.
        Index("ix_transactions_batch_id", "batch_id", postgresql_using="brin", postgresql_with={"pages_per_range": 16}),
    )


class PaymentRevision(Base):
    """A change of a stored payment: its new status, its previous values, and where the change came from.

    Revision 1 is the payment as first stored and has no row here. Rows are only ever added, and a payment cannot
    change without one (triggers). `note` and `decided_by` are set only if a person decided the change.
    """

    __tablename__ = "payment_revisions"

    transaction_id: Mapped[UUID] = mapped_column(ForeignKey("transactions.transaction_id"), primary_key=True)
    revision: Mapped[int] = mapped_column(Integer, primary_key=True)
    status: Mapped[str] = mapped_column(Text)
    previous: Mapped[dict[str, Any]] = mapped_column(JSONB)
    batch_id: Mapped[int] = mapped_column(ForeignKey("intake_batches.batch_id"))
    source_position: Mapped[int] = mapped_column(BigInteger)
    source_partition: Mapped[int | None] = mapped_column(Integer)
    note: Mapped[str | None] = mapped_column(Text)
    decided_by: Mapped[str | None] = mapped_column(Text)
    recorded_at: Mapped[datetime] = mapped_column(Instant, server_default=NOW)

    __table_args__ = (
        CheckConstraint("revision >= 2", name="revision"),
        CheckConstraint("status IN ('pending', 'completed', 'failed')", name="status"),
        Index("ix_payment_revisions_batch_id", "batch_id"),
    )


class IntakeRecord(Base):
    """A CSV line or Kafka message that was rejected or is in conflict, with its raw bytes; unique by origin.

    Never deleted or reopened (triggers). `resolution` says how it was resolved; a SUPERSEDED record names the row that
    replaced it by import and line.
    """

    __tablename__ = "intake_records"

    record_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=NEW_UUID)
    outcome: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    import_id: Mapped[UUID | None] = mapped_column(ForeignKey("imports.import_id"))
    topic_ref: Mapped[int | None] = mapped_column(ForeignKey("kafka_topics.topic_ref"))
    partition: Mapped[int | None] = mapped_column(Integer)
    position: Mapped[int] = mapped_column(BigInteger)
    transaction_id: Mapped[UUID | None] = mapped_column()
    raw: Mapped[bytes] = mapped_column(BYTEA)
    problems: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default=sa.text("'[]'::jsonb"))
    differences: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default=sa.text("'[]'::jsonb"))
    received_at: Mapped[datetime] = mapped_column(Instant, server_default=NOW)
    resolved_at: Mapped[datetime | None] = mapped_column(Instant)
    resolution: Mapped[str | None] = mapped_column(Text)
    note: Mapped[str | None] = mapped_column(Text)
    resolved_by: Mapped[str | None] = mapped_column(Text)
    superseded_import_id: Mapped[UUID | None] = mapped_column(ForeignKey("imports.import_id"))
    superseded_position: Mapped[int | None] = mapped_column(BigInteger)

    __table_args__ = (
        CheckConstraint("outcome IN ('REJECTED', 'CONFLICT')", name="outcome"),
        CheckConstraint("kind IN ('CSV', 'KAFKA', 'SEED')", name="kind"),
        CheckConstraint("(resolved_at IS NULL) = (resolution IS NULL)", name="resolved"),
        CheckConstraint(
            "(superseded_import_id IS NULL) = (superseded_position IS NULL)"
            " AND (superseded_import_id IS NULL) = (resolution IS DISTINCT FROM 'SUPERSEDED')",
            name="superseded",
        ),
        Index("ix_intake_records_open", "record_id", postgresql_where=sa.text("resolved_at IS NULL")),
        Index("uq_intake_records_csv", "import_id", "position", unique=True, postgresql_where=sa.text("kind = 'CSV'")),
        Index(
            "uq_intake_records_kafka",
            "topic_ref",
            "partition",
            "position",
            unique=True,
            postgresql_where=sa.text("kind = 'KAFKA'"),
        ),
    )


class Report(Base):
    """One version of one month's CSV. The bytes are stored once under `file_key` and never rewritten."""

    __tablename__ = "reports"

    period: Mapped[str] = mapped_column(Text, primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    file_name: Mapped[str] = mapped_column(Text)
    file_key: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(Text)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    row_count: Mapped[int] = mapped_column(BigInteger)
    watermark: Mapped[int] = mapped_column(BigInteger)
    time_zone: Mapped[str] = mapped_column(Text)
    statuses: Mapped[list[str]] = mapped_column(ARRAY(Text))
    totals: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    balanced: Mapped[bool] = mapped_column()
    is_final_period: Mapped[bool] = mapped_column()
    correlation_id: Mapped[str] = mapped_column(Text)
    generated_at: Mapped[datetime] = mapped_column(Instant, server_default=NOW)

    __table_args__ = (
        sa.UniqueConstraint("file_name"),
        CheckConstraint("period ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'", name="period"),
        CheckConstraint("version >= 1", name="version"),
    )


class JobRun(Base):
    """When a scheduled job ran and how it ended; one row per run."""

    __tablename__ = "job_runs"

    run_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=NEW_UUID)
    job: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, server_default="RUNNING")
    detail: Mapped[str | None] = mapped_column(Text)
    correlation_id: Mapped[str] = mapped_column(Text)
    started_at: Mapped[datetime] = mapped_column(Instant, server_default=NOW)
    finished_at: Mapped[datetime | None] = mapped_column(Instant)

    __table_args__ = (
        CheckConstraint("state IN ('RUNNING', 'SUCCEEDED', 'FAILED')", name="state"),
        Index("ix_job_runs_job", "job", sa.desc("started_at")),
    )


class ProcessHeartbeat(Base):
    """When a running process last made progress; `instance` distinguishes processes of the same kind."""

    __tablename__ = "process_heartbeats"

    process: Mapped[str] = mapped_column(Text, primary_key=True)
    instance: Mapped[str] = mapped_column(Text, primary_key=True)
    host: Mapped[str] = mapped_column(Text)
    pid: Mapped[int] = mapped_column(Integer)
    started_at: Mapped[datetime] = mapped_column(Instant, server_default=NOW)
    progress_at: Mapped[datetime] = mapped_column(Instant, server_default=NOW)
