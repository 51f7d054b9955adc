"""Additions to typer's `--help`."""

from __future__ import annotations


def examples(*lines: str) -> str:
    """An epilog with one line for each; the marker at its start keeps typer from joining them."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])
