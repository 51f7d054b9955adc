"""Fixtures of the intake's tests: both doors on a fresh database, without Redis and Kafka."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.intake.doors import Doors, settings_of


@pytest.fixture
def doors(engine: Engine, database_url: str, tmp_path: Path) -> Doors:
    return Doors(engine, settings_of(database_url, tmp_path))
