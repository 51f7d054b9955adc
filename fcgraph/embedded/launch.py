"""Replaces itself with another program after some preparation: `python launch.py [OPTIONS] PROGRAM ARGS`.

Dies with its parent on Linux, and drops root for a server that refuses to run as root. Imports only the standard
library, so that it starts at once.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import pwd
import signal
import sys

PR_SET_PDEATHSIG = 1


def become(user: str, folder: str) -> None:
    """Continue as `user`, without root's rights, in `folder`.

    Root opens the folder and the user enters it: the user may have no access to the parent folders, and root may have
    no access to the folder in a container that removes its right to override permissions.
    """
    entry = pwd.getpwnam(user)
    opened = os.open(folder, os.O_DIRECTORY | getattr(os, "O_PATH", os.O_RDONLY)) if folder else None
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    if opened is not None:
        os.fchdir(opened)
        os.close(opened)


def die_with(parent: int, with_signal: int) -> None:
    """Request a signal from Linux when the parent ends for any reason. Elsewhere only the guardian does this."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, with_signal, 0, 0, 0)
        if os.getppid() != parent:  # it ended before the request
            sys.exit(1)


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--user", default="")
    options.add_argument("--folder", default="")
    options.add_argument("--parent", type=int, default=0)
    options.add_argument("--death-signal", type=int, default=signal.SIGTERM)
    options.add_argument("program", nargs=argparse.REMAINDER)
    arguments = options.parse_args()
    if arguments.user:
        become(arguments.user, arguments.folder)
    if arguments.parent:
        die_with(arguments.parent, arguments.death_signal)  # after the change of user, which clears the request
    try:
        os.execvp(arguments.program[0], arguments.program)  # noqa: S606 - no shell: this is our own fixed command
    except OSError as e:
        sys.exit(f"cannot start {arguments.program[0]}: {e.strerror}")


if __name__ == "__main__":
    main()
