"""`python -m workers.worker`: RQ's worker with our settings. A plain `rq worker --url $REDIS_URL` works as well.

It waits for Redis, at the start and later, instead of exiting. The jobs are in workers/jobs.py.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from types import FrameType

import redis
import rq
from redis import Redis

from fcgraph import db, queue, zones
from fcgraph import settings as process_settings
from fcgraph.errors import SettingsError, Unavailable
from fcgraph.observability import log
from fcgraph.settings import Settings
from workers import jobs as jobs  # imported before the fork, so that a job starts at once

logger = log.get(__name__)


class Worker(rq.Worker):
    """RQ's worker; distinguishes a requested stop from a lost Redis, and reconnects more often."""

    max_connection_wait_time = 5.0

    def __init__(self, settings: Settings, stopping: threading.Event) -> None:
        connection = Redis.from_url(
            settings.redis_url, socket_connect_timeout=queue.ANSWER_SECONDS_MAX, health_check_interval=10
        )
        super().__init__(
            [queue.QUEUE],
            connection=connection,
            worker_ttl=settings.worker_ttl_seconds,
            maintenance_interval=settings.worker_maintenance_seconds,
            job_monitoring_interval=settings.worker_monitoring_seconds,
            log_job_description=False,
        )
        self._stopping = stopping

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        self._stopping.set()
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call] # rq leaves it untyped

    def _install_signal_handlers(self) -> None:
        super()._install_signal_handlers()  # type: ignore[no-untyped-call] # rq leaves it untyped
        if self._stopping.is_set():  # stopped before RQ handled signals
            self._stop_requested = True

    def teardown(self) -> None:
        try:
            super().teardown()  # type: ignore[no-untyped-call] # rq leaves it untyped
        except redis.RedisError as e:
            logger.warning("worker_left_without_word", reason=type(e).__name__)  # its key expires on its own
            if self.pubsub_thread is not None:
                self.pubsub_thread.stop()


def work(settings: Settings) -> None:
    """Run jobs until stopped."""
    stopping = threading.Event()
    while not stopping.is_set():
        for stop_signal in (signal.SIGTERM, signal.SIGINT):
            signal.signal(stop_signal, lambda *_: stopping.set())
        if not wait_for_redis(settings.redis_url, stopping, settings.waiting_retry_seconds):
            break
        try:
            worker = Worker(settings, stopping)
            logger.info("worker_started", name=worker.name)
            worker.work(
                logging_level="DEBUG" if settings.log_level == "DEBUG" else "WARNING"
            )  # jobs write their own logs
        except redis.RedisError as e:
            logger.warning("redis_lost", reason=type(e).__name__)
        if not stopping.is_set():  # RQ gave up on an unexpected error and logged it
            stopping.wait(settings.waiting_retry_seconds)
    logger.info("worker_stopped")


class RedisTrouble(logging.Filter):
    """Logs a Redis error as one line; RQ would treat it as a bug and log a traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, redis.RedisError):
            return True
        logger.warning("redis_lost", reason=type(error).__name__)
        return False


def wait_for_redis(redis_url: str, stopping: threading.Event, retry_seconds: float) -> bool:
    """Return True once Redis takes writes, False when stopped before that."""
    waited = False
    while not stopping.is_set():
        try:
            reason = queue.why_no_writes(redis_url)
        except Unavailable as e:
            reason = e.message
        if reason is None:
            if waited:
                logger.info("redis_is_back")
            return True
        if not waited:
            logger.warning("waiting_for_redis", reason=reason)
        waited = True
        stopping.wait(retry_seconds)
    return False


def main() -> int:
    """Exit code 0 when stopped by a signal, 2 when a setting is wrong."""
    try:
        settings = process_settings.current()
        log.set_up("worker", level=settings.log_level, fmt=settings.log_format)
        # If PostgreSQL is unavailable now, each job that makes a report checks again.
        zones.check_if_there(db.make_engine(settings.database_url, name="worker"), settings.report_timezone)
    except SettingsError as e:
        print(e.message, file=sys.stderr)  # noqa: T201 - no log without settings
        return 2
    logging.getLogger("rq.worker").addFilter(RedisTrouble())
    work(settings)
    return 0


if __name__ == "__main__":
    sys.exit(main())
