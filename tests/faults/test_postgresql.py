"""PostgreSQL is killed under load; connections are cut, stalled, half-closed or cut between COMMIT and its answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import Engine

from fcgraph import db, queue
from fcgraph.embedded import ports, postgres
from fcgraph.embedded.process import Process as Server
from fcgraph.settings import Settings
from tests import services
from tests.api.client import Api, serving
from tests.faults.conftest import Note, StartTraffic, through
from tests.faults.imports import RESUME_SECONDS_MAX, Imports
from tests.faults.proxy import Proxy
from tests.faults.run import SOAK, times
from tests.jobs.processes import Environment
from tests.waiting import until
from tests.workers.conftest import StartConsumer
from tests.workers.topic import Topic
from tests.workers.topic_counts import topic_counts

READY_SECONDS = 60
BACK_SECONDS = 30
END_SECONDS = 120
AWAY_SECONDS = 60 if SOAK else 4
RATE = 300


def test_connections_cut_stalled_and_answers_lost(
    start_consumer: StartConsumer,
    start_traffic: StartTraffic,
    topic: Topic,
    engine: Engine,
    settings: Settings,
    postgres_proxy: Proxy,
    rnd: Random,
    note: Note,
) -> None:
    note("cuts", times(200))
    consumer = start_consumer(DATABASE_URL=through(postgres_proxy, settings), WAITING_RETRY_SECONDS="0.2")
    consumer.wait_for("partitions_assigned", READY_SECONDS)
    traffic = start_traffic(rate=RATE)
    for _ in range(times(200)):
        kind = postgres_proxy.misbehave(rnd, BACK_SECONDS, lose=b"COMMIT", after=b"intake_watermark")
        result = len(consumer.events("batch_applied"))
        consumer.wait_for("batch_applied", BACK_SECONDS, count=result + 1)
        assert consumer.is_running, kind
    traffic.finish()
    note("messages", len(traffic.history.records))
    until(topic.is_read, END_SECONDS)
    assert consumer.terminate() == 0
    assert not consumer.events("bug")
    traffic.history.check(engine, topic)


def test_away_is_waited_for_reported_and_is_no_rejection(
    start_consumer: StartConsumer,
    start_traffic: StartTraffic,
    topic: Topic,
    engine: Engine,
    settings: Settings,
    postgres_proxy: Proxy,
    jobs: Environment,
    imports: Imports,
    note: Note,
) -> None:
    note("seconds away", AWAY_SECONDS)
    url = through(postgres_proxy, settings)
    jobs.settings["DATABASE_URL"] = url
    others = [jobs.start("-m", "workers.worker"), jobs.start("-m", "workers.scheduler")]
    consumer = start_consumer(DATABASE_URL=url)
    consumer.wait_for("partitions_assigned", READY_SECONDS)
    traffic = start_traffic(rate=RATE)
    consumer.wait_for("batch_applied", READY_SECONDS)
    with serving(settings.model_copy(update={"database_url": url})) as api:
        until(lambda: ready(api) == (200, "ok"), READY_SECONDS)
        import_id = imports.accept()
        queue.enqueue_import(settings.redis_url, import_id)
        until(lambda: imports.row(import_id).done_chunks > 0, READY_SECONDS)
        postgres_proxy.refuse()
        until(lambda: ready(api) == (503, "away"), READY_SECONDS)
        sent = len(traffic.history.records)
        until(lambda: len(traffic.history.records) >= sent + AWAY_SECONDS * RATE, 3 * AWAY_SECONDS)
        assert consumer.events("waiting_for_postgresql")
        result = len(consumer.events("batch_applied"))
        postgres_proxy.welcome()
        consumer.wait_for("batch_applied", BACK_SECONDS, count=result + 1)
        until(lambda: ready(api) == (200, "ok"), BACK_SECONDS)
        until(lambda: imports.is_done(import_id), RESUME_SECONDS_MAX)
    traffic.finish()
    until(topic.is_read, END_SECONDS)
    assert [process.poll() for process in others] == [None, None]
    imports.check()
    traffic.history.check(engine, topic)


def ready(api: Api) -> tuple[int, str]:
    """The status code of `/health/ready`, and its status of PostgreSQL."""
    response = api.client.get("/health/ready")
    return response.status_code, response.json()["postgresql"]


@pytest.fixture
def server(tmp_path: Path, settings: Settings) -> Iterator[tuple[Server, str]]:
    """A separate PostgreSQL with durable commits, and its database's URL."""
    port = ports.free()
    with services.running(postgres.part(tmp_path / "postgres", port), tmp_path / "postgres.log") as process:
        services.make_template(port)
        yield process, postgres.url(port, services.TEMPLATE)


def test_postgresql_killed_under_load(
    start_consumer: StartConsumer,
    start_traffic: StartTraffic,
    topic: Topic,
    server: tuple[Server, str],
    rnd: Random,
    note: Note,
) -> None:
    note("kills", times(20))
    process, url = server
    engine = db.make_engine(url, name="tests", pool_max=2)
    consumer = start_consumer(DATABASE_URL=url)
    consumer.wait_for("partitions_assigned", READY_SECONDS)
    traffic = start_traffic(rate=RATE)
    consumer.wait_for("batch_applied", READY_SECONDS)
    for _ in range(times(20)):
        acknowledged = sum(line["count"] for line in consumer.events("batch_applied"))
        process.kill_the_rest()
        process.start()
        process.wait_until_ready(READY_SECONDS)
        until(lambda n=acknowledged: topic_counts(engine, topic.name).read >= n, 1)  # type: ignore[misc]
        result = len(consumer.events("batch_applied"))
        consumer.wait_for("batch_applied", BACK_SECONDS, count=result + rnd.randrange(1, 8))
    traffic.finish()
    until(topic.is_read, END_SECONDS)
    assert consumer.terminate() == 0
    assert not consumer.events("bug")
    traffic.history.check(engine, topic)
    engine.dispose()
