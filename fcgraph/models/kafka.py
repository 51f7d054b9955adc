"""Topics, positions and gaps of Kafka."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, Text
from sqlalchemy.orm import Mapped, mapped_column

from fcgraph.models.base import (
    NOW,
    Base,
    Instant,
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
