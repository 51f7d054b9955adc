"""How far a consumer group is behind a topic, as data for `status` and `/health/ready`. Joins no group."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from confluent_kafka import (
    OFFSET_BEGINNING,
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from fcgraph.errors import Unavailable

Answer = TypeVar("Answer")

# A broker that has just started answers so for a moment.
SETTLING = (
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError._WAIT_COORD,
)
SETTLING_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """A partition: the next offset to be read (None before the first commit), its end, and the messages between."""

    partition: int
    next_offset: int | None
    end_offset: int
    lag: int


@dataclass(frozen=True, slots=True)
class Lag:
    """All partitions of a topic (none when there is no such topic), and when the oldest unread message was sent.

    `oldest_unread_at` is None when everything is read, or when no unread message could be fetched in time.
    """

    partitions: tuple[PartitionLag, ...]
    oldest_unread_at: datetime | None

    @property
    def total(self) -> int:
        """Unread messages of all partitions."""
        return sum(partition.lag for partition in self.partitions)

    def oldest_unread_age_seconds(self, now: datetime) -> float | None:
        """How long the oldest unread message has been waiting."""
        return None if self.oldest_unread_at is None else max(0.0, (now - self.oldest_unread_at).total_seconds())


def read_lag(broker: str, topic: str, group: str, *, timeout_seconds: float) -> Lag:
    """Ask the cluster, for at most `timeout_seconds` in all. Raises Unavailable when it does not answer in time."""
    deadline = time.monotonic() + timeout_seconds
    consumer = Consumer(
        {
            "bootstrap.servers": broker,
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "allow.auto.create.topics": False,
            "log_level": 0,  # what goes wrong is raised; librdkafka's own lines would only repeat it
        }
    )
    try:
        partitions, starts = _when_it_passes(lambda: _partitions(consumer, topic, deadline), deadline)
        return Lag(partitions, _oldest(consumer, topic, starts, deadline))
    except KafkaException as e:
        raise Unavailable(f"Kafka does not tell how far the consumer is: {e.args[0].str()}") from e
    finally:
        consumer.close()


def _left(deadline: float) -> float:
    return max(0.001, deadline - time.monotonic())


def _when_it_passes(ask: Callable[[], Answer], deadline: float) -> Answer:
    """The answer; asked again while the cluster is still settling who keeps the group's offsets."""
    while True:
        try:
            return ask()
        except KafkaException as e:
            if e.args[0].code() not in SETTLING or time.monotonic() + SETTLING_SECONDS > deadline:
                raise
            time.sleep(SETTLING_SECONDS)


def _partitions(
    consumer: Consumer, topic: str, deadline: float
) -> tuple[tuple[PartitionLag, ...], list[TopicPartition]]:
    """The partitions with their lag, and where reading would go on in those that have any."""
    found = consumer.list_topics(topic, timeout=_left(deadline)).topics[topic].partitions
    asked = [TopicPartition(topic, partition) for partition in sorted(found)]
    committed = consumer.committed(asked, timeout=_left(deadline)) if asked else []
    partitions: list[PartitionLag] = []
    starts: list[TopicPartition] = []
    for tp in committed:
        low, high = consumer.get_watermark_offsets(tp, timeout=_left(deadline))
        next_offset = tp.offset if tp.offset >= 0 else None
        # A position outside the log is one of a topic that was made anew, or of messages that have expired.
        begin = low if next_offset is None or not low <= next_offset <= high else next_offset
        partitions.append(PartitionLag(tp.partition, next_offset, high, high - begin))
        if begin < high:
            starts.append(TopicPartition(topic, tp.partition, begin if begin > low else OFFSET_BEGINNING))
    return tuple(partitions), starts


def _oldest(consumer: Consumer, topic: str, starts: list[TopicPartition], deadline: float) -> datetime | None:
    """When the first unread message of each partition was sent, the earliest of them."""
    waiting = {tp.partition for tp in starts}
    found: list[int] = []
    if starts:
        consumer.assign(starts)
    while waiting and (left := deadline - time.monotonic()) > 0:
        message = consumer.poll(left)
        if message is None or message.error() is not None or message.partition() not in waiting:
            continue
        waiting.discard(message.partition())
        kind, at_ms = message.timestamp()
        if kind != TIMESTAMP_NOT_AVAILABLE:
            found.append(at_ms)
    return datetime.fromtimestamp(min(found) / 1000, UTC) if found else None
