"""Imports whose RQ worker, horse or both are killed, and a Redis that forgets everything: each still happens once."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from redis import Redis
from sqlalchemy import Engine

from fcgraph import csv_imports, db, job_runs, queue
from fcgraph.files import Files
from tests.faults.run import times
from tests.jobs.processes import Environment, children, free_port, redis_at
from tests.waiting import until

RESUME_SECONDS_MAX = 60
ROWS = 400
HEADER = "transaction_id,sender_id,receiver_id,amount,currency,timestamp,status\n"


@pytest.fixture
def jobs(database_url: str, tmp_path: Path, redis_url: str) -> Iterator[Environment]:
    """Settings for worker and scheduler: small chunks, so that there is much to interrupt."""
    made = Environment(
        {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "REPORTS_DIR": str(tmp_path / "reports"),
            "UPLOADS_DIR": str(tmp_path / "uploads"),
            "CSV_CHUNK_BYTES": "1024",
            "IMPORT_LEASE_SECONDS": "2",
            "IMPORT_RESUME_SECONDS": "1",
        }
    )
    yield made
    made.end()


class Imports:
    """Files that were accepted, each with rows of its own; at the end every row is there once."""

    def __init__(self, engine: Engine, uploads: Path) -> None:
        self.engine = engine
        self.files = Files(uploads)
        self.accepted: list[UUID] = []

    def accept(self) -> UUID:
        lines = (
            f"{uuid4()},00000000-0000-0000-0000-000000000001,00000000-0000-0000-0000-000000000002,"
            f"1.00,USD,2025-05-10T08:15:00Z,completed\n"
            for _ in range(ROWS)
        )
        accepted = csv_imports.accept(
            self.engine,
            self.files,
            [HEADER.encode(), "".join(lines).encode()],
            file_name="payments.csv",
            dry_run=False,
            mode="VALID_ROWS",
            expected=None,
            reimport=False,
            correlation_id="test",
            upload_max_bytes=10**7,
        )
        self.accepted.append(accepted.import_id)
        return accepted.import_id

    def row(self, import_id: UUID) -> Any:
        with db.read(self.engine) as connection:
            return connection.execute(sa.text("SELECT * FROM imports WHERE import_id = :id"), {"id": import_id}).one()

    def is_done(self, import_id: UUID) -> bool:
        return bool(self.row(import_id).state == "SUCCEEDED")

    def check(self) -> None:
        """Hold all that was accepted against what is stored."""
        for import_id in self.accepted:
            row = self.row(import_id)
            assert (row.state, row.read_count, row.inserted_count, row.duplicate_count) == ("SUCCEEDED", ROWS, ROWS, 0)
        with db.read(self.engine) as connection:
            stored = connection.scalar(sa.text("SELECT count(*) FROM transactions"))
            counted = connection.scalar(sa.text("SELECT sum(read_count) FROM intake_batches"))
        assert stored == counted == ROWS * len(self.accepted)


@pytest.fixture
def imports(engine: Engine, tmp_path: Path) -> Imports:
    return Imports(engine, tmp_path / "uploads")


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):  # it had ended by itself
        os.kill(pid, signal.SIGKILL)


def test_workers_and_horses_killed_at_any_moment(
    jobs: Environment, imports: Imports, redis_url: str, rnd: Random
) -> None:
    jobs.start("-m", "workers.scheduler")
    worker: subprocess.Popen[bytes] | None = None
    current = imports.accept()
    queue.enqueue_import(redis_url, current)
    for _ in range(times(50)):
        if worker is None:
            worker = jobs.start("-m", "workers.worker")
        if imports.is_done(current):
            current = imports.accept()
            queue.enqueue_import(redis_url, current)
        enough = imports.row(current).done_chunks + rnd.randrange(1, 20)
        until(
            lambda i=current, n=enough: imports.is_done(i) or imports.row(i).done_chunks >= n,  # type: ignore[misc]
            RESUME_SECONDS_MAX,
        )
        victims = rnd.choice(["horse", "worker", "both"])
        horses = children(worker.pid)
        if victims != "horse":
            worker.kill()
            worker.wait()
            worker = None
        if victims != "worker":
            for horse in horses:
                kill(horse)
    if worker is None:
        jobs.start("-m", "workers.worker")
    until(lambda: imports.is_done(current), RESUME_SECONDS_MAX)
    imports.check()


def test_a_redis_that_is_emptied_or_comes_back_empty(
    jobs: Environment, imports: Imports, engine: Engine, tmp_path: Path, rnd: Random
) -> None:
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    jobs.settings["REDIS_URL"] = url
    jobs.start("-m", "workers.scheduler")
    jobs.start("-m", "workers.worker")
    for n in range(times(20)):
        with redis_at(port, tmp_path):
            import_id = imports.accept()
            if n % 2:
                queue.enqueue_import(url, import_id)
            enough = rnd.randrange(10)
            until(lambda i=import_id, e=enough: imports.row(i).done_chunks >= e, RESUME_SECONDS_MAX)  # type: ignore[misc]
            Redis.from_url(url).flushall()
            # What was running goes on; what only waited is found again.
            second = imports.accept()
            until(lambda i=second: imports.is_done(i), RESUME_SECONDS_MAX)  # type: ignore[misc]
        imports.accept()  # while Redis is away: it runs when Redis is back
    with redis_at(port, tmp_path):
        until(lambda: all(imports.is_done(i) for i in imports.accepted), RESUME_SECONDS_MAX)
        until(lambda: due_reports(engine) == "SUCCEEDED", RESUME_SECONDS_MAX)
    imports.check()
    with db.read(engine) as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM reports WHERE version > 1")) == 0


def due_reports(engine: Engine) -> str | None:
    """How the latest run of the due reports ended."""
    with db.read(engine) as connection:
        runs = {run.job: run.state for run in job_runs.last_runs(connection)}
    return runs.get("run_due_reports")
