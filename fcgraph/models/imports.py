"""CSV imports and their control totals."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, Numeric, Text
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from fcgraph.models.base import (
    NEW_UUID,
    NO_TEXTS,
    NOW,
    Base,
    Instant,
    OutcomeCounts,
    counts_checks,
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
