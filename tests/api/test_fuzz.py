"""Generated documents and broken bodies against an API process: no 5xx, no masked bug, no traceback."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import psycopg2
import pytest
from graphql import GraphQLSchema, build_schema

from fcgraph.api.graphql.schema import sdl
from fcgraph.embedded import postgres
from tests import services
from tests.api import fuzz
from tests.api.conftest import settings_for
from tests.api.demo import make_demo
from tests.api.process import server

THROWS = 400  # of each kind; `make bench-fuzz` sends 5,000


@pytest.fixture(scope="module")
def target(postgres_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of an API whose database may be written to, and its log file."""
    folder = tmp_path_factory.mktemp("fuzz")
    database = f"fuzz_{uuid.uuid4().hex}"
    services.copy_template(postgres_port, database)
    url = postgres.url(postgres_port, database)
    settings = settings_for(url, folder)
    make_demo(settings)
    log = folder / "api.log"
    with server(settings, log) as address:
        yield address, log
    services.drop_database(postgres_port, database)


@pytest.mark.parametrize("kind", [fuzz.documents, fuzz.bodies, fuzz.queries])
def test_nothing_breaks_it(
    target: tuple[str, Path], kind: Callable[[GraphQLSchema, Iterable[int]], Iterator[fuzz.Throw]]
) -> None:
    address, log = target
    found = fuzz.throw_all(address, kind(build_schema(sdl()), range(THROWS)), log)
    assert found.faults == []
    assert found.statuses.total() == THROWS
    # There must be both answers and refusals, otherwise the requests prove nothing.
    assert THROWS // 10 < found.refused < THROWS


def test_a_fault_is_found(tmp_path: Path, database_url: str) -> None:
    """A missing column is a bug in every query of it."""
    with psycopg2.connect(database_url) as connection, connection.cursor() as cursor:
        cursor.execute("ALTER TABLE currency RENAME COLUMN code TO other")
    log = tmp_path / "api.log"
    throws = [fuzz.Throw(0, b'{"query": "{ currencies { code } }"}', {"Content-Type": fuzz.JSON})]
    with server(settings_for(database_url, tmp_path), log) as address:
        assert len(fuzz.throw_all(address, throws, log).faults) == 1
