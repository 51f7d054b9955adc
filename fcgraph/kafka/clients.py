"""Kafka as the consumer and the producer meet it: is it there, which topic is this, how is a missing one made.

Reads and sends no message. Works on Apache Kafka and on librdkafka's in-process broker, which knows fewer requests.
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

IN_PROCESS_CLUSTER = "mockCluster"  # how the cluster id of librdkafka's in-process broker begins
RECONNECT_MAX_MS = 1000  # librdkafka's own 10 s would make a broker that is back look away for longer


class TopicIdentity(NamedTuple):
    """What tells a topic from another one of the same name: on another cluster, or deleted and made anew."""

    cluster_id: str
    topic: str
    topic_id: str


def client_config() -> dict[str, Any]:
    """What every client of ours is told, beside the broker's address."""
    return {"reconnect.backoff.max.ms": RECONNECT_MAX_MS, "log.connection.close": False}


def make_admin(settings: Settings) -> AdminClient:
    """A client for questions about the cluster. Makes no connection yet."""
    return AdminClient(
        {"bootstrap.servers": settings.kafka_broker, "logger": logging.getLogger(__name__), **client_config()}
    )


def is_in_process(cluster: ClusterMetadata) -> bool:
    """Whether the broker is librdkafka's own, which lives in some process's memory."""
    return str(cluster.cluster_id).startswith(IN_PROCESS_CLUSTER)


def identify(admin: AdminClient, topic: str, timeout_seconds: float) -> TopicIdentity:
    """Ask the cluster which topic this is. Raises KafkaException when it does not answer or has no such topic.

    The in-process broker gives topics no id, but none of its topics outlives it: its address (a random port) and its
    cluster id (an address in its process's memory) are new whenever it is started, so together they serve as the id.
    """
    cluster = admin.list_topics(timeout=timeout_seconds)  # of all topics: naming a missing one might make it
    if is_in_process(cluster):
        topic_id = ",".join(sorted(f"{broker.host}:{broker.port}" for broker in cluster.brokers.values()))
    else:
        described = admin.describe_topics(TopicCollection([topic]), request_timeout=timeout_seconds)
        topic_id = str(described[topic].result().topic_id)
    return TopicIdentity(str(cluster.cluster_id), topic, topic_id)


def extents(admin: AdminClient, topic: str, partitions: Sequence[int], timeout_seconds: float) -> dict[int, Extent]:
    """Ask the cluster where these partitions start and end. Raises KafkaException."""
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
    """Topics of the in-process broker: it makes a topic when asked about it, and has no configuration to tell."""

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
    """What an Application asks about topics, and makes a missing one with."""
    kind = InProcessTopicAdmin if is_in_process(cluster) else TopicAdmin
    return TopicManager(
        topic_admin=kind(broker_address=settings.kafka_broker, extra_config=client_config()),
        consumer_group=settings.kafka_consumer_group,
        timeout=settings.kafka_request_timeout_seconds,
        create_timeout=settings.kafka_request_timeout_seconds,
    )
