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


class Load(NamedTuple):
    """A run on its way, and the folder with what it sends."""

    wrk: subprocess.Popen[str]
    folder: tempfile.TemporaryDirectory[str]


def start(url: str, bodies: list[str], seconds: int, connections: int = CONNECTIONS) -> Load:
    """Begin a run; `finish` waits for its end."""
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
