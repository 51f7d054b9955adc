"""The API accepts every cursor that it returns, whatever the length of its key, and pages omit no user."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from fcgraph import db, queries
from fcgraph.api.reader import Reader
from fcgraph.embedded import postgres
from fcgraph.queries import OPERATOR, users
from fcgraph.queries.pages import KEY_TEXT_MAX_CHARS, Order, PageRequest, read_cursor, write_cursor
from fcgraph.settings import Settings
from tests import services
from tests.api.client import Api, serving
from tests.api.conftest import settings_for

NAME_MAX = Settings.model_fields["user_name_max_chars"].default
LENGTHS = (0, 1, KEY_TEXT_MAX_CHARS - 1, KEY_TEXT_MAX_CHARS, KEY_TEXT_MAX_CHARS + 1, 2000, NAME_MAX)
LETTERS = ("a", "Ü", "長", "🙂", "\x01", '"', "\\")
PAGE = "query($n: Int!, $a: String) { users(first: $n, after: $a) { edges { cursor node { userId name } } pageInfo {"
FAST = PAGE + " hasNextPage endCursor } } }"
SLOW = PAGE + " hasNextPage endCursor } } currencies { code } }"  # Strawberry executes the second root field


def every_order() -> list[Order]:
    """Every order of the lists of the API."""
    modules = [importlib.import_module(m.name) for m in pkgutil.iter_modules(queries.__path__, queries.__name__ + ".")]
    return list({v.kind: v for module in modules for v in vars(module).values() if isinstance(v, Order)}.values())


@pytest.mark.parametrize("order", every_order(), ids=lambda order: order.kind)
@pytest.mark.parametrize("letter", LETTERS)
def test_the_longest_cursor_of_every_list_is_accepted(order: Order, letter: str) -> None:
    longest: dict[str, object] = {
        "text": letter * KEY_TEXT_MAX_CHARS,
        "bigint": -(2**63),
        "uuid": uuid.UUID(int=2**128 - 1),
        "date": date(9999, 12, 31),
        "timestamptz": datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    }
    types = [t for _, t in order.columns]
    key = [longest[t] for t in types]
    assert read_cursor(order.kind, write_cursor(order.kind, *key), types) == key


@pytest.fixture(scope="module")
def url(postgres_port: int) -> Iterator[str]:
    database = f"cursors_{uuid.uuid4().hex}"
    services.copy_template(postgres_port, database)
    yield postgres.url(postgres_port, database)
    services.drop_database(postgres_port, database)


@pytest.fixture(scope="module")
def engine(url: str) -> Iterator[Engine]:
    made = db.make_engine(url, name="tests", pool_max=2)
    yield made
    made.dispose()


@pytest.fixture(scope="module")
def api(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with serving(settings_for(url, tmp_path_factory.mktemp("cursors"))) as found:
        yield found


def store(engine: Engine, names: list[str]) -> set[str]:
    """Replace all users except the seeds with users of these names; returns every id."""
    with db.write(engine) as connection:
        connection.execute(sa.text("ALTER TABLE users DISABLE TRIGGER USER"))
        connection.execute(sa.text("DELETE FROM users WHERE user_id::text NOT LIKE '00000000-%'"))
        connection.execute(sa.text("ALTER TABLE users ENABLE TRIGGER USER"))
        if names:
            values = [{"id": uuid.uuid4(), "name": name} for name in names]
            connection.execute(sa.text("INSERT INTO users (user_id, name) VALUES (:id, :name)"), values)
        return {str(user_id) for user_id in connection.scalars(sa.text("SELECT user_id FROM users"))}


def forwards(api: Api, query: str, size: int) -> list[str]:
    """The ids in the order in which pages of this size return them."""
    seen: list[str] = []
    after: str | None = None
    while True:
        page = api.ask(query, n=size, a=after)["users"]
        seen += [edge["node"]["userId"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        assert page["edges"][-1]["cursor"] == after
        if not page["pageInfo"]["hasNextPage"]:
            return seen


async def _backwards(database_url: str, size: int) -> list[str]:
    reader = Reader(database_url, pool_max=1, wait_seconds=5, statement_timeout_seconds=5)
    seen: list[str] = []
    before: str | None = None
    try:
        while True:
            page = PageRequest(size, backwards=True, before=before)
            found: list[Any] = await reader.fetch(users.users(None, page, viewer=OPERATOR))
            seen += [str(row["userId"]) for row in found[:size]]
            if len(found) <= size:
                return seen
            before = users.cursor_of(found[size - 1]["name"], found[size - 1]["userId"])
    finally:
        await reader.close()


NAMES = [letter * length for letter in LETTERS for length in LENGTHS]


def test_everybody_is_seen_once_forwards_and_backwards(engine: Engine, api: Api, url: str) -> None:
    ids = store(engine, [*NAMES, *NAMES[:10], "a" * 2000 + "b", "a" * 2000 + "c"])
    for size in (1, 7):
        fast, slow = forwards(api, FAST, size), forwards(api, SLOW, size)
        back = asyncio.run(_backwards(url, size))
        assert sorted(fast) == sorted(ids)
        assert fast == slow == back[::-1]


SCRIPTS = st.characters(codec="utf-8", exclude_characters="\0")


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(
        st.builds(lambda text, times: text * times, st.text(SCRIPTS, max_size=8), st.sampled_from([1, 25, 250, 500])),
        max_size=6,
    )
)
def test_names_of_any_script_and_length(engine: Engine, api: Api, url: str, names: list[str]) -> None:
    ids = store(engine, names)
    fast = forwards(api, FAST, 1)
    assert sorted(fast) == sorted(ids)
    assert fast == forwards(api, SLOW, 1) == asyncio.run(_backwards(url, 1))[::-1]


def test_a_page_of_users_comes_from_the_index(engine: Engine) -> None:
    """The list is sorted by the beginning of the name, as the index is, so nothing is read beyond the page."""
    page = users.users(None, PageRequest(10, after=users.cursor_of("m", uuid.UUID(int=0))), viewer=OPERATOR)
    sql = page.sql.replace("$1", "'m'").replace("$2", f"'{uuid.UUID(int=0)}'")
    with db.read(engine) as connection:
        # For a table as small as this one, other plans cost as little.
        for other in ("seqscan", "bitmapscan", "sort"):
            connection.execute(sa.text(f"SET LOCAL enable_{other} = off"))
        plan = "\n".join(connection.scalars(sa.text(f"EXPLAIN {sql.replace(':', chr(92) + ':')}")))
    assert "Index Scan using ix_users_name" in plan
    assert "Index Cond" in plan


def test_the_beginning_in_the_index_is_the_beginning_in_cursors(engine: Engine) -> None:
    with db.read(engine) as connection:
        definition = connection.scalar(sa.text("SELECT pg_get_indexdef('ix_users_name'::regclass)"))
    assert f'"left"(name, {KEY_TEXT_MAX_CHARS})' in str(definition)
    assert Path(services.ROOT / "fcgraph/models/parties.py").read_text().count(f"left(name, {KEY_TEXT_MAX_CHARS})") == 1
