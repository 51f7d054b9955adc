"""Fixtures for every test: a fresh migrated database, an emptied Redis, a new Kafka topic, settings.

The servers start with the first test that needs them and are stopped at the end, also after a failure.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import Engine

from fcgraph import db
from fcgraph.embedded import kafka as embedded_kafka
from fcgraph.embedded import postgres
from fcgraph.settings import Settings
from tests import services

# The environment may set which Kafka to use; nothing else of the developer's environment reaches a test.
KAFKA_WISH = os.environ.get("KAFKA_EMBEDDED", "auto")
CLEAN = services.clean_environment()
for name in set(os.environ) - set(CLEAN):
    del os.environ[name]

kafka_choice = pytest.StashKey[embedded_kafka.Choice]()
needs_apache = pytest.StashKey[list[str]]()
kafka_notes = pytest.StashKey[list[str]]()  # lines about Kafka, from each test process


def pytest_configure(config: pytest.Config) -> None:
    config.stash[needs_apache] = []
    config.stash[kafka_notes] = []


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Collect the report on Kafka; a worker process passes it to the process that prints."""
    config = session.config
    config.stash[kafka_notes].extend(kafka_lines(config))
    if hasattr(config, "workeroutput"):
        config.workeroutput["kafka"] = config.stash[kafka_notes]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker process has ended; store its report."""
    node.config.stash[kafka_notes].extend(getattr(node, "workeroutput", {}).get("kafka", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print which Kafka the tests ran on and, for the in-process broker, what was not tested."""
    terminalreporter.section("Kafka")
    lines = config.stash[kafka_notes] or ["no test needed it"]
    for line in dict.fromkeys(lines):
        terminalreporter.line(line)


def kafka_lines(config: pytest.Config) -> list[str]:
    """The report on the Kafka of this process's tests."""
    choice = config.stash.get(kafka_choice, None)
    if choice is None:
        return []
    if choice.kind == "apache":
        return [choice.line]
    lacks = "NOT TESTED: " + "; ".join(embedded_kafka.IN_PROCESS_LACKS)
    return [choice.line, lacks, *(f"NOT RUN: {test}" for test in config.stash[needs_apache])]


@pytest.fixture(scope="session")
def postgres_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of the session's PostgreSQL, which has the template database. fsync is off."""
    with services.postgres_server(tmp_path_factory.mktemp("postgres")) as port:
        services.make_template(port)
        yield port


@pytest.fixture
def database_url(postgres_port: int) -> Iterator[str]:
    """A fresh database: migrated, with the seeds' users and currencies, without payments."""
    database = f"test_{uuid.uuid4().hex}"
    services.copy_template(postgres_port, database)
    yield postgres.url(postgres_port, database)
    services.drop_database(postgres_port, database)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on the fresh database."""
    made = db.make_engine(database_url, name="tests", pool_max=8)
    yield made
    made.dispose()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with services.redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The address of an emptied Redis."""
    with Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server


@pytest.fixture(scope="session")
def kafka(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[services.Kafka]:
    """The session's Kafka: `.address`, and `.kind` "apache" or "in-process"."""
    choice = services.choose_kafka(Settings.model_validate({"kafka_embedded": KAFKA_WISH}))
    pytestconfig.stash[kafka_choice] = choice
    with services.kafka_server(tmp_path_factory.mktemp("kafka"), choice) as server:
        yield server


@pytest.fixture
def apache_kafka(kafka: services.Kafka, request: pytest.FixtureRequest) -> services.Kafka:
    """The session's Kafka, if it is Apache Kafka; otherwise the test is skipped and listed in the summary."""
    if kafka.kind != "apache":
        request.config.stash[needs_apache].append(request.node.nodeid)
        pytest.skip("needs Apache Kafka")
    return kafka


@pytest.fixture
def kafka_topic() -> str:
    """The name of a topic that does not exist yet."""
    return f"transactions-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def settings(database_url: str, redis_url: str, kafka: services.Kafka, kafka_topic: str, tmp_path: Path) -> Settings:
    """Settings for all of the above, with separate folders. `services.environment` turns them into an environment."""
    return Settings(
        database_url=database_url,
        redis_url=redis_url,
        kafka_broker=kafka.address,
        kafka_topic=kafka_topic,
        kafka_consumer_group=f"{kafka_topic}-consumers",
        reports_dir=tmp_path / "reports",
        uploads_dir=tmp_path / "uploads",
        data_dir=tmp_path / "data",
    )
