"""The name of this consumer within its group (Kafka's group.instance.id), so that a restart is no rebalance.

It must differ between processes that run at once, or Kafka fences the older one, and be the same after a restart, or
the group waits a session's time for the one that died. So: the host's name and the lowest slot free on this host. A
slot is a locked file; the kernel lets go of the lock when its process ends, however it ends. `KAFKA_INSTANCE_ID`
is for hosts whose name changes with every start.
"""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

# One place for the whole host: two installations that share a group must not take the same slot.
SLOTS_DIR = Path(tempfile.gettempdir()) / f"fcgraph-consumers-{os.getuid()}"


@contextmanager
def instance_id(group: str, chosen: str) -> Iterator[str]:
    """The name to join `group` under, ours until the block ends: `chosen`, or host and slot when that is empty."""
    if chosen:
        yield chosen
        return
    SLOTS_DIR.mkdir(mode=0o700, exist_ok=True)
    for slot in count():
        with (SLOTS_DIR / f"{group}-{slot}.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield f"{socket.gethostname()}-{slot}"
            return
