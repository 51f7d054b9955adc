"""A topic to send to and consumers to start, for the tests of the Kafka channel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fcgraph.settings import Settings
from tests.workers.process import Process
from tests.workers.topic import Topic

StartConsumer = Callable[..., Process]


@pytest.fixture
def topic(settings: Settings) -> Topic:
    """The topic of the settings; the consumer makes it."""
    return Topic(settings)


@pytest.fixture
def start_consumer(settings: Settings, tmp_path: Path) -> Iterator[StartConsumer]:
    """Start `python -m workers.consumer`, with overridden settings; running ones are killed at the end."""
    started: list[Process] = []

    def start(**more: str) -> Process:
        # The shortest session Kafka allows: a test that ends a consumer waits that long.
        more = {"KAFKA_SESSION_TIMEOUT_SECONDS": "6", **more}
        found = Process("workers.consumer", tmp_path / f"consumer-{len(started)}.log", settings, **more)
        started.append(found)
        return found

    yield start
    for process in started:
        if process.is_running:
            process.kill()
