"""Becomes another program, after what must happen before it: `python launch.py [OPTIONS] PROGRAM ARGS`.

Dies with its parent on Linux, and gives up root for a server that refuses it. The standard library alone is imported,
so that it starts at once.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import pwd
import signal
import sys

PR_SET_PDEATHSIG, PR_SET_KEEPCAPS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 1, 8, 47, 2
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2
CAPABILITY_VERSION_3 = 0x20080522


class CapabilityHeader(ctypes.Structure):
    """What capget(2) and capset(2) are about: this process."""

    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class CapabilityData(ctypes.Structure):
    """Thirty-two capabilities, as bits."""

    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def become(user: str) -> None:
    """Go on as `user`, who may still pass through folders that only root may enter (a clone under /root, say).

    Reading is all that is kept, or what stands for it where a container has taken that away.
    """
    entry = pwd.getpwnam(user)
    linux = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    if linux is not None:
        linux.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    if linux is not None:
        keep_passage(linux)


def keep_passage(linux: ctypes.CDLL) -> None:
    """Keep one capability over the exec that follows: to read and search, or else to override permissions."""
    header = CapabilityHeader(CAPABILITY_VERSION_3, 0)
    data = (CapabilityData * 2)()
    if linux.capget(ctypes.byref(header), data) != 0:
        return
    for capability in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE):
        bit = 1 << capability
        if data[0].permitted & bit:
            kept = (CapabilityData * 2)(CapabilityData(bit, bit, bit), CapabilityData(0, 0, 0))
            if linux.capset(ctypes.byref(header), kept) == 0:
                linux.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0)
            return


def die_with(parent: int, with_signal: int) -> None:
    """Ask Linux for a signal when the parent ends, however it ends. Elsewhere the guardian alone looks after it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, with_signal, 0, 0, 0)
        if os.getppid() != parent:  # it ended before we asked
            sys.exit(1)


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--user", default="")
    options.add_argument("--parent", type=int, default=0)
    options.add_argument("--death-signal", type=int, default=signal.SIGTERM)
    options.add_argument("program", nargs=argparse.REMAINDER)
    given = options.parse_args()
    if given.user:
        become(given.user)
    if given.parent:
        die_with(given.parent, given.death_signal)  # after the change of user, which forgets such a wish
    try:
        os.execvp(given.program[0], given.program)  # noqa: S606 - no shell is wanted: this is our own fixed command
    except OSError as e:
        sys.exit(f"cannot start {given.program[0]}: {e.strerror}")


if __name__ == "__main__":
    main()
