"""Kafka is unavailable at the start or later, or connections to it are cut: the consumer waits, and loses nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

import pytest
from sqlalchemy import Engine

from fcgraph.embedded import kafka as embedded_kafka
from fcgraph.embedded import ports
from fcgraph.embedded.process import Process as Server
from fcgraph.settings import Settings
from tests import services
from tests.api.client import Api, serving
from tests.faults.conftest import Note, StartTraffic
from tests.faults.proxy import Proxy
from tests.faults.run import SOAK, times
from tests.waiting import until
from tests.workers.conftest import StartConsumer
from tests.workers.topic import Topic

READY_SECONDS = 60
BACK_SECONDS = 30
END_SECONDS = 120
AWAY_SECONDS = (60, 1, 5, 10, 20) if SOAK else (3,)
SOON = {"KAFKA_REQUEST_TIMEOUT_SECONDS": "1", "WAITING_RETRY_SECONDS": "0.2"}  # the defaults would take too long
RATE = 200
OFFSET_COMMIT = b"\x00\x08\x00\x09"  # the start of an OffsetCommit request: API key and version


@dataclass
class Kafka:
    """A Kafka for these tests, not yet started, with two addresses: a direct one, and one through a proxy."""

    server: Server
    address: str
    proxy: Proxy

    def start(self) -> None:
        self.server.start()
        self.server.wait_until_ready(READY_SECONDS)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    folder, port, behind = tmp_path_factory.mktemp("kafka-away"), ports.free(), ports.free()
    part = embedded_kafka.apache_part(services.ROOT / ".fcgraph", folder, port, partitions=4)
    proxy = Proxy("127.0.0.1", behind)
    more = {
        "listeners=": f"PROXIED://127.0.0.1:{behind}",
        "advertised.listeners=": f"PROXIED://127.0.0.1:{proxy.port}",
        "listener.security.protocol.map=": "PROXIED:PLAINTEXT",
    }

    def prepare() -> None:
        assert part.prepare is not None
        part.prepare()
        lines = (folder / "server.properties").read_text().splitlines()
        wider = (line + "".join(f",{value}" for name, value in more.items() if line.startswith(name)) for line in lines)
        (folder / "server.properties").write_text("\n".join(wider))

    with (folder / "kafka.log").open("w") as lines:
        server = Server(replace(part, prepare=prepare), lambda _, line: print(line, file=lines, flush=True))
        yield Kafka(server, f"127.0.0.1:{port}", proxy)
        server.stop()
    proxy.close()


@pytest.fixture
def there(settings: Settings, own: Kafka, apache_kafka: object) -> Settings:
    """Settings with the direct address of this Kafka."""
    return settings.model_copy(update={"kafka_broker": own.address})


@pytest.fixture
def behind_proxy(there: Settings, own: Kafka) -> Settings:
    """Settings with the address of this Kafka's proxy."""
    return there.model_copy(update={"kafka_broker": f"127.0.0.1:{own.proxy.port}"})


def ready(api: Api) -> tuple[int, str]:
    """The status code of `/health/ready`, and its status of Kafka."""
    response = api.client.get("/health/ready")
    return response.status_code, response.json()["kafka"]


def test_kafka_away_at_the_start_and_at_work(
    start_consumer: StartConsumer,
    start_traffic: StartTraffic,
    there: Settings,
    engine: Engine,
    own: Kafka,
    rnd: Random,
    note: Note,
) -> None:
    note("seconds away", AWAY_SECONDS)
    consumer = start_consumer(KAFKA_BROKER=there.kafka_broker, **SOON)
    with serving(there) as api:
        consumer.wait_for("waiting_for_kafka", READY_SECONDS)
        assert ready(api) == (503, "away")
        own.start()
        consumer.wait_for("partitions_assigned", BACK_SECONDS)
        traffic = start_traffic(rate=RATE, broker=there.kafka_broker)
        for seconds in AWAY_SECONDS:
            result = len(consumer.events("batch_applied"))
            consumer.wait_for("batch_applied", READY_SECONDS, count=result + 1)
            until(lambda: ready(api) == (200, "ok"), BACK_SECONDS)
            waited = len(consumer.events("waiting_for_kafka"))
            killed_at = time.monotonic()
            own.server.kill_the_rest()
            until(lambda: ready(api) == (503, "away"), READY_SECONDS)
            consumer.wait_for("waiting_for_kafka", READY_SECONDS, count=waited + 1)
            until(lambda s=seconds, at=killed_at: time.monotonic() - at > s, READY_SECONDS + 1)  # type: ignore[misc]
            result = len(consumer.events("batch_applied"))
            own.start()
            consumer.wait_for("batch_applied", BACK_SECONDS, count=result + 1)
            until(lambda: ready(api) == (200, "ok"), BACK_SECONDS)
    traffic.finish()
    topic = Topic(there)
    until(topic.is_read, END_SECONDS)
    assert consumer.terminate() == 0
    assert not consumer.events("bug")
    traffic.history.check(engine, topic)


def test_connections_to_kafka_cut_stalled_and_answers_lost(
    start_consumer: StartConsumer,
    start_traffic: StartTraffic,
    behind_proxy: Settings,
    engine: Engine,
    own: Kafka,
    rnd: Random,
    note: Note,
) -> None:
    note("cuts", times(100))
    if not own.server.alive:
        own.start()
    consumer = start_consumer(KAFKA_BROKER=behind_proxy.kafka_broker, **SOON)
    consumer.wait_for("partitions_assigned", READY_SECONDS)
    traffic = start_traffic(rate=RATE, broker=behind_proxy.kafka_broker)
    for _ in range(times(100)):
        kind = own.proxy.misbehave(rnd, BACK_SECONDS, lose=OFFSET_COMMIT)
        result = len(consumer.events("batch_applied"))
        consumer.wait_for("batch_applied", BACK_SECONDS, count=result + 1)
        assert consumer.is_running, kind
    traffic.finish()
    note("messages", len(traffic.history.records))
    topic = Topic(behind_proxy)
    until(topic.is_read, END_SECONDS)
    assert consumer.terminate() == 0
    assert not consumer.events("bug")
    traffic.history.check(engine, topic)


def test_a_commit_of_offsets_that_is_never_answered(
    start_consumer: StartConsumer,
    start_traffic: StartTraffic,
    behind_proxy: Settings,
    there: Settings,
    engine: Engine,
    own: Kafka,
    rnd: Random,
) -> None:
    if not own.server.alive:
        own.start()
    consumer = start_consumer(KAFKA_BROKER=behind_proxy.kafka_broker, **SOON)
    pid = consumer.pid
    consumer.wait_for("partitions_assigned", READY_SECONDS)
    traffic = start_traffic(rate=RATE, broker=there.kafka_broker)  # bypasses the proxy
    consumer.wait_for("batch_applied", READY_SECONDS)
    own.proxy.hold_answer_to(OFFSET_COMMIT)
    until(lambda: any(line.get("begins_anew") for line in consumer.events("waiting_for_kafka")), BACK_SECONDS)
    own.proxy.flow()
    assigned = len(consumer.events("partitions_assigned"))
    consumer.wait_for("partitions_assigned", BACK_SECONDS, count=assigned + 1)
    traffic.finish()
    topic = Topic(there)
    until(topic.is_read, END_SECONDS)
    assert (consumer.pid, consumer.terminate()) == (pid, 0)
    traffic.history.check(engine, topic)
