"""What `--version` prints: fcgraph, its schema and, if it can be reached, the database."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import DBAPIError

from fcgraph import __version__, db

ANSWER_SECONDS_MAX = 3.0


def lines(migrations: Path, database_url: str | None) -> list[str]:
    """`database_url`: None when there is no address."""
    wanted = ScriptDirectory(str(migrations)).get_current_head()
    output = [f"fcgraph {__version__}"]
    if database_url is None:
        return [*output, f"schema {wanted}", "PostgreSQL: fcgraph is not up here, and there is no DATABASE_URL"]
    engine = db.make_engine(database_url, name="version", statement_timeout_seconds=ANSWER_SECONDS_MAX)
    try:
        with db.read(engine) as connection:
            there = MigrationContext.configure(connection).get_current_revision()
            server = connection.scalar(sa.text("SHOW server_version"))
    except DBAPIError as e:
        if not db.is_away(e):
            raise
        return [*output, f"schema {wanted}", f"PostgreSQL is unavailable: {str(e.orig).strip().splitlines()[0]}"]
    return [*output, f"schema {wanted} (the database has {there or 'none'})", f"PostgreSQL {server}"]
