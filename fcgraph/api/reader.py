"""Runs the statements of `fcgraph.queries` for the API: a bounded pool of READ ONLY connections on asyncpg.

It is a second driver next to psycopg2 because it is faster (`python -m tests.bench.read.drivers`, two cores, 8
concurrent clients). One user by id: 22,474/s at 30 us of our processor time each; psycopg2 on threads: 9,730/s at
80 us. A page of 100 payments: 3,561/s at 48 us against 3,334/s at 110 us. Our processor time limits the requests per
second of a process.
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
from fcgraph.queries.statement import UNSTORABLE

CONNECT_SECONDS_MAX = 5
UNANSWERED_SECONDS = 1  # after a statement's timeout
PIECE_BYTES = 64 * 1024  # of a long answer
PIECES_AT_ONCE = 4
# The value of a statement with one row and one column, in pieces.
PIECES = """WITH whole(answer) AS MATERIALIZED ({sql})
SELECT substring(answer FROM start FOR {size}) FROM whole, generate_series(1, COALESCE(length(answer), 1), {size}) start
 ORDER BY start"""
STATEMENTS_PREPARED_MAX = 512  # per connection; the text of a statement depends on its conditions

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
    """Reads from PostgreSQL for the API. Every statement is its own snapshot and has a timeout.

    It has its own minimal pool. No session state is ever changed, so the reset that asyncpg's pool does after each
    statement (a round trip, or a task if the reset is empty) would be wasted.
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
        # The server cancels a statement at its timeout; this deadline is for a server that does not answer at all.
        self._deadlines = Deadlines(statement_timeout_seconds + UNANSWERED_SECONDS)
        self._idle: list[asyncpg.Connection] = []
        self._open = 0
        self._waiting: deque[asyncio.Future[asyncpg.Connection | None]] = deque()

    async def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._open -= 1
            await self._idle.pop().close(timeout=CONNECT_SECONDS_MAX)

    async def fetch(self, statement: Statement) -> list[asyncpg.Record]:
        """All rows. Raises Unavailable without PostgreSQL or a free connection, LimitReached at the timeout."""
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
                self._lose(connection)  # its state is unknown, so it is not used again
            raise self._as_error(e) from e
        self._give(connection)
        return rows

    async def row(self, statement: Statement) -> asyncpg.Record | None:
        """The first row, if any."""
        rows = await self.fetch(statement)
        return rows[0] if rows else None

    async def value(self, statement: Statement) -> Any:
        """The first column of the only row."""
        return (await self.fetch(statement))[0][0]

    async def pieces(self, statement: Statement) -> list[Any]:
        """The bytea of a statement with at most one row, in pieces: a long value does not block other requests."""
        sql = PIECES.format(sql=statement.sql, size=PIECE_BYTES)
        return [row[0] for row in await self._fetch(Statement(sql, statement.values), PIECES_AT_ONCE)]

    def _as_error(self, error: BaseException) -> BaseException:
        if isinstance(error, asyncpg.QueryCanceledError | TimeoutError):
            return LimitReached(
                f"A statement took longer than {self._timeout_seconds:g} s (READ_STATEMENT_TIMEOUT_SECONDS)"
            )
        if isinstance(error, asyncpg.CharacterNotInRepertoireError):
            return BadInput(UNSTORABLE)
        if isinstance(error, asyncpg.UndefinedTableError):
            return Unavailable("The database has no tables yet: run the migrations (python -m fcgraph migrate)")
        # An InterfaceError that is a ValueError means that a value does not fit its parameter: a bug, not an outage.
        lost = isinstance(error, asyncpg.InterfaceError) and not isinstance(error, ValueError)
        return Unavailable("PostgreSQL is unavailable") if lost or isinstance(error, AWAY) else error

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
        """A connection that was returned; None when one was lost, so that a new one may be opened."""
        turn: asyncio.Future[asyncpg.Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(self._wait_seconds):
                return await turn
        except BaseException as e:
            if turn.done() and not turn.cancelled():
                self._hand_on(turn.result())  # the connection arrived just as the wait ended
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
                    # A long statement uses one processor only, so that short statements find another.
                    "max_parallel_workers_per_gather": "0",
                },
            )
            with self._deadlines.start():
                # Amounts inside jsonb are text, so money is never converted to a float here.
                await connection.set_type_codec(
                    "jsonb", schema="pg_catalog", encoder=orjson.dumps, decoder=orjson.loads
                )
        except BaseException as e:
            self._open -= 1
            self._hand_on(None)
            if isinstance(e, (*AWAY, asyncpg.InterfaceError)):
                raise Unavailable("PostgreSQL is unavailable") from e
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
        """Pass the connection (or the free slot for a new one) to the longest-waiting task."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(connection)
                return
        if connection is not None:
            self._idle.append(connection)


async def _fetched(connection: asyncpg.Connection, statement: Statement, at_once: int | None) -> list[asyncpg.Record]:
    """All rows, fetched `at_once` at a time, because asyncpg processes all received rows without a pause."""
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
    """Whether only the statement failed, so that the connection can be reused; a new connection costs a new backend.

    False when the answer may still arrive (a cancellation, our own timeout) and when the connection is lost. asyncpg
    reports an error that ends the connection (FATAL) as a lost connection, too.
    """
    return isinstance(error, asyncpg.PostgresError) and not isinstance(error, AWAY)
