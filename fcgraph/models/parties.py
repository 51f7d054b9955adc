"""Users with their revisions, and currencies."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import BigInteger, CheckConstraint, Computed, ForeignKey, Index, Integer, SmallInteger, Text
from sqlalchemy.orm import Mapped, mapped_column

from fcgraph.models.base import (
    NOW,
    Base,
    Instant,
    Money,
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
