"""Two imports and the Kafka stream write the same payments at the same time: each id becomes one payment."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Engine

from fcgraph import db, queue
from fcgraph.rules.records import COLUMNS
from tests.faults.conftest import Note
from tests.faults.imports import RESUME_SECONDS_MAX, Imports
from tests.faults.run import times
from tests.jobs.processes import Environment
from tests.waiting import until
from tests.workers.conftest import StartConsumer
from tests.workers.topic import Topic, payment, value
from tests.workers.topic_counts import topic_counts

READY_SECONDS = 30
IDS = 5_000
FINAL = ("completed", "failed")

Message = dict[str, Any]


def line(message: Message) -> str:
    return ",".join(str(message[column]) for column in COLUMNS) + "\n"


def test_two_imports_and_the_stream_write_the_same_ids(
    start_consumer: StartConsumer,
    topic: Topic,
    engine: Engine,
    jobs: Environment,
    imports: Imports,
    redis_url: str,
    tmp_path: Path,
    rnd: Random,
    note: Note,
) -> None:
    rounds = times(20)
    note("rounds of 5,000 ids", rounds)
    jobs.settings["CSV_CHUNK_BYTES"] = "16384"
    logs = [tmp_path / f"worker-{n}.log" for n in range(2)]
    for log in logs:
        jobs.start("-m", "workers.worker", log=log, LOG_FORMAT="json")
    consumer = start_consumer(KAFKA_SLICE_MAX="250")
    consumer.wait_for("partitions_assigned", READY_SECONDS)
    final: dict[UUID, str] = {}
    inserted = [0, 0, 0]
    for number in range(rounds):
        messages = [payment(number * IDS + n + 1, status=rnd.choice(FINAL)) for n in range(IDS)]
        final |= {UUID(str(m["transaction_id"])): str(m["status"]) for m in messages}
        files = [shuffled(messages, rnd, some_pending=True) for _ in range(2)]
        ids = [imports.accept("".join(map(line, rows)).encode()) for rows in files]
        before = topic_counts(engine, topic.name)
        for import_id in ids:
            queue.enqueue_import(redis_url, import_id)
        until(lambda i=ids: any(imports.row(one).done_chunks for one in i), READY_SECONDS)  # type: ignore[misc]
        topic.send(value(0, **m) for m in shuffled(messages, rnd, some_pending=False))
        until(lambda i=ids: all(imports.row(one).finished_at for one in i), RESUME_SECONDS_MAX)  # type: ignore[misc]
        until(topic.is_read, RESUME_SECONDS_MAX)
        rows = [imports.row(one) for one in ids]
        assert [(row.state, row.read_count, row.conflict_count, row.attempt) for row in rows] == [
            ("SUCCEEDED", IDS, 0, 1)
        ] * 2
        after = topic_counts(engine, topic.name)
        assert (after.read - before.read, after.conflict, after.rejected) == (IDS, 0, 0)
        new = [*(row.inserted_count for row in rows), after.inserted - before.inserted]
        assert sum(new) == IDS
        inserted = [a + b for a, b in zip(inserted, new, strict=True)]
    note("inserted by import, import, stream", inserted)
    assert all(inserted), "they did not write at once: the run proves nothing"
    with db.read(engine) as connection:
        stored = connection.execute(sa.text("SELECT transaction_id, status FROM transactions"))
        assert {row.transaction_id: row.status for row in stored} == final
    assert not consumer.events("waiting_for_postgresql")
    assert consumer.terminate() == 0
    assert not any(
        word in log.read_text() for log in logs for word in ("job_refused", "Traceback", "import_interrupted")
    )


def shuffled(messages: list[Message], rnd: Random, *, some_pending: bool) -> list[Message]:
    """The messages in another order; with `some_pending`, half of them still pending."""
    made = [{**m, "status": rnd.choice(("pending", m["status"]))} if some_pending else m for m in messages]
    rnd.shuffle(made)
    return made
