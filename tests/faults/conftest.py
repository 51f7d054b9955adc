"""Fixtures of the fault tests: a seed that replays the run, traffic with its history, processes that can be killed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from fcgraph.settings import Settings
from tests.faults.history import History
from tests.faults.imports import Imports
from tests.faults.proxy import Proxy
from tests.faults.run import SEED_NAME, SOAK, make_seed
from tests.faults.traffic import Traffic
from tests.jobs.conftest import environment as environment  # the fixtures of the tests of each part
from tests.jobs.processes import Environment
from tests.workers.conftest import start_consumer as start_consumer
from tests.workers.conftest import topic as topic

StartTraffic = Callable[..., Traffic]
Note = Callable[[str, object], None]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """After a soak run, print each case with its counts, its seed and its duration."""
    if not SOAK:
        return
    terminalreporter.section("Faults")
    for outcome in ("passed", "failed", "skipped", "error"):
        for report in terminalreporter.getreports(outcome):
            properties = ", ".join(f"{name} {value}" for name, value in report.user_properties)
            case = report.nodeid.removeprefix("tests/faults/")
            terminalreporter.line(f"{case} | {properties} | {report.duration:.0f} s | {outcome}")


@pytest.fixture
def note(record_property: Note) -> Note:
    """Record a count of this run (kills, cuts, messages) for the table at the end of a soak run."""
    return record_property


@pytest.fixture
def rnd(note: Note) -> Random:
    """The random generator of the run. A failing test shows its seed; the same seed makes the same choices."""
    seed = make_seed()
    note("seed", seed)
    logging.getLogger(__name__).warning("replay with %s=%d%s", SEED_NAME, seed, " FCGRAPH_SOAK=1" if SOAK else "")
    return Random(seed)


@pytest.fixture
def start_traffic(settings: Settings, tmp_path: Path, rnd: Random) -> Iterator[StartTraffic]:
    """Start sending records, `rate` per second, until `finish`; their history is in history-N.jsonl."""
    started: list[Traffic] = []

    def start(rate: float, broker: str = settings.kafka_broker) -> Traffic:
        # A separate generator: two threads would draw from a shared one in a different order each time.
        history = History(tmp_path / f"history-{len(started)}.jsonl", Random(rnd.random()))
        traffic = Traffic(history, broker, settings.kafka_topic, rate=rate)
        traffic.start()
        started.append(traffic)
        return traffic

    yield start
    for traffic in started:
        traffic.abandon()
        traffic.history.close()


@pytest.fixture
def jobs(environment: Environment) -> Environment:
    """Settings for worker and scheduler: small chunks, for many points of interruption, and short waiting times."""
    environment.settings.update(
        CSV_CHUNK_BYTES="1024",
        IMPORT_LEASE_SECONDS="2",
        IMPORT_RESUME_SECONDS="1",
        SCHEDULER_INTERVAL_SECONDS="0.5",
        WAITING_RETRY_SECONDS="0.2",
    )
    return environment


@pytest.fixture
def imports(engine: Engine, tmp_path: Path) -> Imports:
    return Imports(engine, tmp_path / "uploads")


@pytest.fixture
def postgres_proxy(settings: Settings) -> Iterator[Proxy]:
    """A proxy in front of the test's database."""
    url = sa.make_url(settings.database_url)
    proxy = Proxy(url.host or "127.0.0.1", url.port or 5432)
    yield proxy
    proxy.close()


def through(proxy: Proxy, settings: Settings) -> str:
    """The database's URL through the proxy."""
    url = sa.make_url(settings.database_url).set(host="127.0.0.1", port=proxy.port)
    return url.render_as_string(hide_password=False)
