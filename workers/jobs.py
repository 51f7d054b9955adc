"""The functions that RQ runs, by name. Each takes ids, reloads its rows, and may be run any number of times.

What an import or a report does is in the core; here it gets its settings, engine, files and correlation id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID, uuid4

import structlog
from sqlalchemy import Engine

from fcgraph import csv_imports, db, intake, job_runs, log, queue, reports, settings, zones
from fcgraph.errors import FcgraphError
from fcgraph.files import Files
from fcgraph.job_runs import Run
from fcgraph.settings import Settings

logger = log.get(__name__)


class Work(NamedTuple):
    """What a job works with. The engine is the job's own: jobs are forks. `run`: kept when the scheduler fires it."""

    given: Settings
    engine: Engine
    correlation_id: str
    run: Run | None


def run_import(import_id: str) -> None:
    """Bring an accepted CSV file through the intake, from where it was left."""
    intake.collect_garbage_rarely()  # this process ends with the job
    with _work("run_import", make_engine=intake.engine_of) as work:
        csv_imports.run(work.engine, Files(work.given.uploads_dir), UUID(import_id), work.given)


def run_report(period: str) -> None:
    """Make the report of one month."""
    with _work("run_report") as work:
        _generate(work, period, datetime.now(UTC))


def run_due_reports() -> None:
    """Make the report of the previous month and of every month that was missed; remove what killed ones left."""
    with _work("run_due_reports", scheduled=True) as work:
        now = datetime.now(UTC)
        files = Files(work.given.reports_dir)
        reports.sweep(
            work.engine,
            files,
            drafts_older_than_seconds=work.given.draft_kept_seconds,
            leavings_younger_than_seconds=work.given.leaving_young_seconds,
        )
        zones.check(work.engine, work.given.report_timezone)
        with db.read(work.engine) as connection:
            periods = reports.due_periods(connection, time_zone=work.given.report_timezone, now=now)
        made, failed = [], None
        for period in periods:
            try:
                made.append(_generate(work, period, now))
            except Exception as e:  # noqa: BLE001 - raised below: one month's trouble must not cost the others' reports
                logger.error("report_failed", period=period, reason=type(e).__name__)
                failed = failed or e
        if failed is not None:
            raise failed
        _tell(work, ", ".join(f"{m.period} v{m.version}{' unchanged' if m.unchanged else ''}" for m in made))


def sweep_imports() -> None:
    """Wake workers for imports that wait without a job or whose worker died; remove half-written uploads."""
    with _work("sweep_imports", scheduled=True) as work:
        due = csv_imports.due(work.engine, work.given.import_lease_seconds)
        for import_id in due:
            queue.enqueue_import(work.given.redis_url, import_id)
        Files(work.given.uploads_dir).sweep(work.given.draft_kept_seconds)
        _tell(work, f"{len(due)} due")


def sweep_reports() -> None:
    """Have the due reports made unless that ended well since midnight or was begun just now.

    So a killed worker, a full disk at midnight, or a Redis that forgot everything costs minutes, not a day.
    """
    with _work("sweep_reports", scheduled=True) as work:
        if _reports_are_owed(work):
            queue.enqueue(work.given.redis_url, queue.RUN_DUE_REPORTS, job_id=queue.DUE_REPORTS_JOB_ID)
            _tell(work, "enqueued")


def _reports_are_owed(work: Work) -> bool:
    now = datetime.now(UTC)
    with db.read(work.engine) as connection:
        return job_runs.is_owed(
            connection,
            "run_due_reports",
            since=reports.last_midnight(now, work.given.report_timezone),
            tried_before=now - timedelta(seconds=work.given.report_retry_seconds),
        )


def _generate(work: Work, period: str, now: datetime) -> reports.Generated:
    zones.check(work.engine, work.given.report_timezone)
    return reports.generate(
        work.engine,
        Files(work.given.reports_dir),
        period,
        time_zone=work.given.report_timezone,
        now=now,
        correlation_id=work.correlation_id,
    )


def _tell(work: Work, detail: str) -> None:
    if work.run is not None:
        work.run.detail = detail


def _plain_engine(given: Settings, name: str) -> Engine:
    return db.make_engine(given.database_url, name=name)


@contextmanager
def _work(
    name: str, *, scheduled: bool = False, make_engine: Callable[[Settings, str], Engine] = _plain_engine
) -> Iterator[Work]:
    given = settings.current()
    if not structlog.is_configured():  # a plain `rq worker` set up no logs
        log.set_up("worker", level=given.log_level, fmt=given.log_format)
    correlation_id = uuid4().hex
    log.bind(correlation_id=correlation_id, job=name)
    tell = logger.debug if name.startswith("sweep_") else logger.info  # sweeps come every few seconds
    tell("job_started")
    engine = make_engine(given, name)  # made after the fork, gone with the job
    try:
        if scheduled:
            kept_max = given.job_runs_kept_max
            with job_runs.recorded(engine, name, correlation_id=correlation_id, kept_max=kept_max) as run:
                yield Work(given, engine, correlation_id, run)
        else:
            yield Work(given, engine, correlation_id, None)
        tell("job_finished")
    except FcgraphError as e:
        logger.error("job_refused", code=e.code, reason=e.message)
        raise
    finally:
        engine.dispose()
        structlog.contextvars.unbind_contextvars("correlation_id", "job")
