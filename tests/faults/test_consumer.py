"""Consumers are killed at any moment, frozen until Kafka drops them, and join and leave. 0 lost, 0 duplicated."""

from __future__ import annotations

import signal
import time
from itertools import cycle
from random import Random

from sqlalchemy import Engine

from tests.faults.conftest import Note, StartTraffic
from tests.faults.run import times
from tests.waiting import until
from tests.workers.conftest import StartConsumer
from tests.workers.topic import PARTITIONS, Topic

BACK_SECONDS = 15  # from a restart until it consumes messages again
READY_SECONDS = 30
END_SECONDS = 120
RATE = 800
MESSAGES = 100_000
MOMENTS = tuple(
    f"{moment}={kill}"
    for kill in ("kill", "kill@3")
    for moment in ("messages-submitted", "messages-written", "messages-committed")
)


def test_killed_at_any_moment(
    start_consumer: StartConsumer, start_traffic: StartTraffic, topic: Topic, engine: Engine, rnd: Random, note: Note
) -> None:
    kills = times(50)
    note("kills", kills)
    first = start_consumer()
    first.wait_for("partitions_assigned", READY_SECONDS)
    first.kill()
    traffic = start_traffic(rate=RATE)
    moments = cycle(MOMENTS)
    for n in range(kills):
        killed = start_consumer(**({"FCGRAPH_FAILPOINT": next(moments)} if n % 2 else {}))
        killed.wait_for("partitions_assigned", BACK_SECONDS)
        if n % 2:
            assert killed.end(BACK_SECONDS) == -signal.SIGKILL
        else:
            enough = len(traffic.history.records) + rnd.randrange(2 * RATE)
            until(lambda enough=enough: len(traffic.history.records) >= enough, BACK_SECONDS)  # type: ignore[misc]
            killed.kill()
    started_at = time.monotonic()
    last = start_consumer()
    last.wait_for("batch_applied", BACK_SECONDS)
    assert time.monotonic() - started_at < BACK_SECONDS
    until(lambda: len(traffic.history.records) >= times(MESSAGES), 2 * times(MESSAGES) / RATE)
    traffic.finish()
    note("messages", len(traffic.history.records))
    until(topic.is_read, END_SECONDS)
    assert last.terminate() == 0
    traffic.history.check(engine, topic)


def test_frozen_until_another_has_its_partitions(
    start_consumer: StartConsumer, start_traffic: StartTraffic, topic: Topic, engine: Engine, rnd: Random
) -> None:
    frozen = start_consumer(KAFKA_SLICE_MAX="100")
    frozen.wait_for("partitions_assigned", READY_SECONDS)
    traffic = start_traffic(rate=RATE)
    frozen.wait_for("batch_applied", READY_SECONDS)
    frozen.signal(signal.SIGSTOP)
    other = start_consumer()
    other.wait_for("batch_applied", READY_SECONDS)
    frozen.signal(signal.SIGCONT)
    frozen.wait_for("partitions_assigned", READY_SECONDS, count=2)
    traffic.finish()
    until(topic.is_read, END_SECONDS)
    assert (frozen.terminate(), other.terminate()) == (0, 0)
    traffic.history.check(engine, topic)


def test_consumers_join_and_leave(
    start_consumer: StartConsumer, start_traffic: StartTraffic, topic: Topic, engine: Engine, rnd: Random, note: Note
) -> None:
    note("times two joined and left", times(10))
    first = start_consumer()
    first.wait_for("partitions_assigned", READY_SECONDS)
    traffic = start_traffic(rate=RATE)
    for _ in range(times(10)):
        others = [start_consumer(), start_consumer()]
        for other in others:
            other.wait_for("partitions_assigned", READY_SECONDS)
            other.wait_for("batch_applied", READY_SECONDS)
        rnd.shuffle(others)
        assert [other.terminate() for other in others] == [0, 0]
        until(lambda: len(first.events("partitions_assigned")[-1]["offsets"]) == PARTITIONS, READY_SECONDS)
    traffic.finish()
    until(topic.is_read, END_SECONDS)
    assert first.is_running
    assert not first.events("bug")
    traffic.history.check(engine, topic)
