"""What every table shares: the base class, column types, and the counts with their CHECKs."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import BigInteger, CheckConstraint, Numeric
from sqlalchemy.dialects.postgresql import TIMESTAMP
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
