"""How uvicorn writes to a connection (`uvicorn --http fcgraph.api.http.server:OneWrite`): an answer's head and body
leave together.

By itself uvicorn writes one after the other: two packets, two wake-ups of the client, and a client who wakes up on the
server's processor takes it away before the body is written.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

BUFFERED_BYTES_MAX = 64 * 1024  # more than that is written at once, so that the transport can say when to stop


class OneWrite(HttpToolsProtocol):
    """uvicorn's protocol on a transport that joins writes."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows it
        super().connection_made(cast(asyncio.Transport, Joined(transport, self.loop)))

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection itself on: frames go out one by one."""
        self.transport = cast(Joined, self.transport).unjoined()
        super().handle_websocket_upgrade()


class Joined:
    """A transport that writes at once what comes within one turn of the event loop; all else goes to the real one."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._buffered: list[bytes] = []
        self._buffered_bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Hold it until the turn's end."""
        if not self._buffered:
            self._loop.call_soon(self._write_buffered)
        self._buffered.append(data)
        self._buffered_bytes += len(data)
        if self._buffered_bytes > BUFFERED_BYTES_MAX:
            self._write_buffered()

    def close(self) -> None:
        """Close when all is written."""
        self._write_buffered()
        self._transport.close()

    def unjoined(self) -> asyncio.Transport:
        """The real transport, with all written that was held."""
        self._write_buffered()
        return self._transport

    def _write_buffered(self) -> None:
        held, self._buffered, self._buffered_bytes = self._buffered, [], 0
        if held and not self._transport.is_closing():
            self._transport.write(held[0] if len(held) == 1 else b"".join(held))
