"""A Redis that answers and refuses writes is not ready: a read-only replica, full memory, missing rights."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from fcgraph import queue
from fcgraph.api.http import readiness
from fcgraph.cli import status_view
from fcgraph.embedded import ports
from fcgraph.settings import Settings
from tests.api.client import serving
from tests.api.conftest import settings_for
from tests.jobs.conftest import environment as environment
from tests.jobs.processes import Environment, redis_at
from tests.waiting import until

READY_SECONDS = 30


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Redis]:
    """A Redis for this test only."""
    port = ports.free()
    with redis_at(port, tmp_path), Redis(port=port) as client:
        until(lambda: client.ping(), READY_SECONDS)
        yield client


def url(client: Redis) -> str:
    return f"redis://127.0.0.1:{client.connection_pool.connection_kwargs['port']}/0"


def replica(client: Redis) -> None:
    client.replicaof("127.0.0.1", str(ports.free()))


def primary(client: Redis) -> None:
    client.replicaof("NO", "ONE")


def full(client: Redis) -> None:
    client.config_set("maxmemory", 1)


def roomy(client: Redis) -> None:
    client.config_set("maxmemory", 0)


def too_few_replicas(client: Redis) -> None:
    client.config_set("min-replicas-to-write", 1)


def enough_replicas(client: Redis) -> None:
    client.config_set("min-replicas-to-write", 0)


def may_not_write(client: Redis) -> None:
    client.acl_setuser("default", categories=["-@write"])


def may_write(client: Redis) -> None:
    client.acl_setuser("default", categories=["+@write"])


REFUSALS: list[tuple[Callable[[Redis], None], Callable[[Redis], None], str]] = [
    (replica, primary, "refuses writes: it is a read-only replica"),
    (full, roomy, "refuses writes: its memory is full (maxmemory)"),
    (too_few_replicas, enough_replicas, "refuses writes: it has too few replicas"),
    (may_not_write, may_write, "refuses writes: the user of REDIS_URL may not write"),
]


@pytest.mark.parametrize(("refuse", "accept", "reason"), REFUSALS, ids=[case[0].__name__ for case in REFUSALS])
def test_readiness_and_status_say_that_redis_refuses_writes(
    own: Redis,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refuse: Callable[[Redis], None],
    accept: Callable[[Redis], None],
    reason: str,
) -> None:
    monkeypatch.setattr(readiness, "CACHED_SECONDS", 0)
    settings = settings_for(database_url, tmp_path).model_copy(update={"redis_url": url(own)})
    with serving(settings) as api:

        def ready() -> str:
            body = api.client.get("/health/ready")
            assert body.status_code == 503  # Kafka is unavailable in this test
            return str(body.json()["redis"])

        assert ready() == "ok"
        refuse(own)
        assert ready() == reason
        assert status_view.look(settings).away["redis"] == reason
        accept(own)
        assert ready() == "ok"
        assert "redis" not in status_view.look(settings).away


def test_refused_writes_make_all_of_it_not_ready(own: Redis, settings: Settings) -> None:
    full(own)
    with serving(settings.model_copy(update={"redis_url": url(own)})) as api:
        response = api.client.get("/health/ready")
    assert (response.status_code, response.json()["status"]) == (503, "not ready")


def test_the_check_leaves_nothing_behind(own: Redis) -> None:
    assert queue.why_no_writes(url(own)) is None
    until(lambda: own.dbsize() == 0, READY_SECONDS)


def test_the_worker_says_in_one_line_that_memory_is_full_and_goes_on(
    own: Redis, environment: Environment, tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"
    environment.start(
        "-m", "workers.worker", log=log, REDIS_URL=url(own), WORKER_TTL_SECONDS="17", WAITING_RETRY_SECONDS="0.2"
    )
    until(lambda: "worker_started" in log.read_text(), READY_SECONDS)
    full(own)
    until(lambda: "waiting_for_redis" in log.read_text(), READY_SECONDS)
    roomy(own)
    until(lambda: log.read_text().count("worker_started") == 2, READY_SECONDS)
    text = log.read_text()
    assert "redis_lost" in text
    assert "memory is full" in text
    assert "Traceback" not in text
    assert "unhandled exception" not in text


def test_status_is_bounded_when_nothing_answers(settings: Settings) -> None:
    nobody = "10.255.255.1"  # an unroutable address, or one that refuses at once
    away = {
        "kafka_broker": f"{nobody}:9092",
        "redis_url": f"redis://{nobody}:6379/0",
        "database_url": f"postgresql://postgres@{nobody}:5432/nobody",
    }
    started_at = time.monotonic()
    work = status_view.look(settings.model_copy(update=away))
    assert time.monotonic() - started_at < status_view.ANSWER_SECONDS_MAX + 1
    assert set(work.away) == {"kafka", "redis", "postgresql"}
