"""The principal of the command line, as recorded with decisions."""

from __future__ import annotations

import getpass
import os


def principal() -> str:
    """`cli:` and the name of the operating system's user; its number if the user has no name."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"cli:{os.getuid()}"
