"""A commit of offsets with a time limit, which librdkafka does not have."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn


class BoundedCommit:
    """Wraps a commit function; calls `give_up` when there is no response within the limit.

    librdkafka waits forever for the response to a commit that was in flight when the broker died, and closing its
    client waits with it. So the caller cannot handle this as an error: `give_up` does not return.
    """

    def __init__(self, commit: Callable[..., Any], limit_seconds: float, give_up: Callable[[], NoReturn]) -> None:
        self._commit = commit
        self._limit_seconds = limit_seconds
        self._give_up = give_up
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commit")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        answer = self._thread.submit(self._commit, *args, **kwargs)
        try:
            return answer.result(self._limit_seconds)
        except TimeoutError:
            if answer.done():
                raise
            self._give_up()
