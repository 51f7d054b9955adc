"""`uvicorn fcgraph.api.app:app`: the documented name of the application, which is in `fcgraph.api.http.app`."""

from __future__ import annotations

from typing import Any

from fcgraph.api.http import app as application


def __getattr__(name: str) -> Any:
    """The application, created when uvicorn first reads it."""
    if name != "app":
        raise AttributeError(name)
    return application.app
