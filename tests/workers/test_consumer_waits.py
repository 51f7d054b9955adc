"""The consumer while PostgreSQL is unavailable: it waits and logs it, and nothing becomes a rejection."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from fcgraph.settings import Settings
from tests.faults.proxy import Proxy
from tests.waiting import until
from tests.workers.conftest import StartConsumer
from tests.workers.topic import Topic, value
from tests.workers.topic_counts import payments, topic_counts

READY_SECONDS = 20
BACK_SECONDS = 30  # from PostgreSQL's return until messages are written again


@pytest.fixture
def postgresql(settings: Settings) -> Iterator[Proxy]:
    """A proxy in front of the database."""
    url = sa.make_url(settings.database_url)
    proxy = Proxy(url.host or "127.0.0.1", url.port or 5432)
    yield proxy
    proxy.close()


def through(proxy: Proxy, settings: Settings) -> str:
    return sa.make_url(settings.database_url).set(host="127.0.0.1", port=proxy.port).render_as_string(False)


def test_postgresql_away_at_the_start(
    start_consumer: StartConsumer, topic: Topic, engine: Engine, settings: Settings, postgresql: Proxy
) -> None:
    postgresql.refuse()
    consumer = start_consumer(DATABASE_URL=through(postgresql, settings))
    consumer.wait_for("waiting_for_postgresql", READY_SECONDS)
    postgresql.welcome()
    consumer.wait_for("partitions_assigned", BACK_SECONDS)
    topic.send([value(1)])
    until(lambda: payments(engine) == 1, BACK_SECONDS)


def test_the_answer_to_a_commit_lost(
    start_consumer: StartConsumer, topic: Topic, engine: Engine, settings: Settings, postgresql: Proxy
) -> None:
    consumer = start_consumer(DATABASE_URL=through(postgresql, settings))
    consumer.wait_for("partitions_assigned", READY_SECONDS)
    postgresql.lose_answer_to(b"COMMIT", after=b"intake_watermark")
    topic.send([*(value(n) for n in range(1, 101)), b"poison"])
    until(topic.is_read, BACK_SECONDS)
    assert postgresql.answer_lost
    found = topic_counts(engine, topic.name)
    assert (found.read, found.inserted, found.rejected, payments(engine)) == (101, 100, 1, 100)
    assert consumer.is_running


def test_stopped_while_postgresql_is_away_at_work(
    start_consumer: StartConsumer, topic: Topic, settings: Settings, postgresql: Proxy
) -> None:
    consumer = start_consumer(DATABASE_URL=through(postgresql, settings))
    consumer.wait_for("partitions_assigned", READY_SECONDS)
    postgresql.refuse()
    topic.send([value(1)])
    consumer.wait_for("waiting_for_postgresql", READY_SECONDS)
    assert consumer.terminate(10) == 0
    assert not any(topic.committed().values())
