"""Runs the statements of `fcgraph.queries` for the API: a bounded pool of READ ONLY connections on asyncpg.

DRIVER_MEASURED
"""

from __future__ import annotations

from typing import Any

import asyncpg
import orjson
import sqlalchemy as sa

from fcgraph.errors import BadInput, LimitReached, Unavailable
from fcgraph.queries import Statement

CONNECT_SECONDS_MAX = 5
STATEMENTS_PREPARED_MAX = 512  # per connection; the text of a statement depends on which conditions it has

AWAY = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.InvalidCatalogNameError,
)


class Reader:
    """The API's door to PostgreSQL for reads. Every statement is its own snapshot and has a timeout."""

    def __init__(self, url: str, *, pool_max: int, wait_seconds: float, statement_timeout_seconds: float) -> None:
        self._dsn = sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._pool_max = pool_max
        self._wait_seconds = wait_seconds
        self._timeout_seconds = statement_timeout_seconds
        self._pool: asyncpg.Pool | None = None

    async def open(self) -> None:
        """Make the pool; connections are made when needed, so PostgreSQL may be away."""
        self._pool = await asyncpg.create_pool(
            self._dsn,
            min_size=0,
            max_size=self._pool_max,
            timeout=CONNECT_SECONDS_MAX,
            # The server ends a statement at its timeout; this is for a server that does not answer at all.
            command_timeout=self._timeout_seconds + 1,
            statement_cache_size=STATEMENTS_PREPARED_MAX,
            # No session state is ever changed, so nothing must be reset: that would be a round trip per statement.
            reset=_nothing_to_reset,
            init=_read_jsonb,
            server_settings={
                "application_name": "fcgraph-api-read",
                "default_transaction_read_only": "on",
                "statement_timeout": str(int(self._timeout_seconds * 1000)),
                "TimeZone": "UTC",
                "DateStyle": "ISO",
                "jit": "off",
            },
        )

    async def close(self) -> None:
        """End the connections, those in use after their statement."""
        if self._pool is not None:
            await self._pool.close()

    async def fetch(self, statement: Statement) -> list[asyncpg.Record]:
        """All rows. Raises Unavailable when PostgreSQL is away or the pool exhausted, LimitReached at the timeout."""
        assert self._pool is not None, "opened at the start of the application"
        try:
            connection = await self._pool.acquire(timeout=self._wait_seconds)
        except TimeoutError as e:
            raise Unavailable("All connections for reading are busy (READ_POOL_MAX); try again") from e
        except AWAY as e:
            raise Unavailable("PostgreSQL is away") from e
        try:
            rows: list[asyncpg.Record] = await connection.fetch(statement.sql, *statement.values)
        except (asyncpg.QueryCanceledError, TimeoutError) as e:
            raise LimitReached(
                f"A statement took longer than {self._timeout_seconds:g} s (READ_STATEMENT_TIMEOUT_SECONDS)"
            ) from e
        except asyncpg.CharacterNotInRepertoireError as e:
            raise BadInput("A text has a character that PostgreSQL cannot hold (NUL or half a surrogate pair)") from e
        except (*AWAY, asyncpg.InterfaceError) as e:
            if isinstance(e, ValueError):
                raise  # a value that does not fit its place in the statement: our mistake, not the server's
            raise Unavailable("PostgreSQL is away") from e
        finally:
            await self._pool.release(connection)
        return rows

    async def row(self, statement: Statement) -> asyncpg.Record | None:
        """The first row, if any."""
        rows = await self.fetch(statement)
        return rows[0] if rows else None

    async def value(self, statement: Statement) -> Any:
        """The first column of the one row there is."""
        return (await self.fetch(statement))[0][0]


async def _read_jsonb(connection: asyncpg.Connection) -> None:
    # Amounts inside jsonb are text, so no money passes a float here.
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=orjson.dumps, decoder=orjson.loads)


async def _nothing_to_reset(connection: asyncpg.Connection) -> None:
    return None
