"""A consumer without progress is stalled: `status` reports it within the limit, and clears it afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from sqlalchemy import Engine

from fcgraph import db
from fcgraph.cli import status_view
from fcgraph.embedded.stack import Stack
from fcgraph.observability import heartbeats
from fcgraph.observability.heartbeats import Heartbeat
from fcgraph.settings import Settings
from tests import services
from tests.waiting import until
from tests.workers.conftest import StartConsumer
from tests.workers.topic import Topic, value
from tests.workers.topic_counts import payments

READY_SECONDS = 20
STALLED_SECONDS = 3.0
SOON = {"HEARTBEAT_SECONDS": "0.5", "KAFKA_SESSION_TIMEOUT_SECONDS": "60"}
NOT_ALL = 4


def status(settings: Settings) -> tuple[int, dict[str, Any]]:
    """The exit code of `status --json` and what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "fcgraph", "status", "--json"],
        cwd=services.ROOT,
        env={**services.environment(settings), "STALLED_SECONDS": str(STALLED_SECONDS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, NOT_ALL), done.stderr
    return done.returncode, json.loads(done.stdout)


def states(engine: Engine) -> list[tuple[str, int, str]]:
    with db.read(engine) as connection:
        found = heartbeats.progress(connection, stalled_seconds=STALLED_SECONDS)
    return [(one.process, one.pid, one.state) for one in found]


def test_a_stopped_consumer_is_stalled_until_it_goes_on(
    start_consumer: StartConsumer, topic: Topic, engine: Engine, settings: Settings
) -> None:
    consumer = start_consumer(**SOON)
    consumer.wait_for("partitions_assigned", READY_SECONDS)
    until(lambda: states(engine) == [("consumer", consumer.pid, "running")], READY_SECONDS)
    code, shown = status(settings)
    assert (code, [one["state"] for one in shown["heartbeats"]]) == (0, ["running"])

    os.kill(consumer.pid, signal.SIGSTOP)
    stopped_at = time.monotonic()
    topic.send([value(1)])
    until(lambda: states(engine) == [("consumer", consumer.pid, "stalled")], STALLED_SECONDS + 3)
    assert time.monotonic() - stopped_at > STALLED_SECONDS - 1
    code, shown = status(settings)
    assert (code, [one["state"] for one in shown["heartbeats"]]) == (NOT_ALL, ["stalled"])
    assert shown["consumer_lag"]["total"] == 1

    os.kill(consumer.pid, signal.SIGCONT)
    until(lambda: states(engine) == [("consumer", consumer.pid, "running")], READY_SECONDS)
    until(lambda: payments(engine) == 1, READY_SECONDS)
    assert status(settings)[0] == 0
    assert consumer.terminate() == 0
    assert states(engine) == [], "one that ended in an orderly way is not stalled"


@pytest.fixture
def idle() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits for input."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_any_process_of_up_that_is_stopped_is_stalled_at_once(idle: subprocess.Popen[bytes]) -> None:
    stack: Stack = {
        "pid": 0,
        "api_url": "",
        "database_url": "",
        "redis_url": "",
        "kafka_broker": "",
        "kafka_kind": "",
        "environment": {},
        "chosen": [],
        "processes": {"worker": {"pid": idle.pid, "created": 0, "state": "running", "restarts": 0}},
    }
    work = status_view.Work()
    status_view.mark_stalled(stack, work)
    assert status_view.all_run(stack, work)
    idle.send_signal(signal.SIGSTOP)
    until(lambda: psutil.Process(idle.pid).status() == psutil.STATUS_STOPPED, READY_SECONDS)
    status_view.mark_stalled(stack, work)
    assert stack["processes"]["worker"]["state"] == "stalled"
    assert not status_view.all_run(stack, work)


def test_a_heartbeat_waits_for_its_turn_and_outlives_an_absent_database(engine: Engine) -> None:
    heartbeat = Heartbeat(engine, "consumer", "host-0", every_seconds=3600)
    for _ in range(3):
        heartbeat.beat()
    assert states(engine) == [("consumer", os.getpid(), "running")]
    heartbeat.end()
    assert states(engine) == []
    heartbeat.beat()  # not its turn yet
    assert states(engine) == []
    nobody = db.make_engine("postgresql://postgres@127.0.0.1:1/nobody", name="tests")
    Heartbeat(nobody, "consumer", "host-0", every_seconds=1).beat()
