"""TCP ports of this machine: find a free one, detect a taken one."""

from __future__ import annotations

import random
import socket

from fcgraph.errors import FcgraphError

HOST = "127.0.0.1"
# Below the range that Linux, macOS and Windows use for outgoing connections, whose ports may be taken at any time
LASTING = range(20_000, 32_768)


class PortTaken(FcgraphError):
    """Another process listens on a port that we need; names the port and the setting to change it."""

    code = "PORT_TAKEN"


def free(preferred: int | None = None) -> int:
    """A port without a listener now; the preferred one when it is free."""
    if preferred and is_free(preferred):
        return preferred
    for port in random.sample(LASTING, len(LASTING)):
        if is_free(port):
            return port
    raise PortTaken(f"all ports from {LASTING[0]} to {LASTING[-1]} are taken")


def is_free(port: int, host: str = HOST) -> bool:
    """Whether a server could listen there. A connection that is still closing does not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def require_free(port: int, setting: str, host: str = HOST) -> int:
    """The port, or PortTaken naming it and its setting."""
    if not is_free(port, host):
        raise PortTaken(f"port {port} ({setting}) is taken: stop what listens there, or set {setting} to another port")
    return port
