"""Kafka away at the start and at work: waited for and said, nothing lost, nothing doubled, back at work in time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from fcgraph.embedded import kafka as embedded_kafka
from fcgraph.embedded import ports
from fcgraph.embedded.process import Process as Server
from fcgraph.settings import Settings
from tests import services
from tests.faults.conftest import StartTraffic
from tests.faults.run import SOAK, times
from tests.waiting import until
from tests.workers.conftest import StartConsumer
from tests.workers.topic import Topic

READY_SECONDS = 60
BACK_SECONDS = 30
END_SECONDS = 120
AWAY_SECONDS = 60 if SOAK else 8
RATE = 200


@pytest.fixture
def server(tmp_path: Path, apache_kafka: object) -> Iterator[tuple[Server, str]]:
    """A Kafka of the test's own, not started yet, and its address."""
    port = ports.free()
    part = embedded_kafka.apache_part(services.ROOT / ".fcgraph", tmp_path / "kafka", port, partitions=4)
    with (tmp_path / "kafka.log").open("w") as lines:
        process = Server(part, lambda _, line: print(line, file=lines, flush=True))
        yield process, f"127.0.0.1:{port}"
        process.stop()


def test_kafka_away_at_the_start_and_at_work(
    start_consumer: StartConsumer,
    start_traffic: StartTraffic,
    settings: Settings,
    engine: Engine,
    server: tuple[Server, str],
) -> None:
    process, address = server
    consumer = start_consumer(KAFKA_BROKER=address)
    consumer.wait_for("waiting_for_kafka", READY_SECONDS)
    process.start()
    process.wait_until_ready(READY_SECONDS)
    consumer.wait_for("partitions_assigned", BACK_SECONDS)
    topic = Topic(settings.model_copy(update={"kafka_broker": address}))
    traffic = start_traffic(rate=RATE, broker=address)
    for _ in range(times(20)):
        settled = len(consumer.events("batch_settled"))
        consumer.wait_for("batch_settled", READY_SECONDS, count=settled + 1)
        waited = len(consumer.events("waiting_for_kafka"))
        killed_at = time.monotonic()
        process.kill_the_rest()
        until(lambda at=killed_at: time.monotonic() - at > AWAY_SECONDS, 2 * AWAY_SECONDS)  # type: ignore[misc]
        consumer.wait_for("waiting_for_kafka", READY_SECONDS, count=waited + 1)
        settled = len(consumer.events("batch_settled"))
        process.start()
        process.wait_until_ready(READY_SECONDS)
        consumer.wait_for("batch_settled", BACK_SECONDS, count=settled + 1)
    traffic.finish()
    until(topic.is_read, END_SECONDS)
    assert consumer.terminate() == 0
    assert not consumer.events("bug")
    traffic.history.check(engine, topic)
