"""The name of this consumer within its group (Kafka's group.instance.id), so that a restart causes no rebalance.

It must be unique among running processes, or Kafka fences the older one. It must be the same after a restart, or the
group waits a session timeout for the process that died. So it is the host name and the lowest free slot on this host. A
slot is a locked file; the kernel releases the lock when the process ends for any reason. `KAFKA_INSTANCE_ID` is for
hosts whose name changes with every start.
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
    """The name to join `group` under, reserved until the block ends: `chosen`, or host and slot when that is empty."""
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
