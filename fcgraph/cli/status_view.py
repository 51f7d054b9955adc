"""What `status` shows: processes, unread messages, jobs. Reads only; changes nothing."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import sqlalchemy as sa
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from sqlalchemy.exc import DBAPIError

from fcgraph import db, job_runs, queue
from fcgraph.embedded import postgres, redis
from fcgraph.embedded.stack import Stack
from fcgraph.errors import Unavailable
from fcgraph.kafka import lag as kafka_lag
from fcgraph.observability import heartbeats
from fcgraph.queries import kafka_gaps
from fcgraph.settings import Settings

LAG_SECONDS_MAX = 1.8
ANSWER_SECONDS_MAX = 2.0  # for all services, which are queried in parallel
STALLED = "stalled"
OVERDUE_AFTER = timedelta(minutes=1)  # the scheduler checks every few seconds


@dataclass
class Work:
    """Lag and jobs; an unavailable service is named in `away`, and the others are reported all the same."""

    away: dict[str, str] = field(default_factory=dict)
    consumer_lag: dict[str, Any] | None = None
    kafka_gaps: dict[str, Any] | None = None
    heartbeats: list[dict[str, Any]] = field(default_factory=list)
    redis_refusal: str | None = None
    jobs_waiting: int | None = None
    scheduled: list[dict[str, Any]] = field(default_factory=list)
    last_runs: list[dict[str, Any]] = field(default_factory=list)


def elsewhere(settings: Settings) -> Stack:
    """The stack when no `up` runs here: services at the configured addresses, with no processes of ours."""
    return {
        "pid": 0,
        "api_url": "",
        "database_url": postgres.without_password(settings.database_url),
        "redis_url": redis.without_password(settings.redis_url),
        "kafka_broker": settings.kafka_broker,
        "kafka_kind": "given",
        "environment": {},
        "chosen": [],
        "processes": {},
    }


def look(settings: Settings) -> Work:
    """Query Kafka, Redis and PostgreSQL in parallel, each for a bounded time."""
    work = Work()
    questions: dict[str, Callable[[], dict[str, Any]]] = {
        "kafka": lambda: _kafka(settings),
        "redis": lambda: _redis(settings),
        "postgresql": lambda: _postgresql(settings),
    }
    answers: dict[str, dict[str, Any] | Exception] = {}

    def ask(part: str) -> None:
        try:
            answers[part] = questions[part]()
        except Exception as e:  # noqa: BLE001 - raised below, unless the service is unavailable
            answers[part] = e

    # Daemons: one without a response does not delay the exit of the process.
    threads = {part: threading.Thread(target=ask, args=(part,), daemon=True) for part in questions}
    deadline = time.monotonic() + ANSWER_SECONDS_MAX
    for thread in threads.values():
        thread.start()
    for part, thread in threads.items():
        thread.join(max(0.0, deadline - time.monotonic()))
        answer = answers.get(part)
        if answer is None:
            work.away[part] = f"no response within {ANSWER_SECONDS_MAX:g} s"
        elif isinstance(answer, Exception):
            work.away[part] = _why_away(answer)
        else:
            for name, found in answer.items():
                setattr(work, name, found)
    if work.redis_refusal is not None:
        work.away["redis"] = work.redis_refusal
    return work


def _why_away(error: Exception) -> str:
    """Why a service is unavailable; raises the error when it means something else."""
    if isinstance(error, Unavailable):
        return error.message
    if isinstance(error, DBAPIError) and db.is_away(error):
        return str(error.orig).strip().splitlines()[0]
    raise error


def _kafka(settings: Settings) -> dict[str, Any]:
    lag = kafka_lag.read_lag(
        settings.kafka_broker,
        settings.kafka_topic,
        settings.kafka_consumer_group,
        timeout_seconds=LAG_SECONDS_MAX,
    )
    return {"consumer_lag": lag.shown(datetime.now(UTC))}


def _redis(settings: Settings) -> dict[str, Any]:
    return {
        "redis_refusal": queue.why_no_writes(settings.redis_url),
        "jobs_waiting": queue.waiting(settings.redis_url),
        "scheduled": [asdict(one) for one in queue.scheduled(settings.redis_url)],
    }


def _postgresql(settings: Settings) -> dict[str, Any]:
    engine = db.make_engine(settings.database_url, name="status", statement_timeout_seconds=ANSWER_SECONDS_MAX)
    with db.read(engine) as connection:
        return {
            "last_runs": [asdict(one) for one in job_runs.last_runs(connection)],
            "kafka_gaps": kafka_gaps.shown(row._asdict() for row in connection.execute(sa.text(kafka_gaps.GAPS.sql))),
            "heartbeats": [
                asdict(one) for one in heartbeats.progress(connection, stalled_seconds=settings.stalled_seconds)
            ],
        }


def mark_stalled(stack: Stack, work: Work) -> None:
    """Set the state of processes that live and make no progress: stopped by a signal, or without a heartbeat."""
    here = socket.gethostname()
    silent = {one["pid"] for one in work.heartbeats if one["state"] == STALLED and one["host"] == here}
    for process in stack["processes"].values():
        if process["state"] == "running" and (process["pid"] in silent or _is_stopped(process["pid"])):
            process["state"] = STALLED


def _is_stopped(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
    except psutil.NoSuchProcess:
        return False  # its supervisor will notice


def all_run(stack: Stack, work: Work) -> bool:
    """Whether every process runs and makes progress."""
    states = [one["state"] for one in (*stack["processes"].values(), *work.heartbeats)]
    return all(state == "running" for state in states)


def shown(stack: Stack, work: Work) -> dict[str, Any]:
    """As `--json` prints it: no passwords and no internal fields."""
    output: dict[str, Any] = {
        key: stack[key] for key in ("api_url", "database_url", "redis_url", "kafka_broker", "kafka_kind")
    }
    output["processes"] = {
        name: {key: process[key] for key in ("pid", "state", "restarts")}
        for name, process in stack["processes"].items()
    }
    output |= asdict(work)
    del output["redis_refusal"]  # it is in `away`
    return output


def show(console: Console, stack: Stack, work: Work, time_zone: str) -> None:
    """Print all of it. `time_zone` is the reporting one."""
    kafka = f"{stack['kafka_broker']} ({stack['kafka_kind']})"
    playground = f"{stack['api_url']}/graphql" if stack["api_url"] else ""
    addresses = {
        "API": stack["api_url"],
        "Playground": playground,
        "PostgreSQL": stack["database_url"],
        "Redis": stack["redis_url"],
    }
    for name, address in (addresses | {"Kafka": kafka}).items():
        if address:
            console.print(f"{name:<11}{address}", soft_wrap=True, markup=False)
    if stack["processes"]:
        processes = Table("process", "state", "pid", "restarts", title="Processes", title_justify="left")
        for name, process in stack["processes"].items():
            processes.add_row(name, process["state"], str(process["pid"]), str(process["restarts"]))
        console.print(processes)
    for one in work.heartbeats:
        if one["state"] == STALLED:
            who = escape(f"{one['process']} {one['instance']} (process {one['pid']} on {one['host']})")
            since = _time(one["last_progress_at"])
            console.print(f"[red]Stalled:[/] {who} has made no progress since {since}", soft_wrap=True)
    for part, reason in work.away.items():
        console.print(f"[red]{part} is unavailable:[/] {escape(reason)}", soft_wrap=True)
    if work.consumer_lag is not None:
        age = work.consumer_lag["oldest_unread_age_seconds"]
        per_partition = ", ".join(f"{p}: {lag}" for p, lag in work.consumer_lag["partitions"].items())
        oldest = f"; the oldest has waited {age:.0f} s" if age is not None else ""
        console.print(f"Unread messages: {work.consumer_lag['total']} (by partition {per_partition or 'none'}){oldest}")
        held = {p: count for p, count in work.consumer_lag["held_by_transaction"].items() if count}
        if held:
            per_partition = ", ".join(f"{p}: {count}" for p, count in held.items())
            console.print(
                f"[yellow]Held behind open transactions:[/] {sum(held.values())} (by partition {per_partition})"
            )
    if work.kafka_gaps:
        _show_gaps(console, work.kafka_gaps)
    if work.jobs_waiting is not None:
        console.print(f"Jobs waiting for a worker: {work.jobs_waiting}")
    if "redis" not in work.away and not work.scheduled:
        console.print("[red]Nothing is scheduled:[/] the scheduler has not run (python -m workers.scheduler)")
    console.print(_jobs(work, datetime.now(UTC)))
    console.print(f"Times are UTC. Reports fall due at midnight in {time_zone} (REPORT_TIMEZONE).")


def _show_gaps(console: Console, gaps: dict[str, Any]) -> None:
    if not gaps["count"]:
        return
    console.print(f"[red]Gaps in Kafka:[/] {gaps['count']} (messages deleted before they were read)")
    for gap in gaps["latest"]:
        offsets = f"offsets {gap['first_offset']} to {gap['last_offset']}"
        line = f"  {gap['topic']} partition {gap['partition']}, {offsets}, noticed {_time(gap['noticed_at'])}"
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    if gaps["count"] > len(gaps["latest"]):
        console.print(f"  and {gaps['count'] - len(gaps['latest'])} older ones")


def _jobs(work: Work, now: datetime) -> Table:
    jobs = Table(title="Scheduled jobs", title_justify="left")
    for name in ("job", "next", "last run"):
        jobs.add_column(name, no_wrap=True)
    jobs.add_column("result")
    # A job has one name here: that of its entry in the schedule or of its function, without the prefix.
    next_at = {one["job_id"].removeprefix("scheduled-"): one["next_at"] for one in work.scheduled}
    last = {one["job"].removeprefix("run_").replace("_", "-"): one for one in work.last_runs}
    for job in sorted({*next_at, *last}):
        run = last.get(job, {})
        due_at = next_at.get(job)
        overdue = "\n[red]overdue[/]" if due_at and due_at < now - OVERDUE_AFTER else ""
        jobs.add_row(job, _time(due_at) + overdue, _end(run), Text(run.get("detail") or ""))
    return jobs


def _end(run: dict[str, Any]) -> Text:
    """When the job started, and below that how it ended: side by side they do not fit into 80 columns."""
    started_at, finished_at = run.get("started_at"), run.get("finished_at")
    text = Text(_time(started_at))
    if started_at is not None:
        took = f" in {(finished_at - started_at).total_seconds():.1f} s" if finished_at else ""
        text.append(f"\n{run['state']}{took}", style="red" if run["state"] == "FAILED" else "")
    return text


def _time(instant: datetime | None) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S}" if instant else "-"
