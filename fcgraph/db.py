"""Engines and the two entry points to PostgreSQL: `read` (READ ONLY) and `write` (commits on success)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg2
import sqlalchemy as sa
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, QueuePool

from fcgraph.errors import UnsupportedServer

POSTGRES_VERSION_MIN = 180000  # NOT ENFORCED foreign keys and uuidv7() came with PostgreSQL 18

# A vanished server (a pulled cable, a stopped host) is detected within half a minute.
VANISHED_PEER = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 25_000}


def make_engine(
    url: str,
    *,
    name: str,
    pool_max: int | None = None,
    statement_timeout_seconds: float = 0,
    lock_timeout_seconds: float = 0,
) -> Engine:
    """An engine on psycopg2. `pool_max=None` means no pool: right for jobs, which run in forked processes.

    Every connection uses the UTC time zone, regardless of the server's, and these timeouts.
    """
    target = sa.make_url(url).set(drivername="postgresql+psycopg2")
    options = (
        f"-c timezone=UTC -c statement_timeout={int(statement_timeout_seconds * 1000)} "
        f"-c lock_timeout={int(lock_timeout_seconds * 1000)}"
    )
    connect_args = {"options": options, "application_name": f"fcgraph-{name}", "connect_timeout": 10, **VANISHED_PEER}
    if pool_max is None:
        return sa.create_engine(target, poolclass=NullPool, connect_args=connect_args)
    return sa.create_engine(
        target,
        poolclass=QueuePool,
        pool_size=pool_max,
        max_overflow=0,
        pool_timeout=5,
        pool_pre_ping=True,
        connect_args=connect_args,
    )


def apart(engine: Engine, *, name: str) -> Engine:
    """An engine on the same database without pool and timeouts: for work of minutes that must not block others."""
    return make_engine(engine.url.render_as_string(hide_password=False), name=name)


@contextmanager
def read(engine: Engine, *, snapshot: bool = False) -> Iterator[Connection]:
    """A READ ONLY transaction. `snapshot=True`: all its statements see the same state."""
    level = "REPEATABLE READ" if snapshot else "READ COMMITTED"
    with engine.connect() as connection:
        connection = connection.execution_options(isolation_level=level, postgresql_readonly=True)
        with connection.begin():
            yield connection


@contextmanager
def write(engine: Engine) -> Iterator[Connection]:
    """A transaction that commits when the block succeeds and rolls back otherwise."""
    with engine.begin() as connection:
        yield connection


def check_version(connection: Connection) -> None:
    """Raise UnsupportedServer when the server is older than PostgreSQL 18."""
    number = int(connection.scalar(sa.text("SHOW server_version_num")) or 0)
    if number < POSTGRES_VERSION_MIN:
        shown = connection.scalar(sa.text("SHOW server_version"))
        raise UnsupportedServer(f"fcgraph needs PostgreSQL 18 or newer; the server at DATABASE_URL is {shown}")


def is_away(error: BaseException) -> bool:
    """Whether the error means that PostgreSQL cannot be reached now, as opposed to a refused statement."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    cause = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(cause, psycopg2.OperationalError | psycopg2.InterfaceError):
        return False
    code = getattr(cause, "pgcode", None)
    # No SQLSTATE: the connection failed or broke. 57P0x: shutdown, crash, starting up. 08: connection
    # exceptions. 53300: too many connections.
    return code is None or code.startswith(("57P", "08")) or code == "53300"


def is_not_migrated(error: BaseException) -> bool:
    """Whether a table is missing: the migrations have not run on this database."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return getattr(cause, "pgcode", None) == "42P01"


def may_pass(error: BaseException) -> bool:
    """Whether the same work may succeed later: PostgreSQL is unavailable, read-only, or out of time or space."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(cause, "pgcode", None) or ""
    # 40: rolled back because of another transaction. 53: out of resources. 57: cancelled, as by a statement timeout.
    # 55P03: lock timeout. 25006: a read-only standby.
    return is_away(error) or code.startswith(("40", "53", "57")) or code in ("55P03", "25006")


def wait_until_ready(
    engine: Engine, *, on_wait: Callable[[str], None], pause: Callable[[], object], give_up: Callable[[], bool]
) -> None:
    """Wait until PostgreSQL 18 responds. `on_wait` gets the reason, `pause` sleeps, `give_up` ends the waiting.

    Raises UnsupportedServer for an older server, and the last error when `give_up` returns True.
    """
    while True:
        try:
            with read(engine) as connection:
                check_version(connection)
            return
        except DBAPIError as e:
            if not is_away(e) or give_up():
                raise
            on_wait(str(e.orig).strip().splitlines()[0] if e.orig else type(e).__name__)
            pause()
