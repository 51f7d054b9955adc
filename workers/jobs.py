"""The functions that RQ runs, by name. Each takes ids, reloads its rows, and may be run any number of times.

What an import or a report does is in the core; here it gets its settings, engine, files and correlation id.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import structlog
from sqlalchemy import Engine

from fcgraph import csv_imports, db, job_runs, log, queue, reports, settings
from fcgraph.errors import FcgraphError
from fcgraph.files import Files
from fcgraph.settings import Settings

DUE_REPORTS_JOB_ID = "due-reports"

logger = log.get(__name__)


def run_import(import_id: str) -> None:
    """Bring an accepted CSV file through the intake, from where it was left."""
    with _job("run_import") as (given, engine, _):
        csv_imports.run(engine, Files(given.uploads_dir), UUID(import_id), given)


def run_report(period: str) -> None:
    """Make the report of one month."""
    with _job("run_report") as (given, engine, correlation_id):
        reports.generate(
            engine,
            Files(given.reports_dir),
            period,
            time_zone=given.report_timezone,
            now=datetime.now(UTC),
            correlation_id=correlation_id,
        )


def run_due_reports() -> None:
    """Make the report of the previous month and of every month that was missed; remove what killed ones left."""
    with _job("run_due_reports", scheduled=True) as (given, engine, correlation_id):
        now = datetime.now(UTC)
        files = Files(given.reports_dir)
        reports.sweep(engine, files, drafts_older_than_seconds=given.draft_kept_seconds)
        with db.read(engine) as connection:
            periods = reports.due_periods(connection, time_zone=given.report_timezone, now=now)
        for period in periods:
            reports.generate(
                engine,
                files,
                period,
                time_zone=given.report_timezone,
                now=now,
                correlation_id=correlation_id,
            )


def sweep_imports() -> None:
    """Wake workers for imports that wait without a job or whose worker died; remove half-written uploads."""
    with _job("sweep_imports", scheduled=True) as (given, engine, _):
        for import_id in csv_imports.due(engine, given.import_lease_seconds):
            queue.enqueue_import(given.redis_url, import_id)
        Files(given.uploads_dir).sweep(given.draft_kept_seconds)


def sweep_reports() -> None:
    """Have the due reports made unless that ended well since midnight or was begun just now.

    So a killed worker, a full disk at midnight, or a Redis that forgot everything costs minutes, not a day.
    """
    with _job("sweep_reports", scheduled=True) as (given, engine, _):
        now = datetime.now(UTC)
        with db.read(engine) as connection:
            midnight = reports.last_midnight(now, given.report_timezone)
            if job_runs.started_since(connection, "run_due_reports", midnight, state="SUCCEEDED"):
                return
            if job_runs.started_since(
                connection, "run_due_reports", now - timedelta(seconds=given.report_retry_seconds)
            ):
                return
        queue.enqueue(given.redis_url, queue.RUN_DUE_REPORTS, job_id=DUE_REPORTS_JOB_ID)


@contextmanager
def _job(name: str, *, scheduled: bool = False) -> Iterator[tuple[Settings, Engine, str]]:
    """What a job needs; its run is recorded when the scheduler fires it. Engine without a pool: jobs are forks."""
    given = settings.current()
    if not structlog.is_configured():  # a plain `rq worker` set up no logs
        log.set_up("worker", level=given.log_level, fmt=given.log_format)
    correlation_id = uuid4().hex
    log.bind(correlation_id=correlation_id, job=name)
    engine = db.make_engine(given.database_url, name=name)
    try:
        if scheduled:
            with job_runs.recorded(engine, name, correlation_id=correlation_id, kept_max=given.job_runs_kept_max):
                yield given, engine, correlation_id
        else:
            yield given, engine, correlation_id
    except FcgraphError as e:
        logger.error("job_refused", code=e.code, reason=e.message)
        raise
    finally:
        engine.dispose()
        structlog.contextvars.unbind_contextvars("correlation_id", "job")
