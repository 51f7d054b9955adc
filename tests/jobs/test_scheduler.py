"""The scheduler fires at the reporting zone's midnight, makes up for missed runs, and survives a bad Redis."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job

from fcgraph import queue, reports
from fcgraph.embedded import ports
from fcgraph.settings import Settings
from tests.jobs.processes import Environment, redis_at, stop
from tests.waiting import until
from workers.scheduler import Scheduler, schedule

NOON = datetime(2025, 6, 15, 12, tzinfo=UTC)
ALL = ["due-reports", "sweep-imports", "sweep-reports"]
KEY = "rq:scheduler:scheduled_jobs"


@pytest.fixture
def client(redis_url: str) -> Redis:
    return Redis.from_url(redis_url)


@pytest.fixture
def scheduler(client: Redis) -> Scheduler:
    return make_scheduler(client)


def make_scheduler(client: Redis, zone: str = "UTC") -> Scheduler:
    return Scheduler(schedule(Settings(report_timezone=zone)), client, interval_seconds=2)


def waiting(client: Redis) -> list[str]:
    return sorted(Queue("default", connection=client).job_ids)


def take_all(client: Redis) -> list[str]:
    """Like workers that take and run every job."""
    taken = waiting(client)
    for job_id in taken:
        Job.fetch(job_id, connection=client).delete()
    return taken


@pytest.mark.parametrize(
    ("zone", "now", "midnight"),
    [
        ("UTC", "2025-06-15T12:00:00Z", "2025-06-16T00:00:00Z"),
        ("UTC", "2025-12-31T23:59:59.999Z", "2026-01-01T00:00:00Z"),
        ("UTC", "2025-06-16T00:00:00Z", "2025-06-17T00:00:00Z"),
        ("Asia/Manila", "2025-06-15T12:00:00Z", "2025-06-15T16:00:00Z"),
        ("Asia/Manila", "2025-06-15T16:00:00Z", "2025-06-16T16:00:00Z"),
        ("America/New_York", "2025-03-09T04:59:59Z", "2025-03-09T05:00:00Z"),
        ("America/New_York", "2025-03-09T05:00:00Z", "2025-03-10T04:00:00Z"),  # a day of 23 hours
        ("America/New_York", "2025-11-02T04:00:00Z", "2025-11-03T05:00:00Z"),  # a day of 25 hours
        ("Africa/Cairo", "2025-04-24T12:00:00Z", "2025-04-24T22:00:00Z"),  # clocks jump over this midnight
    ],
)
def test_midnight_is_the_reporting_zones(zone: str, now: str, midnight: str) -> None:
    assert reports.next_midnight(datetime.fromisoformat(now), zone) == datetime.fromisoformat(midnight)
    due_reports = next(p for p in schedule(Settings(report_timezone=zone)) if p.job_id == "due-reports")
    assert due_reports.next_after(datetime.fromisoformat(now)) == datetime.fromisoformat(midnight)


def test_a_start_fires_everything_once_and_plans_the_next_time(
    client: Redis, scheduler: Scheduler, redis_url: str
) -> None:
    scheduler.round(NOON, at_start=True)
    assert take_all(client) == ALL
    for _ in range(2):  # the first round schedules the next time, and the second leaves it unchanged
        assert {s.job_id: s.next_at for s in queue.scheduled(redis_url)} == {
            "scheduled-due-reports": datetime(2025, 6, 16, tzinfo=UTC),
            "scheduled-sweep-imports": NOON + timedelta(seconds=10),
            "scheduled-sweep-reports": NOON + timedelta(seconds=60),
        }
        scheduler.round(NOON)
        assert take_all(client) == []


def test_rounds_do_not_push_what_is_planned_away(client: Redis, scheduler: Scheduler) -> None:
    scheduler.round(NOON, at_start=True)
    take_all(client)
    fired: list[tuple[int, str]] = []
    for seconds in range(0, 121, 2):
        scheduler.round(NOON + timedelta(seconds=seconds))
        fired += [(seconds, job_id) for job_id in take_all(client)]
    assert fired == sorted(
        [(seconds, "sweep-imports") for seconds in range(10, 121, 10)] + [(60, "sweep-reports"), (120, "sweep-reports")]
    )


@pytest.mark.parametrize("zone", ["UTC", "Asia/Manila"])
def test_due_reports_fire_once_each_midnight(client: Redis, zone: str) -> None:
    scheduler = make_scheduler(client, zone)
    scheduler.round(NOON, at_start=True)
    take_all(client)
    fired = []
    for minutes in range(0, 3 * 24 * 60, 30):
        now = NOON + timedelta(minutes=minutes)
        scheduler.round(now)
        fired += [now] * take_all(client).count("due-reports")
    first = datetime(2025, 6, 16, tzinfo=UTC) if zone == "UTC" else datetime(2025, 6, 15, 16, tzinfo=UTC)
    assert fired == [first + timedelta(days=d) for d in range(3)]


def test_a_zone_that_was_changed_takes_the_sooner_midnight(client: Redis, redis_url: str) -> None:
    make_scheduler(client, "UTC").round(NOON)
    make_scheduler(client, "Asia/Manila").round(NOON)
    planned = {s.job_id: s.next_at for s in queue.scheduled(redis_url)}
    assert planned["scheduled-due-reports"] == datetime(2025, 6, 15, 16, tzinfo=UTC)


def test_two_schedulers_at_once_fire_no_job_twice(client: Redis) -> None:
    first, second = make_scheduler(client), make_scheduler(client)
    first.round(NOON, at_start=True)
    second.round(NOON, at_start=True)
    assert take_all(client) == ALL
    midnight = datetime(2025, 6, 16, tzinfo=UTC)
    first.round(midnight - timedelta(seconds=1))
    second.round(midnight - timedelta(seconds=1))
    take_all(client)
    second.round(midnight)
    first.round(midnight)
    assert take_all(client).count("due-reports") == 1


def test_a_scheduler_whose_lock_is_held_by_another_fires_nothing(client: Redis) -> None:
    first, second = make_scheduler(client), make_scheduler(client)
    assert first.acquire_lock()
    second.round(NOON, at_start=True)
    assert waiting(client) == []
    assert 0 < client.ttl("rq:scheduler_lock") <= 12  # it expires on its own after its holder was killed
    first.remove_lock()
    second.round(NOON)
    assert waiting(client) == ALL


def test_a_job_that_nobody_takes_is_not_piled_up(client: Redis, scheduler: Scheduler) -> None:
    scheduler.round(NOON, at_start=True)
    for hours in range(1, 50):
        scheduler.round(NOON + timedelta(hours=hours))
    assert waiting(client) == ALL


def test_an_emptied_redis_is_filled_again_in_the_next_round(
    client: Redis, scheduler: Scheduler, redis_url: str
) -> None:
    scheduler.round(NOON, at_start=True)
    client.flushall()
    scheduler.round(NOON)
    assert {s.job_id for s in queue.scheduled(redis_url)} == {f"scheduled-{job_id}" for job_id in ALL}
    assert client.exists(scheduler.key)


def test_entries_that_cannot_be_read_are_removed_and_the_others_fire(client: Redis, scheduler: Scheduler) -> None:
    client.zadd(KEY, {b"\xff\xfe not text": 1, b"no such job": 2, b"string": 3, b"garbage": 4, b"pickled": 5})
    client.set("rq:job:string", "not a hash")
    client.hset("rq:job:garbage", mapping={"data": b"\x00\x01", "created_at": "yesterday"})
    client.hset(
        "rq:job:pickled",
        mapping={"data": pickle.dumps("no call"), "created_at": "2025-01-01T00:00:00Z", "meta": b"\x80garbage"},
    )
    scheduler.round(NOON, at_start=True)
    assert [job_id for job_id in waiting(client) if job_id in ALL] == ALL
    assert sorted(client.zrange(KEY, 0, -1)) == [f"scheduled-{job_id}".encode() for job_id in ALL]


def test_a_set_of_another_kind_is_put_right(client: Redis, scheduler: Scheduler) -> None:
    client.set(KEY, "not a sorted set")
    scheduler.round(NOON, at_start=True)
    assert waiting(client) == ALL


def test_what_others_schedule_fires_as_rq_scheduler_has_it(client: Redis, scheduler: Scheduler) -> None:
    scheduler.enqueue_at(NOON, "builtins.print", "hello", job_id="theirs")
    scheduler.round(NOON + timedelta(seconds=1))
    job = Job.fetch("theirs", connection=client)
    assert (job.func_name, job.args) == ("builtins.print", ("hello",))
    assert "theirs" in waiting(client)


@pytest.mark.parametrize("failpoint", ["scheduler-fired=kill", "scheduler-planned-again=kill@2"])
def test_a_kill_between_two_steps_loses_nothing(
    environment: Environment, client: Redis, redis_url: str, failpoint: str
) -> None:
    killed = environment.run("-m", "workers.scheduler", FCGRAPH_FAILPOINT=failpoint)
    assert killed.returncode == -9
    client.delete("rq:scheduler_lock")  # as its expiry does after 12 seconds
    again = environment.start("-m", "workers.scheduler")
    until(lambda: waiting(client) == ALL, seconds=20)
    until(lambda: len(queue.scheduled(redis_url)) == 3, seconds=20)
    assert stop(again) == 0


def test_the_process_fires_by_the_reporting_zone_whatever_tz_says(
    environment: Environment, client: Redis, redis_url: str
) -> None:
    before = datetime.now(UTC)
    process = environment.start("-m", "workers.scheduler", TZ="Asia/Tokyo", REPORT_TIMEZONE="Asia/Manila")
    until(lambda: [s for s in queue.scheduled(redis_url) if s.next_at > before + timedelta(seconds=90)], seconds=20)
    assert stop(process) == 0
    planned = {s.job_id: s.next_at for s in queue.scheduled(redis_url)}["scheduled-due-reports"]
    assert (planned.hour, planned.minute, planned.second) == (16, 0, 0)  # midnight in Manila, 01:00 in Tokyo
    assert before < planned <= before + timedelta(days=1, minutes=1)


def test_redis_away_at_the_start_and_later_is_said_and_waited_for(environment: Environment, tmp_path: Path) -> None:
    port, log = ports.free(), tmp_path / "log"
    url = f"redis://127.0.0.1:{port}/0"
    process = environment.start("-m", "workers.scheduler", log=log, REDIS_URL=url, SCHEDULER_INTERVAL_SECONDS="0.2")
    for time in (1, 2):
        until(lambda n=time: log.read_text().count("waiting_for_redis") == n, seconds=20)  # type: ignore[misc]
        with redis_at(port, tmp_path):
            until(lambda n=time: log.read_text().count("scheduler_registered") == n, seconds=20)  # type: ignore[misc]
            until(lambda: len(queue.scheduled(url)) == 3, seconds=20)
    assert stop(process) == 0


def test_a_wrong_setting_is_reported_without_its_value(environment: Environment) -> None:
    ended = environment.run("-m", "workers.scheduler", REPORT_TIMEZONE="Mars/Olympus")
    assert ended.returncode == 2
    assert "REPORT_TIMEZONE" in ended.stderr
    assert "Olympus" not in ended.stderr
