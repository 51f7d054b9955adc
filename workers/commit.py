"""A commit of offsets that is given up after a time, which librdkafka's is not."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn


class BoundedCommit:
    """Commits as the function it is put before; calls `give_up` when there is no answer within the limit.

    librdkafka waits for ever for the answer to a commit that was on its way when the broker died, and closing its
    client waits with it. So this cannot be an error that somebody else handles: `give_up` does not return.
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
