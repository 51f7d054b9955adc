"""Named moments at which a test can kill, stop or fail this process. Off, and without cost, unless enabled.

`FCGRAPH_FAILPOINT="report-renamed=kill"`, `"=raise"` or `"=stop"` (SIGSTOP); `"=kill@3"` waits for the third time in
one process; several are separated by commas.
"""

from __future__ import annotations

import os
import signal

from fcgraph import settings
from fcgraph.errors import SettingsError


class FailpointReached(RuntimeError):
    """What `=raise` raises: the surrounding code treats it as a bug."""


class Failpoint:
    """One armed moment: what to do, and on which pass."""

    def __init__(self, text: str) -> None:
        self.name, _, what = text.strip().partition("=")
        self.action, _, times = what.partition("@")
        if not self.name or self.action not in ("kill", "raise", "stop") or not (times or "1").strip("0").isdecimal():
            raise SettingsError("FCGRAPH_FAILPOINT: wants name=kill, name=raise or name=stop, with @N for the Nth time")
        self.remaining = int(times or "1")

    def reach(self) -> None:
        """Count down; act when the count is reached, and never again."""
        self.remaining -= 1
        if self.remaining:
            return
        if self.action == "raise":
            raise FailpointReached(self.name)
        os.kill(os.getpid(), signal.SIGKILL if self.action == "kill" else signal.SIGSTOP)


def parse(text: str) -> dict[str, Failpoint]:
    """The armed moments by name. Raises SettingsError."""
    return {point.name: point for point in (Failpoint(part) for part in text.split(",") if part.strip())}


_armed = parse(settings.failpoint())


def reach(name: str) -> None:
    """Mark the moment `name` as reached."""
    if _armed and name in _armed:
        _armed[name].reach()
