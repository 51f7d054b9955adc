"""Work that takes Python a long time does not block other requests, over HTTP and over websockets."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fcgraph.api.background_loop import NICENESS
from tests.api.client import Api, serving
from tests.api.conftest import settings_for
from tests.api.test_subscription import connected

# Off the fast path: 100 users' totals of a year, as many fields as the demo has.
LONG = """{ users(first: 100) { nodes { a: dailyTotals(start: "2025-01-01", end: "2025-12-31") { ...T }
  b: dailyTotals(start: "2025-01-01", end: "2025-12-31") { ...T } } } currencies { code } }
  fragment T on DailyTotals { rows { userId day currency totalSent totalReceived sentCount receivedCount } }"""
PAUSE_SECONDS = 0.002
SHARE = 0.35  # of the long answer's time; on a single event loop a trivial query waits for most of it


def longest_wait(api: Api, long: Future[Any]) -> tuple[float, float]:
    """The longest wait of many trivial queries, and the duration of the long one."""
    gc.freeze()  # as the server does: a pass over all objects that the tests have loaded takes a tenth of a second
    waits = [0.0]
    start = time.monotonic()
    while not long.done():
        started = time.monotonic()
        assert api.ask("{ __typename }") == {"__typename": "Query"}
        waits.append(time.monotonic() - started)
        # The client and the server are threads here. Without a pause they would hand the interpreter to each other and
        # leave the background loop, a third thread, waiting for seconds.
        time.sleep(PAUSE_SECONDS)
    gc.unfreeze()
    return max(waits), time.monotonic() - start


def test_trivial_queries_while_a_long_one_is_answered(demo: Api) -> None:
    demo.ask(LONG)  # one-time work (connecting, preparing) is not measured
    with ThreadPoolExecutor(1) as threads:
        long = threads.submit(demo.ask, LONG)
        wait, seconds = longest_wait(demo, long)
        assert len(long.result()["users"]["nodes"]) == 8
    assert wait < seconds * SHARE


def test_trivial_queries_while_a_socket_asks_long_ones(demo: Api) -> None:
    def ask() -> Any:
        with connected(demo) as socket:
            for n in range(3):
                socket.send_json({"type": "subscribe", "id": str(n), "payload": {"query": LONG}})
            messages = [socket.receive_json() for _ in range(6)]
        return sorted((m["id"], m["type"]) for m in messages)

    with ThreadPoolExecutor(1) as threads:
        long = threads.submit(ask)
        wait, seconds = longest_wait(demo, long)
        assert long.result() == [(str(n), kind) for n in range(3) for kind in ("complete", "next")]
    assert wait < seconds * SHARE


def test_the_end_of_a_process_with_a_socket_open(demo_url: str, tmp_path: Path) -> None:
    with serving(settings_for(demo_url, tmp_path)) as api, connected(api) as socket:
        socket.send_json({"type": "ping"})
        assert socket.receive_json() == {"type": "pong"}
        background = api.app.background
    assert background._thread is None


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no priority per thread")
def test_the_background_loop_stands_back_when_processors_are_few(demo: Api) -> None:
    demo.ask("{ currencies { code } }")  # the loop is started on first use
    [background] = [thread for thread in threading.enumerate() if thread.name == "api-background"]
    here = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    assert background.native_id is not None
    assert os.getpriority(os.PRIO_PROCESS, background.native_id) == min(here + NICENESS, 19)
