"""asyncpg and psycopg2 in threads compared, on one event loop: `python -m tests.bench.read.drivers --database-url …`.

Only what the API's reader does: 8 concurrent clients read one user by id, and a page of 100 payments as one text.
"""

from __future__ import annotations

import argparse
import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg2
import uvloop
from rich.console import Console

from fcgraph.api.reader import Reader
from fcgraph.queries import Statement
from tests.bench.read import queries

ASKERS = 8
ONE = "SELECT name FROM users WHERE user_id = $1::uuid"
PAGE = (
    "SELECT string_agg(t::text, ',') FROM (SELECT * FROM transactions WHERE sender_id = $1::uuid"
    " ORDER BY timestamp DESC, transaction_id DESC LIMIT 100) t"
)
console = Console()
Ask = Callable[[str, str], Awaitable[Any]]


class Threads:
    """psycopg2 on as many threads as connections; statements are prepared explicitly."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._threads = ThreadPoolExecutor(ASKERS)
        self._local = threading.local()

    async def ask(self, sql: str, user_id: str) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, sql, user_id)

    def _ask(self, sql: str, user_id: str) -> Any:
        if not hasattr(self._local, "cursor"):
            connection = psycopg2.connect(self._url)
            connection.set_session(readonly=True, autocommit=True)
            self._local.cursor = connection.cursor()
            for name, text in (("one", ONE), ("page", PAGE)):
                self._local.cursor.execute(f"PREPARE {name}(uuid) AS {text}")
        self._local.cursor.execute(f"EXECUTE {'one' if sql is ONE else 'page'}(%s)", (user_id,))
        return self._local.cursor.fetchall()


async def per_second(ask: Ask, sql: str, seconds: float) -> tuple[float, float]:
    """Statements per second, and the processor time of this process per statement, in microseconds."""
    users, done = queries.users(), 0
    end = time.monotonic() + seconds
    cpu, start = time.process_time(), time.monotonic()

    async def asker(first: int) -> None:
        nonlocal done
        n = first
        while time.monotonic() < end:
            await ask(sql, users[n % len(users)])
            done += 1
            n += ASKERS

    await asyncio.gather(*(asker(n) for n in range(ASKERS)))
    return done / (time.monotonic() - start), (time.process_time() - cpu) / done * 1e6


async def compare(url: str, seconds: float) -> None:
    """Measure and print both drivers in turn."""
    reader = Reader(url, pool_max=ASKERS, wait_seconds=5, statement_timeout_seconds=5)
    threads = Threads(url)

    async def by_reader(sql: str, user_id: str) -> Any:
        return await reader.fetch(Statement(sql, [user_id]))

    drivers: dict[str, Ask] = {"asyncpg": by_reader, "psycopg2 in threads": threads.ask}
    for sql, meaning in ((ONE, "one user"), (PAGE, "a page")):
        for ask in drivers.values():
            await per_second(ask, sql, 0.5)
        for name, ask in drivers.items():
            rate, cpu = await per_second(ask, sql, seconds)
            console.print(f"{meaning}: {name} {rate:,.0f}/s, {cpu:.0f} us of processor time each")
    await reader.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--seconds", type=float, default=5)
    arguments = parser.parse_args()
    uvloop.run(compare(arguments.database_url, arguments.seconds))


if __name__ == "__main__":
    main()
