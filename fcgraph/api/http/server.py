"""How uvicorn writes to a connection (`uvicorn --http fcgraph.api.http.server:OneWrite`): the head and the
body of an answer are sent together.

uvicorn itself writes them separately: two packets and two wake-ups of the client. A client that wakes up on the
server's processor interrupts the server before the body is written.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

BUFFERED_BYTES_MAX = 64 * 1024  # more than that is written at once, so that the transport can say when to stop


class OneWrite(HttpToolsProtocol):
    """uvicorn's protocol on a transport that combines writes."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows it
        super().connection_made(cast(asyncio.Transport, Joined(transport, self.loop)))

    def handle_websocket_upgrade(self) -> None:
        """Hand over the plain transport: frames are sent one by one."""
        self.transport = cast(Joined, self.transport).unjoined()
        super().handle_websocket_upgrade()


class Joined:
    """A transport that combines the writes of one event loop iteration; the real one does everything else."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._buffered: list[bytes] = []
        self._buffered_bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Buffer it until the end of the event loop iteration."""
        if not self._buffered:
            self._loop.call_soon(self._write_buffered)
        self._buffered.append(data)
        self._buffered_bytes += len(data)
        if self._buffered_bytes > BUFFERED_BYTES_MAX:
            self._write_buffered()

    def close(self) -> None:
        """Close after writing the buffer."""
        self._write_buffered()
        self._transport.close()

    def unjoined(self) -> asyncio.Transport:
        """The real transport, after writing the buffer."""
        self._write_buffered()
        return self._transport

    def _write_buffered(self) -> None:
        held, self._buffered, self._buffered_bytes = self._buffered, [], 0
        if held and not self._transport.is_closing():
            self._transport.write(held[0] if len(held) == 1 else b"".join(held))
