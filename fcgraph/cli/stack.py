"""How the commands find what runs on this machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from fcgraph import settings
from fcgraph.observability import log

if TYPE_CHECKING:
    from fcgraph.embedded.stack import Stack


def join_stack() -> Stack | None:
    """Use the running stack's addresses and folders where the environment sets none; return the stack."""
    from fcgraph.embedded import stack

    current = settings.load()
    log.set_up("cli", level="WARNING" if current.log_level == "INFO" else current.log_level, fmt=current.log_format)
    running = stack.running(current.data_dir)
    for name, value in running["environment"].items() if running else ():
        os.environ.setdefault(name, value)
    return running
