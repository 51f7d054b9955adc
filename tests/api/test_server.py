"""The writes of uvicorn are sent together, complete and in order, and pause when the client does not read.

(For websockets see `test_playground.py` and `test_fuzz.py`.)
"""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from fcgraph.api.http.server import OneWrite
from tests.waiting import until

CHUNK = b"x" * 16 * 1024
CHUNKS = 4096  # 64 MiB, more than the sockets between two hold
SECONDS = 10


class Counted:
    """The real transport of a connection, which records what is written."""

    def __init__(self, transport: asyncio.Transport, writes: list[bytes]) -> None:
        self._transport = transport
        self._writes = writes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        self._writes.append(data)
        self._transport.write(data)


class Served:
    """An application under uvicorn: /parts answers in two parts, /long in CHUNKS that wait only for the connection."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.chunks = 0
        self.port = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/long":
            for self.chunks in range(1, CHUNKS + 1):
                await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
        await send({"type": "http.response.body", "body": b"one ", "more_body": True})
        await send({"type": "http.response.body", "body": b"two"})

    def protocol(self, *args: Any, **kwargs: Any) -> OneWrite:
        writes = self.writes

        class Watched(OneWrite):
            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
                super().connection_made(Counted(transport, writes))  # type: ignore[arg-type]  # it has all of it

        return Watched(*args, **kwargs)


@pytest.fixture
def served() -> Iterator[Served]:
    app = Served()
    config = uvicorn.Config(app, port=0, http=app.protocol, lifespan="off", log_config=None)  # type: ignore[arg-type]  # a factory
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started, SECONDS)
    app.port = server.servers[0].sockets[0].getsockname()[1]
    yield app
    server.should_exit = server.force_exit = True  # a test that failed may have left an answer unread
    thread.join()


def test_an_answer_is_one_write(served: Served) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=SECONDS)
    for n in (1, 2):
        connection.request("GET", "/parts")
        assert connection.getresponse().read() == b"one two"
        assert len(served.writes) == n
    connection.request("GET", "/parts", headers={"Connection": "close"})
    assert connection.getresponse().read() == b"one two"
    assert len(served.writes) == 3


def test_requests_that_come_together_are_answered_in_turn(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port), SECONDS) as client:
        request = b"GET /parts HTTP/1.1\r\nHost: x\r\n"
        client.sendall(3 * (request + b"\r\n") + request + b"Connection: close\r\n\r\n")
        answers = client.makefile("rb").read()
    assert answers == b"".join(served.writes)
    assert answers.count(b"HTTP/1.1 200 OK") == answers.count(b"4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n") == 4


def test_a_long_answer_waits_for_who_reads_it(served: Served) -> None:
    slow = http.client.HTTPConnection("127.0.0.1", served.port, timeout=SECONDS)
    slow.request("GET", "/long")
    answer = slow.getresponse()
    other = http.client.HTTPConnection("127.0.0.1", served.port, timeout=SECONDS)
    other.request("GET", "/parts")
    assert other.getresponse().read() == b"one two"
    assert 0 < served.chunks < CHUNKS
    assert answer.read() == CHUNKS * CHUNK + b"one two"


def test_a_client_who_leaves_costs_nobody_else(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port), SECONDS) as client:
        client.sendall(b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(1)
    until(lambda: served.chunks == CHUNKS, SECONDS)  # uvicorn discards the rest
    other = http.client.HTTPConnection("127.0.0.1", served.port, timeout=SECONDS)
    other.request("GET", "/parts")
    assert other.getresponse().read() == b"one two"
