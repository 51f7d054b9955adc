"""The real PostgreSQL, Redis and Kafka of the tests, started by the same code as `up`.

The fixtures are in conftest.py.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2

from fcgraph import db, joined
from fcgraph.embedded import kafka, ports, postgres, redis
from fcgraph.embedded.process import Part, Process
from fcgraph.settings import Settings
from seeds.load import load_reference

ROOT = Path(__file__).parent.parent
START_SECONDS = 90
TEMPLATE = "fcgraph_template"
BINARIES_OF_16 = postgres.BINARIES.parent.parent / "pginstall" / "bin"  # the wheel also contains PostgreSQL 16


@dataclass(frozen=True)
class Kafka:
    """A running broker of this kind."""

    address: str
    kind: kafka.Kind


@contextmanager
def running(part: Part, log: Path) -> Iterator[Process]:
    """The part, ready, until the block ends; its lines are in `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as lines:
        process = Process(part, lambda _, line: print(line, file=lines, flush=True))
        try:
            process.start()
            process.wait_until_ready(START_SECONDS)
            yield process
        finally:
            process.stop()


@contextmanager
def postgres_server(folder: Path, *, fsync: bool = False, shared_buffers: str | None = "256MB") -> Iterator[int]:
    """A PostgreSQL; the value is its port. `shared_buffers=None`: as much as under `up`."""
    port = ports.free()
    with running(
        postgres.part(folder / "postgres", port, fsync=fsync, shared_buffers=shared_buffers), folder / "postgres.log"
    ):
        yield port


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """A Redis without persistence; the value is its URL."""
    port = ports.free()
    with running(redis.part(folder / "redis", port, keep=False), folder / "redis.log"):
        yield redis.url(port)


@contextmanager
def kafka_server(folder: Path, choice: kafka.Choice) -> Iterator[Kafka]:
    """The chosen broker."""
    if choice.kind == "apache":
        port = ports.free()
        part = kafka.apache_part(ROOT / ".fcgraph", folder / "kafka", port, partitions=4)
        with running(part, folder / "kafka.log"):
            yield Kafka(f"127.0.0.1:{port}", "apache")
    else:
        part = kafka.in_process_part(folder / "kafka", clean_environment())
        with running(part, folder / "kafka.log"):
            yield Kafka(kafka.address_file(folder / "kafka").read_text(), "in-process")


def choose_kafka(chosen: Settings) -> kafka.Choice:
    """The same choice as `up`, with its stored jars."""
    return kafka.choose(
        chosen.kafka_embedded,
        ROOT / ".fcgraph",
        reach_seconds=chosen.maven_reach_seconds,
        download_seconds=chosen.maven_download_seconds,
        say=logging.getLogger(__name__).warning,
    )


def migrate(database_url: str, target: str = "head", *, command: str = "upgrade") -> None:
    """Run the migrations as the documented command line does."""
    argv = [sys.executable, "-m", "alembic", "-c", "migrations/alembic.ini", command, *([target] if target else [])]
    environment = clean_environment() | {"DATABASE_URL": database_url}
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def make_template(port: int) -> None:
    """Make the template: migrated, with the seeds' users and currencies. Every test gets a copy of it."""
    postgres.create_database(port, TEMPLATE)
    migrate(postgres.url(port, TEMPLATE))
    engine = db.make_engine(postgres.url(port, TEMPLATE), name="tests")
    with db.write(engine) as connection:
        load_reference(connection)


def copy_template(port: int, database: str) -> None:
    execute(port, f'CREATE DATABASE "{database}" TEMPLATE {TEMPLATE}')


def drop_database(port: int, database: str) -> None:
    """Drop it even if there are connections."""
    execute(port, f'DROP DATABASE "{database}" WITH (FORCE)')


def execute(port: int, statement: str) -> None:
    """Run a statement about databases."""
    connection = psycopg2.connect(postgres.url(port, "postgres"))
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()


def clean_environment() -> dict[str, str]:
    """This process's environment without our settings: the base for started processes."""
    ours = {name.upper() for name in Settings.model_fields} | {joined.VARIABLE, "API_URL", "RQ_REDIS_URL"}
    return {k: v for k, v in os.environ.items() if k.removesuffix("_FILE") not in ours}


def environment(settings: Settings) -> dict[str, str]:
    """The environment of a started process with exactly these settings."""
    chosen = {name: getattr(settings, name) for name in settings.model_fields_set}
    return clean_environment() | {name.upper(): str(value) for name, value in chosen.items()}
