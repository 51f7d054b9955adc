"""Enqueueing: at most one job of an id waits, and ended, failed or lost jobs do not block the next."""

from __future__ import annotations

import socket
from uuid import UUID

import pytest
from redis import Redis
from rq import Queue, SimpleWorker
from rq.job import Job, JobStatus

from fcgraph import queue
from fcgraph.errors import Unavailable

IMPORT_ID = UUID("00000000-0000-0000-0000-0000000000aa")
JOB_ID = f"import-{IMPORT_ID}"


@pytest.fixture
def waiting(redis_url: str) -> Queue:
    return Queue("default", connection=Redis.from_url(redis_url))


def test_jobs_go_to_the_queue_of_a_default_worker_by_name(redis_url: str, waiting: Queue) -> None:
    queue.enqueue_import(redis_url, IMPORT_ID)
    queue.enqueue_report(redis_url, "2025-05")
    assert [(j.func_name, list(j.args)) for j in waiting.jobs] == [
        ("workers.jobs.run_import", [str(IMPORT_ID)]),
        ("workers.jobs.run_report", ["2025-05"]),
    ]
    assert {j.timeout for j in waiting.jobs} == {-1}
    assert queue.waiting(redis_url) == 2


def test_a_job_that_waits_is_not_doubled(redis_url: str, waiting: Queue) -> None:
    for _ in range(3):
        queue.enqueue_import(redis_url, IMPORT_ID)
    queue.enqueue_report(redis_url, "2025-05")
    assert waiting.job_ids == [JOB_ID, "report-2025-05"]


@pytest.mark.parametrize("status", [JobStatus.STARTED, JobStatus.FINISHED, JobStatus.FAILED, JobStatus.CANCELED])
def test_what_runs_or_ended_does_not_block_the_next(redis_url: str, waiting: Queue, status: JobStatus) -> None:
    queue.enqueue_import(redis_url, IMPORT_ID)
    assert waiting.pop_job_id() == JOB_ID
    Job.fetch(JOB_ID, connection=waiting.connection).set_status(status)
    queue.enqueue_import(redis_url, IMPORT_ID)
    assert waiting.job_ids == [JOB_ID]
    assert Job.fetch(JOB_ID, connection=waiting.connection).get_status() == JobStatus.QUEUED


def test_a_job_lost_between_queue_and_worker_does_not_block_the_next(redis_url: str, waiting: Queue) -> None:
    queue.enqueue_import(redis_url, IMPORT_ID)
    waiting.connection.delete(waiting.key)  # like a worker killed right after it took the id
    queue.enqueue_import(redis_url, IMPORT_ID)
    assert waiting.job_ids == [JOB_ID]


@pytest.mark.parametrize("field", ["status", "data", "created_at", "timeout"])
def test_an_unreadable_leftover_does_not_block_the_next(redis_url: str, waiting: Queue, field: str) -> None:
    waiting.connection.hset(Job.key_for(JOB_ID), field, b"\xff nonsense")
    queue.enqueue_import(redis_url, IMPORT_ID)
    assert waiting.job_ids == [JOB_ID]
    assert Job.fetch(JOB_ID, connection=waiting.connection).args == (str(IMPORT_ID),)


def test_a_leftover_of_another_kind_does_not_block_the_next(redis_url: str, waiting: Queue) -> None:
    waiting.connection.set(Job.key_for(JOB_ID), "a string")
    queue.enqueue_import(redis_url, IMPORT_ID)
    assert waiting.job_ids == [JOB_ID]


def test_a_failed_job_runs_again_when_requested_again(redis_url: str, waiting: Queue) -> None:
    worker = SimpleWorker([waiting], connection=waiting.connection)
    runs = []
    for _ in range(2):
        queue.enqueue(redis_url, "builtins.int", "no number", job_id="fails")
        assert worker.work(burst=True)
        job = Job.fetch("fails", connection=waiting.connection)
        assert job.get_status() == JobStatus.FAILED
        runs.append(job.started_at)
    assert runs[0] != runs[1]
    assert list(waiting.failed_job_registry.get_job_ids()) == ["fails"]


def test_what_is_scheduled_can_be_read(redis_url: str, waiting: Queue) -> None:
    assert queue.scheduled(redis_url) == []
    waiting.connection.zadd(queue.SCHEDULED_KEY, {"later": 1_750_000_000, "soon": 1_700_000_000})
    assert [(s.job_id, s.next_at.isoformat()) for s in queue.scheduled(redis_url)] == [
        ("soon", "2023-11-14T22:13:20+00:00"),
        ("later", "2025-06-15T15:06:40+00:00"),
    ]


def test_redis_away_is_reported_without_its_address() -> None:
    with socket.socket() as taken:  # bound and not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        url = f"redis://user:secret@127.0.0.1:{taken.getsockname()[1]}/0"
        for ask in (queue.ping, queue.waiting, queue.scheduled):
            with pytest.raises(Unavailable, match="Redis is unavailable") as error:
                ask(url)
            assert "secret" not in str(error.value)
        with pytest.raises(Unavailable):
            queue.enqueue_import(url, IMPORT_ID)
        with pytest.raises(Unavailable):
            queue.enqueue_report(url, "2025-05")


def test_a_redis_that_does_not_answer_is_away_within_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "ANSWER_SECONDS_MAX", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(Unavailable, match="Redis is unavailable"):
        queue.ping(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
