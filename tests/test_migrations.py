"""The migrations: up, down and up again; compared with the models; two at once; on a server that is too old."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from fcgraph import db
from fcgraph.embedded import ports, postgres
from tests import services

OURS = """
    SELECT 'relation ' || relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT 'function ' || proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT 'type ' || typname FROM pg_type WHERE typnamespace = 'public'::regnamespace
"""


@pytest.fixture
def empty_url(postgres_port: int) -> Iterator[str]:
    """A database without a schema."""
    database = f"test_{uuid.uuid4().hex}"
    postgres.create_database(postgres_port, database)
    yield postgres.url(postgres_port, database)
    services.drop_database(postgres_port, database)


def ours(url: str) -> set[str]:
    """All objects of our schema, without Alembic's table."""
    engine = db.make_engine(url, name="tests")
    with db.read(engine) as connection:
        return {name for name in connection.scalars(sa.text(OURS)) if "alembic_version" not in name}


def test_up_down_and_up_again(empty_url: str) -> None:
    assert ours(empty_url) == set()
    services.migrate(empty_url)
    made = ours(empty_url)
    assert {"relation transactions", "relation users", "relation currency", "relation reports"} <= made
    services.migrate(empty_url, "base", command="downgrade")
    assert ours(empty_url) == set()
    services.migrate(empty_url)
    assert ours(empty_url) == made


def test_the_models_are_what_the_migrations_make(database_url: str) -> None:
    services.migrate(database_url, "", command="check")


def test_two_at_once_wait_for_each_other(empty_url: str) -> None:
    argv = [sys.executable, "-m", "alembic", "-c", "migrations/alembic.ini", "upgrade", "head"]
    environment = services.clean_environment() | {"DATABASE_URL": empty_url}
    both = [
        subprocess.Popen(argv, cwd=services.ROOT, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    answer = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], answer


def test_a_server_before_18_is_refused_with_a_clear_line(tmp_path: Path) -> None:
    port = ports.free()
    old = postgres.part(tmp_path / "postgres", port, fsync=False, binaries=services.BINARIES_OF_16)
    with services.running(old, tmp_path / "postgres.log"):
        done = subprocess.run(
            [sys.executable, "-m", "fcgraph", "migrate"],
            cwd=services.ROOT,
            env=services.clean_environment() | {"DATABASE_URL": postgres.url(port, "postgres")},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 3
    assert "fcgraph needs PostgreSQL 18 or newer; the server at DATABASE_URL is 16" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_that_cannot_hold_every_script_is_refused_with_a_clear_line(postgres_port: int) -> None:
    database = f"test_{uuid.uuid4().hex}"
    services.execute(postgres_port, f"CREATE DATABASE {database} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    done = subprocess.run(
        [sys.executable, "-m", "fcgraph", "migrate"],
        cwd=services.ROOT,
        env=services.clean_environment() | {"DATABASE_URL": postgres.url(postgres_port, database)},
        capture_output=True,
        text=True,
        check=False,
    )
    services.drop_database(postgres_port, database)
    assert done.returncode == 3, done.stderr
    assert "fcgraph needs a database with the encoding UTF8; the one at DATABASE_URL has LATIN1" in done.stderr
    assert "Traceback" not in done.stderr
