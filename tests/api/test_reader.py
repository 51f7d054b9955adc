"""The pool of connections for reading: a sound connection stays, an unsound one is replaced, none is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from fcgraph.api.reader import Reader
from fcgraph.errors import FcgraphError, Unavailable
from fcgraph.queries import Statement
from tests.api.client import Api, serving
from tests.api.conftest import settings_for
from tests.waiting import until

SECONDS = 20
PID = Statement("SELECT pg_backend_pid()", [])
SLEEP = Statement("SELECT pg_sleep(30)", [])
TIMEOUT_SECONDS = 0.2
ALIVE = "SELECT pid FROM pg_stat_activity WHERE application_name = 'fcgraph-api-read' AND datname = current_database()"
# Statements that fail by a mistake of the client or of the server. After each the connection can be reused.
MISTAKES = {
    "NUL": Statement("SELECT $1::text", ["a\0b"]),
    "half a surrogate pair": Statement("SELECT $1::text", ["\ud800"]),
    "a value of another type": Statement("SELECT $1::uuid", ["x"]),
    "a value out of range, here": Statement("SELECT $1::int", [2**40]),
    "a value out of range, there": Statement("SELECT $1::bigint::int", [2**40]),
    "a date out of range": Statement("SELECT $1::text::timestamptz", ["300000-01-01"]),
    "a division by zero": Statement("SELECT 1 / $1::int", [0]),
    "an error in a later row": Statement("SELECT 1 / (3 - n) FROM generate_series(1, 5) n", []),
    "the statement's timeout": SLEEP,
    "a lock's timeout": Statement("SELECT set_config('lock_timeout', '1', true), pg_sleep($1)", [30.0]),
    "no such column": Statement("SELECT nope", []),
    "no SQL": Statement("SELEC", []),
    "a write": Statement("DELETE FROM currency", []),
}


def reader(url: str, *, pool_max: int = 1, rows_at_once: int | None = None, wait_seconds: float = 0.5) -> Reader:
    return Reader(
        url,
        pool_max=pool_max,
        wait_seconds=wait_seconds,
        statement_timeout_seconds=TIMEOUT_SECONDS,
        rows_at_once=rows_at_once,
    )


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, SECONDS))


def backends(url: str) -> set[int]:
    """The PostgreSQL backends of the readers of this database."""
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(ALIVE)
        return {pid for (pid,) in cursor.fetchall()}


@pytest.mark.parametrize("rows_at_once", [None, 1], ids=["at once", "in portions"])
@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_statement_that_fails_costs_no_connection(
    database_url: str, mistake: Statement, rows_at_once: int | None
) -> None:
    async def main() -> None:
        pool = reader(database_url, rows_at_once=rows_at_once)
        pid = await pool.value(PID)
        for _ in range(3):
            with pytest.raises(Exception):  # noqa: B017, PT011 (any exception is fine here)
                await pool.fetch(mistake)
            assert await pool.value(PID) == pid
        assert backends(database_url) == {pid}
        await pool.close()

    run(main())


@pytest.mark.parametrize("rows_at_once", [None, 1], ids=["at once", "in portions"])
@pytest.mark.parametrize("how", ["idle", "at work", "ended by PostgreSQL", "cancelled"])
def test_a_connection_that_is_not_sound_is_replaced(database_url: str, how: str, rows_at_once: int | None) -> None:
    async def main() -> None:
        pool = reader(database_url, rows_at_once=rows_at_once)
        pid = await pool.value(PID)
        if how == "idle":
            await asyncio.to_thread(end, pid)
            while not pool._idle[0].is_closed():  # the event loop notices it a little later
                await asyncio.sleep(0)
        elif how == "at work":
            with pytest.raises(Unavailable):
                await pool.fetch(Statement("SELECT pg_terminate_backend(pg_backend_pid())", []))
        elif how == "ended by PostgreSQL":  # with an error of the severity FATAL
            await pool.fetch(Statement("SELECT set_config('transaction_timeout', '20', false)", []))
            with pytest.raises(Unavailable):
                await pool.fetch(SLEEP)
        else:
            task = asyncio.create_task(pool.fetch(SLEEP))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert await pool.value(PID) != pid
        await pool.close()

    def end(pid: int) -> None:
        with psycopg2.connect(database_url) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))

    run(main())


@pytest.mark.parametrize("how", ["returned", "lost"])
def test_who_gives_up_just_when_it_is_their_turn_hands_it_on(database_url: str, how: str) -> None:
    """The only connection, or its free slot, is passed to the first waiting task, which is cancelled just then."""

    async def main() -> None:
        pool = reader(database_url)
        connection = await pool._take()
        first = asyncio.create_task(pool.value(PID))
        second = asyncio.create_task(pool.value(PID))
        await asyncio.sleep(0)
        assert len(pool._waiting) == 2
        (pool._give if how == "returned" else pool._lose)(connection)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert isinstance(await second, int)
        assert isinstance(await pool.value(PID), int)  # and afterwards, too
        await pool.close()

    run(main())


def test_who_gives_up_alone_leaves_the_connection_free(database_url: str) -> None:
    async def main() -> None:
        pool = reader(database_url)
        connection = await pool._take()
        waiting = asyncio.create_task(pool.value(PID))
        await asyncio.sleep(0)
        pool._give(connection)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert isinstance(await pool.value(PID), int)
        await pool.close()

    run(main())


def test_who_waits_in_vain_is_refused(database_url: str) -> None:
    async def main() -> None:
        pool = reader(database_url, wait_seconds=0.05)
        connection = await pool._take()
        with pytest.raises(FcgraphError, match="READ_POOL_MAX"):
            await pool.value(PID)
        pool._give(connection)
        assert isinstance(await pool.value(PID), int)
        await pool.close()

    run(main())


SEARCH = "query($s: String) { users(search: $s, first: 1) { totalCount nodes { name } } }"
SEARCH_BY_STRAWBERRY = """query($s: String) { users(search: $s, first: 1) {
  totalCount nodes { payments(first: 1) { nodes { history { revision } } } } } }"""


@pytest.mark.parametrize("query", [SEARCH, SEARCH_BY_STRAWBERRY], ids=["fast path", "Strawberry"])
def test_a_clients_mistake_costs_no_backend(api: Api, database_url: str, query: str) -> None:
    good = api.ask(query, s="Alice")
    before = backends(database_url)
    for bad in ("a\0b", "\0", "\0" * 100):
        assert api.post(query, {"s": bad}).json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
        assert api.ask(query, s="Alice") == good
    assert backends(database_url) == before


@pytest.mark.parametrize("most", [2, 5])
def test_both_pools_together_keep_to_the_setting(demo_url: str, tmp_path: Path, most: int) -> None:
    settings = settings_for(demo_url, tmp_path, read_pool_max=most, read_pool_wait_seconds=0.3, slow_statements_max=100)
    queries = ("{ payments(first: 1) { nodes { amount } } }", "{ currencies { code } }") * (most + 1)
    before = backends(demo_url)  # of another API on the same database
    with (
        psycopg2.connect(demo_url) as holder,
        holder.cursor() as cursor,
        serving(settings) as api,
        ThreadPoolExecutor(len(queries)) as threads,
    ):
        cursor.execute("LOCK TABLE currency IN ACCESS EXCLUSIVE MODE")
        waiting = [threads.submit(api.post, query) for query in queries]
        until(lambda: len(backends(demo_url) - before) == most, SECONDS)
        assert next(as_completed(waiting)).result().status_code == 503  # there are no more connections than that
        assert len(backends(demo_url) - before) == most
        holder.rollback()
        assert {f.result().status_code for f in waiting} == {200, 503}
