"""Runs the statements of `fcgraph.queries` for the API: a bounded pool of READ ONLY connections on asyncpg.

A second driver beside psycopg2, because it buys this much (`python -m tests.bench.read.drivers`, two cores, 8 askers):
one user by his id 22,474/s at 30 us of our processor time each, psycopg2 on threads 9,730/s at 80 us; a page of 100
payments 3,561/s at 48 us against 3,334/s at 110 us. Our processor time is what limits a process's requests a second.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import asyncpg
import orjson
import sqlalchemy as sa

from fcgraph.api.deadlines import Deadlines
from fcgraph.errors import BadInput, LimitReached, Unavailable
from fcgraph.queries import Statement

CONNECT_SECONDS_MAX = 5
UNANSWERED_SECONDS = 1  # after a statement's timeout
PIECE_BYTES = 64 * 1024  # of a long answer
PIECES_AT_ONCE = 4
# The only column of a statement's only row, in pieces.
PIECES = """WITH whole(answer) AS MATERIALIZED ({sql})
SELECT substring(answer FROM start FOR {size}) FROM whole, generate_series(1, COALESCE(length(answer), 1), {size}) start
 ORDER BY start"""
STATEMENTS_PREPARED_MAX = 512  # per connection; the text of a statement depends on which conditions it has

AWAY = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InvalidCatalogNameError,
)


class Reader:
    """The API's door to PostgreSQL for reads. Every statement is its own snapshot and has a timeout.

    The pool is our own and does nothing but keep connections: no session state is ever changed, so asyncpg's pool would
    spend a round trip (or, with an empty reset, a task) per statement on nothing.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_max: int,
        wait_seconds: float,
        statement_timeout_seconds: float,
        rows_at_once: int | None = None,
    ) -> None:
        self._dsn = sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._pool_max = pool_max
        self._rows_at_once = rows_at_once
        self._wait_seconds = wait_seconds
        self._timeout_seconds = statement_timeout_seconds
        # The server ends a statement at its timeout; this is for a server that does not answer at all.
        self._deadlines = Deadlines(statement_timeout_seconds + UNANSWERED_SECONDS)
        self._idle: list[asyncpg.Connection] = []
        self._open = 0
        self._waiting: deque[asyncio.Future[asyncpg.Connection | None]] = deque()

    async def close(self) -> None:
        """End the connections that nobody uses."""
        while self._idle:
            self._open -= 1
            await self._idle.pop().close(timeout=CONNECT_SECONDS_MAX)

    async def fetch(self, statement: Statement) -> list[asyncpg.Record]:
        """All rows. Raises Unavailable when PostgreSQL is away or the pool exhausted, LimitReached at the timeout."""
        return await self._fetch(statement, self._rows_at_once)

    async def _fetch(self, statement: Statement, at_once: int | None) -> list[asyncpg.Record]:
        connection = await self._take()
        try:
            with self._deadlines.start():
                rows = await _fetched(connection, statement, at_once)
        except BaseException as e:
            if _ended_alone(e) and not connection.is_closed() and not connection.is_in_transaction():
                self._give(connection)
            else:
                self._lose(connection)  # whatever state it is in, nobody else gets it
            raise self._as_error(e) from e
        self._give(connection)
        return rows

    async def row(self, statement: Statement) -> asyncpg.Record | None:
        """The first row, if any."""
        rows = await self.fetch(statement)
        return rows[0] if rows else None

    async def value(self, statement: Statement) -> Any:
        """The first column of the one row there is."""
        return (await self.fetch(statement))[0][0]

    async def pieces(self, statement: Statement) -> list[Any]:
        """The only value of the one row there may be, a bytea, in pieces: a long one holds up nobody on its way."""
        sql = PIECES.format(sql=statement.sql, size=PIECE_BYTES)
        return [row[0] for row in await self._fetch(Statement(sql, statement.values), PIECES_AT_ONCE)]

    def _as_error(self, error: BaseException) -> BaseException:
        if isinstance(error, asyncpg.QueryCanceledError | TimeoutError):
            return LimitReached(
                f"A statement took longer than {self._timeout_seconds:g} s (READ_STATEMENT_TIMEOUT_SECONDS)"
            )
        if isinstance(error, asyncpg.CharacterNotInRepertoireError):
            return BadInput("A text has a character that PostgreSQL cannot hold (NUL or half a surrogate pair)")
        if isinstance(error, asyncpg.UndefinedTableError):
            return Unavailable("The database has no tables yet: run the migrations (python -m fcgraph migrate)")
        # An InterfaceError that is a ValueError is a value that does not fit its place: our mistake, not the server's.
        lost = isinstance(error, asyncpg.InterfaceError) and not isinstance(error, ValueError)
        return Unavailable("PostgreSQL is away") if lost or isinstance(error, AWAY) else error

    async def _take(self) -> asyncpg.Connection:
        while True:
            while self._idle:
                connection = self._idle.pop()
                if not connection.is_closed():
                    return connection
                self._open -= 1
            if self._open < self._pool_max:
                return await self._connect()
            freed = await self._wait()
            if freed is not None:
                return freed

    async def _wait(self) -> asyncpg.Connection | None:
        """A connection that somebody gave back; None when one was lost, so that another may be made."""
        turn: asyncio.Future[asyncpg.Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(self._wait_seconds):
                return await turn
        except BaseException as e:
            if turn.done() and not turn.cancelled():
                self._hand_on(turn.result())  # it was our turn just when we gave up
            if isinstance(e, TimeoutError):
                raise Unavailable("All connections for reading are busy (READ_POOL_MAX); try again") from e
            raise

    async def _connect(self) -> asyncpg.Connection:
        self._open += 1
        try:
            connection = await asyncpg.connect(
                self._dsn,
                timeout=CONNECT_SECONDS_MAX,
                statement_cache_size=STATEMENTS_PREPARED_MAX,
                server_settings={
                    "application_name": "fcgraph-api-read",
                    "default_transaction_read_only": "on",
                    "statement_timeout": str(int(self._timeout_seconds * 1000)),
                    "TimeZone": "UTC",
                    "DateStyle": "ISO",
                    "jit": "off",
                    # One long statement is to take one processor, so that quick ones find another.
                    "max_parallel_workers_per_gather": "0",
                },
            )
            with self._deadlines.start():
                # Amounts inside jsonb are text, so no money passes a float here.
                await connection.set_type_codec(
                    "jsonb", schema="pg_catalog", encoder=orjson.dumps, decoder=orjson.loads
                )
        except BaseException as e:
            self._open -= 1
            self._hand_on(None)
            if isinstance(e, (*AWAY, asyncpg.InterfaceError)):
                raise Unavailable("PostgreSQL is away") from e
            raise
        return connection

    def _give(self, connection: asyncpg.Connection) -> None:
        if self._waiting:
            self._hand_on(connection)
        else:
            self._idle.append(connection)

    def _lose(self, connection: asyncpg.Connection) -> None:
        connection.terminate()
        self._open -= 1
        self._hand_on(None)

    def _hand_on(self, connection: asyncpg.Connection | None) -> None:
        """Give it (or the place for a new one) to whoever waits longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(connection)
                return
        if connection is not None:
            self._idle.append(connection)


async def _fetched(connection: asyncpg.Connection, statement: Statement, at_once: int | None) -> list[asyncpg.Record]:
    """All rows; fetched so many at once, since asyncpg takes in whatever has come without a pause."""
    if at_once is None:
        found: list[asyncpg.Record] = await connection.fetch(statement.sql, *statement.values)
        return found
    transaction = connection.transaction()
    await transaction.start()
    rows: list[asyncpg.Record] = []
    try:
        cursor = await connection.cursor(statement.sql, *statement.values)
        while portion := await cursor.fetch(at_once):
            rows += portion
    except asyncpg.PostgresError as e:
        if _ended_alone(e):
            await transaction.rollback()
        raise
    await transaction.commit()
    return rows


def _ended_alone(error: BaseException) -> bool:
    """Whether only the statement failed, so that the connection is as good as before: a new one costs a new backend.

    Not so when the answer may still be on its way (a cancellation, our own timeout) and when the connection is lost,
    which is also what asyncpg makes of an error that ends it (FATAL).
    """
    return isinstance(error, asyncpg.PostgresError) and not isinstance(error, AWAY)
