"""Schedulers are killed, run in pairs, or sleep over a month's end; each of 24 simulated months is reported once."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
import sqlalchemy as sa
import structlog
from redis import Redis
from rq import Queue
from rq.job import Job
from sqlalchemy import Engine

from fcgraph import db, job_runs, queue, settings
from fcgraph.reports.period import Period, parse_period
from fcgraph.settings import Settings
from fcgraph.storage.files import Files
from tests.faults.conftest import Note
from tests.faults.imports import RESUME_SECONDS_MAX, Imports
from tests.faults.run import times
from tests.jobs.processes import Environment
from tests.reports.stored import Paid, store
from tests.waiting import until
from workers import jobs as work
from workers.scheduler import Scheduler, schedule

ALIVE_SECONDS_MAX = 1.5  # within this time a scheduler enqueues everything, or has not yet begun
LOCK_SECONDS_MAX = 20  # by then the lock of a killed scheduler has expired
MOMENTS = ("", "", "scheduler-fired=kill", "scheduler-planned-again=kill@2")
ENTRIES = {"scheduled-due-reports", "scheduled-sweep-imports", "scheduled-sweep-reports"}


def test_schedulers_killed_at_any_moment_while_another_runs(
    jobs: Environment, imports: Imports, engine: Engine, redis_url: str, rnd: Random, note: Note
) -> None:
    note("kills", times(50))
    store(engine, Paid(1, 2, "1.00", "USD", "2025-03-10T10:00:00Z"))
    jobs.start("-m", "workers.worker")
    running = [jobs.start("-m", "workers.scheduler") for _ in range(2)]
    ended = 0
    while ended < times(50):
        victim = running.pop(rnd.randrange(2))
        try:
            assert victim.wait(rnd.uniform(0, ALIVE_SECONDS_MAX)) == -9  # it kills itself at its failpoint
        except subprocess.TimeoutExpired:
            victim.kill()
            victim.wait()
        ended += 1
        running.append(jobs.start("-m", "workers.scheduler", FCGRAPH_FAILPOINT=rnd.choice(MOMENTS)))
    running.append(jobs.start("-m", "workers.scheduler"))
    import_id = imports.accept()  # not enqueued here: only a complete schedule finds it
    until(lambda: imports.is_done(import_id), RESUME_SECONDS_MAX)
    until(lambda: {one.job_id for one in queue.scheduled(redis_url)} == ENTRIES, LOCK_SECONDS_MAX)
    until(lambda: last_run(engine) == "SUCCEEDED", LOCK_SECONDS_MAX)
    with db.read(engine) as connection:
        made = connection.execute(sa.text("SELECT period, version FROM reports ORDER BY period")).all()
    assert len(made) == 2  # March 2025 and the month before this one
    assert {version for _, version in made} == {1}


def last_run(engine: Engine) -> str | None:
    with db.read(engine) as connection:
        return {run.job: run.state for run in job_runs.last_runs(connection)}.get("run_due_reports")


class Clock(datetime):
    """A `datetime` whose `now` is set by the test."""

    at = datetime(2025, 1, 1, tzinfo=UTC)

    @classmethod
    def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
        return cls.at


class Nights:
    """Schedulers and a worker that use a simulated clock, on a real Redis and PostgreSQL."""

    def __init__(self, settings: Settings, client: Redis) -> None:
        self.client = client
        self._given = settings
        self._schedulers: list[Scheduler] = []

    def start(self, count: int) -> None:
        """Replace all schedulers by this many new ones."""
        self._schedulers = [Scheduler(schedule(self._given), self.client, interval_seconds=2) for _ in range(count)]
        for scheduler in self._schedulers:
            scheduler.round(Clock.at, at_start=True)

    def stop(self) -> None:
        self._schedulers = []

    def round(self) -> None:
        """Run one round of each scheduler; then a worker runs the queued jobs."""
        for scheduler in self._schedulers:
            scheduler.round(Clock.at)
        for job_id in Queue("default", connection=self.client).job_ids:
            Job.fetch(job_id, connection=self.client).delete()
            if job_id == queue.DUE_REPORTS_JOB_ID:
                work.run_due_reports()


@pytest.fixture
def nights(monkeypatch: pytest.MonkeyPatch, database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Nights]:
    for name, value in {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "REPORTS_DIR": str(tmp_path / "reports"),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(work, "datetime", Clock)
    structlog.configure()  # so that no job configures the logs of the test process
    settings.current.cache_clear()
    yield Nights(settings.current(), Redis.from_url(redis_url))
    settings.current.cache_clear()
    structlog.reset_defaults()


def made(engine: Engine) -> list[tuple[str, int, datetime]]:
    with db.read(engine) as connection:
        rows = connection.execute(sa.text("SELECT period, version, generated_at FROM reports ORDER BY period, version"))
        return [(row.period, row.version, row.generated_at) for row in rows]


def paid_in(*months: str) -> list[Paid]:
    return [Paid(1, 2, "1.00", "USD", f"{month}-15T10:00:00Z") for month in months]


def test_a_scheduler_asleep_over_a_months_end_makes_up_for_it(nights: Nights, engine: Engine) -> None:
    store(engine, *paid_in("2025-04", "2025-05"))
    Clock.at = datetime(2025, 5, 31, 23, 50, tzinfo=UTC)
    nights.start(1)
    nights.round()
    nights.stop()
    assert [period for period, _, _ in made(engine)] == ["2025-04"]
    Clock.at = datetime(2025, 6, 3, 9, 30, tzinfo=UTC)
    nights.start(2)
    nights.round()
    assert made(engine)[1:] == [("2025-05", 1, Clock.at)]
    Clock.at = datetime(2025, 6, 4, tzinfo=UTC)
    nights.round()
    assert len(made(engine)) == 2


def test_months_of_a_faked_clock_are_each_reported_once(
    nights: Nights, engine: Engine, tmp_path: Path, rnd: Random, note: Note
) -> None:
    count = max(3, times(24))
    note("months", count)
    months = [str(Period(2023 + n // 12, n % 12 + 1)) for n in range(count)]
    store(engine, *paid_in(*months))
    Clock.at = datetime(2023, 1, 20, tzinfo=UTC)
    end = parse_period(months[-1]).last_day + timedelta(days=3)
    nights.start(2)
    wake_at: datetime | None = None
    while Clock.at.date() <= end:
        trouble = rnd.choices(("none", "asleep", "emptied", "new ones"), (85, 5, 5, 5))[0]
        if wake_at is not None and Clock.at >= wake_at:
            nights.start(rnd.randrange(1, 3))
            wake_at = None
        elif wake_at is None and trouble == "asleep":  # for hours or days, often past the end of a month
            nights.stop()
            wake_at = Clock.at + timedelta(hours=rnd.randrange(1, 24 * 10))
        elif wake_at is None and trouble == "new ones":
            nights.start(rnd.randrange(1, 3))
        if trouble == "emptied":
            nights.client.flushall()
        nights.round()
        Clock.at += timedelta(hours=6)
    nights.start(1)
    nights.round()
    found = made(engine)
    assert [period for period, _, _ in found] == ["2022-12", *months]
    assert {version for _, version, _ in found} == {1}
    assert all(f"{at:%Y-%m}" > period for period, _, at in found), "a month was reported before its end"
    assert len(Files(tmp_path / "reports").stored()) == len(found)
