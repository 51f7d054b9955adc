"""A shell that has joined the stack of an `up` by its env file: is that stack still there, and where is it now?

The env file lists what it sets in one variable. A variable that still has the value from there is updated from the
running stack; one that was changed afterwards is left alone. Standard library only, since the settings depend on it.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, TypedDict

from fcgraph.errors import SettingsError

VARIABLE = "FCGRAPH_STACK"


class NotUp(SettingsError):
    """The shell has the addresses of a stack that has ended."""

    code = "NOT_UP"


class Stack(TypedDict):
    """The content of stack.json. `environment`: variables for processes that join; `chosen`: those that `up` chose."""

    pid: int
    api_url: str
    database_url: str
    redis_url: str
    kafka_broker: str
    kafka_kind: str
    environment: dict[str, str]
    chosen: list[str]
    processes: dict[str, dict[str, Any]]


def stack_file(data_dir: Path) -> Path:
    return data_dir / "stack.json"


def read(data_dir: Path) -> Stack | None:
    """The file's content, whether the stack still runs or not."""
    try:
        found: Stack = json.loads(stack_file(data_dir).read_text())
    except (FileNotFoundError, ValueError):
        return None
    return found


def running(data_dir: Path) -> Stack | None:
    """The stack that runs on this data folder now; None when none runs or it is still starting."""
    try:
        lock = os.open(data_dir / "lock", os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return read(data_dir)
    finally:
        os.close(lock)
    return None


def mark(data_dir: Path, stack: Stack) -> str:
    """The variable's value: which stack, and what it set."""
    return json.dumps({"data_dir": str(data_dir), "environment": stack["environment"], "chosen": stack["chosen"]})


def refresh(environment: MutableMapping[str, str]) -> None:
    """Update the variables that came from the stack. Raises NotUp when the stack has ended."""
    marked = _marked(environment)
    if marked is None:
        return
    data_dir = Path(marked["data_dir"])
    stack = running(data_dir)
    if stack is None:
        raise NotUp(
            f"fcgraph is not up: this shell has the addresses of an `up` on {data_dir} that has ended. Start it again"
            f" (make up), or unset {VARIABLE} to use other addresses"
        )
    came = _came(environment, marked["environment"])
    for name in came:
        del environment[name]
    environment.update({name: value for name, value in stack["environment"].items() if name not in environment})
    environment[VARIABLE] = mark(data_dir, stack)


def leave(environment: MutableMapping[str, str]) -> None:
    """Remove what an earlier `up` chose, so that a new one chooses again; its own settings stay."""
    marked = _marked(environment)
    if marked is None:
        return
    for name in _came(environment, marked["environment"]) & set(marked["chosen"]):
        del environment[name]
    del environment[VARIABLE]


def _marked(environment: MutableMapping[str, str]) -> dict[str, Any] | None:
    text = environment.get(VARIABLE)
    if not text:
        return None
    try:
        marked: dict[str, Any] = json.loads(text)
        dict(marked["environment"]), list(marked["chosen"]), Path(marked["data_dir"])
    except (ValueError, TypeError, KeyError):
        raise SettingsError(f"{VARIABLE} is not what `. .fcgraph/env` sets: unset it") from None
    return marked


def _came(environment: MutableMapping[str, str], was: dict[str, str]) -> set[str]:
    """The variables that still have the value from the env file: neither changed nor unset since."""
    return {name for name, value in was.items() if environment.get(name) == value}
