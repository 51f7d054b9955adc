"""What the fault cases share: a seed that replays the run, traffic with its history, parts that can be killed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
import sqlalchemy as sa

from fcgraph.settings import Settings
from tests.faults.history import History
from tests.faults.proxy import Proxy
from tests.faults.run import SEED_NAME, SOAK, make_seed
from tests.faults.traffic import Traffic
from tests.workers.conftest import start_consumer as start_consumer  # the same fixtures as the consumer's own tests
from tests.workers.conftest import topic as topic

StartTraffic = Callable[..., Traffic]


@pytest.fixture
def rnd() -> Random:
    """The run's randomness. A failing test shows the line with its seed; the same seed makes the same choices."""
    seed = make_seed()
    logging.getLogger(__name__).warning("replay with %s=%d%s", SEED_NAME, seed, " FCGRAPH_SOAK=1" if SOAK else "")
    return Random(seed)


@pytest.fixture
def start_traffic(settings: Settings, tmp_path: Path, rnd: Random) -> Iterator[StartTraffic]:
    """Start sending records, `rate` a second, until `finish`; their history is in history-N.jsonl."""
    started: list[Traffic] = []

    def start(rate: float, broker: str = settings.kafka_broker) -> Traffic:
        history = History(tmp_path / f"history-{len(started)}.jsonl", rnd)
        traffic = Traffic(history, broker, settings.kafka_topic, rate=rate)
        traffic.start()
        started.append(traffic)
        return traffic

    yield start
    for traffic in started:
        traffic.abandon()
        traffic.history.close()


@pytest.fixture
def postgres_proxy(settings: Settings) -> Iterator[Proxy]:
    """A proxy before the test's database."""
    url = sa.make_url(settings.database_url)
    proxy = Proxy(url.host or "127.0.0.1", url.port or 5432)
    yield proxy
    proxy.close()


def through(proxy: Proxy, settings: Settings) -> str:
    """The database's URL by way of the proxy."""
    url = sa.make_url(settings.database_url).set(host="127.0.0.1", port=proxy.port)
    return url.render_as_string(hide_password=False)
