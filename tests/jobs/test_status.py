"""`status` with processes started one by one: what is scheduled, when it last ran and how it ended."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from redis import Redis
from sqlalchemy import Engine

from fcgraph import job_runs
from fcgraph.embedded import ports
from tests.jobs.processes import Environment, stop
from tests.jobs.test_jobs import a_month_ago
from tests.waiting import until

AWAY = 5
JOBS = {"due-reports", "sweep-imports", "sweep-reports"}


def status(environment: Environment, *options: str) -> str:
    """What it prints; Kafka is unavailable, and the rest is reported all the same."""
    done = environment.run("-m", "fcgraph", "status", *options, KAFKA_BROKER=f"127.0.0.1:{ports.free()}", COLUMNS="80")
    assert done.returncode == AWAY, done.stderr
    return done.stdout


def answer(environment: Environment) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(status(environment, "--json"))
    assert list(found["away"]) == ["kafka"]
    return found


def ended_well(environment: Environment) -> bool:
    runs = {run["job"]: run["state"] for run in answer(environment)["last_runs"]}
    return runs == dict.fromkeys(("run_due_reports", "sweep_imports", "sweep_reports"), "SUCCEEDED")


def test_what_is_scheduled_when_it_ran_and_how_it_ended(environment: Environment, redis_url: str) -> None:
    assert "Nothing is scheduled" in status(environment)
    environment.settings |= {"REPORT_TIMEZONE": "Asia/Manila"}
    environment.start("-m", "rq.cli", "worker", "--url", redis_url)
    scheduler = environment.start("-m", "workers.scheduler")
    until(lambda: ended_well(environment), seconds=40)

    found = answer(environment)
    assert {one["job_id"].removeprefix("scheduled-") for one in found["scheduled"]} == JOBS
    (due_reports,) = (one for one in found["last_runs"] if one["job"] == "run_due_reports")
    assert due_reports["detail"] == f"{a_month_ago()} v1"
    assert datetime.fromisoformat(due_reports["started_at"]) < datetime.fromisoformat(due_reports["finished_at"])
    assert (found["jobs_waiting"], found["processes"]) == (0, {})

    text = " ".join(status(environment).replace("│", " ").split())
    assert " 16:00:00 " in text  # midnight in Manila
    assert f"{a_month_ago()} v1" in text
    assert "overdue" not in text

    assert stop(scheduler) == 0
    key = "rq:scheduler:scheduled_jobs"
    Redis.from_url(redis_url).zadd(key, {"scheduled-due-reports": 0})  # as if long after the scheduler ended
    assert "overdue" in status(environment)


def test_a_failure_is_reported_with_its_reason(environment: Environment, engine: Engine) -> None:
    try:
        with job_runs.recorded(engine, "run_due_reports", correlation_id="test", runs_max=2):
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    lines = status(environment).splitlines()
    (first,) = [n for n, line in enumerate(lines) if "ZeroDivisionError" in line]
    assert "due-reports" in lines[first]
    assert "FAILED in 0.0 s" in lines[first + 1]
