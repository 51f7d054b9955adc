"""Names of the jobs and the only way to enqueue them. A job takes ids and reloads its row; repeating is harmless.

The only client of RQ besides the worker and scheduler processes. The jobs are in workers/jobs.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import cast
from uuid import UUID, uuid4

import redis
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Queue
from rq.exceptions import DuplicateJobError, InvalidJobOperation, NoSuchJobError
from rq.job import Job

from fcgraph.errors import Unavailable

QUEUE = "default"  # a plain `rq worker` listens to it

RUN_IMPORT = "workers.jobs.run_import"
RUN_REPORT = "workers.jobs.run_report"
RUN_DUE_REPORTS = "workers.jobs.run_due_reports"
SWEEP_IMPORTS = "workers.jobs.sweep_imports"
SWEEP_REPORTS = "workers.jobs.sweep_reports"
DUE_REPORTS_JOB_ID = "due-reports"

# rq-scheduler's sorted set of scheduled jobs, by due time.
SCHEDULED_KEY = "rq:scheduler:scheduled_jobs"

ANSWER_SECONDS_MAX = 3.0  # Redis is local and fast, or it is unavailable
RESULT_TTL_SECONDS = 500  # a job's state is a database row; Redis results are only for inspection
FAILURE_TTL_SECONDS = 24 * 3600
NO_TIME_LIMIT = -1  # an import takes as long as its file; a dead worker is noticed by its heartbeat, not by a limit
TRIES_MAX = 5
WRITE_CHECK_KEPT_MS = 1000

REFUSALS: tuple[tuple[type[redis.ResponseError], str], ...] = (
    (redis.exceptions.ReadOnlyError, "it is a read-only replica"),
    (redis.exceptions.OutOfMemoryError, "its memory is full (maxmemory)"),
    (redis.exceptions.NoPermissionError, "the user of REDIS_URL may not write"),
)
REFUSAL_CODES = {  # errors without a class in redis-py
    "MISCONF": "it cannot save to its disk",
    "NOREPLICAS": "it has too few replicas",
    "MASTERDOWN": "it is a replica that has lost its primary",
    "CLUSTERDOWN": "its cluster is down",
}


@dataclass(frozen=True)
class Scheduled:
    """A job that the scheduler will enqueue, and when (UTC)."""

    job_id: str
    next_at: datetime


def enqueue_import(redis_url: str, import_id: UUID) -> None:
    """Wake a worker for this import. Raises Unavailable without Redis; a sweep finds the import's row later."""
    enqueue(redis_url, RUN_IMPORT, str(import_id), job_id=f"import-{import_id}")


def enqueue_report(redis_url: str, period: str) -> None:
    """Have a worker make the report of the month `YYYY-MM`. Raises Unavailable when Redis is unavailable."""
    enqueue(redis_url, RUN_REPORT, period, job_id=f"report-{period}")


def enqueue(redis_url: str, function: str, *args: str, job_id: str) -> None:
    """Put the job into the queue unless one of the same id waits there already. Raises Unavailable."""
    with answering():
        put(Queue(QUEUE, connection=connect(redis_url)), function, *args, job_id=job_id)


def put(queue: Queue, function: str, *args: str, job_id: str) -> None:
    """As `enqueue`, on an existing queue; raises redis errors unchanged.

    An id that Redis knows but that is in no queue is a job that runs, ended, failed or was lost with its worker. None
    of these means that this request is done, so the old job is deleted and a new one is enqueued.
    """
    job = Job.create(
        function,
        args=args,
        connection=queue.connection,
        id=job_id,
        timeout=NO_TIME_LIMIT,
        result_ttl=RESULT_TTL_SECONDS,
        failure_ttl=FAILURE_TTL_SECONDS,
    )
    for _ in range(TRIES_MAX):
        try:
            queue.enqueue_job(job, unique=True)
            return
        except DuplicateJobError:
            if queue.get_job_position(job_id) is not None:
                return
            _forget(queue, job_id)
    raise Unavailable(f"the job {job_id} is repeatedly enqueued by other processes")


def scheduled(redis_url: str) -> list[Scheduled]:
    """What the scheduler will enqueue, soonest first. Raises Unavailable."""
    with answering():
        entries = cast(list[tuple[bytes, float]], connect(redis_url).zrange(SCHEDULED_KEY, 0, -1, withscores=True))
    return [Scheduled(name.decode(errors="replace"), datetime.fromtimestamp(score, UTC)) for name, score in entries]


def waiting(redis_url: str) -> int:
    """How many jobs wait for a worker. Raises Unavailable."""
    with answering():
        return int(Queue(QUEUE, connection=connect(redis_url)).count)


def why_no_writes(redis_url: str) -> str | None:
    """Try a write that expires at once; None when Redis accepts it, else why it refuses. Raises Unavailable.

    A Redis that responds to PING may still refuse every write, and then nothing can be enqueued.
    """
    key = f"fcgraph:write-check:{uuid4().hex}"
    with answering():
        try:
            connect(redis_url).set(key, b"", px=WRITE_CHECK_KEPT_MS)
        except redis.AuthenticationError:
            return "refuses the credentials of REDIS_URL"
        except redis.ResponseError as e:
            return refusal(e)
    return None


def refusal(error: redis.ResponseError) -> str:
    """Why Redis refused a write, in our words; Redis's text may repeat what was sent."""
    for kind, reason in REFUSALS:
        if isinstance(error, kind):
            return f"refuses writes: {reason}"
    code = str(error).partition(" ")[0]
    return f"refuses writes: {REFUSAL_CODES.get(code, type(error).__name__)}"


def ping(redis_url: str) -> None:
    """Return when Redis responds. Raises Unavailable."""
    with answering():
        connect(redis_url).ping()


@lru_cache(maxsize=8)
def connect(redis_url: str) -> Redis:
    """A client with short timeouts and no retries; safe to share between threads and across a fork."""
    return Redis.from_url(
        redis_url,
        socket_timeout=ANSWER_SECONDS_MAX,
        socket_connect_timeout=ANSWER_SECONDS_MAX,
        health_check_interval=10,
        retry=Retry(NoBackoff(), 1),  # once: a pooled connection may be dead since Redis restarted
    )


@contextmanager
def answering() -> Iterator[None]:
    """Turn Redis errors into Unavailable, without the address."""
    try:
        yield
    except redis.RedisError as e:
        raise Unavailable(f"Redis is unavailable ({type(e).__name__})") from e


def _forget(queue: Queue, job_id: str) -> None:
    try:
        Job.fetch(job_id, connection=queue.connection).delete(remove_from_queue=False)
    except (NoSuchJobError, InvalidJobOperation, ValueError, KeyError, TypeError, redis.ResponseError):
        queue.connection.delete(Job.key_for(job_id))  # missing or unreadable: it blocks nothing
