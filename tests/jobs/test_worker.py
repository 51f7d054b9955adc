"""The worker process: jobs run by a plain `rq worker` and by ours; Redis stops and returns; killed jobs are resumed."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from redis import Redis
from sqlalchemy import Engine

from fcgraph import db, queue
from fcgraph.embedded import ports
from tests.jobs.processes import Environment, children, redis_at, stop
from tests.jobs.test_jobs import report_rows
from tests.jobs.uploads import accept
from tests.waiting import until

RESUME_SECONDS_MAX = 60


def import_row(engine: Engine, import_id: UUID) -> Any:
    with db.read(engine) as connection:
        return connection.execute(
            sa.text(
                "SELECT state, attempt, read_count, inserted_count, done_chunks FROM imports WHERE import_id = :id"
            ),
            {"id": import_id},
        ).one()


def rows(count: int) -> bytes:
    line = "{0:032x},00000000-0000-0000-0000-000000000001,00000000-0000-0000-0000-000000000002,1.00,USD,{1},completed\n"
    ids = (f"{n:08x}-0000-4000-8000-000000000000" for n in range(count))
    return b"".join(line.replace("{0:032x}", i).replace("{1}", "2025-05-10T08:15:00Z").encode() for i in ids)


@pytest.mark.parametrize("command", ["workers.worker", "rq"])
def test_jobs_are_run_by_our_worker_and_by_a_default_one(
    environment: Environment, engine: Engine, redis_url: str, tmp_path: Path, command: str
) -> None:
    queue.enqueue_report(redis_url, "2025-05")
    import_id = accept(engine, tmp_path / "uploads", rows(3))
    queue.enqueue_import(redis_url, import_id)
    if command == "rq":
        worker = environment.start("-m", "rq.cli", "worker", "--url", redis_url)
    else:
        worker = environment.start("-m", "workers.worker")
    until(lambda: import_row(engine, import_id).state == "SUCCEEDED", seconds=30)
    assert report_rows(engine) == [("2025-05", 1)]
    assert stop(worker) == 0


def test_the_worker_looks_around_often_enough(environment: Environment, redis_url: str) -> None:
    worker = environment.start("-m", "workers.worker")
    client = Redis.from_url(redis_url)
    until(lambda: client.smembers("rq:workers"), seconds=20)
    (key,) = client.smembers("rq:workers")
    assert 60 < client.ttl(key) <= 25 + 60  # worker_ttl and a minute: a dead one expires soon
    assert stop(worker) == 0


def test_redis_away_at_the_start_and_later_is_said_and_waited_for(
    environment: Environment, engine: Engine, tmp_path: Path
) -> None:
    port, log = ports.free(), tmp_path / "log"
    url = f"redis://127.0.0.1:{port}/0"
    worker = environment.start("-m", "workers.worker", log=log, REDIS_URL=url, WAITING_RETRY_SECONDS="0.2")
    until(lambda: "waiting_for_redis" in log.read_text(), seconds=20)
    for period in ("2025-05", "2025-04"):
        with redis_at(port, tmp_path):
            queue.enqueue_report(url, period)
            until(lambda p=period: (p, 1) in report_rows(engine), seconds=30)  # type: ignore[misc]
    assert stop(worker) == 0


def test_a_stop_while_waiting_for_redis_is_obeyed(environment: Environment, tmp_path: Path) -> None:
    log = tmp_path / "log"
    worker = environment.start("-m", "workers.worker", log=log, REDIS_URL=f"redis://127.0.0.1:{ports.free()}/0")
    until(lambda: "waiting_for_redis" in log.read_text(), seconds=20)
    assert stop(worker) == 0


def test_an_import_accepted_while_redis_was_away_runs(environment: Environment, engine: Engine, tmp_path: Path) -> None:
    import_id = accept(engine, tmp_path / "uploads", rows(3))  # it was not enqueued
    environment.start("-m", "workers.worker")
    environment.start("-m", "workers.scheduler")
    until(lambda: import_row(engine, import_id).state == "SUCCEEDED", seconds=RESUME_SECONDS_MAX)


def test_an_import_whose_worker_and_horse_were_killed_is_resumed(
    environment: Environment, engine: Engine, redis_url: str, tmp_path: Path
) -> None:
    environment.settings |= {"CSV_CHUNK_BYTES": "2048", "IMPORT_LEASE_SECONDS": "4", "IMPORT_RESUME_SECONDS": "2"}
    import_id = accept(engine, tmp_path / "uploads", rows(300))
    queue.enqueue_import(redis_url, import_id)
    worker = environment.start("-m", "workers.worker", FCGRAPH_FAILPOINT="chunk-written=stop@3")
    until(lambda: import_row(engine, import_id).done_chunks >= 2, seconds=30)
    horse = horse_that_stopped(worker.pid)
    worker.kill()
    worker.wait()
    os.kill(horse, signal.SIGKILL)
    environment.start("-m", "workers.worker")
    environment.start("-m", "workers.scheduler")
    until(lambda: import_row(engine, import_id).state == "SUCCEEDED", seconds=RESUME_SECONDS_MAX)
    assert import_row(engine, import_id).attempt == 2
    assert_counted_once(engine, import_id, 300)


def test_an_import_whose_horse_is_killed_again_and_again_comes_to_its_end(
    environment: Environment, engine: Engine, redis_url: str, tmp_path: Path
) -> None:
    environment.settings |= {"CSV_CHUNK_BYTES": "8192", "IMPORT_LEASE_SECONDS": "1", "IMPORT_RESUME_SECONDS": "1"}
    import_id = accept(engine, tmp_path / "uploads", rows(300))
    queue.enqueue_import(redis_url, import_id)
    environment.start("-m", "workers.worker", FCGRAPH_FAILPOINT="chunk-written=kill@3")
    environment.start("-m", "workers.scheduler")
    until(lambda: import_row(engine, import_id).state == "SUCCEEDED", seconds=RESUME_SECONDS_MAX)
    assert import_row(engine, import_id).attempt >= 3
    assert_counted_once(engine, import_id, 300)


def test_a_horse_that_outlives_its_worker_ends_the_import_itself(
    environment: Environment, engine: Engine, redis_url: str, tmp_path: Path
) -> None:
    environment.settings |= {"CSV_CHUNK_BYTES": "2048", "IMPORT_RESUME_SECONDS": "1"}
    import_id = accept(engine, tmp_path / "uploads", rows(6_000))
    queue.enqueue_import(redis_url, import_id)
    worker = environment.start("-m", "workers.worker")
    until(lambda: import_row(engine, import_id).done_chunks >= 1, seconds=30)
    worker.kill()
    worker.wait()
    assert import_row(engine, import_id).state == "RUNNING"
    environment.start("-m", "workers.worker")
    environment.start("-m", "workers.scheduler")
    queue.enqueue_import(redis_url, import_id)  # and it is requested once more
    until(lambda: import_row(engine, import_id).state == "SUCCEEDED", seconds=RESUME_SECONDS_MAX)
    assert import_row(engine, import_id).attempt == 1
    assert_counted_once(engine, import_id, 6_000)


def assert_counted_once(engine: Engine, import_id: UUID, count: int) -> None:
    row = import_row(engine, import_id)
    assert (row.read_count, row.inserted_count) == (count, count)
    with db.read(engine) as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM transactions")) == count
        assert connection.scalar(sa.text("SELECT sum(inserted_count) FROM intake_batches")) == count


def horse_that_stopped(worker_pid: int) -> int:
    """The process id of the worker's horse, once it has stopped at its failpoint."""
    found: list[int] = []

    def stopped() -> bool:
        found[:] = [pid for pid in children(worker_pid) if state(pid) == "T"]
        return bool(found)

    until(stopped, seconds=20)
    return found[0]


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
