"""When each process last made progress: one row per process, written only by its main loop.

A process that is stopped, hangs or was killed writes no more, and counts as stalled after a while. A process that ends
normally removes its row.
"""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection, Engine
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError

from fcgraph import db
from fcgraph.models import ProcessHeartbeat
from fcgraph.observability import log

FORGOTTEN_AFTER = sa.text("interval '1 day'")  # a process that was killed and did not come back

logger = log.get(__name__)


class Heartbeat:
    """The row of this process. Call `beat` at the end of each iteration of the loop that does the work."""

    def __init__(self, engine: Engine, process: str, instance: str, *, every_seconds: float) -> None:
        self._engine = engine
        self._key = {"process": process, "instance": instance}
        self._every_seconds = every_seconds
        self._next_at = 0.0
        self._is_known = False
        self._is_away = False

    def beat(self) -> None:
        """Record progress, rate-limited. When PostgreSQL is unavailable this is logged once and is not an error."""
        if time.monotonic() < self._next_at:
            return
        self._next_at = time.monotonic() + self._every_seconds
        try:
            with db.write(self._engine) as connection:
                self._write(connection)
        except DBAPIError as e:
            if not db.may_pass(e):
                raise
            if not self._is_away:
                logger.warning("heartbeat_not_recorded", reason=str(e.orig).strip().splitlines()[0])
            self._is_away = True
        else:
            self._is_known, self._is_away = True, False

    def _write(self, connection: Connection) -> None:
        if not self._is_known:
            old = ProcessHeartbeat.progress_at < sa.func.now() - FORGOTTEN_AFTER
            connection.execute(sa.delete(ProcessHeartbeat).where(old))
        row = insert(ProcessHeartbeat).values(**self._key, host=socket.gethostname(), pid=os.getpid())
        changed = {"host": row.excluded.host, "pid": row.excluded.pid, "progress_at": row.excluded.progress_at}
        if not self._is_known:
            changed["started_at"] = row.excluded.started_at
        connection.execute(row.on_conflict_do_update(index_elements=list(self._key), set_=changed))

    def end(self) -> None:
        """Remove the row: the process was stopped on request."""
        try:
            with db.write(self._engine) as connection:
                mine = sa.and_(*(getattr(ProcessHeartbeat, name) == value for name, value in self._key.items()))
                connection.execute(sa.delete(ProcessHeartbeat).where(mine, ProcessHeartbeat.pid == os.getpid()))
        except DBAPIError as e:
            if not db.may_pass(e):
                raise
            logger.warning("heartbeat_not_recorded", reason=str(e.orig).strip().splitlines()[0])


@dataclass(frozen=True)
class Progress:
    """A process according to its row: `state` is running, or stalled when it made no progress for too long."""

    process: str
    instance: str
    host: str
    pid: int
    state: str
    started_at: datetime
    last_progress_at: datetime


def progress(connection: Connection, *, stalled_seconds: float) -> list[Progress]:
    """All processes that wrote a row within a day, by name."""
    row = ProcessHeartbeat
    limit = sa.func.make_interval(0, 0, 0, 0, 0, 0, stalled_seconds)
    state = sa.case((row.progress_at < sa.func.now() - limit, "stalled"), else_="running")
    found = sa.select(row.process, row.instance, row.host, row.pid, state, row.started_at, row.progress_at)
    recent = found.where(row.progress_at > sa.func.now() - FORGOTTEN_AFTER).order_by(row.process, row.instance)
    return [Progress(*one) for one in connection.execute(recent)]
