"""What `--help` says beside what typer makes of the commands."""

from __future__ import annotations


def examples(*lines: str) -> str:
    """An epilog with a line for each; the mark at its start keeps typer from joining them."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])
