"""A TCP proxy that fails on demand: cuts, stalls, half-closes, refuses, or loses the answer to a statement."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from random import Random

from tests.waiting import until

CHUNK_BYTES = 65536
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: the peer gets a reset, as from a dead host's router


class _Link:
    """A client's connection and the matching one to the server."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.answers_lost = False
        self.is_ripe = False  # has sent `after`: the answer to `needle` may be lost

    def cut(self) -> None:
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):  # its own side has already closed it
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class Proxy:
    """Listens on a free local port and forwards to `host:port` until a method changes that."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cuts = 0
        self.delayed = False  # whether any data was held back since the last `stall`
        self._links: set[_Link] = set()
        self._lock = threading.Lock()
        self._refusing = False
        self._needle: bytes | None = None
        self._after = b""
        self._holding = False
        self._flowing = threading.Event()
        self._flowing.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Reset every connection; accept new ones."""
        with self._lock:
            links, self._links = self._links, set()
        for link in links:
            link.cut()
        self.cuts += len(links)

    def refuse(self) -> None:
        """Be unavailable: reset every existing and every new connection, until `welcome`."""
        self._refusing = True
        self.cut()

    def welcome(self) -> None:
        """Accept connections again."""
        self._refusing = False

    def stall(self) -> None:
        """Keep connections open and forward nothing, until `flow`."""
        self.delayed = False
        self._flowing.clear()

    def flow(self) -> None:
        """Forward again, beginning with the data that was held back."""
        self._flowing.set()

    def half_close(self) -> None:
        """Close the sending side to every server, while its client still waits for an answer."""
        with self._lock:
            links = list(self._links)
        for link in links:
            with contextlib.suppress(OSError):  # closed in the meantime
                link.server.shutdown(socket.SHUT_WR)

    def lose_answer_to(self, needle: bytes, *, after: bytes = b"") -> None:
        """Forward the next message that contains `needle`, and cut before its answer returns.

        Only on a connection that has sent `after` before: for example a COMMIT of a transaction that wrote something.
        """
        self._after = after
        self._needle = needle

    def hold_answer_to(self, needle: bytes) -> None:
        """As `lose_answer_to`, but keep the connection and stall before the answer, like a host that went silent."""
        self._holding = True
        self.lose_answer_to(needle)

    @property
    def answer_lost(self) -> bool:
        """Whether the chosen answer has been lost."""
        return self._needle is None

    def misbehave(self, rnd: Random, within_seconds: float, *, lose: bytes, after: bytes = b"") -> str:
        """Cause a random fault; returns its name once it has happened. For `lose` and `after` see `lose_answer_to`."""
        kind = rnd.choice(("cut", "stall and flow", "stall and cut", "half-close", "lose an answer"))
        if kind == "cut":
            self.cut()
        elif kind == "half-close":
            self.half_close()
        elif kind == "lose an answer":
            self.lose_answer_to(lose, after=after)
            until(lambda: self.answer_lost, within_seconds)
        else:
            self.stall()
            until(lambda: self.delayed, within_seconds)
            if kind == "stall and cut":
                self.cut()
            self.flow()
        return kind

    def close(self) -> None:
        """Close the proxy and its connections."""
        self._listener.close()
        self._flowing.set()
        self.refuse()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            try:
                server = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            link = _Link(client, server)
            with self._lock:
                self._links.add(link)
            if self._refusing:
                self._drop(link)
                continue
            threading.Thread(target=self._pump, args=(link, client, server), daemon=True).start()
            threading.Thread(target=self._pump, args=(link, server, client), daemon=True).start()

    def _pump(self, link: _Link, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):  # one end is closed, so close the other
            while data := source.recv(CHUNK_BYTES):
                self.delayed = self.delayed or not self._flowing.is_set()
                self._flowing.wait()
                if source is link.server and link.answers_lost:
                    self._needle = None
                    if not self._holding:
                        break
                    link.answers_lost = self._holding = False
                    self.stall()
                    self._flowing.wait()
                if source is link.client and self._needle is not None:
                    link.answers_lost = link.is_ripe and self._needle in data
                    link.is_ripe = link.is_ripe or self._after in data
                target.sendall(data)
        self._drop(link)

    def _drop(self, link: _Link) -> None:
        with self._lock:
            known = link in self._links
            self._links.discard(link)
        if known:
            link.cut()
            self.cuts += link.answers_lost
