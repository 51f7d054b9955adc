"""`python -m workers.scheduler`: rq-scheduler, told what to fire and when. It runs no job; workers do.

Each job has a fixed id and no arguments, depends only on the day it runs, and may fire any number of times. So two
schedulers at once, a kill at any moment or an emptied Redis cost at most a firing too many.
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

# The entry of the scheduler and the job it puts into the queue are two records in Redis with two ids: registering
# the entry again must not touch a job that waits or runs.
ENTRY_PREFIX = "scheduled-"

logger = log.get(__name__)


@dataclass(frozen=True)
class Planned:
    """A job, and the next time to fire it, told from the time now. Both are aware datetimes."""

    job_id: str
    function: str
    next_after: Callable[[datetime], datetime]

    @property
    def entry_id(self) -> str:
        return ENTRY_PREFIX + self.job_id


def schedule(settings: Settings) -> list[Planned]:
    """All that is scheduled. Midnight is the reporting zone's, whatever zone the process or the machine is in."""

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
    """rq-scheduler that registers its plan again in every round and outlives entries it cannot read."""

    def __init__(self, planned: list[Planned], connection: redis.Redis, interval_seconds: float) -> None:
        super().__init__(queue_name=queue.QUEUE, connection=connection, interval=interval_seconds)
        self._planned = {p.entry_id: p for p in planned}

    def round(self, now: datetime, *, at_start: bool = False) -> None:
        """Register what is missing, fire what is due. At the start everything fires: what was missed is made up."""
        if not self.connection.exists(self.key):
            self.register_birth()
        self.heartbeat()
        if self.connection.type(self.scheduled_jobs_key) not in (b"zset", b"none"):
            self.connection.delete(self.scheduled_jobs_key)  # not ours to read; registered anew right here
        for planned in self._planned.values():
            self.register(planned, now, now if at_start else planned.next_after(now))
        if self.acquire_lock():  # expires by itself when its holder is killed
            try:
                self.fire(now)
            finally:
                self.remove_lock()

    def register(self, planned: Planned, now: datetime, next_at: datetime) -> None:
        """Have an entry that fires at `next_at` at the latest; one that is due sooner stays as it is."""
        score = self.connection.zscore(self.scheduled_jobs_key, planned.entry_id)
        if score is None or score > next_at.timestamp() or not self.connection.exists(Job.key_for(planned.entry_id)):
            self.enqueue_at(next_at, planned.function, job_id=planned.entry_id)
            logger.debug("job_registered", job_id=planned.job_id, next_at=next_at.isoformat())

    def fire(self, now: datetime) -> None:
        """Put every job that is due into its queue. An entry that cannot be read is removed and told."""
        due = self.connection.zrangebyscore(self.scheduled_jobs_key, "-inf", now.timestamp())
        for entry in due:
            try:
                self._fire(entry.decode(), now)
            except redis.ConnectionError:
                raise
            except Exception as e:  # noqa: BLE001 - whatever a stranger wrote there, the others still fire
                logger.error("scheduled_entry_removed", entry=repr(entry), reason=type(e).__name__)
                self.connection.zrem(self.scheduled_jobs_key, entry)

    def _fire(self, entry_id: str, now: datetime) -> None:
        planned = self._planned.get(entry_id)
        if planned is None:  # scheduled by somebody else through rq-scheduler's own interface
            self.enqueue_job(self.job_class.fetch(entry_id, connection=self.connection))
            return
        queue.put(
            self.queue_class(self.queue_name, connection=self.connection), planned.function, job_id=planned.job_id
        )
        failpoints.reach("scheduler-fired")
        # Its entry gets the next time in place of this one: at no moment is the job not scheduled.
        self.enqueue_at(planned.next_after(now), planned.function, job_id=planned.entry_id)
        failpoints.reach("scheduler-planned-again")
        logger.debug("job_fired", job_id=planned.job_id)


def run(settings: Settings, stopping: threading.Event) -> None:
    """Rounds until told to stop. While Redis is away it is waited for, and said so once."""
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
        # What is away now is asked again by each job that makes a report.
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
