"""The functions that RQ runs, by name. Each takes ids, reloads its rows, and may be run any number of times.

Imports and reports are implemented in the core; this adds settings, engine, files and correlation id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID, uuid4

import structlog
from sqlalchemy import Engine

from fcgraph import db, imports, intake, job_runs, queue, reports, zones
from fcgraph import settings as process_settings
from fcgraph.errors import FcgraphError
from fcgraph.job_runs import Run
from fcgraph.observability import log
from fcgraph.settings import Settings
from fcgraph.storage.files import Files

logger = log.get(__name__)


class Work(NamedTuple):
    """What a job works with. Each job is a fork and has its own engine. `run` is recorded for scheduled jobs."""

    settings: Settings
    engine: Engine
    correlation_id: str
    run: Run | None


def run_import(import_id: str) -> None:
    """Import an accepted CSV file, resuming where the last attempt stopped."""
    intake.collect_garbage_rarely()  # this process ends with the job
    with _work("run_import", make_engine=intake.engine_of) as work:
        imports.run(work.engine, Files(work.settings.uploads_dir), UUID(import_id), work.settings)


def run_report(period: str) -> None:
    """Make the report of one month."""
    with _work("run_report") as work:
        _generate(work, period, datetime.now(UTC))


def run_due_reports() -> None:
    """Make the report of the previous month and of every missed month; remove files that killed runs left behind."""
    with _work("run_due_reports", scheduled=True) as work:
        now = datetime.now(UTC)
        files = Files(work.settings.reports_dir)
        reports.sweep(
            work.engine,
            files,
            drafts_older_than_seconds=work.settings.draft_kept_seconds,
            leavings_younger_than_seconds=work.settings.leaving_young_seconds,
        )
        zones.check(work.engine, work.settings.report_timezone)
        with db.read(work.engine) as connection:
            periods = reports.due_periods(connection, time_zone=work.settings.report_timezone, now=now)
        made, failed = [], None
        for period in periods:
            try:
                made.append(_generate(work, period, now))
            except Exception as e:  # noqa: BLE001 - raised below: an error in one month must not prevent the other reports
                logger.error("report_failed", period=period, reason=type(e).__name__)
                failed = failed or e
        if failed is not None:
            raise failed
        _tell(work, ", ".join(f"{m.period} v{m.version}{' unchanged' if m.unchanged else ''}" for m in made))


def sweep_imports() -> None:
    """Wake workers for imports that wait without a job or whose worker died; remove half-written uploads."""
    with _work("sweep_imports", scheduled=True) as work:
        due = imports.due(work.engine, work.settings.import_lease_seconds)
        for import_id in due:
            queue.enqueue_import(work.settings.redis_url, import_id)
        Files(work.settings.uploads_dir).sweep(work.settings.draft_kept_seconds)
        _tell(work, f"{len(due)} due")


def sweep_reports() -> None:
    """Enqueue the due reports unless they succeeded since midnight or were started just now.

    So a killed worker, a full disk at midnight or an emptied Redis delays them by minutes, not by a day.
    """
    with _work("sweep_reports", scheduled=True) as work:
        if _reports_are_owed(work):
            queue.enqueue(work.settings.redis_url, queue.RUN_DUE_REPORTS, job_id=queue.DUE_REPORTS_JOB_ID)
            _tell(work, "enqueued")


def _reports_are_owed(work: Work) -> bool:
    now = datetime.now(UTC)
    with db.read(work.engine) as connection:
        return job_runs.is_owed(
            connection,
            "run_due_reports",
            since=reports.last_midnight(now, work.settings.report_timezone),
            tried_before=now - timedelta(seconds=work.settings.report_retry_seconds),
        )


def _generate(work: Work, period: str, now: datetime) -> reports.Generated:
    zones.check(work.engine, work.settings.report_timezone)
    return reports.generate(
        work.engine,
        Files(work.settings.reports_dir),
        period,
        time_zone=work.settings.report_timezone,
        now=now,
        correlation_id=work.correlation_id,
    )


def _tell(work: Work, detail: str) -> None:
    if work.run is not None:
        work.run.detail = detail


def _default_engine(settings: Settings, name: str) -> Engine:
    return db.make_engine(settings.database_url, name=name)


@contextmanager
def _work(
    name: str, *, scheduled: bool = False, make_engine: Callable[[Settings, str], Engine] = _default_engine
) -> Iterator[Work]:
    settings = process_settings.current()
    if not structlog.is_configured():  # a plain `rq worker` does not set up logging
        log.set_up("worker", level=settings.log_level, fmt=settings.log_format)
    correlation_id = uuid4().hex
    log.bind(correlation_id=correlation_id, job=name)
    write = logger.debug if name.startswith("sweep_") else logger.info  # sweeps come every few seconds
    write("job_started")
    engine = make_engine(settings, name)  # made after the fork, disposed of with the job
    try:
        if scheduled:
            runs_max = settings.job_runs_kept_max
            with job_runs.recorded(engine, name, correlation_id=correlation_id, runs_max=runs_max) as run:
                yield Work(settings, engine, correlation_id, run)
        else:
            yield Work(settings, engine, correlation_id, None)
        write("job_finished")
    except FcgraphError as e:
        logger.error("job_refused", code=e.code, reason=e.message)
        raise
    finally:
        engine.dispose()
        structlog.contextvars.unbind_contextvars("correlation_id", "job")
