"""An API that is called through ASGI, on a database with generated payments or on a fresh one."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from fcgraph.embedded import postgres
from fcgraph.settings import Settings
from tests import services
from tests.api.client import Api, serving
from tests.api.demo import make_demo

NOBODY = "redis://127.0.0.1:1/0"  # no Redis listens there


def settings_for(database_url: str, folder: Path, redis_url: str = NOBODY, **changes: object) -> Settings:
    """Settings of an API with these servers; Kafka is unavailable."""
    return Settings.model_validate(
        {
            "database_url": database_url,
            "redis_url": redis_url,
            "kafka_broker": "127.0.0.1:1",
            "reports_dir": folder / "reports",
            "uploads_dir": folder / "uploads",
            "data_dir": folder / "data",
            **changes,
        }
    )


@pytest.fixture(scope="session")
def demo_url(postgres_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database with the demo payments and the edge cases, for tests that only read."""
    database = f"demo_{uuid.uuid4().hex}"
    services.copy_template(postgres_port, database)
    url = postgres.url(postgres_port, database)
    make_demo(settings_for(url, tmp_path_factory.mktemp("demo")))
    yield url
    services.drop_database(postgres_port, database)


@pytest.fixture(scope="session")
def demo(demo_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API that only reads the generated payments."""
    with serving(settings_for(demo_url, tmp_path_factory.mktemp("api"))) as api:
        yield api


@pytest.fixture
def api_settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    """Settings of an API on a fresh database; Kafka is unavailable."""
    return settings_for(database_url, tmp_path, redis_url)


@pytest.fixture
def api(api_settings: Settings) -> Iterator[Api]:
    """An API on a fresh database."""
    with serving(api_settings) as found:
        yield found
