"""`python -m fcgraph.embedded.guardian`: outlives the supervisor and ends its processes.

Reads `PID CREATED SIGNAL` lines from the supervisor: the leaders of the sessions to end. When the pipe closes it
sends them their signals, waits, and kills the rest. After a clean stop there is nothing left to do.
"""

from __future__ import annotations

import signal
import sys

from fcgraph.embedded.process import family, kill, wait_until_gone

GRACE_SECONDS = 5


def main() -> None:
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)  # only the end of the supervisor matters
    children: dict[tuple[int, float], signal.Signals] = {}
    for line in sys.stdin:
        pid, created, with_signal = line.split()
        children[int(pid), float(created)] = signal.Signals(int(with_signal))
    end(children)


def end(children: dict[tuple[int, float], signal.Signals]) -> None:
    """End the sessions led by these processes, and everything in them."""
    families = {child: family(*child) for child in children}
    for child, members in families.items():
        for leader in (p for p in members if p.pid == child[0]):
            kill(leader, children[child])
    wait_until_gone([p for members in families.values() for p in members], GRACE_SECONDS)
    for child in children:
        for left in family(*child):
            kill(left)


if __name__ == "__main__":
    main()
