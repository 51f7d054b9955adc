"""`python -m workers.scheduler`: rq-scheduler with our schedule. It runs no jobs; workers do.

Each job has a fixed id and no arguments, depends only on the day it runs, and may fire any number of times. So two
schedulers at once, a process killed at any moment or an emptied Redis cause at most one extra run.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import redis
import rq_scheduler
from rq.job import Job

from fcgraph import db, failpoints, queue, reports, zones
from fcgraph import settings as process_settings
from fcgraph.errors import SettingsError
from fcgraph.observability import log
from fcgraph.settings import Settings

# The scheduler's entry and the job it enqueues are two records in Redis with different ids: registering the entry again
# must not affect a job that waits or runs.
ENTRY_PREFIX = "scheduled-"

logger = log.get(__name__)


@dataclass(frozen=True)
class Planned:
    """A job, and a function from the current time to its next run. Both are aware datetimes."""

    job_id: str
    function: str
    next_after: Callable[[datetime], datetime]

    @property
    def entry_id(self) -> str:
        return ENTRY_PREFIX + self.job_id


def schedule(settings: Settings) -> list[Planned]:
    """The schedule. Midnight is in the reporting zone, regardless of the zone of the process or the machine."""

    def every(seconds: float) -> Callable[[datetime], datetime]:
        return lambda now: now + timedelta(seconds=seconds)

    return [
        Planned(
            queue.DUE_REPORTS_JOB_ID,
            queue.RUN_DUE_REPORTS,
            lambda now: reports.next_midnight(now, settings.report_timezone),
        ),
        Planned("sweep-reports", queue.SWEEP_REPORTS, every(settings.report_check_seconds)),
        Planned("sweep-imports", queue.SWEEP_IMPORTS, every(settings.import_resume_seconds)),
    ]


class Scheduler(rq_scheduler.Scheduler):  # type: ignore[misc] # ships no types
    """rq-scheduler that registers its schedule again in every round and survives entries it cannot read."""

    def __init__(self, planned: list[Planned], connection: redis.Redis, interval_seconds: float) -> None:
        super().__init__(queue_name=queue.QUEUE, connection=connection, interval=interval_seconds)
        self._planned = {p.entry_id: p for p in planned}

    def round(self, now: datetime, *, at_start: bool = False) -> None:
        """Register missing entries, fire due ones. At the start everything fires, which makes up for missed runs."""
        if not self.connection.exists(self.key):
            self.register_birth()
        self.heartbeat()
        if self.connection.type(self.scheduled_jobs_key) not in (b"zset", b"none"):
            self.connection.delete(self.scheduled_jobs_key)  # unreadable; registered again below
        for planned in self._planned.values():
            self.register(planned, now, now if at_start else planned.next_after(now))
        if self.acquire_lock():  # expires by itself when its holder is killed
            try:
                self.fire(now)
            finally:
                self.remove_lock()

    def register(self, planned: Planned, now: datetime, next_at: datetime) -> None:
        """Ensure there is an entry that fires by `next_at`; an earlier one is left unchanged."""
        score = self.connection.zscore(self.scheduled_jobs_key, planned.entry_id)
        if score is None or score > next_at.timestamp() or not self.connection.exists(Job.key_for(planned.entry_id)):
            self.enqueue_at(next_at, planned.function, job_id=planned.entry_id)
            logger.debug("job_registered", job_id=planned.job_id, next_at=next_at.isoformat())

    def fire(self, now: datetime) -> None:
        """Put every job that is due into its queue. An unreadable entry is removed and logged."""
        due = self.connection.zrangebyscore(self.scheduled_jobs_key, "-inf", now.timestamp())
        for entry in due:
            try:
                self._fire(entry.decode(), now)
            except redis.ConnectionError:
                raise
            except Exception as e:  # noqa: BLE001 - an invalid entry must not stop the others
                logger.error("scheduled_entry_removed", entry=repr(entry), reason=type(e).__name__)
                self.connection.zrem(self.scheduled_jobs_key, entry)

    def _fire(self, entry_id: str, now: datetime) -> None:
        planned = self._planned.get(entry_id)
        if planned is None:  # scheduled by other code through rq-scheduler's interface
            self.enqueue_job(self.job_class.fetch(entry_id, connection=self.connection))
            return
        queue.put(
            self.queue_class(self.queue_name, connection=self.connection), planned.function, job_id=planned.job_id
        )
        failpoints.reach("scheduler-fired")
        # The entry's time is overwritten with the next one, so the job is always scheduled.
        self.enqueue_at(planned.next_after(now), planned.function, job_id=planned.entry_id)
        failpoints.reach("scheduler-planned-again")
        logger.debug("job_fired", job_id=planned.job_id)


def run(settings: Settings, stopping: threading.Event) -> None:
    """Run rounds until stopped. While Redis is unavailable, wait for it and log that once."""
    scheduler = Scheduler(schedule(settings), queue.connect(settings.redis_url), settings.scheduler_interval_seconds)
    at_start, away = True, False
    while not stopping.is_set():
        try:
            scheduler.round(datetime.now(UTC), at_start=at_start)
        except redis.RedisError as e:
            if not away:
                logger.warning("waiting_for_redis", reason=type(e).__name__)
            away = True
        else:
            if at_start or away:
                logger.info("scheduler_registered", time_zone=settings.report_timezone)
            at_start = away = False
        stopping.wait(settings.scheduler_interval_seconds)
    logger.info("scheduler_stopped")


def main() -> int:
    """Exit code 0 when stopped by a signal, 2 when a setting is wrong."""
    try:
        settings = process_settings.current()
        log.set_up("scheduler", level=settings.log_level, fmt=settings.log_format)
        # If PostgreSQL is unavailable now, each job that makes a report checks again.
        zones.check_if_there(db.make_engine(settings.database_url, name="scheduler"), settings.report_timezone)
    except SettingsError as e:
        print(e.message, file=sys.stderr)  # noqa: T201 - no log without settings
        return 2
    stopping = threading.Event()
    for stop_signal in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop_signal, lambda *_: stopping.set())
    run(settings, stopping)
    return 0


if __name__ == "__main__":
    sys.exit(main())
