"""What every command shares: the exit codes, the option `--json`, and the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

# Imported by the command that prints: `--help` answers at once.
if TYPE_CHECKING:
    from rich.console import Console

# The meaning of each is in the main command's help.
WRONG, REFUSED, NOT_ALL, AWAY = 2, 3, 4, 5
INTERRUPTED = 130  # as a shell reports it

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def terminal(*, stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)  # coloured digits are hard to read
