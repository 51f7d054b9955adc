"""Short slices are requested from the scheduler, where it supports them."""

from __future__ import annotations

import ctypes
import platform
import sys
import threading

from fcgraph.api.http import slices

SCHED_GETATTR = {"x86_64": 315, "aarch64": 275}


def attributes() -> tuple[int, int]:
    """The calling thread's slice in nanoseconds (0 where Linux has none to choose) and niceness."""
    found = slices.Attributes()
    size = ctypes.sizeof(found)
    assert ctypes.CDLL(None).syscall(SCHED_GETATTR[platform.machine()], 0, ctypes.byref(found), size, 0) == 0
    return found.runtime, found.nice


def test_the_thread_that_asks_has_short_slices_and_the_ones_it_starts_do_not() -> None:
    seen: list[tuple[int, int]] = []

    def plan() -> None:
        seen.append(attributes())
        assert slices.shorten()
        seen.append(attributes())
        inner = threading.Thread(target=lambda: seen.append(attributes()))
        inner.start()
        inner.join()

    if sys.platform != "linux" or platform.machine() not in SCHED_GETATTR:
        assert not slices.shorten()
        return
    thread = threading.Thread(target=plan)
    thread.start()
    thread.join()
    (before, nice), after, inner = seen
    assert after == (slices.SLICE_NANOSECONDS if before else 0, nice)
    assert inner == (before, nice)
