"""The jobs themselves, run as RQ runs them: in a process that has only its environment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from redis import Redis
from rq import Queue
from sqlalchemy import Engine

from fcgraph import db, job_runs, reports
from fcgraph.reports.period import period_at
from fcgraph.storage.files import Files
from tests.jobs.processes import Environment
from tests.jobs.uploads import accept
from tests.reports.stored import Paid, store


def run(environment: Environment, job: str, **changes: str) -> int:
    return environment.run("-c", f"from workers import jobs; jobs.{job}", **changes).returncode


def runs(engine: Engine) -> dict[str, tuple[str, str | None]]:
    with db.read(engine) as connection:
        return {r.job: (r.state, r.detail) for r in job_runs.last_runs(connection)}


def report_rows(engine: Engine) -> list[tuple[str, int]]:
    with db.read(engine) as connection:
        return [(r.period, r.version) for r in connection.execute(sa.text("SELECT * FROM reports ORDER BY 1, 2"))]


def waiting(redis_url: str) -> list[str]:
    return list(Queue("default", connection=Redis.from_url(redis_url)).job_ids)


def a_month_ago(months: int = 1) -> str:
    period = period_at(datetime.now(UTC), "UTC")
    for _ in range(months):
        period = period.previous
    return str(period)


def test_due_reports_are_made_and_the_run_is_recorded(environment: Environment, engine: Engine, tmp_path: Path) -> None:
    missed, previous = a_month_ago(5), a_month_ago()
    store(engine, Paid(1, 2, "1.00", "USD", f"{missed}-10T10:00:00Z"))
    assert run(environment, "run_due_reports()") == 0
    assert runs(engine) == {"run_due_reports": ("SUCCEEDED", f"{missed} v1, {previous} v1")}
    assert run(environment, "run_due_reports()") == 0
    assert runs(engine) == {"run_due_reports": ("SUCCEEDED", f"{previous} v1 unchanged")}
    assert report_rows(engine) == [(missed, 1), (previous, 1)]
    assert Files(tmp_path / "reports").stored() == [f"monthly_report_{p}_v1.csv" for p in (missed, previous)]


def test_due_reports_remove_what_killed_ones_left(environment: Environment, engine: Engine, tmp_path: Path) -> None:
    assert run(environment, "run_due_reports()", FCGRAPH_FAILPOINT="report-renamed=kill") == -9
    assert runs(engine)["run_due_reports"][0] == "RUNNING"
    assert run(environment, "run_due_reports()", FCGRAPH_FAILPOINT="report-written=kill") == -9
    assert report_rows(engine) == []
    assert run(environment, "run_due_reports()", DRAFT_KEPT_SECONDS="0.000001") == 0
    assert [p.name for p in (tmp_path / "reports").iterdir()] == [f"monthly_report_{a_month_ago()}_v1.csv"]


def test_a_job_that_fails_is_recorded_as_failed(environment: Environment, engine: Engine) -> None:
    assert run(environment, "run_due_reports()", FCGRAPH_FAILPOINT="report-written=raise") == 1
    assert runs(engine) == {"run_due_reports": ("FAILED", "FailpointReached")}


def test_a_month_that_fails_does_not_cost_the_others(environment: Environment, engine: Engine) -> None:
    missed, previous = a_month_ago(3), a_month_ago()
    store(engine, Paid(1, 2, "1.00", "USD", f"{missed}-10T10:00:00Z"))
    assert run(environment, "run_due_reports()", FCGRAPH_FAILPOINT="report-written=raise") == 1
    assert report_rows(engine) == [(previous, 1)]
    assert runs(engine) == {"run_due_reports": ("FAILED", "FailpointReached")}
    assert run(environment, "run_due_reports()") == 0
    assert report_rows(engine) == [(missed, 1), (previous, 1)]


def test_one_report_by_its_period(environment: Environment, engine: Engine) -> None:
    assert run(environment, "run_report('2025-05')") == 0
    assert run(environment, "run_report('2999-05')") == 1
    assert report_rows(engine) == [("2025-05", 1)]


def test_days_are_the_reporting_zones_whatever_tz_says(
    environment: Environment, engine: Engine, tmp_path: Path
) -> None:
    instants = ("2025-04-30T15:59:59.999Z", "2025-04-30T16:00:00Z", "2025-05-31T15:59:59.999Z", "2025-05-31T16:00:00Z")
    store(engine, *(Paid(1, 1, "1.00", "USD", at) for at in instants))
    assert run(environment, "run_report('2025-05')", TZ="Asia/Tokyo", REPORT_TIMEZONE="Asia/Manila") == 0
    with Files(tmp_path / "reports").open("monthly_report_2025-05_v1.csv") as file:
        assert [line.day.isoformat() for line in reports.read_lines(file)] == ["2025-05-01", "2025-05-31"]


def test_an_import_is_run_and_may_be_run_again(environment: Environment, engine: Engine, tmp_path: Path) -> None:
    import_id = accept(
        engine,
        tmp_path / "uploads",
        b"a1b2c3d4-e5f6-7a8b-9c0d-aaaa00000001,00000000-0000-0000-0000-000000000001,"
        b"00000000-0000-0000-0000-000000000002,250.00,USD,2025-05-10T08:15:00Z,completed\nbad\n",
    )
    for _ in range(2):
        assert run(environment, f"run_import('{import_id}')") == 0
    with db.read(engine) as connection:
        row = connection.execute(sa.text("SELECT state, read_count, inserted_count, rejected_count FROM imports")).one()
    assert tuple(row) == ("SUCCEEDED_WITH_REJECTS", 2, 1, 1)


def test_the_sweep_wakes_a_worker_for_imports_that_nobody_runs(
    environment: Environment, engine: Engine, redis_url: str, tmp_path: Path
) -> None:
    import_id = accept(engine, tmp_path / "uploads", b"bad\n")
    assert run(environment, "sweep_imports()") == 0
    assert waiting(redis_url) == [f"import-{import_id}"]
    assert run(environment, "sweep_imports()") == 0
    assert waiting(redis_url) == [f"import-{import_id}"]
    Redis.from_url(redis_url).flushall()
    assert run(environment, f"run_import('{import_id}')") == 0
    assert run(environment, "sweep_imports()") == 0
    assert waiting(redis_url) == []


def test_a_sweep_without_redis_is_a_failed_run(environment: Environment, engine: Engine, tmp_path: Path) -> None:
    accept(engine, tmp_path / "uploads", b"bad\n")
    assert run(environment, "sweep_imports()", REDIS_URL="redis://127.0.0.1:1/0") == 1
    state, detail = runs(engine)["sweep_imports"]
    assert (state, detail and "Redis is unavailable" in detail) == ("FAILED", True)


@pytest.mark.parametrize(
    ("state", "hours_ago", "owed"),
    [
        (None, 0, True),  # it never ran
        ("SUCCEEDED", 1, False),
        ("SUCCEEDED", 11, False),
        ("SUCCEEDED", 13, True),  # before midnight
        ("RUNNING", 0, False),  # started just now
        ("RUNNING", 1, True),  # killed
        ("FAILED", 0, False),  # tried just now
        ("FAILED", 1, True),
    ],
)
def test_a_job_is_owed_until_it_ended_well_since_midnight(
    engine: Engine, state: str | None, hours_ago: int, owed: bool
) -> None:
    noon = datetime(2025, 6, 15, 12, tzinfo=UTC)
    with db.write(engine) as connection:
        for job in {"other", "due"} if state else {"other"}:
            connection.execute(
                sa.text("INSERT INTO job_runs (job, state, correlation_id, started_at) VALUES (:job, :state, '', :at)"),
                {"job": job, "state": state or "SUCCEEDED", "at": noon - timedelta(hours=hours_ago)},
            )
    since, tried_before = noon - timedelta(hours=12), noon - timedelta(minutes=5)
    with db.read(engine) as connection:
        assert job_runs.is_owed(connection, "due", since=since, tried_before=tried_before) == owed


def test_due_reports_that_did_not_end_well_are_requested_for_again(
    environment: Environment, engine: Engine, redis_url: str
) -> None:
    assert run(environment, "run_due_reports()", FCGRAPH_FAILPOINT="report-written=kill") == -9
    assert run(environment, "sweep_reports()") == 0
    assert waiting(redis_url) == []  # started a moment ago: it may still be running
    assert run(environment, "sweep_reports()", REPORT_RETRY_SECONDS="0.001") == 0
    assert waiting(redis_url) == ["due-reports"]
    Redis.from_url(redis_url).flushall()
    assert run(environment, "run_due_reports()") == 0
    assert run(environment, "sweep_reports()", REPORT_RETRY_SECONDS="0.001") == 0
    assert waiting(redis_url) == []


def test_only_the_latest_runs_are_stored(engine: Engine) -> None:
    for number in range(5):
        with job_runs.recorded(engine, "a", correlation_id=str(number), runs_max=3):
            pass
    with job_runs.recorded(engine, "b", correlation_id="other", runs_max=3):
        pass
    with db.read(engine) as connection:
        records = connection.execute(sa.text("SELECT correlation_id FROM job_runs ORDER BY started_at")).scalars().all()
    assert records == ["2", "3", "4", "other"]
