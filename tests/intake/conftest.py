"""Fixtures of the intake tests: both channels on a fresh database, without Redis and Kafka."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.intake.channels import Resources, settings_of


@pytest.fixture
def resources(engine: Engine, database_url: str, tmp_path: Path) -> Resources:
    return Resources(engine, settings_of(database_url, tmp_path))
