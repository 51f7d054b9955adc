"""Payments and their revisions."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from fcgraph.models.base import (
    NOW,
    Base,
    Instant,
    Money,
)


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
