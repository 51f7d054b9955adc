"""A thread with its own event loop, for work that takes Python a long time: executing an operation field by field.

On the server's event loop this work would block every other request. Both threads share the interpreter, which switches
threads every SWITCH_SECONDS. A short request therefore waits at most that long, not for thousands of fields.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fcgraph.api.reader import Reader

T = TypeVar("T")
SWITCH_SECONDS = 0.00005
NICENESS = 10  # other threads that are ready to run get the processor first
JOIN_SECONDS_MAX = 10


class BackgroundLoop:
    """Runs work off the server's event loop. Its `reader` is its own: a connection belongs to one event loop."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    async def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run the work and return its result. The work is cancelled when the caller is."""
        if self._loop is None:
            self._start()
        assert self._loop is not None
        return await _elsewhere(work(), self._loop)

    async def call(self, work: Callable[[], T]) -> T:
        """Run a plain function and return its result."""

        async def called() -> T:
            return work()

        return await self.run(called)

    async def back(self, work: Coroutine[Any, Any, T]) -> T:
        """Called on the background loop: run the work on the server's event loop and return its result."""
        assert self._server is not None
        return await _elsewhere(work, self._server)

    async def serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Run an ASGI application here; its messages are received and sent on the server's event loop."""

        async def receive_there() -> Message:
            return await self.back(_coroutine(receive()))

        async def send_there(message: Message) -> None:
            await self.back(_coroutine(send(message)))

        await self.run(lambda: _coroutine(app(scope, receive_there, send_there)))

    async def close(self) -> None:
        """Cancel running work, close the connections and stop the thread."""
        if self._loop is None or self._thread is None:
            return
        await _elsewhere(self._end(), self._loop)
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join, JOIN_SECONDS_MAX)
        self._loop.close()
        self._loop = self._thread = None

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self.reader.close()

    def _start(self) -> None:
        sys.setswitchinterval(SWITCH_SECONDS)
        self._server = asyncio.get_running_loop()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._work, name="api-background", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        assert self._loop is not None
        if sys.platform == "linux":  # there it applies to one thread, elsewhere to the whole process
            os.nice(NICENESS)
        self._loop.run_forever()


async def _elsewhere(work: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T:
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))


async def _coroutine(awaitable: Awaitable[T]) -> T:
    return await awaitable
