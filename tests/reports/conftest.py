"""Fixtures of the report tests: a folder for the files, and a call that makes a report soon after the month."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from fcgraph import reports
from fcgraph.storage.files import Files

AFTER_MAY = datetime(2025, 6, 1, 0, 0, 1, tzinfo=UTC)

Make = Callable[..., reports.Generated]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "reports")


@pytest.fixture
def make(engine: Engine, files: Files) -> Make:
    """Make the report of a month; by default May 2025, in UTC, soon after its end."""

    def call(period: str = "2025-05", *, time_zone: str = "UTC", now: datetime = AFTER_MAY) -> reports.Generated:
        return reports.generate(engine, files, period, time_zone=time_zone, now=now, correlation_id="test")

    return call
