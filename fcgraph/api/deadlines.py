"""Time limits for tasks. One timer serves all of them: asyncio.timeout creates a timer for each block, which would take
a twentieth of the time of a short request.
"""

from __future__ import annotations

import asyncio
from types import TracebackType


class Deadlines:
    """For one event loop. A block in `with deadlines.start():` raises TimeoutError after `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._running: dict[Deadline, None] = {}  # in order of expiry, because all have the same duration
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> Deadline:
        """A deadline for the block of the current task."""
        return Deadline(self)

    def add(self, deadline: Deadline) -> None:
        """Start watching the deadline."""
        loop = asyncio.get_running_loop()
        deadline.at = loop.time() + self._seconds
        self._running[deadline] = None
        if self._timer is None:
            self._timer = loop.call_at(deadline.at, self._end_late_ones)

    def remove(self, deadline: Deadline) -> None:
        """Stop watching the deadline. The timer stays and is set for the next deadline when it fires."""
        self._running.pop(deadline, None)

    def _end_late_ones(self) -> None:
        loop = asyncio.get_running_loop()
        while self._running:
            first = next(iter(self._running))
            if first.at > loop.time():
                self._timer = loop.call_at(first.at, self._end_late_ones)
                return
            del self._running[first]
            first.pass_by()
        self._timer = None


class Deadline:
    """The deadline of one block."""

    __slots__ = ("_all", "_cancelled_before", "_task", "at", "passed")

    def __init__(self, all_of_them: Deadlines) -> None:
        self._all = all_of_them
        self.at = 0.0  # in the loop's time
        self.passed = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None, "deadlines are for tasks"
        self._task = task
        self._cancelled_before = task.cancelling()
        self._all.add(self)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not self.passed:
            self._all.remove(self)
        # A cancellation that was also requested elsewhere remains a cancellation.
        elif self._task.uncancel() <= self._cancelled_before and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def pass_by(self) -> None:
        """The time is up: cancel the block."""
        self.passed = True
        self._task.cancel()
