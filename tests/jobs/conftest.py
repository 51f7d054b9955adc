"""The environment of worker and scheduler processes: this test's database, Redis and folders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jobs.processes import Environment


@pytest.fixture
def environment(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Environment]:
    made = Environment(
        {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "REPORTS_DIR": str(tmp_path / "reports"),
            "UPLOADS_DIR": str(tmp_path / "uploads"),
            "DATA_DIR": str(tmp_path / "data"),
            "LOG_FORMAT": "json",
        }
    )
    yield made
    made.end()
