"""What `status` reads: unread messages by partition, the age of the oldest, jobs, and unavailable services."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from fcgraph import queue
from fcgraph.cli import status_view
from fcgraph.embedded.stack import Stack
from fcgraph.settings import Settings
from tests.api.client import serving
from tests.workers.topic import Topic

NOBODY = "127.0.0.1:1"


def test_unread_messages_are_reported_by_partition_with_the_oldest_ones_age(settings: Settings) -> None:
    Topic(settings).send([b"a", b"b", b"c", b"d", b"e"])  # partitions 0, 1, 2, 3, 0
    queue.enqueue_report(settings.redis_url, "2025-05")
    work = status_view.look(settings)
    assert work.away == {}
    assert work.jobs_waiting == 1
    assert work.consumer_lag is not None
    assert 0 <= work.consumer_lag.pop("oldest_unread_age_seconds") < 60
    right = {
        "total": 5,
        "partitions": {"0": 2, "1": 1, "2": 1, "3": 1},
        "held_by_transaction": dict.fromkeys("0123", 0),
    }
    assert work.consumer_lag == right
    with serving(settings) as api:  # `/health/ready` reports the same, as data: there is no reader, and it is ready
        response = api.client.get("/health/ready")
    assert response.status_code == 200
    lag = response.json()["consumer_lag"]
    assert 0 <= lag.pop("oldest_unread_age_seconds") < 60
    assert lag == right


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("kafka", {"kafka_broker": NOBODY}),
        ("redis", {"redis_url": f"redis://{NOBODY}/0"}),
        ("postgresql", {"database_url": f"postgresql://postgres@{NOBODY}/nobody"}),
    ],
)
def test_a_part_that_is_away_is_named_and_the_rest_is_reported(
    settings: Settings, part: str, change: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_view, "LAG_SECONDS_MAX", 2.0)
    work = status_view.look(settings.model_copy(update=change))
    assert list(work.away) == [part]
    assert work.away[part]
    assert (work.consumer_lag is None) == (part == "kafka")
    assert (work.jobs_waiting is None) == (part == "redis")


def test_how_a_job_ended_stands_on_one_line_of_80_columns() -> None:
    now = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
    work = status_view.Work()
    ended = {"state": "SUCCEEDED", "started_at": now, "finished_at": now + timedelta(seconds=1234.5)}
    detail = "2026-10: version 12 with 12,345 lines"
    work.last_runs = [ended | {"job": "run_generate_monthly_report", "detail": detail}]
    work.scheduled = [{"job_id": "scheduled-generate-monthly-report", "next_at": now + timedelta(days=400)}]
    stack: Stack = {
        "api_url": None, "database_url": "", "redis_url": "", "kafka_broker": "", "kafka_kind": "", "processes": {},
    }  # type: ignore[typeddict-item]  # fmt: skip
    out = io.StringIO()
    status_view.show(Console(file=out, width=80), stack, work, "UTC")
    assert "SUCCEEDED in 1234.5 s" in out.getvalue()
    assert "2026-11-27 12:00:00" in out.getvalue()
    assert max(map(len, out.getvalue().splitlines())) <= 80
