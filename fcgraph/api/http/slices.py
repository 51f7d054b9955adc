"""The server's thread runs briefly and often. Linux lets a running thread finish a slice of some milliseconds before a
thread that wakes up, unless the latter requested shorter slices (6.12 and newer,
https://docs.kernel.org/scheduler/sched-eevdf.html). Python has no function for it.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys

SLICE_NANOSECONDS = 100_000  # the shortest there is
SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}  # the number of the system call; glibc has a wrapper only since 2.41
RESET_ON_FORK = 1  # threads started by this one have the default slices


class Attributes(ctypes.Structure):
    """`struct sched_attr` of linux/sched/types.h, in its first version."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime", ctypes.c_uint64),
        ("deadline", ctypes.c_uint64),
        ("period", ctypes.c_uint64),
    )


def shorten() -> bool:
    """Request short slices for the calling thread; False where this is not possible."""
    if sys.platform != "linux" or platform.machine() not in SCHED_SETATTR:
        return False
    if os.sched_getscheduler(0) != os.SCHED_OTHER:
        return False  # another policy was chosen for this process
    system = ctypes.CDLL(None)
    attributes = Attributes(
        size=ctypes.sizeof(Attributes),
        policy=os.SCHED_OTHER,
        flags=RESET_ON_FORK,
        nice=os.getpriority(os.PRIO_PROCESS, 0),
        runtime=SLICE_NANOSECONDS,
    )
    done: int = system.syscall(SCHED_SETATTR[platform.machine()], 0, ctypes.byref(attributes), 0)
    return done == 0
