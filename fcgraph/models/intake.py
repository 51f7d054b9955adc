"""Batches, watermark, Kafka ranges and intake records."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, Text
from sqlalchemy.dialects.postgresql import BYTEA, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from fcgraph.models.base import (
    NEW_UUID,
    NOW,
    Base,
    Instant,
    OutcomeCounts,
    counts_checks,
)


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
