"""The load: wrk with 8 connections, one body after the other; or one client with pauses.

Reports requests per second, and p50 and p99 in milliseconds.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx2

CONNECTIONS = 8
TIMEOUT_SECONDS = 30
PAUSE_SECONDS = 0.002
ANSWER_BYTES_MAX = 64 * 1024
SCRIPT = """
local bodies = {}
for line in io.lines("BODIES") do bodies[#bodies + 1] = line end
local n = 0
request = function()
  n = n % #bodies + 1
  return wrk.format("POST", nil, {["Content-Type"] = "application/json"}, bodies[n])
end
"""
UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


class Measured(NamedTuple):
    """One run of the load."""

    per_second: float
    p50_ms: float
    p99_ms: float


class Load(NamedTuple):
    """A run in progress, and the folder with the bodies it sends."""

    wrk: subprocess.Popen[str]
    folder: tempfile.TemporaryDirectory[str]


def start(url: str, bodies: list[str], seconds: int, connections: int = CONNECTIONS) -> Load:
    """Start a run; `finish` waits for its end."""
    program = shutil.which("wrk")
    if program is None:
        raise SystemExit("the load generator wrk is missing (Debian: apt-get install wrk)")
    folder = tempfile.TemporaryDirectory(prefix="fcgraph-load-")
    script, lines = Path(folder.name) / "wrk.lua", Path(folder.name) / "bodies"
    lines.write_text("\n".join(bodies))
    script.write_text(SCRIPT.replace("BODIES", str(lines)))
    command = [
        program,
        "-t1",
        f"-c{connections}",
        f"-d{seconds}s",
        f"--timeout={TIMEOUT_SECONDS}s",
        "--latency",
        "-s",
        str(script),
        url,
    ]
    return Load(subprocess.Popen(command, stdout=subprocess.PIPE, text=True), folder)


def finish(load: Load) -> Measured:
    """The figures of a run; every answer must have been a 2xx."""
    out, _ = load.wrk.communicate()
    load.folder.cleanup()
    if load.wrk.returncode or "Non-2xx" in out or "Socket errors" in out:
        raise SystemExit(f"the load failed:\n{out}")
    return Measured(float(_found(r"Requests/sec:\s+([\d.]+)", out)), _latency("50%", out), _latency("99%", out))


def run(url: str, bodies: list[str], seconds: int, connections: int = CONNECTIONS) -> Measured:
    """One run from start to end."""
    return finish(start(url, bodies, seconds, connections))


def now_and_then(url: str, body: str, seconds: int) -> Measured:
    """One client that sends a request and waits PAUSE_SECONDS in a loop: without it, it would use a whole core."""
    at = urlsplit(url)
    head = f"POST {at.path} HTTP/1.1\r\nHost: {at.netloc}\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
    waits: list[float] = []
    with socket.create_connection((at.hostname, at.port), TIMEOUT_SECONDS) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = time.perf_counter()
        while (query := time.perf_counter()) < began + seconds:
            connection.sendall(request)
            answer = b""
            while not answer.endswith(b"}}"):
                if not (piece := connection.recv(ANSWER_BYTES_MAX)):
                    raise SystemExit(f"the load failed:\n{answer!r}")
                answer += piece
            waits.append(time.perf_counter() - query)
            if b" 200 OK" not in answer:
                raise SystemExit(f"the load failed:\n{answer!r}")
            time.sleep(PAUSE_SECONDS)
    waits.sort()
    p50, p99 = (1000 * waits[int(len(waits) * share)] for share in (0.5, 0.99))
    return Measured(len(waits) / seconds, p50, p99)


def ask(url: str, bodies: list[str]) -> None:
    """Send one request and read its answer."""
    headers = {"Content-Type": "application/json"}
    httpx2.post(url, content=bodies[0], headers=headers, timeout=TIMEOUT_SECONDS).raise_for_status()


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    assert found is not None, text
    return found[1]


def _latency(share: str, text: str) -> float:
    found = re.search(rf"{share}\s+([\d.]+)(us|ms|s)", text)
    assert found is not None, text
    return float(found[1]) * UNITS[found[2]]
