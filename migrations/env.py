"""Alembic's environment: connects with our settings, with a lock timeout so that a migration never queues for long."""

from __future__ import annotations

from alembic import context

from fcgraph import db, settings
from fcgraph.models import Base

LOCK_TIMEOUT_SECONDS = 4
# Two `migrate` at once: the second waits here for the first, then finds nothing to do.
MIGRATION_LOCK_KEY = 0x66636772617068


def run() -> None:
    """Run the migrations in one transaction each, one process at a time."""
    engine = db.make_engine(settings.current().database_url, name="migrate", lock_timeout_seconds=LOCK_TIMEOUT_SECONDS)
    with engine.connect() as lock_connection:
        lock_connection = lock_connection.execution_options(isolation_level="AUTOCOMMIT")
        db.check_version(lock_connection)
        lock_connection.exec_driver_sql("SET lock_timeout = 0")
        lock_connection.exec_driver_sql(f"SELECT pg_advisory_lock({MIGRATION_LOCK_KEY})")
        with engine.connect() as connection:
            context.configure(
                connection=connection,
                target_metadata=Base.metadata,
                transaction_per_migration=True,
                compare_server_default=True,
            )
            with context.begin_transaction():
                context.run_migrations()


run()
