"""Kafka for the consumer and the producer: availability, the topic's identity, creation of a missing topic.

Reads and sends no messages. Works with Apache Kafka and librdkafka's in-process broker, which supports less.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ClusterMetadata, OffsetSpec
from quixstreams.models.topics import Topic, TopicAdmin, TopicConfig, TopicManager

from fcgraph.intake.kafka_positions import Extent
from fcgraph.settings import Settings

IN_PROCESS_CLUSTER = "mockCluster"  # prefix of the cluster id of librdkafka's in-process broker
RECONNECT_MAX_MS = 1000  # with librdkafka's default, 10 s, a restarted broker is noticed too late


class TopicIdentity(NamedTuple):
    """Distinguishes topics of the same name: on another cluster, or deleted and recreated."""

    cluster_id: str
    topic: str
    topic_id: str


def client_config() -> dict[str, Any]:
    """The options of all our clients, in addition to the broker's address."""
    return {"reconnect.backoff.max.ms": RECONNECT_MAX_MS, "log.connection.close": False}


def make_admin(settings: Settings) -> AdminClient:
    """An admin client. Does not connect yet."""
    return AdminClient(
        {"bootstrap.servers": settings.kafka_broker, "logger": logging.getLogger(__name__), **client_config()}
    )


def is_in_process(cluster: ClusterMetadata) -> bool:
    """Whether this is librdkafka's in-process broker, which lives in the memory of a process."""
    return str(cluster.cluster_id).startswith(IN_PROCESS_CLUSTER)


def identify(admin: AdminClient, topic: str, timeout_seconds: float) -> TopicIdentity:
    """Get the topic's identity from the cluster. Raises KafkaException when it does not respond or has no such topic.

    The in-process broker has no topic ids, but its topics do not outlive it. Its address (a random port) and its
    cluster id (an address in its process's memory) are new after each start, so together they serve as the id.
    """
    cluster = admin.list_topics(timeout=timeout_seconds)  # lists all topics: naming a missing one might create it
    if is_in_process(cluster):
        topic_id = ",".join(sorted(f"{broker.host}:{broker.port}" for broker in cluster.brokers.values()))
    else:
        described = admin.describe_topics(TopicCollection([topic]), request_timeout=timeout_seconds)
        topic_id = str(described[topic].result().topic_id)
    return TopicIdentity(str(cluster.cluster_id), topic, topic_id)


def extents(admin: AdminClient, topic: str, partitions: Sequence[int], timeout_seconds: float) -> dict[int, Extent]:
    """Get from the cluster where these partitions start and end. Raises KafkaException."""
    wanted = [TopicPartition(topic, partition) for partition in partitions]
    questions = [
        admin.list_offsets(
            dict.fromkeys(wanted, spec),
            isolation_level=IsolationLevel.READ_UNCOMMITTED,
            request_timeout=timeout_seconds,
        )
        for spec in (OffsetSpec.earliest(), OffsetSpec.latest())
    ]
    try:
        starts, ends = (
            {tp.partition: future.result(timeout_seconds).offset for tp, future in question.items()}
            for question in questions
        )
    except TimeoutError as e:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from e
    return {partition: Extent(starts[partition], ends[partition]) for partition in partitions}


class InProcessTopicAdmin(TopicAdmin):
    """Topics of the in-process broker: it creates a topic on a metadata request, and has no topic configuration."""

    def inspect_topics(self, topic_names: list[str], timeout: float = 30) -> dict[str, TopicConfig | None]:
        found: dict[str, TopicConfig | None] = {}
        for name in topic_names:
            partitions = self.admin_client.list_topics(name, timeout=timeout).topics[name].partitions
            replicas = len(partitions[0].replicas) if partitions else 1
            found[name] = TopicConfig(len(partitions), replicas, extra_config={}) if partitions else None
        return found

    def create_topics(self, topics: list[Topic], timeout: float = 30, finalize_timeout: float = 60) -> None:
        self.inspect_topics([topic.name for topic in topics], timeout)


def topic_manager(settings: Settings, cluster: ClusterMetadata) -> TopicManager:
    """Looks up topics for an Application, and creates missing ones."""
    kind = InProcessTopicAdmin if is_in_process(cluster) else TopicAdmin
    return TopicManager(
        topic_admin=kind(broker_address=settings.kafka_broker, extra_config=client_config()),
        consumer_group=settings.kafka_consumer_group,
        timeout=settings.kafka_request_timeout_seconds,
        create_timeout=settings.kafka_request_timeout_seconds,
    )
