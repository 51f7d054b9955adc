"""The load: wrk with 8 connections, one body after the other; requests a second, p50, p99 in milliseconds."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import httpx2

CONNECTIONS = 8
TIMEOUT_SECONDS = 30
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


def start(url: str, bodies: list[str], seconds: int, connections: int = CONNECTIONS) -> subprocess.Popen[str]:
    """Begin a run; `finish` waits for its end."""
    program = shutil.which("wrk")
    if program is None:
        raise SystemExit("the load generator wrk is missing (Debian: apt-get install wrk)")
    folder = Path(tempfile.mkdtemp(prefix="fcgraph-load-"))
    (folder / "bodies").write_text("\n".join(bodies))
    (folder / "wrk.lua").write_text(SCRIPT.replace("BODIES", str(folder / "bodies")))
    command = [
        program,
        "-t1",
        f"-c{connections}",
        f"-d{seconds}s",
        f"--timeout={TIMEOUT_SECONDS}s",
        "--latency",
        "-s",
        str(folder / "wrk.lua"),
        url,
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finish(run: subprocess.Popen[str]) -> Measured:
    """The figures of a run; every answer must have been a 2xx."""
    out, _ = run.communicate()
    if run.returncode or "Non-2xx" in out or "Socket errors" in out:
        raise SystemExit(f"the load failed:\n{out}")
    return Measured(float(_found(r"Requests/sec:\s+([\d.]+)", out)), _latency("50%", out), _latency("99%", out))


def run(url: str, bodies: list[str], seconds: int, connections: int = CONNECTIONS) -> Measured:
    """One run from start to end."""
    return finish(start(url, bodies, seconds, connections))


def ask(url: str, bodies: list[str]) -> None:
    """One request, answered."""
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
