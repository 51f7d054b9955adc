"""What runs and how far it is, as `status` tells it: processes, unread messages, jobs. Asks; changes nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from sqlalchemy.exc import DBAPIError

from fcgraph import db, job_runs, kafka_lag, queue
from fcgraph.embedded import postgres, redis
from fcgraph.embedded.stack import Stack
from fcgraph.errors import Unavailable
from fcgraph.settings import Settings

LAG_SECONDS_MAX = 5.0
ANSWER_SECONDS_MAX = 5.0
OVERDUE_AFTER = timedelta(minutes=1)  # the scheduler looks every few seconds


@dataclass
class Work:
    """How far the work is; a part that is away is named in `away` and the rest is told all the same."""

    away: dict[str, str] = field(default_factory=dict)
    consumer_lag: dict[str, Any] | None = None
    jobs_waiting: int | None = None
    scheduled: list[dict[str, Any]] = field(default_factory=list)
    last_runs: list[dict[str, Any]] = field(default_factory=list)


def elsewhere(settings: Settings) -> Stack:
    """What there is to ask when no `up` runs here: parts at given addresses, whose processes are somebody else's."""
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
    """Ask Kafka, Redis and PostgreSQL."""
    work = Work()
    try:
        lag = kafka_lag.read_lag(
            settings.kafka_broker,
            settings.kafka_topic,
            settings.kafka_consumer_group,
            timeout_seconds=LAG_SECONDS_MAX,
        )
        work.consumer_lag = {
            "total": lag.total,
            "partitions": {str(p.partition): p.lag for p in lag.partitions},
            "oldest_unread_age_seconds": lag.oldest_unread_age_seconds(datetime.now(UTC)),
        }
    except Unavailable as e:
        work.away["kafka"] = e.message
    try:
        work.jobs_waiting = queue.waiting(settings.redis_url)
        work.scheduled = [asdict(one) for one in queue.scheduled(settings.redis_url)]
    except Unavailable as e:
        work.away["redis"] = e.message
    engine = db.make_engine(settings.database_url, name="status", statement_timeout_seconds=ANSWER_SECONDS_MAX)
    try:
        with db.read(engine) as connection:
            work.last_runs = [asdict(one) for one in job_runs.last_runs(connection)]
    except DBAPIError as e:
        if not db.is_away(e):
            raise
        work.away["postgresql"] = str(e.orig).strip().splitlines()[0]
    return work


def shown(stack: Stack, work: Work) -> dict[str, Any]:
    """As `--json` prints it: no passwords, nothing that is only for us."""
    told: dict[str, Any] = {
        key: stack[key] for key in ("api_url", "database_url", "redis_url", "kafka_broker", "kafka_kind")
    }
    told["processes"] = {
        name: {key: process[key] for key in ("pid", "state", "restarts")}
        for name, process in stack["processes"].items()
    }
    return told | asdict(work)


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
    for part, reason in work.away.items():
        console.print(f"[red]{part} is away:[/] {escape(reason)}", soft_wrap=True)
    if work.consumer_lag is not None:
        age = work.consumer_lag["oldest_unread_age_seconds"]
        per_partition = ", ".join(f"{p}: {lag}" for p, lag in work.consumer_lag["partitions"].items())
        oldest = f"; the oldest has waited {age:.0f} s" if age is not None else ""
        console.print(f"Unread messages: {work.consumer_lag['total']} (by partition {per_partition or 'none'}){oldest}")
    if work.jobs_waiting is not None:
        console.print(f"Jobs waiting for a worker: {work.jobs_waiting}")
    if "redis" not in work.away and not work.scheduled:
        console.print("[red]Nothing is scheduled:[/] no scheduler has run (python -m workers.scheduler)")
    console.print(_jobs(work, datetime.now(UTC)))
    console.print(f"Times are UTC. Reports fall due at midnight in {time_zone} (REPORT_TIMEZONE).")


def _jobs(work: Work, now: datetime) -> Table:
    jobs = Table(title="Scheduled jobs", title_justify="left")
    for name in ("job", "next", "last run"):
        jobs.add_column(name, no_wrap=True)
    jobs.add_column("how it ended")
    # One job has one name here: that of its entry in the schedule, and that of its function, without their prefixes.
    next_at = {one["job_id"].removeprefix("scheduled-"): one["next_at"] for one in work.scheduled}
    last = {one["job"].removeprefix("run_").replace("_", "-"): one for one in work.last_runs}
    for job in sorted({*next_at, *last}):
        run = last.get(job, {})
        due_at = next_at.get(job)
        overdue = "\n[red]overdue[/]" if due_at and due_at < now - OVERDUE_AFTER else ""
        jobs.add_row(job, _time(due_at) + overdue, _time(run.get("started_at")), _end(run))
    return jobs


def _end(run: dict[str, Any]) -> Text:
    finished_at = run.get("finished_at")
    took = f"in {(finished_at - run['started_at']).total_seconds():.1f} s" if finished_at else None
    told = " ".join(text for text in (run.get("state"), took, run.get("detail")) if text)
    return Text(told or "-", style="red" if run.get("state") == "FAILED" else "")


def _time(instant: datetime | None) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S}" if instant else "-"
