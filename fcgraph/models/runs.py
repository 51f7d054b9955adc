"""What processes leave behind: report versions, job runs, heartbeats."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import BigInteger, CheckConstraint, Index, Integer, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from fcgraph.models.base import (
    NEW_UUID,
    NOW,
    Base,
    Instant,
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
