"""The lag of a consumer group on a topic, as data for `status` and `/health/ready`. Does not join the group.

Only what can be delivered counts. A partition may end in transaction markers and aborted messages, which are never
delivered, and messages behind an open transaction cannot be delivered yet.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from confluent_kafka import (
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from fcgraph.errors import Unavailable

Answer = TypeVar("Answer")

# Errors of a broker that is starting.
STARTING = (
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError._WAIT_COORD,
)
STARTING_SECONDS = 0.1
FETCH_WAIT_MS = 10  # how long a broker delays an empty response


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """A partition: the next offset to be read (None before the first commit), its end, and what waits between.

    `end_offset` is the end of what can be delivered now. `unread` counts from the first unread message to that end:
    it is 0 when nothing there can be delivered, and counts transaction markers that stand between unread messages.
    `oldest_unread_at` is when the first unread message was sent; None when there is none, or it was not fetched in
    time. `held_by_transaction` counts the messages and markers that wait behind an open transaction.
    """

    topic: str
    partition: int
    next_offset: int | None
    end_offset: int
    unread: int
    oldest_unread_at: datetime | None
    held_by_transaction: int


@dataclass(frozen=True, slots=True)
class Lag:
    """All partitions of a topic; empty when the topic does not exist."""

    partitions: tuple[PartitionLag, ...]

    @property
    def total(self) -> int:
        """Unread messages of all partitions."""
        return sum(partition.unread for partition in self.partitions)

    @property
    def held_by_transaction(self) -> int:
        """What waits behind open transactions, in all partitions."""
        return sum(partition.held_by_transaction for partition in self.partitions)

    @property
    def oldest_unread_at(self) -> datetime | None:
        """When the oldest unread message was sent; None when everything is read, or none was fetched in time."""
        return min((p.oldest_unread_at for p in self.partitions if p.oldest_unread_at is not None), default=None)

    def oldest_unread_age_seconds(self, now: datetime) -> float | None:
        """How long the oldest unread message has been waiting."""
        return None if self.oldest_unread_at is None else max(0.0, (now - self.oldest_unread_at).total_seconds())

    def shown(self, now: datetime) -> dict[str, Any]:
        """As `status --json` and `/health/ready` show it."""
        return {
            "total": self.total,
            "partitions": {str(p.partition): p.unread for p in self.partitions},
            "oldest_unread_age_seconds": self.oldest_unread_age_seconds(now),
            "held_by_transaction": {str(p.partition): p.held_by_transaction for p in self.partitions},
        }


class _Extent(NamedTuple):
    """Where a partition starts, where what can be delivered ends, and where everything ends."""

    start: int
    end: int
    high: int


class _First(NamedTuple):
    """The first message that can be delivered, and when it was sent (None when unknown)."""

    offset: int
    sent_at: datetime | None


class LagReader:
    """Keeps its connections open, since connecting takes longer than a read. For one read at a time."""

    def __init__(self, broker: str, topic: str, group: str) -> None:
        self._topic = topic
        # log_level 0: errors are raised; librdkafka's log lines would only repeat them
        client = {"bootstrap.servers": broker, "log_level": 0, "reconnect.backoff.max.ms": 1000}
        self._admin = AdminClient(client)
        self._consumer = Consumer(
            {
                **client,
                "group.id": group,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest",
                "allow.auto.create.topics": False,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": FETCH_WAIT_MS,
                "queued.min.messages": 1,  # only one is needed
                "fetch.queue.backoff.ms": 1,  # by default librdkafka pauses for a second after that one
            }
        )

    def read(self, timeout_seconds: float) -> Lag:
        """Read the lag within this time. Raises Unavailable when the cluster does not respond in time."""
        deadline = time.monotonic() + timeout_seconds
        try:
            return _when_it_passes(lambda: self._read(deadline), deadline)
        except KafkaException as e:
            raise Unavailable(f"Consumer lag could not be read from Kafka: {e.args[0].str()}") from e
        except TimeoutError as e:
            raise Unavailable("Consumer lag could not be read from Kafka: no response in time") from e

    def _read(self, deadline: float) -> Lag:
        found = self._consumer.list_topics(self._topic, timeout=_left(deadline)).topics[self._topic].partitions
        if not found:
            return Lag(())
        wanted = [TopicPartition(self._topic, partition) for partition in sorted(found)]
        extents = self._extents(wanted, deadline)
        committed = self._consumer.committed(wanted, timeout=_left(deadline))
        next_offsets = {tp.partition: tp.offset if tp.offset >= 0 else None for tp in committed}
        begins = {partition: _begin(next_offsets[partition], extent) for partition, extent in extents.items()}
        firsts = self._first({p: begin for p, begin in begins.items() if begin < extents[p].end}, deadline)
        partitions = []
        for partition, extent in extents.items():
            # Where nothing was found in time, everything up to the end may be unread.
            first = firsts.get(partition, _First(begins[partition], None))
            partitions.append(
                PartitionLag(
                    self._topic,
                    partition,
                    next_offsets[partition],
                    extent.end,
                    max(0, extent.end - first.offset),
                    first.sent_at,
                    max(0, extent.high - extent.end),
                )
            )
        return Lag(tuple(partitions))

    def _extents(self, wanted: Sequence[TopicPartition], deadline: float) -> dict[int, _Extent]:
        """Three requests for all partitions, sent at the same time."""
        questions = [
            self._admin.list_offsets(
                dict.fromkeys(wanted, spec), isolation_level=level, request_timeout=_left(deadline)
            )
            for spec, level in (
                (OffsetSpec.earliest(), IsolationLevel.READ_UNCOMMITTED),
                (OffsetSpec.latest(), IsolationLevel.READ_COMMITTED),
                (OffsetSpec.latest(), IsolationLevel.READ_UNCOMMITTED),
            )
        ]
        answers = [
            {tp.partition: future.result(_left(deadline)).offset for tp, future in question.items()}
            for question in questions
        ]
        return {tp.partition: _Extent(*(answer[tp.partition] for answer in answers)) for tp in wanted}

    def _first(self, begins: dict[int, int], deadline: float) -> dict[int, _First]:
        """The first deliverable message of each partition; the partition's end where there is none."""
        waiting = set(begins)
        found: dict[int, _First] = {}
        if waiting:
            self._consumer.assign([TopicPartition(self._topic, p, offset) for p, offset in begins.items()])
        try:
            while waiting and (left := deadline - time.monotonic()) > 0:
                message = self._consumer.poll(left)
                if message is None or message.partition() not in waiting:
                    continue
                error = message.error()
                if error is not None and error.code() != KafkaError._PARTITION_EOF:
                    continue
                waiting.discard(message.partition())
                found[message.partition()] = _First(message.offset(), _sent_at(message) if error is None else None)
        finally:
            if begins:
                self._consumer.unassign()
        return found

    def close(self) -> None:
        """Close the connections."""
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def read_lag(broker: str, topic: str, group: str, *, timeout_seconds: float) -> Lag:
    """Read once, within `timeout_seconds`. Raises Unavailable when the cluster does not respond in time."""
    with LagReader(broker, topic, group) as reader:
        return reader.read(timeout_seconds)


def _begin(next_offset: int | None, extent: _Extent) -> int:
    """Where reading continues. A position outside the log belongs to a recreated topic or to expired messages."""
    return extent.start if next_offset is None or not extent.start <= next_offset <= extent.high else next_offset


def _sent_at(message: Any) -> datetime | None:
    kind, at_ms = message.timestamp()
    return None if kind == TIMESTAMP_NOT_AVAILABLE else datetime.fromtimestamp(at_ms / 1000, UTC)


def _left(deadline: float) -> float:
    return max(0.001, deadline - time.monotonic())


def _when_it_passes(ask: Callable[[], Answer], deadline: float) -> Answer:
    """The result; retried while the cluster is still electing the group's coordinator."""
    while True:
        try:
            return ask()
        except KafkaException as e:
            if e.args[0].code() not in STARTING or time.monotonic() + STARTING_SECONDS > deadline:
                raise
            time.sleep(STARTING_SECONDS)
