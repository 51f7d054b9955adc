"""What `up` prints: the lines of all processes, prefixed with the name and coloured on a terminal, and the welcome."""

from __future__ import annotations

import os
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLOURS = {
    "up": "bold white",
    "postgres": "blue",
    "redis": "red",
    "kafka": "magenta",
    "api": "green",
    "consumer": "yellow",
    "worker": "cyan",
    "scheduler": "bright_blue",
}
NAME_WIDTH = max(map(len, COLOURS))


class Output:
    """Lines of many processes on one screen. Threads may share it."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)

    def line(self, name: str, line: str) -> None:
        """`name | line`."""
        self._console.print(Text.assemble((name.ljust(NAME_WIDTH), COLOURS.get(name, "")), " | ", Text(line)))

    def welcome(self, api_url: str, data_dir: Path, kafka: str) -> None:
        """Print where to look and the next three things to try, once everything runs."""
        env = os.path.relpath(data_dir / "env")
        env = env if env.startswith(".") else f"./{env}"
        self._console.print(
            f"""
[bold green]fcgraph is up.[/] Open the playground: [bold]{api_url}/graphql[/]
{kafka}

Three things to try, in another terminal in this folder, after [bold]. {env}[/]

  1. Send the three sample messages through Kafka:   [bold]python -m workers.producer[/]
  2. Import the sample file:                         [bold]python -m fcgraph import seeds/sample_transactions.csv[/]
  3. Make the report of the month and look at it:    [bold]python -m fcgraph report --period 2025-05 --show[/]

Processes, lag and jobs: [bold]python -m fcgraph status[/]. Ctrl-C stops everything; the data stays in {data_dir}.
"""
        )
