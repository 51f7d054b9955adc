"""When a scheduled job ran last and how it ended: one row per run; only the latest of each job are stored.

Imports and reports have their own rows and are not described here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection, Engine
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.exc import DBAPIError

from fcgraph import db
from fcgraph.errors import FcgraphError
from fcgraph.models import JobRun
from fcgraph.observability import log

logger = log.get(__name__)


@dataclass
class Run:
    """A run in progress. `detail` is stored with its row."""

    run_id: UUID
    detail: str | None = None


@dataclass(frozen=True)
class LastRun:
    """A job's latest run. `state` is RUNNING (or killed), SUCCEEDED or FAILED."""

    job: str
    state: str
    detail: str | None
    started_at: datetime
    finished_at: datetime | None


@contextmanager
def recorded(engine: Engine, job: str, *, correlation_id: str, runs_max: int) -> Iterator[Run]:
    """Record a run of the job around the block: RUNNING now, then SUCCEEDED, or FAILED when it raises."""
    with db.write(engine) as connection:
        run = Run(
            connection.execute(
                sa.insert(JobRun).values(job=job, correlation_id=correlation_id).returning(JobRun.run_id)
            ).scalar_one()
        )
        latest = sa.select(JobRun.run_id).where(JobRun.job == job).order_by(JobRun.started_at.desc()).limit(runs_max)
        connection.execute(sa.delete(JobRun).where(JobRun.job == job, JobRun.run_id.not_in(latest)))
    try:
        yield run
    except Exception as e:
        try:
            _finish(engine, run.run_id, "FAILED", e.message if isinstance(e, FcgraphError) else type(e).__name__)
        except DBAPIError as away:
            # The row stays RUNNING; the error that is raised matters more.
            logger.warning("job_run_not_recorded", job=job, reason=type(away).__name__)
        raise
    _finish(engine, run.run_id, "SUCCEEDED", run.detail)


def last_runs(connection: Connection) -> list[LastRun]:
    """The latest run of each job, by name."""
    latest = (
        sa.select(JobRun.job, JobRun.state, JobRun.detail, JobRun.started_at, JobRun.finished_at)
        .ext(distinct_on(JobRun.job))
        .order_by(JobRun.job, JobRun.started_at.desc())
    )
    return [LastRun(*row) for row in connection.execute(latest)]


def is_owed(connection: Connection, job: str, *, since: datetime, tried_before: datetime) -> bool:
    """Whether no run started at or after `since` has succeeded, and none has started after `tried_before`."""
    ended_well = sa.and_(JobRun.state == "SUCCEEDED", JobRun.started_at >= since)
    runs = sa.select(JobRun.run_id).where(JobRun.job == job, sa.or_(ended_well, JobRun.started_at > tried_before))
    return not connection.scalar(sa.select(runs.exists()))


def _finish(engine: Engine, run_id: UUID, state: str, detail: str | None) -> None:
    with db.write(engine) as connection:
        connection.execute(
            sa.update(JobRun)
            .where(JobRun.run_id == run_id)
            .values(state=state, detail=detail, finished_at=sa.func.clock_timestamp())
        )
