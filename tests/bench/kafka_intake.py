"""How fast unread Kafka messages become payments, compared with plain COPY of the same rows; how soon one is readable.

`python -m tests.bench.kafka_intake [--messages N] [--users N] [--rounds N]`; prints a table, asserts nothing.
"""

from __future__ import annotations

import argparse
import io
import random
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterable
from contextlib import ExitStack
from datetime import datetime
from itertools import islice
from pathlib import Path

import orjson
import sqlalchemy as sa
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine

from fcgraph import db
from fcgraph.embedded import postgres
from fcgraph.intake.batch import TEXT_COLUMNS
from fcgraph.rules.records import COLUMNS
from fcgraph.settings import Settings
from tests import services
from tests.bench.payments_csv import payments, user_ids
from tests.waiting import until
from tests.workers.process import Process
from tests.workers.topic import Topic

DATABASE = "bench"
END_SECONDS = 600
SINGLES = 60
PAUSE_SECONDS = (0.3, 0.9)  # between single messages, so that they arrive at any moment of the consumer's interval


def make_database(port: int) -> Engine:
    """A fresh migrated database."""
    postgres.create_database(port, DATABASE)
    services.drop_database(port, DATABASE)
    services.copy_template(port, DATABASE)
    return db.make_engine(postgres.url(port, DATABASE), name="bench", pool_max=2)


def add_users(engine: Engine, users: list[str]) -> None:
    with db.write(engine) as connection:
        connection.execute(
            sa.text("INSERT INTO users (user_id, name) SELECT u::uuid, u FROM unnest(CAST(:users AS text[])) u"),
            {"users": users},
        )


def make_reference(engine: Engine) -> None:
    """The LIMIT's table: the same table with its indexes and plain foreign keys."""
    with db.write(engine) as connection:
        connection.execute(sa.text("CREATE TABLE plain (LIKE transactions INCLUDING ALL)"))
        for column, target in (("sender_id", "users"), ("receiver_id", "users"), ("currency", "currency")):
            connection.execute(sa.text(f"ALTER TABLE plain ADD FOREIGN KEY ({column}) REFERENCES {target}"))


def copy_reference_seconds(engine: Engine, rows: Iterable[list[str]]) -> float:
    """COPY of the rows into the LIMIT's table over one connection."""
    lines = "".join(f"{','.join(row)},0,{n},f,,1\n" for n, row in enumerate(rows))
    began = time.perf_counter()
    with db.write(engine) as connection:
        cursor = connection.connection.cursor()
        columns = ", ".join(TEXT_COLUMNS)
        cursor.copy_expert(f"COPY plain ({columns}) FROM STDIN WITH (FORMAT csv)", io.StringIO(lines))
    return time.perf_counter() - began


def copy_seconds(engine: Engine, rows: list[list[str]]) -> float:
    """The LIMIT."""
    make_reference(engine)
    seconds = copy_reference_seconds(engine, rows)
    with db.write(engine) as connection:
        connection.execute(sa.text("DROP TABLE plain"))
    return seconds


def consume_seconds(settings: Settings, messages: list[bytes], folder: Path) -> float:
    """Seconds from the consumer's first assignment until all unread messages and their offsets are committed."""
    topic = Topic(settings)
    topic.send(messages)
    consumer = Process("workers.consumer", folder / f"{topic.name}.log", settings)
    try:
        consumer.wait_for("partitions_assigned", END_SECONDS)
        until(lambda: sum(line["count"] for line in consumer.events("batch_applied")) >= len(messages), END_SECONDS)
        began = moment(consumer.events("partitions_assigned")[0])
        return (moment(consumer.events("batch_applied")[-1]) - began).total_seconds()
    finally:
        consumer.terminate()


def moment(line: dict[str, str]) -> datetime:
    return datetime.fromisoformat(line["timestamp"])


def single_seconds(settings: Settings, engine: Engine, made: list[list[str]], folder: Path) -> list[float]:
    """For single messages to an idle consumer: seconds from produce until the payment can be read."""
    topic = Topic(settings)
    rnd = random.Random("pauses")
    consumer = Process("workers.consumer", folder / "single.log", settings)
    seconds: list[float] = []
    try:
        consumer.wait_for("partitions_assigned", END_SECONDS)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for row in made:
                time.sleep(rnd.uniform(*PAUSE_SECONDS))
                began = time.perf_counter()
                topic.send([as_message(row)])
                until(lambda row=row: is_stored(connection, row[0]), END_SECONDS)  # type: ignore[misc]
                seconds.append(time.perf_counter() - began)
    finally:
        consumer.terminate()
    return seconds


def is_stored(connection: sa.Connection, transaction_id: str) -> bool:
    statement = sa.text("SELECT EXISTS (SELECT FROM transactions WHERE transaction_id = :id)")
    return bool(connection.scalar(statement, {"id": transaction_id}))


def as_message(row: list[str]) -> bytes:
    return orjson.dumps(dict(zip(COLUMNS, row, strict=True)))


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--messages", type=int, default=200_000)
    options.add_argument("--users", type=int, default=50_000)
    options.add_argument("--rounds", type=int, default=3)
    arguments = options.parse_args()
    table = Table(
        "round", "COPY rows/s", "consumer messages/s", "ratio", title=f"{arguments.messages} waiting messages"
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = stack.enter_context(services.postgres_server(folder / "postgres", fsync=True, shared_buffers=None))
        services.make_template(port)
        kafka = stack.enter_context(services.kafka_server(folder / "kafka", services.choose_kafka(Settings())))
        users = user_ids(arguments.users)
        rows = list(islice(payments("kafka", users), arguments.messages))
        messages = [as_message(row) for row in rows]
        ratios = []
        for n in range(arguments.rounds):
            engine = make_database(port)
            add_users(engine, users)
            limit = arguments.messages / copy_seconds(engine, rows)
            settings = bench_settings(port, kafka.address, folder)
            reached = arguments.messages / consume_seconds(settings, messages, folder)
            ratios.append(reached / limit)
            table.add_row(str(n + 1), f"{limit:,.0f}", f"{reached:,.0f}", f"{ratios[-1]:.2f}")
            single = list(islice(payments("single", users), SINGLES)) if n == 0 else []
            if single:
                found = sorted(single_seconds(bench_settings(port, kafka.address, folder), engine, single, folder))
            engine.dispose()
    console = Console()
    console.print(table)
    console.print(f"median ratio {statistics.median(ratios):.2f}")
    p50, p95 = found[len(found) // 2], found[int(len(found) * 0.95)]
    console.print(f"single message, idle: p50 {p50:.3f} s, p95 {p95:.3f} s, of {len(found)}")


def bench_settings(port: int, broker: str, folder: Path) -> Settings:
    """The default settings, with a separate topic and group."""
    name = f"bench-{uuid.uuid4().hex[:8]}"
    return Settings(
        database_url=postgres.url(port, DATABASE),
        kafka_broker=broker,
        kafka_topic=name,
        kafka_consumer_group=name,
        data_dir=folder / "data",
    )


if __name__ == "__main__":
    main()
