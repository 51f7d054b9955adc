"""A topic as the tests use it: send messages, read the group's offsets, reset them, delete and recreate it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from uuid import UUID

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from fcgraph.kafka import lag as kafka_lag
from fcgraph.settings import Settings
from tests.waiting import until

TIMEOUT_SECONDS = 10
PARTITIONS = 4


def payment(number: int, **changes: object) -> dict[str, object]:
    """A valid message; `number` determines its id."""
    return {
        "transaction_id": str(UUID(int=number)),
        "sender_id": "00000000-0000-0000-0000-000000000001",
        "receiver_id": "00000000-0000-0000-0000-000000000002",
        "amount": "250.00",
        "currency": "USD",
        "timestamp": "2025-05-01T12:00:00Z",
        "status": "completed",
        **changes,
    }


def value(number: int, **changes: object) -> bytes:
    """A valid message as sent."""
    return json.dumps(payment(number, **changes)).encode()


class Topic:
    """The topic and the group that the settings name."""

    def __init__(self, settings: Settings) -> None:
        self.name = settings.kafka_topic
        self.group = settings.kafka_consumer_group
        self.broker = settings.kafka_broker
        self.admin = AdminClient({"bootstrap.servers": self.broker, "log_level": 0})

    def make(self, partitions: int = PARTITIONS) -> None:
        """Create it on Apache Kafka; the in-process broker creates topics when they are first named."""
        for made in self.admin.create_topics([NewTopic(self.name, partitions, 1)]).values():
            made.result(TIMEOUT_SECONDS)

    def delete(self) -> None:
        """Delete it, and wait until the cluster confirms it."""
        for deleted in self.admin.delete_topics([self.name]).values():
            deleted.result(TIMEOUT_SECONDS)
        until(lambda: self.name not in self.admin.list_topics(timeout=TIMEOUT_SECONDS).topics, TIMEOUT_SECONDS)

    def send(self, values: Iterable[bytes | None], partition: int | None = None) -> int:
        """Send and wait for delivery, spread over the partitions or to one; returns how many."""
        producer = Producer({"bootstrap.servers": self.broker, "log_level": 0})
        count = 0
        failed: list[object] = []
        for found in values:
            while True:
                try:
                    producer.produce(
                        self.name,
                        value=found,
                        partition=count % PARTITIONS if partition is None else partition,
                        on_delivery=lambda error, _: failed.append(error) if error is not None else None,
                    )
                    break
                except BufferError:
                    producer.poll(0.1)
            count += 1
        assert producer.flush(TIMEOUT_SECONDS) == 0
        assert not failed
        return count

    def lag(self) -> kafka_lag.Lag:
        """The group's lag."""
        return kafka_lag.read_lag(self.broker, self.name, self.group, timeout_seconds=TIMEOUT_SECONDS)

    def is_read(self) -> bool:
        """Whether every message has its offset committed."""
        lag = self.lag()
        return bool(lag.partitions) and lag.total == 0

    def committed(self) -> dict[int, int]:
        """The group's committed offset of each partition that has one."""
        return {p.partition: p.next_offset for p in self.lag().partitions if p.next_offset is not None}

    def set_back(self, offset: int = 0, within_seconds: float = 30) -> None:
        """Set the group's offsets of all partitions, as its only member: waits until there is no other member."""
        wanted = [TopicPartition(self.name, p.partition, offset) for p in self.lag().partitions]
        consumer = Consumer(
            {
                "bootstrap.servers": self.broker,
                "group.id": self.group,
                "enable.auto.commit": False,
                "session.timeout.ms": 6000,  # the in-process broker uses the newest member's for all of them
                "log_level": 0,
            }
        )
        consumer.subscribe([self.name])

        def all_ours() -> bool:
            consumer.poll(0.1)
            return len(consumer.assignment()) == len(wanted)

        try:
            until(all_ours, within_seconds)
            consumer.commit(offsets=wanted, asynchronous=False)
        finally:
            consumer.close()
