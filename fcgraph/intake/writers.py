"""Intake writers: several batches of one writer are written concurrently, and commit in the order submitted.

The long part of a batch (COPY) runs in parallel with other batches; then it waits until the batch before it has
committed. So the progress has no gaps, and rows of one id are applied in order of arrival.

Two writers may deadlock in a way PostgreSQL cannot detect, because a batch waits for the one before it in memory. So a
batch that waits longer than the lock timeout, or finds an id just written by another writer, rolls back, makes the
batches after it roll back, and is written again alone, in the order of ids: then a deadlock is impossible.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from enum import Enum
from typing import Any

import psycopg2
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from fcgraph import db
from fcgraph.intake.apply import BatchResult, WriteContention, apply_batch
from fcgraph.intake.batch import Batch
from fcgraph.observability import log

RETRIES_MAX = 20
# Another writer was first, or waits for this one: deadlock, lock timeout, serialization failure, id just inserted.
_RETRY_CODES = frozenset({"40P01", "55P03", "40001", "23505"})

Finalize = Callable[[Any, Batch, BatchResult], None]  # closes a batch: counts, progress, watermark; before its commit


class _State(Enum):
    WRITING = 1
    AGAIN = 2  # rolled back, will be written again
    COMMITTED = 3
    FAILED = 4


class _Yielded(Exception):
    """The batch before this one is being written again; this one must release its locks."""


class NotWritten(Exception):
    """A batch was not written because an earlier one failed; the first error says why."""


class _Task:
    """A batch that is being written."""

    def __init__(
        self, batch: Batch, finalize: Finalize, before: _Task | None, ids: set[str], in_flight: set[str]
    ) -> None:
        self.batch = batch
        self.finalize = finalize
        self.before = before
        self.ids = ids
        self.in_flight = in_flight
        self.state = _State.WRITING
        self.done: Future[BatchResult] | None = None


class IntakeWriters:
    """Writes batches on `count` connections. Used by one thread; `submit` blocks while all connections are busy."""

    def __init__(self, engine: Engine, count: int, lock_timeout_seconds: float) -> None:
        self._engine = engine
        # Set by every transaction itself: without it a deadlock across writers would never end.
        self._set_lock_timeout = f"SET LOCAL lock_timeout = {int(lock_timeout_seconds * 1000)}"
        self._pool = ThreadPoolExecutor(max_workers=count, thread_name_prefix="intake-writer")
        self._pending: deque[_Task] = deque()
        self._pending_max = count + 1
        self._changed = threading.Condition()
        self._log = log.get(__name__)

    def submit(self, batch: Batch, finalize: Finalize) -> None:
        """Submit a batch. Raises the error of an earlier batch, after which nothing more is committed."""
        self._collect_finished()
        while len(self._pending) >= self._pending_max:
            self._finish_first()
        ids = set(batch.transaction_ids)
        in_flight: set[str] = set()
        for earlier in self._pending:
            in_flight |= earlier.ids & ids
        task = _Task(batch, finalize, self._pending[-1] if self._pending else None, ids, in_flight)
        self._pending.append(task)
        task.done = self._pool.submit(self._write, task)

    def drain(self) -> None:
        """Wait until every submitted batch has committed. Raises the first error; no later batch has committed then."""
        while self._pending:
            self._finish_first()

    def close(self) -> None:
        """Stop the threads. Batches not drained may or may not have committed."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _collect_finished(self) -> None:
        while self._pending and (done := self._pending[0].done) is not None and done.done():
            self._finish_first()

    def _finish_first(self) -> None:
        task = self._pending[0]
        assert task.done is not None
        try:
            task.done.result()
        except BaseException:
            # Nothing after a failed batch commits; wait for the rest so that no thread is still writing.
            for later in list(self._pending)[1:]:
                if later.done is not None:
                    later.done.exception()
            self._pending.clear()
            raise
        self._pending.popleft()

    def _write(self, task: _Task) -> BatchResult:
        try:
            result = self._write_until_done(task)
        except BaseException:
            self._set(task, _State.FAILED)
            raise
        self._set(task, _State.COMMITTED)
        task.before = None
        return result

    def _write_until_done(self, task: _Task) -> BatchResult:
        for attempt in range(RETRIES_MAX):
            try:
                return self._write_once(task, one_by_one=attempt > 0)
            except (_Yielded, WriteContention, psycopg2.Error, DBAPIError) as e:
                if not worth_again(e):
                    raise
                reason = type(e).__name__
                self._log.info("batch_written_again", attempt=attempt + 1, reason=reason)
            self._set(task, _State.AGAIN)
            self._wait_final(task.before)
        return self._write_once(task, one_by_one=True)

    def _write_once(self, task: _Task, *, one_by_one: bool) -> BatchResult:
        with db.write(self._engine) as connection:
            cursor = connection.connection.cursor()
            cursor.execute(self._set_lock_timeout)
            result = apply_batch(
                cursor,
                task.batch,
                in_flight=task.in_flight,
                one_by_one=one_by_one,
                wait=lambda: self._wait_committed(task.before),
            )
            task.finalize(cursor, task.batch, result)
        return result

    def _set(self, task: _Task, state: _State) -> None:
        with self._changed:
            task.state = state
            self._changed.notify_all()

    def _wait_committed(self, before: _Task | None) -> None:
        if before is None:
            return
        with self._changed:
            self._changed.wait_for(lambda: before.state is not _State.WRITING)
            if before.state is _State.AGAIN:
                raise _Yielded
            if before.state is _State.FAILED:
                raise NotWritten("a batch before this one failed")

    def _wait_final(self, before: _Task | None) -> None:
        if before is None:
            return
        with self._changed:
            self._changed.wait_for(lambda: before.state in (_State.COMMITTED, _State.FAILED))
            if before.state is _State.FAILED:
                raise NotWritten("a batch before this one failed")


def worth_again(error: BaseException) -> bool:
    """Whether the transaction was rolled back only because another writer was first or waits for this one."""
    if isinstance(error, _Yielded | WriteContention):
        return True
    cause = error.orig if isinstance(error, DBAPIError) else error
    return getattr(cause, "pgcode", None) in _RETRY_CODES
